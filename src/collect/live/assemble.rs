//! Making a snapshot of what the tracer thread brought back and of what can be read after the release.
use std::time::{Duration, Instant};

use super::super::arena::Arena;
use super::super::generated::{self, Generated};
use super::super::later::Later;
use super::super::modules::Finder;
use super::super::prepare::{Prepared, cannot_read};
use super::super::proc::Looker;
use super::super::stacks::Ranges;
use super::super::{CollectError, denied, facts, interrupted, kernel};
use super::threads::{self, Listing};
use super::tracer::{Catch, Copied, Plan};
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
    let (pid, options) = (prepared.pid, &prepared.options);
    let tids = prepared.leader.list_tasks();
    let mut tids = tids.map_err(|error| cannot_read(pid, &prepared.leader, "task", error))?;
    if !options.threads.is_empty() {
        tids.retain(|tid| options.threads.contains(tid));
    }
    let listing = Listing::read(&prepared.leader, &tids, options.kernel);
    let catch = hold(prepared, &listing, options.threads.is_empty());
    check(prepared, &catch)?;
    Ok((listing, catch))
}

/// Runs the tracer thread and waits for its end.
fn hold(prepared: &Prepared, listing: &Listing, all: bool) -> Catch {
    let ranges = Ranges::new(&prepared.mappings);
    let plan = Plan {
        pid: prepared.pid,
        dir: &prepared.leader,
        maps_dir: &prepared.dir,
        mappings: &prepared.mappings,
        arch: prepared.facts.arch,
        tids: &listing.tids,
        all,
        ranges: &ranges,
        stack_bytes: prepared.options.stack_bytes,
        interrupted: prepared.options.interrupted,
        timeout: prepared.options.timeout,
        fingerprint: prepared.fingerprint.as_ref(),
        memory: &prepared.memory,
        jit: &prepared.jit,
        attaching: Attaching::default(),
    };
    let catch = watch::run(&plan);
    wait_for_end(catch.tracer);
    catch
}

/// A thread can be joined before the kernel has released what it traced; it is out of `/proc` after.
fn wait_for_end(tracer: Tid) {
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
    Snapshot {
        captured_at_ns,
        source: Source::Ptrace,
        fallback_reason: None,
        fallback_advice: None,
        pause_ns: Some(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX)),
        process: prepared.facts,
        signal: prepared
            .options
            .interrupted
            .and_then(|thread| interrupted::signal(&prepared.memory, &thread)),
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
        copied.into_iter().map(|copied| stopped(listing.thread(dir, copied.tid), copied, &mut arena)),
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

fn stopped(mut thread: ThreadSnapshot, copied: Copied, arena: &mut Arena) -> ThreadSnapshot {
    match copied.registers {
        Ok(registers) => {
            let syscall = registers.arch().system_call(&registers);
            thread.syscall = syscall.map(|(number, args)| crate::snapshot::Syscall { number, args });
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
