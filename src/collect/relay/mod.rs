//! Collecting by the relay inside the process: it has its threads hold still, and reads its own memory for us.
//! Nothing else is used, so it does not matter whether ptrace is allowed.
mod connect;
mod session;

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use threaddump_arch::Arch;

pub use connect::RelayRefusal;
pub(super) use connect::{Asked, ask};
pub use session::{Answer, Session, Told};

use super::fingerprint::{Fingerprint, entry};
use super::generated;
use super::later::Later;
use super::memory::Memory;
use super::modules::Finder;
use super::stacks::{Ranges, StackCopier};
use super::{CollectError, Prepared, facts, kernel};
use crate::ids::{Pid, Tid};
use crate::proc::{SyscallFile, parse_maps, parse_syscall};
use crate::snapshot::{Mapping, MemoryPiece, Problem, Snapshot, Source, Syscall, ThreadSnapshot};

const AT_PHDR: u64 = 3;

/// The error for a relay that did not answer to the end.
pub(super) fn silent(pid: Pid) -> CollectError {
    CollectError::NoRelay { pid, reason: RelayRefusal::Silent }
}

/// The file that the program's own headers are mapped from.
pub(super) fn program(arch: Arch, auxv: &[u8], mappings: &[Mapping]) -> Option<Vec<u8>> {
    let headers = entry(arch, auxv, AT_PHDR)?;
    let holds = |mapping: &&Mapping| (mapping.start..mapping.end).contains(&headers);
    mappings.iter().find(holds).filter(|mapping| mapping.has_file()).map(|mapping| mapping.path.clone())
}

/// Copies by way of the relay. `because` is why ptrace is not used; `None` if that was not asked for. With the
/// error comes what was prepared, for another way.
pub(super) fn capture(
    mut prepared: Prepared,
    because: Option<&CollectError>,
) -> Result<Snapshot, (Box<Prepared>, CollectError)> {
    match begin(&mut prepared).and_then(|before| hold(&prepared, before)) {
        Ok(caught) => Ok(assemble(prepared, caught, because)),
        Err(error) => {
            let pid = prepared.pid;
            let is_silent = matches!(error, CollectError::NoRelay { reason: RelayRefusal::Silent, .. });
            let error = if is_silent && is_ending(&prepared) { CollectError::Exited { pid } } else { error };
            Err((Box::new(prepared), error))
        }
    }
}

/// Whether the process is gone, or is in a moment. Its end ends the connection before all threads have ended.
fn is_ending(prepared: &Prepared) -> bool {
    (0..20).any(|_| {
        let ended = prepared.leader.stat(None).map_or(true, |stat| stat.is_last_zombie());
        if !ended {
            thread::sleep(Duration::from_millis(5));
        }
        ended
    })
}

/// What is known before the threads are held.
struct Before {
    memory: Memory,
    mappings: Vec<Mapping>,
    /// By id in our pid namespace.
    facts: HashMap<Tid, ThreadSnapshot>,
    /// The same ids by those in the pid namespace of the process.
    outer: HashMap<i32, Tid>,
}

/// What was copied.
struct Caught {
    before: Before,
    captured_at_ns: i64,
    pause_ns: u64,
    threads: Vec<ThreadSnapshot>,
}

fn begin(prepared: &mut Prepared) -> Result<Before, CollectError> {
    let pid = prepared.pid;
    // Before one of the threads is busy with answering.
    let tids = prepared.leader.list_tasks().map_err(|_| CollectError::Exited { pid })?;
    let (mut known, mut outer) = (HashMap::new(), HashMap::new());
    for tid in tids {
        let Ok(stat) = prepared.leader.stat(Some(tid)) else { continue };
        known.insert(tid, facts::thread(tid, stat));
        outer.insert(inner_id(prepared, tid), tid);
    }
    let asked = ask(pid, prepared.facts.arch, &prepared.leader, prepared.options.timeout)?;
    prepared.facts.arch = asked.arch();
    let failed = |_| silent(pid);
    let (maps, auxv) = (asked.maps().map_err(failed)?, asked.auxv().map_err(failed)?);
    let memory = Memory::asked(prepared.via, asked);
    if prepared
        .fingerprint
        .as_ref()
        .is_some_and(|fingerprint| !fingerprint.matches(&memory, Some(prepared.via)))
    {
        return Err(CollectError::Executed { pid });
    }
    let arch = prepared.facts.arch;
    if prepared.fingerprint.is_none() {
        prepared.fingerprint = Fingerprint::of(&auxv, &memory, arch);
    }
    let mappings = parse_maps(&maps);
    if prepared.facts.exe.is_none() {
        prepared.facts.exe = program(arch, &auxv, &mappings);
    }
    Ok(Before { memory, mappings, facts: known, outer })
}

