//! Making a snapshot of what the tracer thread brought back and of what can be read after the release.
use std::time::{Duration, Instant};

use super::super::modules::Finder;
use super::super::{CollectError, denied};
use super::arena::Arena;
use super::stacks::Ranges;
use super::threads::{self, Listing};
use super::tracer::{Catch, Copied, Plan};
use super::watch::{self, Attaching};
use super::{Prepared, cannot_read, code};
use crate::ids::Tid;
use crate::proc::parse_maps;
use crate::snapshot::{Mapping, Module, Problem, Snapshot, Source, ThreadSnapshot};

pub(super) fn capture(mut prepared: Prepared) -> Result<Snapshot, CollectError> {
    let pid = prepared.pid;
    let tids = prepared.leader.list_tasks();
    let mut tids = tids.map_err(|error| cannot_read(pid, &prepared.leader, "task", error))?;
    let wanted = std::mem::take(&mut prepared.options.threads);
    if !wanted.is_empty() {
        tids.retain(|tid| wanted.contains(tid));
    }
    let listing = Listing::read(&prepared.leader, &tids);
    let catch = hold(&prepared, &listing, wanted.is_empty());
    check(&prepared, &catch)?;
    for tid in wanted.iter().filter(|tid| tids.binary_search(tid).is_err()) {
        let what = format!("process {pid} has no thread {tid}");
        prepared.problems.push(Problem::of_thread("attach", *tid, what));
    }
    Ok(assemble(prepared, &listing, catch))
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
        timeout: prepared.options.timeout,
        fingerprint: prepared.fingerprint.as_ref(),
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
    !tids.into_iter().any(|tid| fingerprint.matches(Some(tid)))
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
            None => Err(denied::refused(pid, &prepared.leader)),
        },
    }
}

fn assemble(prepared: Prepared, listing: &Listing, mut catch: Catch) -> Snapshot {
    let via = catch.copied.last().map_or(prepared.via, |last| last.tid);
    let (captured_at_ns, pause) = (catch.captured_at_ns, catch.pause);
    let during = catch.maps_text.take();
    let threads = all_threads(&prepared, listing, catch);
    let mut later =
        Later { mappings: prepared.mappings, modules: prepared.modules, problems: prepared.problems };
    let was_during = during.is_some();
    let text = during.or_else(|| prepared.dir.read("maps").ok()).filter(|text| *text != prepared.maps_text);
    // Since the release the process may have become another program, or have ended.
    let is_same = prepared.fingerprint.as_ref().is_none_or(|fingerprint| fingerprint.matches(Some(via)));
    if let Some(text) = text.filter(|_| was_during || is_same) {
        let finder = is_same.then(|| Finder::new(via, &prepared.dir));
        later.add(&parse_maps(&text), finder);
    }
    let memory =
        if is_same { code::copy(via, &later.mappings, &later.modules, &threads) } else { Vec::new() };
    Snapshot {
        captured_at_ns,
        source: Source::Ptrace,
        fallback_reason: None,
        pause_ns: Some(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX)),
        process: prepared.facts,
        signal: None,
        mappings: later.mappings,
        modules: later.modules,
        threads,
        memory,
        problems: later.problems,
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
    for tid in unstopped {
        let mut thread = listing.thread(dir, tid);
        threads::describe_unstopped(dir, &mut thread);
        threads.push(thread);
    }
    for (tid, error) in refused {
        let mut thread = listing.thread(dir, tid);
        threads::describe_refused(dir, &mut thread, error);
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
    thread.stacks = arena.take(&copied.stacks.pieces);
    thread.stack_cut = copied.stacks.cut;
    thread
}

/// Mappings and modules, to which those are added that came between the first reading and the stop.
struct Later {
    mappings: Vec<Mapping>,
    modules: Vec<Module>,
    problems: Vec<Problem>,
}

impl Later {
    /// Without a finder the memory can be looked at no more, and there are no new modules.
    fn add(&mut self, after: &[Mapping], finder: Option<Finder<'_>>) {
        if let Some(mut finder) = finder {
            self.modules.extend(finder.find(after, &self.modules));
            self.modules.sort_by_key(|module| module.start);
            self.problems.append(&mut finder.problems);
        }
        self.mappings = union(std::mem::take(&mut self.mappings), after);
    }
}

/// The mappings of both, the first going before; of the second, the parts that lie between.
fn union(before: Vec<Mapping>, after: &[Mapping]) -> Vec<Mapping> {
    let mut added = Vec::new();
    for mapping in after {
        let mut at = mapping.start;
        let first = before.partition_point(|known| known.end <= mapping.start);
        let inside = before[first..].iter().take_while(|known| known.start < mapping.end);
        for known in inside {
            added.extend(part(mapping, at, known.start));
            at = known.end;
        }
        added.extend(part(mapping, at, mapping.end));
    }
    let mut all = before;
    all.append(&mut added);
    all.sort_by_key(|mapping| mapping.start);
    all
}

fn part(mapping: &Mapping, start: u64, end: u64) -> Option<Mapping> {
    let offset = mapping.offset.wrapping_add(start.wrapping_sub(mapping.start));
    (start < end).then(|| Mapping { start, end, offset, ..mapping.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(before: &str, after: &str) -> Vec<(u64, u64, u64)> {
        let (before, after) = (parse_maps(before.as_bytes()), parse_maps(after.as_bytes()));
        union(before, &after).iter().map(|mapping| (mapping.start, mapping.end, mapping.offset)).collect()
    }

    #[test]
    fn new_mappings_are_added_and_old_ones_kept() {
        let before = "1000-2000 r--p 0 0:0 0\n5000-6000 r--p 0 0:0 0\n";
        let after = "1000-2000 r--p 0 0:0 0\n3000-4000 r--p 0 0:0 0\n";
        assert_eq!(ranges(before, after), [(0x1000, 0x2000, 0), (0x3000, 0x4000, 0), (0x5000, 0x6000, 0)]);
    }

    #[test]
    fn a_mapping_that_grew_gives_its_new_parts() {
        let before = "2000-3000 r--p 1000 8:1 5 /x\n4000-5000 r--p 0 0:0 0\n";
        let after = "1000-6000 r--p 0 8:1 5 /x\n";
        assert_eq!(
            ranges(before, after),
            [
                (0x1000, 0x2000, 0),
                (0x2000, 0x3000, 0x1000),
                (0x3000, 0x4000, 0x2000),
                (0x4000, 0x5000, 0),
                (0x5000, 0x6000, 0x4000)
            ]
        );
    }
}
