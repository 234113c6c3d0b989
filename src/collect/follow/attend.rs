//! Waiting for the end of a program that we started and trace no more.
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::own::{Own, asks_to_end};
use super::{job, orphans};
use crate::ids::Pid;
use crate::sys::signals::Signals;
use crate::sys::wait::{self, End};

const AT_LEAST: Duration = Duration::from_secs(2);

/// Hands signals on and stops with the program, until it ends; gives how, and whether somebody asked this
/// program to end. `None` if somebody else has collected it.
pub fn attend(pid: Pid, signals: &Signals) -> Option<(End, bool)> {
    let mut own = Own::new(Some(pid), false);
    let (mut stopped, mut asked) = (false, false);
    let orphans = orphans::are_ours();
    loop {
        while let Ok(Some(change)) = wait::job_change(pid.leader()) {
            stopped = change;
        }
        match wait::reap(pid.leader()) {
            Ok(None) => {}
            Ok(Some(end)) => return Some((end, asked)),
            Err(_) => return None,
        }
        if orphans {
            orphans::collect(Some(pid.leader()));
        }
        let mut sent = Vec::new();
        if let Some(signal) = own.stop_for(|| stopped) {
            let (was_stopped, more) = job::stop_with(pid, signal, signals);
            own.never_stops |= !was_stopped;
            stopped = false;
            sent = more;
        } else {
            let mut fds = [PollFd::new(signals.fd(), PollFlags::POLLIN)];
            let time = own.next_due().unwrap_or(AT_LEAST).min(AT_LEAST);
            let millis = u16::try_from(time.as_millis() + 1).unwrap_or(u16::MAX);
            let _ = poll(&mut fds, PollTimeout::from(millis));
        }
        sent.extend(signals.read());
        for sent in sent {
            asked |= asks_to_end(sent);
            own.take(sent);
        }
        own.hand_on();
    }
}