/// Id of a thread in the pid namespace of its process.
fn inner_id(prepared: &Prepared, tid: Tid) -> i32 {
    if prepared.facts.ns_pid.is_none_or(|inner| inner == prepared.pid.0) {
        return tid.0;
    }
    let status = prepared.leader.status(Some(tid));
    status.ok().and_then(|status| status.ns_pid.last().copied()).unwrap_or(tid.0)
}

fn hold(prepared: &Prepared, mut before: Before) -> Result<Caught, CollectError> {
    let pid = prepared.pid;
    let failed = |_| silent(pid);
    let Some(asked) = before.memory.relay() else { return Err(silent(pid)) };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = Instant::now();
    let told = asked.hold().map_err(failed)?;
    let ranges = Ranges::new(&before.mappings);
    let mut copying = Copying {
        prepared,
        copier: StackCopier::new(told.len(), &before.memory, &ranges, prepared.options.stack_bytes),
        asked,
    };
    let wanted = &prepared.options.threads;
    let (mut threads, mut seen) = (Vec::new(), Vec::new());
    for told in told {
        let tid = match before.outer.get(&told.tid) {
            Some(&tid) => tid,
            // One that is newer than the list; its id is the same in most cases.
            None if inner_id(prepared, Tid(told.tid)) == told.tid => Tid(told.tid),
            None => continue,
        };
        seen.push(tid);
        if told.answer == Answer::Gone || !(wanted.is_empty() || wanted.contains(&tid)) {
            continue;
        }
        let thread = before.facts.remove(&tid).unwrap_or_else(|| copying.unknown(tid));
        threads.push(copying.one(thread, &told));
    }
    asked.release().map_err(failed)?;
    let pause_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    // Those that the relay has no room for, or did not see.
    before.facts.retain(|tid, _| !seen.contains(tid) && (wanted.is_empty() || wanted.contains(tid)));
    let missed: Vec<ThreadSnapshot> = before.facts.drain().map(|(_, thread)| thread).collect();
    for mut thread in missed {
        let Ok(stat) = prepared.leader.stat(Some(thread.tid)) else { continue };
        if stat.has_ended() && thread.tid != pid.leader() {
            continue;
        }
        thread.state = Some(stat.state);
        if !stat.has_ended() {
            unreached(prepared, &mut thread, "the relay did not tell of it");
        }
        threads.push(thread);
    }
    let captured_at_ns = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    Ok(Caught { before, captured_at_ns, pause_ns, threads })
}

/// Copies threads that hold still.
struct Copying<'a> {
    prepared: &'a Prepared,
    copier: StackCopier<'a>,
    asked: &'a Asked,
}

