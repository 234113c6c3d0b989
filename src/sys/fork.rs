//! A child that goes on with the memory of this process: fork(2) without exec.
#![allow(unsafe_code)]
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid as RawPid;

use crate::ids::Pid;
use crate::proc::{ProcDir, count_tasks};

/// What a child ends with if it panics.
pub const PANICKED: i32 = 101;
/// How long the end of a killed child is waited for. Its memory may be large.
const LONGEST_END: Duration = Duration::from_secs(5);
/// Between two looks at a child.
const PAUSE: Duration = Duration::from_millis(1);

/// Starts a child that does `work` and ends with what that gives as its exit status.
///
/// # Errors
/// As fork(2); `Unsupported` if this process has more than one thread: what the others hold locked would be
/// locked in the child for ever.
pub fn child(work: impl FnOnce() -> i32) -> io::Result<Pid> {
    let tasks = ProcDir::open("/proc/self")?.open_tasks()?;
    if count_tasks(&tasks) != Some(1) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    drop(tasks);
    // SAFETY: this thread is the only one, so the child has a whole and unlocked copy of everything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let status = catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED);
            // SAFETY: ends this process without running what the parent has registered for its own end.
            unsafe { libc::_exit(status) }
        }
        pid => Ok(Pid(pid)),
    }
}

/// Waits for the end of a child, and collects it; `None` if it has not ended in time, or is no child.
pub fn wait(child: Pid, longest: Duration) -> Option<WaitStatus> {
    let until = Instant::now() + longest;
    loop {
        match waitpid(RawPid::from_raw(child.0), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if Instant::now() < until => sleep(PAUSE),
            Ok(WaitStatus::StillAlive) => return None,
            Err(Errno::EINTR) => {}
            ended => return ended.ok(),
        }
    }
}

/// Ends a child by SIGKILL, and collects it. One that waits for a file system which does not answer ends when that
/// does: who is to go on meanwhile cannot wait for it.
pub fn end(child: Pid) {
    // It is our child, so its number belongs to nobody else before it is collected.
    let _ = nix::sys::signal::kill(RawPid::from_raw(child.0), nix::sys::signal::Signal::SIGKILL);
    let _ = wait(child, LONGEST_END);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_threads_is_not_forked() {
        // The test harness runs this on a thread of its own.
        let error = child(|| 0).expect_err("two threads at least");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
