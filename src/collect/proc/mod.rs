//! Collecting without a stop. `/proc` tells pc and sp of a thread that waits in the kernel, and the memory
//! can be read while it does; of a thread that runs nothing can be known in this way. Where not even that
//! is allowed, names and states are left.
mod look;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::denied::{self, is_gone, is_refusal};
use super::generated::{self, Generated};
use super::later::Later;
use super::memory::Memory;
use super::modules::Finder;
use super::prepare::cannot_read;
use super::stacks::Ranges;
use super::{CollectError, Prepared, facts, kernel};
use crate::ids::Tid;
use crate::proc::parse_maps;
use crate::snapshot::{Problem, Snapshot, Source, ThreadSnapshot};

pub(super) use look::{Look, Looker};

/// Pauses before the rounds in which threads are looked at again that ran or did not hold still.
const ROUNDS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(4), Duration::from_millis(15)];

/// Copies what can be had without a stop. `because` is why the threads cannot be stopped; `None` if that
/// was not asked for.
pub(super) fn capture(
    mut prepared: Prepared,
    because: Option<CollectError>,
) -> Result<Snapshot, CollectError> {
    let (pid, captured_at_ns) = (prepared.pid, now_ns());
    let memory = Memory::bound(&prepared.dir, prepared.via);
    let allowed = memory.and_then(|memory| {
        look::check(&prepared.leader, prepared.via)?;
        Ok(memory)
    });
    let (threads, memory, advice) = match allowed {
        Ok(memory) => (no_stop(&mut prepared, &memory)?, Some(memory), None),
        Err(error) if is_gone(&error) => return Err(CollectError::Exited { pid }),
        Err(error) => {
            let advice = no_memory(&mut prepared, &error);
            (only_facts(&mut prepared)?, None, advice)
        }
    };
    let mut snapshot = assemble(prepared, captured_at_ns, threads, memory)?;
    snapshot.fallback_reason = because.as_ref().map(ToString::to_string);
    snapshot.fallback_advice = because.as_ref().and_then(CollectError::advice).or(advice);
    Ok(snapshot)
}

/// The threads of the process, or those of them that were asked for; names those that are not there.
fn tids(prepared: &mut Prepared) -> Result<Vec<Tid>, CollectError> {
    let (pid, leader) = (prepared.pid, &prepared.leader);
    let mut tids = leader.list_tasks().map_err(|error| cannot_read(pid, leader, "task", error))?;
    let wanted = &prepared.options.threads;
    for tid in wanted.iter().filter(|tid| tids.binary_search(tid).is_err()) {
        let what = format!("process {pid} has no thread {tid}");
        prepared.problems.push(Problem::of_thread("attach", *tid, what));
    }
    tids.retain(|tid| wanted.is_empty() || wanted.contains(tid));
    Ok(tids)
}

/// Looks at all threads, some of them several times, and at those that are started meanwhile.
fn no_stop(prepared: &mut Prepared, memory: &Memory) -> Result<Vec<ThreadSnapshot>, CollectError> {
    let start = Instant::now();
    let mut pending = tids(prepared)?;
    let ranges = Ranges::new(&prepared.mappings);
    let options = &prepared.options;
    let mut looker = Looker::new(&prepared.leader, prepared.facts.arch, memory, &ranges, options.stack_bytes);
    if let Some((tracer, _)) = prepared.facts.tracer {
        looker.name_tracers(tracer);
    }
    let mut kernel_error = None;
    let mut done: BTreeMap<Tid, ThreadSnapshot> = BTreeMap::new();
    for pause in ROUNDS {
        std::thread::sleep(pause);
        pending.retain(|&tid| {
            let Some((mut thread, look)) = look_at(prepared, &mut looker, tid) else {
                // If it was seen before, it has ended since.
                done.remove(&tid);
                return false;
            };
            if prepared.options.kernel || thread.state == Some('D') {
                kernel_error = kernel::add(&prepared.leader, &mut thread).err().or(kernel_error.take());
            }
            done.insert(tid, thread);
            matches!(look, Look::Running | Look::Moved)
        });
        if options.threads.is_empty() {
            let now = prepared.leader.list_tasks().unwrap_or_default();
            pending.extend(now.into_iter().filter(|tid| !done.contains_key(tid)));
        }
        if pending.is_empty() || start.elapsed() >= options.timeout {
            break;
        }
    }
    if let Some(error) = kernel_error.filter(|_| prepared.options.kernel) {
        prepared.problems.push(kernel::problem(&error));
    }
    Ok(done.into_values().collect())
}

