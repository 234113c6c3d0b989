//! Starting over when a process started another program between the preparation and the stop: what was
//! prepared is about a program that is gone, while the process is still there to be looked at.
use std::time::Duration;

use super::super::CollectError;
use crate::ids::Pid;
use crate::proc::ProcDir;

/// A launcher that starts one program after another is soon through with it. What does nothing else is
/// not to keep us for ever.
const ATTEMPTS: u32 = 10;

/// The pause after the first attempt; it doubles up to eight times itself.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes attempts to collect from a process until one succeeds, or fails for another reason than that the
/// process became another program, or too many have.
///
/// # Errors
/// The error of the last attempt.
pub fn start_over<T>(
    pid: Pid,
    mut attempt: impl FnMut() -> Result<T, CollectError>,
) -> Result<T, CollectError> {
    // Held open, it tells whether the number still means the process that was asked for.
    let first = ProcDir::open(format!("/proc/{pid}"));
    // A leader that has ended is replaced at the end of an exec by the thread that called it.
    let lives = || first.as_ref().is_ok_and(|dir| dir.stat(None).is_ok_and(|stat| !stat.is_last_zombie()));
    for made in 0..ATTEMPTS - 1 {
        match attempt() {
            Err(error) if may_be_exec(&error) && lives() => std::thread::sleep(PAUSE * (1 << made.min(3))),
            Ok(_) if made > 0 && !lives() => return Err(CollectError::Exited { pid }),
            result => return result,
        }
    }
    attempt()
}

/// Whether exec can be the cause. In the midst of one a process has no mappings, or, if a later thread
/// called it, a leader that has ended.
fn may_be_exec(error: &CollectError) -> bool {
    matches!(error, CollectError::Executed { .. } | CollectError::Exited { .. } | CollectError::Zombie { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(pid: Pid, succeed_at: u32, error: fn(Pid) -> CollectError) -> (u32, bool) {
        let mut made = 0;
        let result = start_over(pid, || {
            made += 1;
            if made == succeed_at { Ok(()) } else { Err(error(pid)) }
        });
        (made, result.is_ok())
    }

    #[test]
    fn an_exec_leads_to_another_attempt_up_to_a_limit() {
        // Any process that lives; nothing is done to it.
        let own = Pid(std::process::id() as i32);
        let executed = |pid| CollectError::Executed { pid };
        assert_eq!(attempts(own, 1, executed), (1, true));
        assert_eq!(attempts(own, 3, executed), (3, true));
        assert_eq!(attempts(own, ATTEMPTS, executed), (ATTEMPTS, true));
        assert_eq!(attempts(own, u32::MAX, executed), (ATTEMPTS, false));
    }

    #[test]
    fn other_failures_and_processes_that_are_gone_end_it() {
        let own = Pid(std::process::id() as i32);
        assert_eq!(attempts(own, u32::MAX, |pid| CollectError::NoSuchProcess { pid }), (1, false));
        assert_eq!(attempts(Pid(i32::MAX), u32::MAX, |pid| CollectError::Executed { pid }), (1, false));
    }
}
