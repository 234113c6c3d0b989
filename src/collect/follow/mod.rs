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
mod job;
mod making;
mod orphans;
mod own;
mod ticket;
mod tracees;

use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

pub use attend::attend;
pub use making::Making;
pub use own::asks_to_end;
pub use ticket::{Cause, Ticket};

use super::CollectError;
use super::error::io_error;
use super::live::wait_for_end;
use crate::ids::{Pid, Tid};
use crate::sys::signals::{Sent, Signals};
use crate::sys::spawn::{Gated, Inherited};
use crate::sys::thread;
use crate::sys::wait::{self, End};
use dumps::Dumps;
use own::Own;
use ticket::{Command, Line};
use tracees::Tracees;

/// Nothing is missed if nothing wakes us, so this is only against what nobody thought of.
const AT_LEAST: Duration = Duration::from_secs(2);

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

/// How following ended.
#[derive(Debug)]
pub struct Followed {
    /// Why it is followed no more.
    pub outcome: Outcome,
    /// Whether somebody asked this program to end, by SIGHUP, SIGINT or SIGTERM.
    pub asked: bool,
    /// The dumps that are not written yet.
    pub making: Making,
}

/// Follows until there is nothing to follow, or the user has enough. `dump` is called for each dump that is
/// to be made, on threads that trace nothing; it prepares, captures by the ticket, and prints. When this
/// returns, nothing is traced any more, but the last dumps may still be being written.
///
/// # Errors
/// If it cannot be traced or started; the cause is found out.
pub fn follow(
    target: Target,
    options: Options,
    signals: &Signals,
    dump: impl Fn(Ticket) + Send + Sync + 'static,
) -> Result<Followed, CollectError> {
    let (dump, making) = (Arc::new(dump), Making::default());
    let mut course = Course::of(&target);
    let mut begin = Begin::with(target);
    loop {
        let (left, new) = traced(begin, course, options, signals, &dump, &making)?;
        course = new;
        let (program, signal) = match left {
            Left::For(outcome) => return Ok(Followed { outcome, asked: course.asked, making }),
            Left::ToStop(program, signal) => (program, signal),
        };
        let (stopped, sent) = job::stop_with(program, signal, signals);
        course.never_stops |= !stopped;
        course.sent = sent;
        begin = Begin::Again(program);
    }
}

/// What is kept while this program is stopped and nothing is traced.
#[derive(Debug, Default)]
struct Course {
    /// Whether the program was started by us.
    started: bool,
    /// Dumps that were asked for.
    count: u64,
    asked: bool,
    /// Whether the kernel does not stop us.
    never_stops: bool,
    /// The processes that were followed.
    pids: Vec<Pid>,
    /// Signals to this program that were not looked at.
    sent: Vec<Sent>,
}

impl Course {
    fn of(target: &Target) -> Course {
        Course { started: matches!(target, Target::Start(..)), ..Course::default() }
    }
}

/// What to do first.
#[derive(Debug)]
enum Begin {
    Start(Vec<OsString>, Inherited),
    Attach(Pid),
    /// Once more, after a stop of this program.
    Again(Pid),
}

impl Begin {
    fn with(target: Target) -> Begin {
        match target {
            Target::Start(arguments, inherited) => Begin::Start(arguments, inherited),
            Target::Running(pid) => Begin::Attach(pid),
        }
    }
}

/// Why a thread that traces has ended.
#[derive(Debug)]
enum Left {
    For(Outcome),
    /// This program is to stop by this signal, as that one has.
    ToStop(Pid, Signal),
}

/// Traces by a thread that ends, and makes the dumps that are asked for.
fn traced(
    begin: Begin,
    course: Course,
    options: Options,
    signals: &Signals,
    dump: &Arc<impl Fn(Ticket) + Send + Sync + 'static>,
    making: &Making,
) -> Result<(Left, Course), CollectError> {
    std::thread::scope(|scope| {
        let (sender, tickets) = channel();
        let tracer = move || (trace(begin, course, options, signals, sender), thread::own_id());
        let tracer = Builder::new().spawn_scoped(scope, tracer).map_err(io_error("start a thread"))?;
        let orphans = orphans::are_ours();
        let often = if orphans { orphans::OFTEN } else { Duration::MAX };
        let mut left_out = 0;
        loop {
            let mut ticket: Ticket = match tickets.recv_timeout(often) {
                Ok(ticket) => ticket,
                Err(RecvTimeoutError::Timeout) => {
                    orphans::collect(None);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            ticket.left_out = left_out;
            let dump = Arc::clone(dump);
            // What is left out goes away here, which lets go of what was held for it.
            let made = making.slot(ticket.number, ticket.made).map(|slot| {
                Builder::new().spawn(move || {
                    dump(ticket);
                    drop(slot);
                })
            });
            left_out = if matches!(made, Some(Ok(_))) { 0 } else { left_out + 1 };
        }
        let (result, tracer) = tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        wait_for_end(tracer);
        result
    })
}

/// What the thread that traces does. Every ptrace request is made on it.
fn trace(
    begin: Begin,
    mut course: Course,
    options: Options,
    signals: &Signals,
    tickets: Sender<Ticket>,
) -> Result<(Left, Course), CollectError> {
    let mut tracees = Tracees::default();
    let (pid, gated) = match begin {
        Begin::Start(arguments, inherited) => {
            let (pid, gated) = attach::start(&arguments, inherited, options)?;
            tracees.insert(pid.leader(), pid);
            (pid, Some(gated))
        }
        Begin::Attach(pid) => {
            attach::attach(pid, options, &mut tracees)?;
            (pid, None)
        }
        Begin::Again(pid) => {
            if attach::again(pid, &std::mem::take(&mut course.pids), options, &mut tracees).is_err() {
                let end = wait::reap(pid.leader()).ok().flatten();
                return Ok((Left::For(end.map_or(Outcome::Released(pid), Outcome::Ended)), course));
            }
            (pid, None)
        }
    };
    let own = Own::new(course.started.then_some(pid), course.never_stops);
    let (woken, wake) = io::pipe().map_err(io_error("make a pipe"))?;
    let (sender, commands) = channel();
    let dumps = Dumps::new(Line::new(sender, wake), tickets, course.count);
    let mut follower = Follower {
        pid,
        options,
        gated,
        tracees,
        dumps,
        own,
        ended: None,
        enough: false,
        asked: course.asked,
    };
    std::mem::take(&mut course.sent).into_iter().for_each(|sent| follower.on_own(sent));
    let left = follower.run(signals, &commands, &woken);
    course.asked = follower.asked;
    course.count = follower.dumps.count();
    course.pids = follower.tracees.processes();
    Ok((left, course))
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
    asked: bool,
}

impl Follower {
    fn run(&mut self, signals: &Signals, commands: &Receiver<Command>, woken: &PipeReader) -> Left {
        self.gated.iter_mut().for_each(Gated::open);
        loop {
            self.drain();
            if let Some(end) = self.ended {
                let failure = self.gated.as_mut().and_then(Gated::failure);
                return Left::For(failure.map_or(Outcome::Ended(end), Outcome::NotStarted));
            }
            if self.enough || self.tracees.is_empty() {
                return Left::For(Outcome::Released(self.pid));
            }
            if let Some(signal) = self.job_stop() {
                return Left::ToStop(self.pid, signal);
            }
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
