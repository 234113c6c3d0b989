//! Signals that are sent to this program itself. A program that was started by it is in the same process
//! group, so what the terminal sends reaches both; what somebody sends to us alone is handed on.
use std::time::{Duration, Instant};

use nix::libc::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};
use nix::sys::signal::{Signal, kill};

use super::{Follower, job};
use crate::ids::Pid;
use crate::sys::signals::Sent;

/// Signals that are handed on.
const HANDED_ON: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Who sends a signal to a process group sends it to all within microseconds.
const TOGETHER: Duration = Duration::from_millis(3);
/// So long ago is the same sending, if the target was busy.
const RECENT: Duration = Duration::from_millis(100);
/// A SIGQUIT that does not reach a thread in this time is blocked by all.
const QUIT: Duration = Duration::from_millis(300);
/// So long a program may take from Ctrl-Z to its stop.
const STOP: Duration = Duration::from_secs(5);

/// The signals that make us stop, if the program we started has done so.
pub(super) const STOPS: [(i32, Signal); 3] =
    [(SIGTSTP, Signal::SIGTSTP), (SIGTTIN, Signal::SIGTTIN), (SIGTTOU, Signal::SIGTTOU)];

/// Whether a signal to this program is a request to end.
pub fn asks_to_end(sent: Sent) -> bool {
    matches!(sent.number, SIGHUP | SIGINT | SIGTERM)
}

/// A signal and its sender; `None` is the kernel.
type Sending = (i32, Option<i32>);

/// What is to be done about signals that were sent to us.
#[derive(Debug)]
pub(super) struct Own {
    /// The program that we started.
    child: Option<Pid>,
    /// Signals that were sent to us, and may have been sent to the program as well.
    waiting: Vec<(Sending, Instant)>,
    /// Signals that the program was about to receive.
    seen: Vec<(Sending, Instant)>,
    quit_due: Option<Instant>,
    stop: Option<(Signal, Instant)>,
    /// Whether we do not stop with the program but by the terminal's keys.
    pub(super) never_stops: bool,
}

impl Own {
    pub(super) fn new(child: Option<Pid>, never_stops: bool) -> Own {
        Own { child, waiting: Vec::new(), seen: Vec::new(), quit_due: None, stop: None, never_stops }
    }

    /// Whether it matters where this signal to this process comes from.
    pub(super) fn minds(&self, signal: i32, pid: Pid) -> bool {
        self.child == Some(pid) && HANDED_ON.contains(&signal)
    }

    /// Notes that the program is about to receive a signal.
    pub(super) fn seen(&mut self, signal: i32, sender: Option<i32>) {
        let now = Instant::now();
        self.seen.retain(|(_, when)| now.duration_since(*when) < RECENT);
        self.seen.push(((signal, sender), now));
        if signal == SIGQUIT {
            self.quit_due = None;
        }
    }

    fn was_seen(&self, is: impl Fn(Sending) -> bool) -> bool {
        self.seen.iter().any(|&(sending, when)| when.elapsed() < RECENT && is(sending))
    }

    /// When there is something to do again.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let times = self.waiting.iter().map(|(_, due)| *due).chain(self.quit_due);
        times.min().map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Takes note of a signal that was sent to us, who started a program.
    pub(super) fn take(&mut self, sent: Sent) {
        if let Some((_, signal)) = STOPS.into_iter().find(|&(number, _)| number == sent.number) {
            self.stop = Some((signal, Instant::now()));
        }
        if sent.number == SIGQUIT && !self.was_seen(|(signal, _)| signal == SIGQUIT) {
            self.quit_due = Some(Instant::now() + QUIT);
        }
        let from_program = self.child.is_some_and(|child| sent.sender == Some(child.0));
        if sent.sender.is_some() && !from_program && HANDED_ON.contains(&sent.number) {
            self.waiting.push(((sent.number, sent.sender), Instant::now() + TOGETHER));
        }
    }

    /// Hands on what was sent to us alone.
    pub(super) fn hand_on(&mut self) {
        let Some(child) = self.child else { return };
        let now = Instant::now();
        let (due, rest): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|(_, due)| *due <= now);
        self.waiting = rest;
        for (sending, _) in due {
            if self.was_seen(|seen| seen == sending) {
                continue;
            }
            if let Ok(signal) = Signal::try_from(sending.0) {
                // It may have ended; until we have collected it the id is its own.
                let _ = kill(nix::unistd::Pid::from_raw(child.0), signal);
            }
        }
    }

    /// Whether a SIGQUIT to us has not reached the program, which then blocks it.
    fn quit_is_due(&mut self) -> bool {
        self.quit_due.take_if(|due| *due <= Instant::now()).is_some()
    }

    /// The signal by which this program is to stop, if it is: once the program has stopped, and the terminal
    /// wanted that, or a shell is to see it. That one has stopped by another signal is no reason for anybody
    /// else: where no shell waits for us, nobody would continue us.
    pub(super) fn stop_for(&mut self, stopped: impl FnOnce() -> bool) -> Option<Signal> {
        self.stop.take_if(|(_, when)| when.elapsed() > STOP);
        let by_key = self.stop.is_some();
        if !by_key && (self.child.is_none() || self.never_stops) || !stopped() {
            return None;
        }
        let by_key = self.stop.take().map(|(signal, _)| signal);
        by_key.or_else(|| job::is_managed().then_some(Signal::SIGTSTP))
    }
}

impl Follower {
    pub(super) fn on_own(&mut self, sent: Sent) {
        self.asked |= asks_to_end(sent);
        match (self.own.child, sent.number) {
            (Some(_), _) => self.own.take(sent),
            (None, SIGQUIT) => self.dumps.ask(self.pid),
            (None, SIGHUP | SIGINT | SIGTERM) => self.enough = true,
            (None, _) => {}
        }
    }

    pub(super) fn own_due(&mut self) {
        self.own.hand_on();
        if self.own.quit_is_due() {
            self.dumps.ask(self.pid);
        }
    }

    /// The signal by which this program is to stop with the one that was started. Never while a thread of it
    /// runs, or is held.
    pub(super) fn job_stop(&mut self) -> Option<Signal> {
        if self.gated.is_some() || self.dumps.wait_for_copies() {
            return None;
        }
        let tracees = &self.tracees;
        self.own.stop_for(|| tracees.all_listen())
    }
}
