//! A signal that ends waiting system calls, at intervals; and one that ends this process if nothing else does.
#![allow(unsafe_code)]
use std::io;
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;

extern "C" fn nothing(_: i32) {}

/// While it lives, SIGALRM comes to the calling thread at intervals, and does nothing but end what waits in the kernel
/// with EINTR. It comes again and again, since one alone could come just before the call that is to be ended.
#[derive(Debug)]
pub struct Alarm {
    timer: Option<Timer>,
    before: SigAction,
}

impl Alarm {
    /// Begins. One at a time in a process.
    ///
    /// # Errors
    /// As sigaction(2), sigprocmask(2), timer_create(2) and timer_settime(2).
    pub fn every(interval: Duration) -> io::Result<Alarm> {
        let ours = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing.
        let before = unsafe { sigaction(Signal::SIGALRM, &ours) }?;
        let mut alarm = Alarm { timer: None, before };
        SigSet::from(Signal::SIGALRM).thread_unblock()?;
        let thread_id = gettid().as_raw();
        // Sent to the process, it could come to another thread.
        let event = SigevNotify::SigevThreadId { signal: Signal::SIGALRM, thread_id, si_value: 0 };
        let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(event))?;
        timer.set(Expiration::Interval(interval.into()), TimerSetTimeFlags::empty())?;
        alarm.timer = Some(timer);
        Ok(alarm)
    }
}

/// Ends this process by SIGKILL at a time, wherever it waits, unless it is dropped before. Children do not inherit it
/// (timer_create(2)).
#[derive(Debug)]
pub struct Watchdog {
    _timer: Timer,
}

impl Watchdog {
    /// From now on.
    ///
    /// # Errors
    /// As timer_create(2) and timer_settime(2).
    pub fn after(time: Duration) -> io::Result<Watchdog> {
        let event = SigevNotify::SigevSignal { signal: Signal::SIGKILL, si_value: 0 };
        let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(event))?;
        timer.set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?;
        Ok(Watchdog { _timer: timer })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // No signal comes after that, which would end the program.
        self.timer = None;
        // SAFETY: what sigaction(2) gave back is as good as it was before.
        let _ = unsafe { sigaction(Signal::SIGALRM, &self.before) };
    }
}
