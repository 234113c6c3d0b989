//! What the kernel starts when a process crashes (`kernel.core_pattern`, core(5)).
//!
//! Three processes share the work. The one that the kernel has started opens and reads what only root may read,
//! parses none of what the crashed process has written, and lets that go when the copy is made, or when its time
//! is over. The [`worker`] has no rights at all; it copies and parses memory and ELF files, and gives JSON and
//! text through a pipe. The [`broker`] opens ELF and debug files for the worker, of which the process has mapped
//! some and the others are named by a build ID or a base name. Whatever becomes of the last two, the first one
//! has the names and registers of all threads.

mod broker;
mod client;
mod deliver;
mod folders;
mod frames;
mod spare;
mod supervise;
mod worker;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use deliver::{Crash, Delivery};
pub use worker::confine;

use crate::collect::crash::{Caught, Event, ExitStops, Held, Limits, Origin, read_notes, stop_at_exit};
use crate::dump;
use crate::snapshot::Problem;
use crate::sys::descriptors;

/// Descriptors that are used for files of code, at most.
const FILES: u64 = 8192;

/// Where registers are to come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// The notes of the core; else stops.
    #[default]
    Auto,
    /// The notes of the core alone.
    Notes,
    /// Stops of the threads at their end; else notes, if there can be none (as of a process that is traced).
    Ptrace,
}

/// How to handle a crash.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where registers are to come from.
    pub via: Via,
    /// The longest time in which the process is kept.
    pub hold: Duration,
    /// The longest time for everything after that.
    pub work: Duration,
    /// Where to store it; the usual place if there is none.
    pub store: Option<PathBuf>,
    /// How to unwind and name.
    pub dump: dump::Options,
}

/// Handles one crash. Standard input is the core, and nothing else may use it.
///
/// # Errors
/// If nothing could be stored.
pub fn handle(event: Event, options: &Options) -> Result<Delivery, io::Error> {
    let began = Instant::now();
    descriptors::fill_standard()?;
    descriptors::allow_files(FILES);
    let input = descriptors::take_stdin()?;
    let pidfd = event.pidfd.and_then(descriptors::take_inherited);
    let limits = Limits { deadline: began + options.hold, stack_bytes: None };
    let mut held = Held::open(event, pidfd.as_ref().map(AsFd::as_fd), &limits);
    drop(pidfd);
    let (hold, origin) = Hold::take(input, &mut held, options.via, limits.deadline);
    let result = supervise::run(&mut held, origin, hold, &limits, began, options);
    deliver::deliver(&held.event, &result, options)
}

/// What keeps the process.
#[derive(Debug, Default)]
struct Hold {
    input: Option<File>,
    stops: Option<ExitStops>,
}

impl Hold {
    /// Gets the registers.
    fn take(mut input: File, held: &mut Held, via: Via, deadline: Instant) -> (Hold, Origin) {
        let mut problems = Vec::new();
        if via == Via::Ptrace {
            match Hold::stop(input, held, deadline) {
                Ok(stopped) => return stopped,
                Err((back, why)) => {
                    input = back;
                    problems.push(format!("{why}; the notes of the core are used instead"));
                }
            }
        }
        let (notes, trouble) = read_notes(&mut input, deadline);
        let is_useless = trouble.is_some() && !has_registers(&notes);
        problems.extend(trouble);
        held.problems.extend(problems.into_iter().map(|what| Problem::new("registers", what)));
        if is_useless && via == Via::Auto {
            match Hold::stop(input, held, deadline) {
                Ok(stopped) => return stopped,
                Err((back, why)) => {
                    input = back;
                    held.problems.push(Problem::new("registers", why));
                }
            }
        }
        (Hold { input: Some(input), stops: None }, Origin::Notes(notes))
    }

    fn stop(input: File, held: &mut Held, deadline: Instant) -> Result<(Hold, Origin), (File, String)> {
        let (mut stops, caught): (ExitStops, Vec<Caught>) = stop_at_exit(&held.tids(), input, deadline)?;
        let problems = std::mem::take(&mut stops.problems);
        held.problems.extend(problems.into_iter().map(|what| Problem::new("registers", what)));
        Ok((Hold { input: None, stops: Some(stops) }, Origin::ExitStops(caught)))
    }

    /// Lets the process go.
    fn let_go(&mut self) {
        self.input = None;
        self.stops = None;
    }

    fn is_held(&self) -> bool {
        self.input.is_some() || self.stops.is_some()
    }
}

/// Whether there is enough for the registers of a thread.
fn has_registers(notes: &[u8]) -> bool {
    crate::collect::crash::has_registers(notes)
}

/// Two ends of a connection that keeps messages apart.
fn connection() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}
