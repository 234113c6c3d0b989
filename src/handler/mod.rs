//! What the kernel starts when a process crashes (`kernel.core_pattern`, core(5)).
//!
//! Three processes share the work. The one that the kernel has started opens and reads what only root may read,
//! parses none of what the crashed process has written, and lets that go when the copy is made, or when its time
//! is over. The worker has no rights at all; it copies and parses memory and ELF files, and gives JSON and
//! text through a pipe. The broker opens ELF and debug files for the worker, of which the process has mapped
//! some and the others are named by a build ID or a base name. Whatever becomes of the last two, the first one
//! has the names and registers of all threads.

mod broker;
mod chain;
mod client;
mod deliver;
mod folders;
mod frames;
pub mod inspect;
mod lost;
mod spare;
mod supervise;
mod worker;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use chain::Chain;
pub use deliver::Delivery;
pub use lost::{LIST as LIST_OF_LOST, number as lost};
pub use worker::confine;

use crate::collect::crash::{Caught, Event, ExitStops, Held, Limits, Origin, read_notes, stop_at_exit};
use crate::crashes::StoreError;
use crate::crashes::journal::Entry;
use crate::dump;
use crate::error::plain;
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
#[derive(Debug)]
pub struct Options {
    /// Where registers are to come from.
    pub via: Via,
    /// The longest time in which the process is kept.
    pub hold: Duration,
    /// Who else is to get the core.
    pub chain: Option<Chain>,
    /// The longest time for everything after that.
    pub work: Duration,
    /// Where to store it; the usual place if there is none.
    pub store: Option<PathBuf>,
    /// How to unwind and name.
    pub dump: dump::Options,
}

/// Why a crash is not in the store.
#[derive(Debug)]
pub enum Lost {
    /// The handler could not begin.
    Start(io::Error),
    /// It could not be stored.
    Store(StoreError),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Lost {
        Lost::Start(error)
    }
}

impl From<StoreError> for Lost {
    fn from(error: StoreError) -> Lost {
        Lost::Store(error)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Start(error) => write!(f, "cannot open /dev/null: {}", plain(error)),
            Lost::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Lost {}

/// Handles one crash, and logs what became of it. Standard input is the core, and nothing else may use it.
///
/// # Errors
/// If nothing could be stored.
pub fn handle(event: Event, options: &Options) -> Result<Delivery, Lost> {
    let known = event.clone();
    let result = store(event, options);
    match &result {
        Ok(delivery) => lost::log(&Entry::stored(&delivery.facts, &delivery.stored)),
        Err(reason) => lost::count(&known, reason, options.store.as_deref()),
    }
    result
}

fn store(event: Event, options: &Options) -> Result<Delivery, Lost> {
    let began = Instant::now();
    descriptors::fill_standard()?;
    descriptors::allow_files(FILES);
    let input = descriptors::take_stdin()?;
    let pidfd = event.pidfd.and_then(descriptors::take_inherited);
    let limits = Limits { deadline: began + options.hold, stack_bytes: None };
    let mut held = Held::open(event, pidfd.as_ref().map(AsFd::as_fd), &limits);
    // Only notes leave the core as it is for others.
    let via = if options.chain.is_some() { Via::Notes } else { options.via };
    let (mut hold, origin) = Hold::take(input, &mut held, via, limits.deadline);
    hold.pidfd = pidfd;
    let result = supervise::run(&mut held, origin, hold, &limits, began, options);
    Ok(deliver::deliver(&held.event, result, options)?)
}

/// What keeps the process.
#[derive(Debug, Default)]
struct Hold {
    input: Option<File>,
    stops: Option<ExitStops>,
    pidfd: Option<OwnedFd>,
    /// Why the core was not passed on.
    trouble: Option<String>,
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
        (Hold { input: Some(input), ..Hold::default() }, Origin::Notes(notes))
    }

    fn stop(input: File, held: &mut Held, deadline: Instant) -> Result<(Hold, Origin), (File, String)> {
        let (mut stops, caught): (ExitStops, Vec<Caught>) = stop_at_exit(&held.tids(), input, deadline)?;
        let problems = std::mem::take(&mut stops.problems);
        held.problems.extend(problems.into_iter().map(|what| Problem::new("registers", what)));
        Ok((Hold { stops: Some(stops), ..Hold::default() }, Origin::ExitStops(caught)))
    }

    /// Lets the process go, or leaves it to the handler that comes after us. `origin` is what was read.
    fn let_go(&mut self, origin: &Origin, chain: Option<&Chain>) {
        if let (Some(chain), Some(input), Origin::Notes(notes)) = (chain, &self.input, origin)
            && let Err(error) = chain::start(chain, notes, input, self.pidfd.as_ref())
        {
            self.trouble = Some(format!("the core cannot be passed on: {}", plain(&error)));
        }
        *self = Hold { trouble: self.trouble.take(), ..Hold::default() };
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
