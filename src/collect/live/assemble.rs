//! Making a snapshot of what the tracer thread brought back and of what can be read after the release.
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::arena::Arena;
use super::super::calls::system_call;
use super::super::generated::{self, Generated};
use super::super::later::Later;
use super::super::memory::Memory;
use super::super::modules::Finder;
use super::super::prepare::{Prepared, cannot_read};
use super::super::proc::Looker;
use super::super::stacks::Ranges;
use super::super::{CollectError, denied, facts, interrupted, kernel};
use super::hold::Tracing;
use super::threads::{self, Listing};
use super::tracer::{self, Catch, Copied, Plan};
use super::watch::{self, Attaching};
use crate::ids::Tid;
use crate::proc::parse_maps;
use crate::snapshot::{Mapping, Problem, Snapshot, Source, ThreadSnapshot};

/// Stops every thread, copies, releases. All ptrace calls are made on one OS thread, which has ended when
/// this returns. With the error comes what was prepared, for another way.
pub(in super::super) fn capture(prepared: Prepared) -> Result<Snapshot, (Box<Prepared>, CollectError)> {
    match stop(&prepared) {
        Ok((listing, catch)) => Ok(assemble(prepared, &listing, catch)),
        Err(error) => Err((Box::new(prepared), error)),
    }
}

fn stop(prepared: &Prepared) -> Result<(Listing, Catch), CollectError> {
    let listing = list(prepared)?;
    let catch = hold(prepared, &listing);
    check(prepared, &catch)?;
    Ok((listing, catch))
}

/// The threads as they are before the stop.
fn list(prepared: &Prepared) -> Result<Listing, CollectError> {
    let (pid, options) = (prepared.pid, &prepared.options);
    let tids = prepared.leader.list_tasks();
    let mut tids = tids.map_err(|error| cannot_read(pid, &prepared.leader, "task", error))?;
    if !options.threads.is_empty() {
        tids.retain(|tid| options.threads.contains(tid));
    }
    Ok(Listing::read(&prepared.leader, &tids, options.kernel))
}

/// Runs the tracer thread and waits for its end.
fn hold(prepared: &Prepared, listing: &Listing) -> Catch {
    let catch = with_plan(prepared, listing, Tracing::Briefly, watch::run);
    wait_for_end(catch.tracer);
    catch
}

