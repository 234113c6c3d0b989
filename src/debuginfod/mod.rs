//! Debug files from debuginfod servers, by build ID. Only if asked for, never while a process is held, and
//! within one time budget for everything that one run fetches.
//!
//! The cache is the one of the elfutils client (debuginfod_find_debuginfo(3)): what either fetched, both use.
mod cache;
mod client;
mod settings;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use threaddump_arch::Arch;

pub use settings::Settings;

use crate::snapshot::{Problem, hex};
use cache::{Cache, Known, Temporary};
use client::{Job, Outcome};

/// How often the one who waits looks at the clock and for a wish to stop.
const LOOK: Duration = Duration::from_millis(50);
/// Problems that are told one by one.
const MAX_PROBLEMS: usize = 20;

/// How far a fetch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Files that are here or that no server has.
    pub done: usize,
    /// Files that are fetched together.
    pub all: usize,
    /// Bytes that came.
    pub bytes: u64,
}

/// Whoever waits for a fetch. It is made when a fetch begins, and dropped when it ends.
pub trait Watch {
    /// Shows how far it is; some times a second.
    fn show(&mut self, status: Status);

    /// Whether to go on without what has not come yet.
    fn is_stopped(&self) -> bool;
}

/// What a fetch gave.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Files by build ID; each has been checked to have it.
    pub files: BTreeMap<Vec<u8>, PathBuf>,
    /// What went wrong.
    pub problems: Vec<Problem>,
}

/// The servers and the cache.
pub struct Debuginfod {
    settings: Arc<Settings>,
    watch: Box<dyn Fn() -> Box<dyn Watch>>,
    client: client::Client,
    left: Cell<Duration>,
    stopped: Cell<bool>,
    /// In place of a cache that cannot be written to.
    temporary: OnceCell<Temporary>,
    /// Build IDs that need not be asked for again.
    asked: RefCell<BTreeSet<Vec<u8>>>,
}

impl fmt::Debug for Debuginfod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debuginfod").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why nothing more is waited for.
enum Stop {
    Budget,
    Wish,
}

impl Debuginfod {
    /// Nothing is connected to before the first fetch. `watch` is called when one begins.
    pub fn new(settings: Settings, watch: Box<dyn Fn() -> Box<dyn Watch>>) -> Debuginfod {
        let left = Cell::new(settings.budget);
        let settings = Arc::new(settings);
        let client = client::Client::new(&settings);
        Debuginfod {
            settings,
            watch,
            client,
            left,
            stopped: Cell::new(false),
            temporary: OnceCell::new(),
            asked: RefCell::default(),
        }
    }

    /// The debug files with these build IDs, from the cache or else from a server, several at once.
    /// Returns when all are here, when no time is left, or when the watch says so.
    pub fn fetch(&self, arch: Arch, ids: &BTreeSet<Vec<u8>>) -> Fetched {
        let mut fetched = Fetched::default();
        let cache = match &self.settings.cache {
            Some(path) => Cache::new(path),
            None => {
                fetched.note("there is no place for its cache: HOME is not set");
                return fetched;
            }
        };
        let mut jobs = Vec::new();
        for id in ids.iter().filter(|id| !id.is_empty()) {
            match cache.look(id, arch) {
                Known::Here(path) => drop(fetched.files.insert(id.clone(), path)),
                Known::Nowhere => {}
                Known::Unknown(problem) => {
                    problem.into_iter().for_each(|problem| fetched.note(problem));
                    if self.asked.borrow_mut().insert(id.clone()) {
                        jobs.push(id.clone());
                    }
                }
            }
        }
        if !jobs.is_empty() && !self.stopped.get() {
            let cache = self.writable(cache, &jobs[0], &mut fetched);
            self.download(arch, &cache, &jobs, &mut fetched);
        }
        fetched
    }

    /// The cache, or a temporary one if it cannot be written to: names are wanted all the same.
    fn writable(&self, cache: Cache, id: &[u8], fetched: &mut Fetched) -> Cache {
        if let Some(temporary) = self.temporary.get() {
            return temporary.cache();
        }
        if self.settings.urls.is_empty() {
            return cache;
        }
        let Err(why) = cache.probe(id) else { return cache };
        // If there is no place for that either, each file says so.
        let Ok(temporary) = Temporary::new() else { return cache };
        fetched.note(format_args!("{why}: what is fetched is kept for this time only"));
        self.temporary.get_or_init(|| temporary).cache()
    }

    fn download(&self, arch: Arch, cache: &Cache, ids: &[Vec<u8>], fetched: &mut Fetched) {
        if self.settings.urls.is_empty() {
            self.stopped.set(true);
            fetched.note("no server is named in DEBUGINFOD_URLS, so only its cache was looked into");
            return;
        }
        let start = Instant::now();
        let deadline = start + self.left.get();
        let job = Arc::new(Job::new(arch, cache.clone(), ids, deadline));
        let results = self.client.start(&job);
        let (stop, missing) = self.wait(&job, &results, ids.len(), fetched);
        // Threads that wait for a server end with their own deadline; their files must not remain.
        job.cancel();
        self.left.set(self.left.get().saturating_sub(start.elapsed()));
        if let Some(stop) = stop {
            self.stopped.set(true);
            let (noun, verb) = if missing == 1 { ("file", "was") } else { ("files", "were") };
            let budget = self.settings.budget;
            fetched.note(match stop {
                Stop::Wish => format!("{missing} debug {noun} {verb} not fetched: interrupted"),
                Stop::Budget => {
                    format!("{missing} debug {noun} {verb} not fetched: {budget:?} for all together are over")
                }
            });
        }
        self.client.problems().into_iter().for_each(|problem| fetched.note(problem));
    }

    /// Takes results as they come; with the reason why not all came, how many did not.
    fn wait(
        &self,
        job: &Job,
        results: &Receiver<Outcome>,
        all: usize,
        fetched: &mut Fetched,
    ) -> (Option<Stop>, usize) {
        let mut watch = (self.watch)();
        let mut done = 0;
        while done < all {
            match results.recv_timeout(LOOK) {
                Ok(outcome) => {
                    done += 1;
                    match outcome.result {
                        Ok(Some(path)) => drop(fetched.files.insert(outcome.id, path)),
                        Ok(None) => {}
                        Err(why) => fetched.note(format!("{}: {why}", hex(&outcome.id))),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            watch.show(Status { done, all, bytes: job.bytes() });
            if watch.is_stopped() {
                return (Some(Stop::Wish), all - done);
            }
            if Instant::now() >= job.deadline && done < all {
                return (Some(Stop::Budget), all - done);
            }
        }
        (None, all - done)
    }
}

impl Fetched {
    fn note(&mut self, text: impl fmt::Display) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem::new("debuginfod", format!("debuginfod: {text}")));
        }
    }
}
