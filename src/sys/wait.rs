//! waitid(2) for one thread that is traced by the calling thread. Never for "any": the kernel then
//! walks all of them for every call (0.7 s for 5,000 on Linux 6.18).
#![allow(unsafe_code)]
use std::io;

use crate::ids::Tid;

/// What a traced thread has to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Nothing yet.
    Nothing,
    /// It has stopped. `signal` is the signal whose delivery is the stop, or 0 if the stop is another
    /// (asked for by us, or a group stop that was there before).
    Stopped {
        /// Give this to detach.
        signal: i32,
    },
    /// It has ended.
    Ended,
}

/// Looks whether a traced thread has stopped or ended, and leaves the report in place: a stop that was
/// looked at in this way, and not collected, keeps its signal even if the tracer dies before the
/// detach (on Linux 6.18 a collected one lost it every time).
///
/// # Errors
/// ECHILD (not traced by the calling thread, or gone).
pub fn peek(tid: Tid) -> io::Result<Report> {
    let info = call(tid, libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT | libc::WNOHANG | libc::__WALL)?;
    if info.si_signo == 0 {
        return Ok(Report::Nothing);
    }
    if !matches!(info.si_code, libc::CLD_TRAPPED | libc::CLD_STOPPED) {
        return Ok(Report::Ended);
    }
    // SAFETY: waitid fills the child fields of the record, and si_signo says that it did.
    let status = unsafe { info.si_status() };
    // The second byte is the ptrace event; PTRACE_EVENT_STOP stands for our stop and for group stops.
    Ok(Report::Stopped { signal: if status >> 8 == 0 { status & 0x7f } else { 0 } })
}

/// Collects a traced thread that has ended, so that nothing waits for it any more.
///
/// # Errors
/// ECHILD (not traced by the calling thread, or gone).
pub fn reap(tid: Tid) -> io::Result<()> {
    call(tid, libc::WEXITED | libc::WNOHANG | libc::__WALL).map(drop)
}

fn call(tid: Tid, options: libc::c_int) -> io::Result<libc::siginfo_t> {
    // SAFETY: siginfo_t is a record of integers and pointers, for which zeros are valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = tid.0.unsigned_abs();
    // SAFETY: `info` is ours and outlives the call.
    let result = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, options) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(info) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_we_do_not_trace_is_an_error() {
        let error = peek(Tid(1)).expect_err("process 1 is not ours");
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
    }

    #[test]
    fn a_child_that_ended_is_seen_and_left_in_place() {
        let mut child = std::process::Command::new("true").spawn().expect("true is installed");
        let tid = Tid(child.id() as i32);
        while peek(tid).expect("our child") == Report::Nothing {
            std::thread::yield_now();
        }
        assert_eq!(peek(tid).expect("still there"), Report::Ended);
        assert!(child.wait().expect("not collected by peek").success());
    }
}
