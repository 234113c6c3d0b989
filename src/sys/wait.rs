//! waitid(2) for threads that are traced by the calling thread. While many are stopped at once each is
//! asked for by its id: asked for "any", the kernel walks all of them for every call (0.7 s for 5,000 on
//! Linux 6.18).
#![allow(unsafe_code)]
use std::io;

use crate::ids::Tid;

/// What a traced thread, or a child, has stopped for or ended by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A signal is about to be delivered; it is lost unless it is given to detach or cont.
    Signal(i32),
    /// It is stopped together with its process, by this stop signal.
    Group(i32),
    /// Any other stop, by its `PTRACE_EVENT_` number; `PTRACE_EVENT_STOP` is one that was asked for, or
    /// the first of a new thread, or the end of a group stop.
    Trap(i32),
    /// It has ended.
    Ended(End),
}

/// How a process or thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By exit, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Event {
    /// The signal whose delivery is the stop; 0 for other stops. Give this to detach.
    pub fn signal(self) -> i32 {
        if let Event::Signal(signal) = self { signal } else { 0 }
    }
}

const LOOK: libc::c_int = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT | libc::WNOHANG | libc::__WALL;

/// Looks whether a traced thread has stopped or ended, and leaves the report in place: a stop that was
/// looked at in this way, and not collected, keeps its signal even if the tracer dies before the
/// detach (on Linux 6.18 a collected one lost it every time).
///
/// # Errors
/// ECHILD (not traced by the calling thread, or gone).
pub fn peek(tid: Tid) -> io::Result<Option<Event>> {
    Ok(call(libc::P_PID, tid, LOOK)?.and_then(|info| event(&info)).map(|(_, event)| event))
}

/// The same for whichever thread has something to report that is traced by the calling thread, or is its
/// child. The kernel walks them all, and gives the same one again until it goes on or is collected.
///
/// # Errors
/// ECHILD (there are none).
pub fn peek_any() -> io::Result<Option<(Tid, Event)>> {
    Ok(call(libc::P_ALL, Tid(0), LOOK | libc::__WNOTHREAD)?.and_then(|info| event(&info)))
}

/// Collects a traced thread or a child that has ended, so that nothing waits for it any more. `None` if it
/// has not.
///
/// # Errors
/// ECHILD (not traced by the calling thread, or gone).
pub fn reap(tid: Tid) -> io::Result<Option<End>> {
    let info = call(libc::P_PID, tid, libc::WEXITED | libc::WNOHANG | libc::__WALL)?;
    Ok(info.and_then(|info| event(&info)).and_then(|(_, event)| match event {
        Event::Ended(end) => Some(end),
        _ => None,
    }))
}

/// Collects the report of a stop that is no signal delivery; the thread remains stopped.
///
/// # Errors
/// ECHILD (not traced by the calling thread, or gone).
pub fn take_stop(tid: Tid) -> io::Result<()> {
    call(libc::P_PID, tid, libc::WSTOPPED | libc::WNOHANG | libc::__WALL).map(drop)
}

/// Whether a child that is not traced has stopped (`true`) or gone on (`false`) since it was last asked
/// for, by waitid(2).
///
/// # Errors
/// ECHILD (no child, or gone).
pub fn job_change(tid: Tid) -> io::Result<Option<bool>> {
    let info = call(libc::P_PID, tid, libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG)?;
    Ok(info.map(|info| info.si_code != libc::CLD_CONTINUED))
}

fn event(info: &libc::siginfo_t) -> Option<(Tid, Event)> {
    // SAFETY: waitid filled the child fields of the record, since si_signo is set.
    let tid = Tid(unsafe { info.si_pid() });
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let event = match info.si_code {
        libc::CLD_EXITED => Event::Ended(End::Exited(status)),
        libc::CLD_KILLED | libc::CLD_DUMPED => Event::Ended(End::Killed(status)),
        libc::CLD_TRAPPED | libc::CLD_STOPPED => match (status >> 8, status & 0x7f) {
            (0, signal) => Event::Signal(signal),
            (libc::PTRACE_EVENT_STOP, signal) if signal != libc::SIGTRAP => Event::Group(signal),
            (event, _) => Event::Trap(event),
        },
        _ => return None,
    };
    Some((tid, event))
}

/// `None` if there is nothing to report.
fn call(kind: libc::idtype_t, tid: Tid, options: libc::c_int) -> io::Result<Option<libc::siginfo_t>> {
    // SAFETY: siginfo_t is a record of integers and pointers, for which zeros are valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = tid.0.unsigned_abs();
    // SAFETY: `info` is ours and outlives the call.
    let result = unsafe { libc::waitid(kind, id, &raw mut info, options) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok((info.si_signo != 0).then_some(info))
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
        while peek(tid).expect("our child").is_none() {
            std::thread::yield_now();
        }
        assert_eq!(peek(tid).expect("still there"), Some(Event::Ended(End::Exited(0))));
        assert!(child.wait().expect("not collected by peek").success());
    }
}
