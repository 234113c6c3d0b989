//! A signal that ends waiting system calls, at intervals.
#![allow(unsafe_code)]
use std::io;
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

extern "C" fn nothing(_: i32) {}

/// While it lives, SIGALRM comes at intervals, and does nothing but end what waits in the kernel with EINTR. It
/// comes again and again, since one alone could come just before the call that is to be ended.
#[derive(Debug)]
pub struct Alarm {
    before: SigAction,
}

impl Alarm {
    /// Begins. For a process with one thread, and one alarm at a time.
    ///
    /// # Errors
    /// As sigaction(2), sigprocmask(2) and setitimer(2).
    pub fn every(interval: Duration) -> io::Result<Alarm> {
        let ours = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing.
        let before = unsafe { sigaction(Signal::SIGALRM, &ours) }?;
        let alarm = Alarm { before };
        SigSet::from(Signal::SIGALRM).thread_unblock()?;
        set_timer(interval)?;
        Ok(alarm)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let _ = set_timer(Duration::ZERO);
        // SAFETY: what sigaction(2) gave back is as good as it was before.
        let _ = unsafe { sigaction(Signal::SIGALRM, &self.before) };
    }
}

/// setitimer(2); a duration of zero ends it.
fn set_timer(interval: Duration) -> io::Result<()> {
    let interval = libc::timeval {
        tv_sec: libc::time_t::try_from(interval.as_secs()).unwrap_or(libc::time_t::MAX),
        // Less than a million fits everywhere.
        tv_usec: interval.subsec_micros() as libc::suseconds_t,
    };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    // SAFETY: reads the record, which outlives the call, and writes nothing.
    let result = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
