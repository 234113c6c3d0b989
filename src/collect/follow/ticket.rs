//! A dump that is to be made: it is prepared and printed on a thread of its own, while the one that traces
//! goes on to serve the target.
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use super::super::live::Copying;
use super::super::{CollectError, Prepared};
use crate::ids::{Pid, Tid};
use crate::snapshot::{SignalFacts, Snapshot};

/// Why a dump is made.
#[derive(Clone, Debug)]
pub enum Cause {
    /// It was asked for by SIGQUIT.
    Asked,
    /// This signal is about to end the process.
    Crash(SignalFacts),
}

/// The right to one dump. What is held for it is let go as soon as the copy is made, or when this goes away.
#[derive(Debug)]
pub struct Ticket {
    /// The process.
    pub pid: Pid,
    /// Why.
    pub cause: Cause,
    /// Counts the dumps from 1.
    pub number: u64,
    /// Dumps before this one that were left out, because others were still being written.
    pub left_out: u64,
    pub(super) made: Instant,
    /// States of threads that were stopped before they could be looked at.
    pub(super) states: HashMap<Tid, char>,
    pub(super) line: Line,
}

/// What the thread that traces is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Copy, and send it back.
    Copy(u64, Box<Copying>, Sender<Box<Copying>>),
    /// Let go of what is still held for a ticket.
    Done(u64),
}

/// The way to the thread that traces.
#[derive(Clone, Debug)]
pub(super) struct Line {
    commands: Sender<Command>,
    wake: Arc<io::PipeWriter>,
}

impl Line {
    pub(super) fn new(commands: Sender<Command>, wake: io::PipeWriter) -> Line {
        Line { commands, wake: Arc::new(wake) }
    }

    /// Whether there is still someone who listens.
    fn send(&self, command: Command) -> bool {
        self.commands.send(command).is_ok() && (&*self.wake).write_all(b"c").is_ok()
    }
}

impl Ticket {
    /// Copies registers and stacks, by way of the thread that traces.
    ///
    /// # Errors
    /// If the process ended, or started another program.
    pub fn capture(&self, prepared: Prepared) -> Result<Snapshot, CollectError> {
        let copying = Copying::begin(prepared, &self.states)?;
        let (sender, receiver) = channel();
        let gone = || CollectError::Exited { pid: self.pid };
        if !self.line.send(Command::Copy(self.number, Box::new(copying), sender)) {
            return Err(gone());
        }
        let mut snapshot = receiver.recv().map_err(|_| gone())?.end()?;
        if let Cause::Crash(signal) = &self.cause {
            // The thread at fault comes first, the others stay in their order.
            snapshot.threads.sort_by_key(|thread| Some(thread.tid) != signal.tid);
            snapshot.signal = Some(signal.clone());
        }
        Ok(snapshot)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.line.send(Command::Done(self.number));
    }
}
