//! Waiting for the end of a program that we started and trace no more.
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::own::Own;
use crate::ids::Pid;
use crate::sys::signals::Signals;
use crate::sys::wait::{self, End};

const AT_LEAST: Duration = Duration::from_secs(2);

/// Hands signals on and stops with the program, until it ends; gives how. `None` if somebody else has
/// collected it.
pub fn attend(pid: Pid, signals: &Signals) -> Option<End> {
    let mut own = Own::new(Some(pid));
    let mut stopped = false;
    loop {
        while let Ok(Some(change)) = wait::job_change(pid.leader()) {
            stopped = change;
        }
        match wait::reap(pid.leader()) {
            Ok(None) => {}
            Ok(Some(end)) => return Some(end),
            Err(_) => return None,
        }
        own.stop_if(|| stopped);
        let mut fds = [PollFd::new(signals.fd(), PollFlags::POLLIN)];
        let time = own.next_due().unwrap_or(AT_LEAST).min(AT_LEAST);
        let _ = poll(&mut fds, PollTimeout::from(u16::try_from(time.as_millis() + 1).unwrap_or(u16::MAX)));
        for sent in signals.read() {
            own.take(sent);
        }
        own.hand_on();
    }
}