/// `None` if the thread is gone; the leader stays for as long as others live.
fn look_at(prepared: &Prepared, looker: &mut Looker<'_>, tid: Tid) -> Option<(ThreadSnapshot, Look)> {
    let stat = prepared.leader.stat(Some(tid)).ok()?;
    let has_ended = stat.has_ended();
    let mut thread = facts::thread(tid, stat);
    if has_ended {
        return (tid == prepared.pid.leader()).then_some((thread, Look::Gone));
    }
    let look = looker.look(&mut thread);
    match &look {
        Look::Gone => return None,
        Look::Failed(error) => {
            let what = format!("cannot read where thread {tid} is: {error}");
            thread.problems.push(Problem::of_thread("registers", tid, what));
        }
        Look::Moved => {
            let what =
                format!("thread {tid} went on while its stack was copied; its frames may be of two moments");
            thread.problems.push(Problem::of_thread("moved", tid, what));
        }
        Look::Blocked | Look::Running => {}
    }
    Some((thread, look))
}

/// Says why there are no stacks; gives the next step.
fn no_memory(prepared: &mut Prepared, error: &io::Error) -> Option<String> {
    let reason = is_refusal(error).then(|| denied::file_reason(&prepared.dir));
    let cause = reason.as_ref().map_or_else(|| error.to_string(), ToString::to_string);
    let what = format!("stacks are missing: the memory of the process cannot be read: {cause}");
    prepared.problems.push(Problem::new("registers", what));
    reason.map(|reason| reason.advice().to_owned())
}

/// Names and states, which everybody may read.
fn only_facts(prepared: &mut Prepared) -> Result<Vec<ThreadSnapshot>, CollectError> {
    let tids = tids(prepared)?;
    let mut kernel_error = None;
    let threads = tids.into_iter().filter_map(|tid| {
        let mut thread = facts::thread(tid, prepared.leader.stat(Some(tid)).ok()?);
        thread.wait_channel = kernel::wait_channel(&prepared.leader, tid);
        if prepared.options.kernel || thread.state == Some('D') {
            kernel_error = kernel::add(&prepared.leader, &mut thread).err().or(kernel_error.take());
        }
        Some(thread)
    });
    let threads: Vec<ThreadSnapshot> = threads.collect();
    if let Some(error) = kernel_error.filter(|_| prepared.options.kernel) {
        prepared.problems.push(kernel::problem(&error));
    }
    Ok(threads)
}

fn assemble(
    prepared: Prepared,
    captured_at_ns: i64,
    mut threads: Vec<ThreadSnapshot>,
    memory: Option<Memory>,
) -> Result<Snapshot, CollectError> {
    let (pid, leader) = (prepared.pid, prepared.pid.leader());
    if threads.is_empty() {
        return Err(CollectError::Exited { pid });
    }
    threads.sort_by_key(|thread| (thread.tid != leader, thread.tid));
    facts::add_inner_ids(&prepared.leader, &prepared.facts, &mut threads);
    let mut later =
        Later { mappings: prepared.mappings, modules: prepared.modules, problems: prepared.problems };
    let mut generated = Generated::default();
    if let Some(memory) = memory {
        // An exec keeps the process id; what was copied would be of two programs.
        let via = Some(memory.via());
        if prepared.fingerprint.as_ref().is_some_and(|fingerprint| !fingerprint.matches(&memory, via)) {
            let lives = prepared.leader.stat(None).is_ok_and(|stat| !stat.is_last_zombie());
            return Err(if lives { CollectError::Executed { pid } } else { CollectError::Exited { pid } });
        }
        if let Some(text) = prepared.dir.read("maps").ok().filter(|text| *text != prepared.maps_text) {
            later.add(&parse_maps(&text), Some(Finder::new(&memory, &prepared.dir)));
        }
        let seen = prepared.jit.look(&memory, memory.via());
        let (dir, facts) = (&prepared.dir, &prepared.facts);
        generated = generated::copy(&memory, dir, facts, (&prepared.jit, &seen), &mut later, &threads);
    }
    Ok(Snapshot {
        captured_at_ns,
        source: Source::Proc,
        fallback_reason: None,
        fallback_advice: None,
        pause_ns: None,
        process: prepared.facts,
        signal: None,
        mappings: later.mappings,
        modules: later.modules,
        threads,
        memory: generated.memory,
        code_names: generated.names,
        problems: later.problems,
    })
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
