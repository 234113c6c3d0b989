//! Dumps that were asked for and not copied yet, and what is held for them.
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::Follower;
use super::ticket::{Cause, Command, Line, Ticket};
use crate::ids::{Pid, Tid};
use crate::proc::ProcDir;
use crate::snapshot::SignalFacts;
use crate::sys::{ptrace, wait};

/// A thread that was about to receive a signal, which it gets when the copy is made.
#[derive(Clone, Copy, Debug)]
struct Held {
    number: u64,
    pid: Pid,
    tid: Tid,
    signal: i32,
    /// Whether all threads of the process are held with it.
    frozen: bool,
    since: Instant,
}

/// The dumps that were asked for.
#[derive(Debug)]
pub(super) struct Dumps {
    line: Line,
    tickets: Sender<Ticket>,
    held: Vec<Held>,
    /// Tickets whose copy is not made.
    open: HashSet<u64>,
    count: u64,
}

impl Dumps {
    /// `count`: how many there have been.
    pub(super) fn new(line: Line, tickets: Sender<Ticket>, count: u64) -> Dumps {
        Dumps { line, tickets, held: Vec::new(), open: HashSet::new(), count }
    }

    /// How many there have been.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether there has been one.
    pub(super) fn any(&self) -> bool {
        self.count > 0
    }

    pub(super) fn hold_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether somebody will ask for a copy.
    pub(super) fn wait_for_copies(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn holds(&self, tid: Tid) -> bool {
        self.held.iter().any(|held| held.tid == tid)
    }

    pub(super) fn is_frozen(&self, pid: Pid) -> bool {
        self.held.iter().any(|held| held.pid == pid && held.frozen)
    }

    /// A dump for which nothing has to be held.
    pub(super) fn ask(&mut self, pid: Pid) {
        self.ticket(pid, Cause::Asked, HashMap::new());
    }

    /// A dump for which this thread stays where it is, because the program is to receive the signal after.
    pub(super) fn hold(&mut self, pid: Pid, tid: Tid, signal: i32) {
        self.ticket(pid, Cause::Asked, HashMap::from([(tid, 'R')]));
        self.keep(pid, tid, signal, false);
    }

    /// A dump for which all threads of the process stop now.
    pub(super) fn freeze(&mut self, pid: Pid, tid: Tid, facts: SignalFacts, threads: &[Tid]) {
        let signal = facts.number;
        let mut states = HashMap::with_capacity(threads.len());
        if let Ok(dir) = ProcDir::open(format!("/proc/{pid}")) {
            for &other in threads {
                states.extend(dir.stat(Some(other)).ok().map(|stat| (other, stat.state)));
            }
        }
        states.insert(tid, 'R');
        for &other in threads.iter().filter(|&&other| other != tid) {
            // One that has stopped already stays so anyway.
            if matches!(wait::peek(other), Ok(None)) {
                let _ = ptrace::interrupt(other);
            }
        }
        self.ticket(pid, Cause::Crash(facts), states);
        self.keep(pid, tid, signal, true);
    }

    fn keep(&mut self, pid: Pid, tid: Tid, signal: i32, frozen: bool) {
        self.held.push(Held { number: self.count, pid, tid, signal, frozen, since: Instant::now() });
    }

    fn ticket(&mut self, pid: Pid, cause: Cause, states: HashMap<Tid, char>) {
        self.count += 1;
        self.open.insert(self.count);
        let line = self.line.clone();
        let ticket =
            Ticket { pid, cause, number: self.count, left_out: 0, made: Instant::now(), states, line };
        // Where nobody listens any more it goes away, which lets go what is held.
        let _ = self.tickets.send(ticket);
    }
}

impl Dumps {
    /// Forgets a thread that is gone.
    pub(super) fn forget(&mut self, tid: Tid) {
        self.held.retain(|held| held.tid != tid);
    }

    /// Forgets what was held of a process that has become another program.
    pub(super) fn forget_program(&mut self, pid: Pid) {
        self.held.retain(|held| held.pid != pid);
    }

    /// Lets go of what is held for a ticket; gives since when it was.
    fn release(&mut self, number: u64) -> Option<Instant> {
        self.open.remove(&number);
        let at = self.held.iter().position(|held| held.number == number)?;
        let held = self.held.swap_remove(at);
        // Fails only for a thread that was killed meanwhile.
        let _ = ptrace::cont(held.tid, held.signal);
        Some(held.since)
    }
}

impl Follower {
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Copy(number, mut copying, back) => {
                copying.copy();
                if let Some(since) = self.dumps.release(number) {
                    copying.held_for(since.elapsed());
                }
                // Whoever waits for it may have been told to end.
                let _ = back.send(copying);
            }
            Command::Done(number) => drop(self.dumps.release(number)),
        }
        self.enough |= self.options.once;
    }
}
