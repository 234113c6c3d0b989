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
mod queue;
mod spare;
mod supervise;
mod worker;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};

pub use chain::Chain;
pub use deliver::Delivery;
pub use lost::{LIST as LIST_OF_LOST, LostCrash, LostCrashes, lost};
pub use queue::{PARALLEL, count_abandoned};
pub use worker::confine;

use crate::collect::crash::{
    Caught, Dumpable, Event, ExitStops, Held, Limits, Origin, executable, has_ended, read_notes, stop_at_exit,
};
use crate::core_pattern;
use crate::crashes::journal::Entry;
use crate::crashes::{self, Store, StoreError};
use crate::dump;
use crate::error::plain;
use crate::proc::{ProcDir, count_tasks};
use crate::snapshot::Problem;
use crate::sys::alarm::Watchdog;
use crate::sys::descriptors;
use queue::{Queue, Slot};

/// The part of the time in which a process may be held that is spent waiting, at most.
const PART_TO_WAIT: (u32, u32) = (4, 5);
/// After the time in which a process may be held, this handler is ended if the process still is: threads that stop too
/// late are let go for ten seconds.
const GRACE: Duration = Duration::from_secs(15);
/// The same after the time for everything; the store is waited for.
const AFTER_WORK: Duration = Duration::from_secs(120);
/// Descriptors that are used for files of code, at most.
const FILES: u64 = 8192;
/// Bytes of notes of one thread on most machines.
const NOTES_OF_THREAD: u64 = 4 << 10;
/// Bytes that a pipe holds.
const USUAL_PIPE: u64 = 64 << 10;
/// Bytes that one is made to hold at most.
const MAX_PIPE: u64 = 16 << 20;

/// Its user could have killed the process and put one with more rights in its place.
const UNSURE: &str = "the kernel gave no descriptor of the process, and had written the whole core when it was looked \
    at: it is not certain that this was the process that crashed, so only root may see it";

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
    /// How much the store keeps.
    pub limits: crashes::Limits,
    /// How many crashes may be copied at the same time, by all handlers together.
    pub parallel: usize,
    /// What is wrong with the settings, for the report.
    pub notes: Vec<String>,
    /// How to unwind and name.
    pub dump: dump::Options,
}

impl Options {
    fn store(&self) -> &Path {
        self.store.as_deref().unwrap_or_else(|| Store::system_path())
    }
}

/// Why a crash is not in the store.
#[derive(Debug)]
pub enum Lost {
    /// The handler could not begin.
    Start(io::Error),
    /// Too many others were handled at the time: why, in words.
    Busy(String),
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
            Lost::Busy(why) => f.write_str(why),
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
    let began = Instant::now();
    let _watchdog = Watchdog::after(options.hold + options.work + AFTER_WORK).ok();
    let known = event.clone();
    let mut exe = None;
    let filled = descriptors::fill_standard();
    let mut queue = Queue::join(&event, options.store(), options.parallel);
    let result =
        filled.map_err(Lost::Start).and_then(|()| store(event, options, (&mut queue, began), &mut exe));
    match &result {
        Ok(delivery) => lost::log(&Entry::stored(&delivery.facts, &delivery.stored)),
        Err(reason) => {
            lost::say(LostCrash::of(&known, exe.as_deref(), &reason.to_string()).at(options.store()));
        }
    }
    let trouble = result.as_ref().ok().and_then(|delivery| delivery.trouble.as_ref());
    for note in options.notes.iter().chain(&queue.trouble).chain(trouble) {
        lost::log(&Entry::note(&deliver::known(&known), note));
    }
    queue.done();
    count_abandoned();
    result
}

/// `exe` is what is known of a crash that is lost.
fn store(
    event: Event,
    options: &Options,
    (queue, began): (&mut Queue, Instant),
    exe: &mut Option<Vec<u8>>,
) -> Result<Delivery, Lost> {
    // A file of /proc may wait for what the process itself serves, or holds locked.
    let watchdog = Watchdog::after(options.hold + GRACE).ok();
    descriptors::allow_files(FILES);
    let input = descriptors::take_stdin()?;
    let pidfd = event.pidfd.and_then(descriptors::take_inherited);
    let limits = Limits { deadline: began + options.hold, stack_bytes: None };
    let turn = queue.enter(began, began + options.hold / PART_TO_WAIT.1 * PART_TO_WAIT.0);
    let turn = turn.map_err(|busy| {
        *exe = executable(&event, pidfd.as_ref().map(AsFd::as_fd));
        Lost::Busy(busy.to_string())
    })?;
    // Only notes leave the core as it is for others.
    let via = if options.chain.is_some() { Via::Notes } else { options.via };
    widen(&input, &event);
    let mut held = Held::open(event, pidfd.as_ref().map(AsFd::as_fd), &limits, via == Via::Ptrace);
    if held.event.pidfd.is_none() && has_ended(&input) {
        held.event.dumpable = Dumpable::ByRoot;
        held.problems.push(Problem::new("process", UNSURE));
    }
    let notes = options.notes.iter().chain(&queue.trouble);
    held.problems.extend(notes.map(|note| Problem::new("settings", note.clone())));
    let (mut hold, origin) = Hold::take(input, &mut held, via, limits.deadline);
    (hold.pidfd, hold.turn, hold.deadline) = (pidfd, turn, Some(limits.deadline));
    hold.watchdog = watchdog;
    let result = supervise::run(&mut held, origin, hold, &limits, (began, queue), options);
    *exe = held.facts.exe.take();
    Ok(deliver::deliver(&held.event, result, options)?)
}

/// What keeps the process.
#[derive(Debug, Default)]
struct Hold {
    input: Option<File>,
    stops: Option<ExitStops>,
    pidfd: Option<OwnedFd>,
    /// Its place among those that are held.
    turn: Option<Slot>,
    deadline: Option<Instant>,
    /// Why the core was not passed on.
    trouble: Option<String>,
    /// For as long as it is held, also while stops are let go.
    watchdog: Option<Watchdog>,
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
            && let Err(error) = chain::start(
                chain,
                notes,
                input,
                self.pidfd.as_ref(),
                self.deadline.unwrap_or_else(Instant::now),
            )
        {
            self.trouble = Some(format!("the core cannot be passed on: {}", plain(&error)));
        }
        *self = Hold { trouble: self.trouble.take(), ..Hold::default() };
    }

    fn is_held(&self) -> bool {
        self.input.is_some() || self.stops.is_some()
    }
}

/// Gives the kernel room for the notes of all threads, so that it writes them while their names are read: otherwise
/// one would wait for the other. Not where the kernel does not wait for us at the end, since a small core would then
/// be in the pipe, and the process gone, before it was looked at.
fn widen(input: &File, event: &Event) {
    let threads = ProcDir::open(format!("/proc/{}", event.tid)).and_then(|dir| dir.open_tasks());
    let threads = threads.ok().and_then(|tasks| count_tasks(&tasks)).unwrap_or(0);
    let size = threads.saturating_mul(NOTES_OF_THREAD).min(MAX_PIPE);
    if size > USUAL_PIPE && core_pattern::waits() {
        let _ = fcntl(input, FcntlArg::F_SETPIPE_SZ(size as i32));
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