fn with_plan<T>(
    prepared: &Prepared,
    listing: &Listing,
    tracing: Tracing,
    run: impl FnOnce(&Plan<'_>) -> T,
) -> T {
    let ranges = Ranges::new(&prepared.mappings);
    run(&Plan {
        pid: prepared.pid,
        tracing,
        dir: &prepared.leader,
        maps_dir: &prepared.dir,
        mappings: &prepared.mappings,
        arch: prepared.facts.arch,
        tids: &listing.tids,
        all: prepared.options.threads.is_empty(),
        ranges: &ranges,
        stack_bytes: prepared.options.stack_bytes,
        interrupted: prepared.options.interrupted,
        timeout: prepared.options.timeout,
        fingerprint: prepared.fingerprint.as_ref(),
        memory: &prepared.memory,
        jit: &prepared.jit,
        attaching: Attaching::default(),
    })
}

/// A copy of threads that are traced all the time, in the three steps of which the second is for their
/// tracer, and the others are not.
#[derive(Debug)]
pub(in super::super) struct Copying {
    prepared: Prepared,
    listing: Listing,
    catch: Option<Catch>,
}

impl Copying {
    /// Looks at the threads. `states` are those of threads that have been stopped since.
    ///
    /// # Errors
    /// If the process is gone.
    pub(in super::super) fn begin(
        prepared: Prepared,
        states: &HashMap<Tid, char>,
    ) -> Result<Copying, CollectError> {
        let mut listing = list(&prepared)?;
        for (tid, &state) in states {
            if let Some(thread) = listing.facts.get_mut(tid) {
                thread.state = Some(state);
            }
        }
        Ok(Copying { prepared, listing, catch: None })
    }

    /// Stops all threads, copies, and lets those go on that were stopped for it: on the thread that traces
    /// them.
    pub(in super::super) fn copy(&mut self) {
        self.catch = Some(with_plan(&self.prepared, &self.listing, Tracing::Throughout, tracer::run));
    }

    /// Names the time the process was held in all.
    pub(in super::super) fn held_for(&mut self, pause: Duration) {
        self.catch.iter_mut().for_each(|catch| catch.pause = pause);
    }

    /// Makes a snapshot of what was copied.
    ///
    /// # Errors
    /// If the process ended or started another program.
    pub(in super::super) fn end(self) -> Result<Snapshot, CollectError> {
        let Some(catch) = self.catch else { return Err(CollectError::Exited { pid: self.prepared.pid }) };
        check(&self.prepared, &catch)?;
        Ok(assemble(self.prepared, &self.listing, catch))
    }
}

/// A thread can be joined before the kernel has released what it traced; it is out of `/proc` after.
pub(in super::super) fn wait_for_end(tracer: Tid) {
    let path = format!("/proc/self/task/{tracer}");
    let deadline = Instant::now() + Duration::from_secs(1);
    while std::fs::symlink_metadata(&path).is_ok() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// Whether the process started another program before the stop, where only the maps can tell: not one
/// file is mapped where it was.
fn has_nothing_in_common(prepared: &Prepared, catch: &Catch) -> bool {
    let (None, Some(text)) = (catch.same_program, &catch.maps_text) else { return false };
    let after = parse_maps(text);
    let known = |mapping: &Mapping| mapping.inode != 0 && prepared.mappings.contains(mapping);
    !after.is_empty() && !after.iter().any(known)
}

/// Whether no thread runs the program that was prepared for any more. In the midst of an exec threads
/// are refused although everything is allowed.
fn is_replaced(prepared: &Prepared) -> bool {
    let Some(fingerprint) = &prepared.fingerprint else { return false };
    let tids = prepared.leader.list_tasks().unwrap_or_default();
    !tids.into_iter().any(|tid| fingerprint.matches(&prepared.memory, Some(tid)))
}

/// Whether there is anything to show.
fn check(prepared: &Prepared, catch: &Catch) -> Result<(), CollectError> {
    let pid = prepared.pid;
    if catch.same_program == Some(false) || has_nothing_in_common(prepared, catch) {
        return Err(CollectError::Executed { pid });
    }
    if !(catch.copied.is_empty() && catch.unstopped.is_empty()) {
        return Ok(());
    }
    match catch.refused.first() {
        None => Err(CollectError::Exited { pid }),
        Some(_) if is_replaced(prepared) => Err(CollectError::Executed { pid }),
        Some(&(tid, _)) => match denied::tracer(&prepared.leader, Some(tid)) {
            Some(tracer) => Err(CollectError::AlreadyTraced { pid, tracer: Some(tracer) }),
            None => Err(denied::refused(pid, &prepared.dir)),
        },
    }
}

fn assemble(mut prepared: Prepared, listing: &Listing, mut catch: Catch) -> Snapshot {
    let via = catch.copied.last().map_or(prepared.via, |last| last.tid);
    prepared.memory.set_via(via);
    name_missing(&mut prepared, listing);
    let (captured_at_ns, pause) = (catch.captured_at_ns, catch.pause);
    let during = catch.maps_text.take();
    let seen = std::mem::take(&mut catch.jit);
    let mut threads = all_threads(&prepared, listing, catch);
    facts::add_inner_ids(&prepared.leader, &prepared.facts, &mut threads);
    let mut later =
        Later { mappings: prepared.mappings, modules: prepared.modules, problems: prepared.problems };
    let was_during = during.is_some();
    let text = during.or_else(|| prepared.dir.read("maps").ok()).filter(|text| *text != prepared.maps_text);
    // Since the release the process may have become another program, or have ended.
    let is_same = prepared
        .fingerprint
        .as_ref()
        .is_none_or(|fingerprint| fingerprint.matches(&prepared.memory, Some(via)));
    if let Some(text) = text.filter(|_| was_during || is_same) {
        let finder = is_same.then(|| Finder::new(&prepared.memory, &prepared.dir));
        later.add(&parse_maps(&text), finder);
    }
    let generated = if is_same {
        let (memory, dir, facts) = (&prepared.memory, &prepared.dir, &prepared.facts);
        generated::copy(memory, dir, facts, (&prepared.jit, &seen), &mut later, &threads)
    } else {
        Generated::default()
    };
    let arch = prepared.facts.arch;
    let interrupted = prepared.options.interrupted;
    let signal = interrupted.and_then(|thread| interrupted::signal(&prepared.memory, arch, &thread));
    Snapshot {
        captured_at_ns,
        source: Source::Ptrace,
        fallback_reason: None,
        fallback_advice: None,
        pause_ns: Some(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX)),
        process: prepared.facts,
        signal,
        mappings: later.mappings,
        modules: later.modules,
        threads,
        memory: generated.memory,
        code_names: generated.names,
        problems: later.problems,
    }
}

/// Names the threads that were asked for and are not there.
fn name_missing(prepared: &mut Prepared, listing: &Listing) {
    let pid = prepared.pid;
    let missing = prepared.options.threads.iter().filter(|tid| !listing.facts.contains_key(tid));
    for tid in missing {
        let what = format!("process {pid} has no thread {tid}");
        prepared.problems.push(Problem::of_thread("attach", *tid, what));
    }
    if let Some(error) = &listing.no_kernel {
        prepared.problems.push(kernel::problem(error));
    }
}

/// The threads that stopped, those that did not, and a leader that has ended; the leader first.
fn all_threads(prepared: &Prepared, listing: &Listing, catch: Catch) -> Vec<ThreadSnapshot> {
    let Catch { copied, unstopped, refused, mut arena, .. } = catch;
    let dir = &prepared.leader;
    let mut threads: Vec<ThreadSnapshot> = Vec::with_capacity(copied.len() + 1);
    threads.extend(
        copied
            .into_iter()
            .map(|copied| stopped(listing.thread(dir, copied.tid), copied, &mut arena, &prepared.memory)),
    );
    let ranges = Ranges::new(&prepared.mappings);
    let (arch, limit) = (prepared.facts.arch, prepared.options.stack_bytes);
    let mut looker = Looker::new(dir, arch, &prepared.memory, &ranges, limit);
    for tid in unstopped {
        let mut thread = listing.thread(dir, tid);
        threads::describe_unstopped(dir, &mut looker, &mut thread);
        threads.push(thread);
    }
    for (tid, error) in refused {
        let mut thread = listing.thread(dir, tid);
        threads::describe_refused(dir, &mut looker, &mut thread, error);
        threads.push(thread);
    }
    let leader = prepared.pid.leader();
    if listing.facts.contains_key(&leader) && threads.iter().all(|thread| thread.tid != leader) {
        let mut thread = listing.thread(dir, leader);
        thread.state = Some('Z');
        threads.push(thread);
    }
    threads.sort_by_key(|thread| (thread.tid != leader, thread.tid));
    threads
}

fn stopped(mut thread: ThreadSnapshot, copied: Copied, arena: &mut Arena, memory: &Memory) -> ThreadSnapshot {
    match copied.registers {
        Ok(registers) => {
            thread.syscall = system_call(&registers, memory);
            if copied.stacks.pieces.is_empty()
                && let Some(sp) = registers.sp().filter(|&sp| sp != 0)
            {
                let what = format!("cannot read the stack of thread {} at {sp:#x}", thread.tid);
                thread.problems.push(Problem::of_thread("stack", thread.tid, what));
            }
            thread.registers = Some(registers);
        }
        Err(what) => thread.problems.push(Problem::of_thread("registers", thread.tid, what)),
    }
    thread.stopped = true;
    thread.stacks = arena.take(&copied.stacks.pieces);
    thread.stack_cut = copied.stacks.cut;
    thread
}