impl Copying<'_> {
    fn unknown(&self, tid: Tid) -> ThreadSnapshot {
        let stat = self.prepared.leader.stat(Some(tid)).ok();
        let known = stat.map(|stat| ThreadSnapshot { state: None, ..facts::thread(tid, stat) });
        known.unwrap_or_else(|| ThreadSnapshot::unknown(tid))
    }

    fn one(&mut self, mut thread: ThreadSnapshot, told: &Told) -> ThreadSnapshot {
        let arch = self.prepared.facts.arch;
        match (told.answer, &told.registers) {
            (Answer::Held, Some(registers)) => {
                thread.stopped = true;
                thread.registers = Some(registers.clone());
            }
            (answer, _) => {
                let why = match answer {
                    Answer::Blocks => "it blocks the relay's signal",
                    _ => "it did not answer the relay in time",
                };
                // Where it waits, the kernel tells to itself alone.
                let place = self.asked.syscall(told.tid).ok().and_then(|text| parse_syscall(&text));
                if let Some(SyscallFile::Blocked { syscall, sp, pc }) = place
                    && pc != 0
                {
                    let call = syscall.as_ref().map(|call: &Syscall| (call.number, call.args));
                    thread.registers = Some(arch.registers_of_blocked(call, sp, pc));
                    thread.syscall = syscall;
                }
                unreached(self.prepared, &mut thread, why);
            }
        }
        if let Some(registers) = &thread.registers {
            let stacks = self.copier.copy(thread.tid, arch, registers);
            thread.stacks = self.copier.arena.take(&stacks.pieces);
            thread.stack_cut = stacks.cut;
            self.copier.arena.clear();
        }
        let sp = thread.registers.as_ref().and_then(|registers| registers.sp()).filter(|&sp| sp != 0);
        if let (Some(sp), true) = (sp, thread.stacks.iter().all(|piece: &MemoryPiece| piece.bytes.is_empty()))
        {
            let what = format!("cannot read the stack of thread {} at {sp:#x}", thread.tid);
            thread.problems.push(Problem::of_thread("stack", thread.tid, what));
        }
        thread
    }
}

/// Says of a thread that it could not be held, and what it does instead.
fn unreached(prepared: &Prepared, thread: &mut ThreadSnapshot, why: &str) {
    let tid = thread.tid;
    thread.wait_channel = kernel::wait_channel(&prepared.leader, tid);
    if prepared.options.kernel || thread.state == Some('D') {
        // It is not said to be complete in any case.
        let _ = kernel::add(&prepared.leader, thread);
    }
    let mut what = format!("thread {tid} was not reached: {why}");
    if let Some(state) = thread.state {
        what += &format!("; state {state}");
    }
    if let Some(channel) = &thread.wait_channel {
        what += &format!(", waits in {channel}");
    }
    thread.problems.push(Problem::of_thread("relay", tid, what));
}

fn assemble(mut prepared: Prepared, caught: Caught, because: Option<&CollectError>) -> Snapshot {
    let Caught { before, captured_at_ns, pause_ns, mut threads } = caught;
    let (pid, leader) = (prepared.pid, prepared.pid.leader());
    for tid in &prepared.options.threads {
        if !threads.iter().any(|thread| thread.tid == *tid) {
            let what = format!("process {pid} has no thread {tid}");
            prepared.problems.push(Problem::of_thread("attach", *tid, what));
        }
    }
    threads.sort_by_key(|thread| (thread.tid != leader, thread.tid));
    facts::add_inner_ids(&prepared.leader, &prepared.facts, &mut threads);
    let mut later =
        Later { mappings: prepared.mappings, modules: prepared.modules, problems: prepared.problems };
    later.add(&before.mappings, Some(Finder::new(&before.memory, &prepared.dir)));
    let seen = prepared.jit.look(&before.memory, prepared.via);
    let (memory, facts) = (&before.memory, &prepared.facts);
    let generated =
        generated::copy(memory, &prepared.dir, facts, (&prepared.jit, &seen), &mut later, &threads);
    if !before.memory.relay().is_some_and(Asked::is_whole) {
        let what = format!("the relay of process {pid} stopped answering: modules may be missing");
        later.problems.push(Problem::new("relay", what));
    }
    let denied = because.map(|error| match error {
        CollectError::Permission { reason, .. } => format!("ptrace denied: {reason}"),
        error => format!("ptrace denied: {error}"),
    });
    Snapshot {
        captured_at_ns,
        source: Source::Relay,
        fallback_reason: denied,
        fallback_advice: because.and_then(CollectError::advice),
        pause_ns: Some(pause_ns),
        process: prepared.facts,
        signal: None,
        mappings: later.mappings,
        modules: later.modules,
        threads,
        memory: generated.memory,
        code_names: generated.names,
        problems: later.problems,
    }
}
