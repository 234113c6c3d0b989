//! Following a process: all of its threads are traced and run at full speed, until one is to receive a
//! signal that asks for a dump.
//!
//! Stops are looked at and never collected, as for a dump, and end with the request that lets the thread
//! go on. So whenever this program dies, each signal that was on its way is delivered by the kernel. The
//! way to end is the same: the thread that traces ends, and what it traced runs on.
mod attach;
mod attend;
mod decide;
mod dumps;
mod events;
mod own;
mod ticket;
mod tracees;

use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use attend::attend;
pub use ticket::{Cause, Ticket};

use super::CollectError;
use super::error::io_error;
use super::live::wait_for_end;
use crate::ids::{Pid, Tid};
use crate::sys::signals::Signals;
use crate::sys::spawn::{Gated, Inherited};
use crate::sys::thread;
use crate::sys::wait::End;
use dumps::Dumps;
use own::Own;
use ticket::{Command, Line};
use tracees::Tracees;

/// Nothing is missed if nothing wakes us, so this is only against what nobody thought of.
const AT_LEAST: Duration = Duration::from_secs(2);

/// Dumps that are made at the same time.
const MOST_DUMPS: usize = 4;
/// How long a further one, and what is held for it, waits for one of these. They have let go of the target, but
/// whoever reads them may never come to the end.
const PATIENCE: Duration = Duration::from_millis(500);

/// How to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Deliver SIGQUIT to a program that does not catch it, which ends it.
    pub forward: bool,
    /// End after one dump.
    pub once: bool,
    /// Follow child processes too.
    pub children: bool,
}

/// What to follow.
#[derive(Debug)]
pub enum Target {
    /// A program that is to be started, its name first.
    Start(Vec<OsString>, Inherited),
    /// A process that runs.
    Running(Pid),
}

/// Why it is followed no more.
#[derive(Debug)]
pub enum Outcome {
    /// It has ended.
    Ended(End),
    /// The program could not be started.
    NotStarted(io::Error),
    /// It runs on without us.
    Released(Pid),
}

/// Follows until there is nothing to follow, or the user has enough. `dump` is called for each dump that is
/// to be made, on threads that trace nothing; it prepares, captures by the ticket, and prints. When this
/// returns, nothing is traced any more.
///
/// # Errors
/// If it cannot be traced or started; the cause is found out.
pub fn follow(
    target: Target,
    options: Options,
    signals: &Signals,
    dump: impl Fn(Ticket) + Sync,
) -> Result<Outcome, CollectError> {
    let busy = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, tickets) = channel();
        let tracer = move || (trace(target, options, signals, sender), thread::own_id());
        let tracer = Builder::new().spawn_scoped(scope, tracer).map_err(io_error("start a thread"))?;
        let mut left_out = 0;
        for mut ticket in tickets {
            ticket.left_out = left_out;
            let slot = Slot::wait(&busy, ticket.made + PATIENCE);
            let dump = &dump;
            // What is left out goes away here, which lets go of what was held for it.
            let made = slot.map(|slot| Builder::new().spawn_scoped(scope, move || (dump(ticket), slot)));
            left_out = if matches!(made, Some(Ok(_))) { 0 } else { left_out + 1 };
        }
        let (outcome, tracer) = tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        wait_for_end(tracer);
        outcome
    })
}

/// The right to be one of the dumps that are made at the same time.
struct Slot<'b>(&'b AtomicUsize);

impl<'b> Slot<'b> {
    /// `None` if there is none in time.
    fn wait(busy: &'b AtomicUsize, deadline: Instant) -> Option<Slot<'b>> {
        loop {
            if busy.fetch_add(1, Ordering::Relaxed) < MOST_DUMPS {
                return Some(Slot(busy));
            }
            drop(Slot(busy));
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the thread that traces does. Every ptrace request is made on it.
fn trace(
    target: Target,
    options: Options,
    signals: &Signals,
    tickets: Sender<Ticket>,
) -> Result<Outcome, CollectError> {
    let (pid, gated) = match target {
        Target::Start(arguments, inherited) => {
            let (pid, gated) = attach::start(&arguments, inherited, options)?;
            (pid, Some(gated))
        }
        Target::Running(pid) => (pid, None),
    };
    let mut tracees = Tracees::default();
    match &gated {
        Some(_) => tracees.insert(pid.leader(), pid),
        None => attach::attach(pid, options, &mut tracees)?,
    }
    let own = Own::new(gated.is_some().then_some(pid));
    let (woken, wake) = io::pipe().map_err(io_error("make a pipe"))?;
    let (sender, commands) = channel();
    let dumps = Dumps::new(Line::new(sender, wake), tickets);
    let follower = Follower { pid, options, gated, tracees, dumps, own, ended: None, enough: false };
    Ok(follower.run(signals, &commands, &woken))
}

/// The thread that traces, and what it knows.
#[derive(Debug)]
struct Follower {
    pid: Pid,
    options: Options,
    /// Until it has become the program.
    gated: Option<Gated>,
    tracees: Tracees,
    dumps: Dumps,
    own: Own,
    ended: Option<End>,
    /// Whether the user, or the options, want no more.
    enough: bool,
}

impl Follower {
    fn run(mut self, signals: &Signals, commands: &Receiver<Command>, woken: &PipeReader) -> Outcome {
        self.gated.iter_mut().for_each(Gated::open);
        loop {
            self.drain();
            if let Some(end) = self.ended {
                let failure = self.gated.as_mut().and_then(Gated::failure);
                return failure.map_or(Outcome::Ended(end), Outcome::NotStarted);
            }
            if self.enough {
                return Outcome::Released(self.pid);
            }
            self.stop_with_job();
            wait_for(signals, woken, self.own.next_due());
            for sent in signals.read() {
                self.on_own(sent);
            }
            while let Ok(command) = commands.try_recv() {
                self.on_command(command);
            }
            self.own_due();
        }
    }

    /// The thread that a process had at its start, if it is traced.
    fn leader(&self) -> Tid {
        self.pid.leader()
    }
}

/// Waits until there is something to do.
fn wait_for(signals: &Signals, woken: &PipeReader, due: Option<Duration>) {
    let mut fds =
        [PollFd::new(signals.fd(), PollFlags::POLLIN), PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
    let time = due.unwrap_or(AT_LEAST).min(AT_LEAST);
    // Rounded up, so that what is due is due.
    let millis = u16::try_from(time.as_millis() + 1).unwrap_or(u16::MAX);
    let _ = poll(&mut fds, PollTimeout::from(millis));
    if fds[1].any().unwrap_or(false) {
        // A byte for each command; what is left in the pipe wakes us again.
        let _ = (&mut &*woken).read(&mut [0; 64]);
    }
}
