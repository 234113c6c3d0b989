//! What happens on the tracer thread: stop, copy, release.
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use threaddump_arch::{Arch, Registers};

use super::super::Interrupted;
use super::super::arena::Arena;
use super::super::fingerprint::Fingerprint;
use super::super::interrupted;
use super::super::jit::{Lists, Seen};
use super::super::memory::Memory;
use super::super::stacks::{Ranges, StackCopier, Stacks};
use super::hold::{Hold, State, Tracing};
use super::watch::Attaching;
use crate::ids::{Pid, Tid};
use crate::proc::ProcDir;
use crate::snapshot::Mapping;
use crate::sys::{ptrace, thread};

/// What the tracer thread has to know.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) pid: Pid,
    /// Whether the calling thread traces them already.
    pub(super) tracing: Tracing,
    /// `/proc/PID`, held open.
    pub(super) dir: &'a ProcDir,
    /// The directory whose maps can be read.
    pub(super) maps_dir: &'a ProcDir,
    /// As they were before the stop.
    pub(super) mappings: &'a [Mapping],
    pub(super) arch: Arch,
    /// Threads listed before the stop, in ascending order.
    pub(super) tids: &'a [Tid],
    /// Whether `tids` are all threads of the process, or only those that were asked for.
    pub(super) all: bool,
    pub(super) ranges: &'a Ranges,
    pub(super) stack_bytes: Option<u64>,
    /// The thread that is shown as a signal has interrupted it.
    pub(super) interrupted: Option<Interrupted>,
    pub(super) timeout: Duration,
    pub(super) fingerprint: Option<&'a Fingerprint>,
    pub(super) memory: &'a Memory,
    /// As they were before the stop.
    pub(super) jit: &'a Lists,
    /// Tells the thread that waits whether this one blocks.
    pub(super) attaching: Attaching,
}

/// What a stopped thread held.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) tid: Tid,
    /// The register set, or why there is none.
    pub(super) registers: Result<Registers, String>,
    pub(super) stacks: Stacks,
}

/// What the tracer thread brings back.
#[derive(Debug)]
pub(super) struct Catch {
    pub(super) captured_at_ns: i64,
    pub(super) pause: Duration,
    /// In the order in which they lie in the arena.
    pub(super) copied: Vec<Copied>,
    pub(super) arena: Arena,
    /// Threads that did not stop in time.
    pub(super) unstopped: Vec<Tid>,
    /// Threads that could not be attached to.
    pub(super) refused: Vec<(Tid, Errno)>,
    /// Whether the process was still running the program that was prepared for; `None` if that could
    /// not be told.
    pub(super) same_program: Option<bool>,
    /// The maps, read during the stop because those from before it did not explain every pc.
    pub(super) maps_text: Option<Vec<u8>>,
    /// What JIT compilers had registered.
    pub(super) jit: Seen,
    /// Id of the tracer thread.
    pub(super) tracer: Tid,
}

/// Stops, copies and releases. What does not answer is released by the end of the calling OS thread,
/// so that has to end next, unless it is to go on as the tracer.
pub(super) fn run(plan: &Plan<'_>) -> Catch {
    let mut copier = StackCopier::new(plan.tids.len(), plan.memory, plan.ranges, plan.stack_bytes);
    let mut hold = Hold::new(plan.pid, plan.tracing, plan.dir, &plan.attaching, plan.tids.len());
    thread::hurry();
    hold.seize(plan.tids);
    let members = plan.dir.list_tasks().unwrap_or_default();
    hold.drop_strangers(&members);
    if plan.all {
        hold.seize(&members);
    }
    let captured_at_ns = now_ns();
    let start = Instant::now();
    stop(&mut hold, plan, start + plan.timeout);
    let mut copied = Vec::with_capacity(hold.threads.len());
    for held in hold.threads.iter().filter(|held| matches!(held.state, State::Stopped(_))) {
        copied.extend(copy(held.tid, plan, &mut copier));
    }
    let same_program = plan
        .fingerprint
        .map(|fingerprint| fingerprint.matches(plan.memory, copied.last().map(|last| last.tid)));
    let maps_text = if knows_code(plan, &copied) { None } else { plan.maps_dir.read("maps").ok() };
    let jit = copied.last().map(|last| plan.jit.look(plan.memory, last.tid)).unwrap_or_default();
    hold.release();
    let pause = start.elapsed();
    let (refused, tracer) = (hold.refused(), thread::own_id());
    let pending = hold.threads.iter().filter(|held| held.state == State::Pending);
    let unstopped = pending.map(|held| held.tid).collect();
    Catch {
        captured_at_ns,
        pause,
        copied,
        arena: copier.arena,
        unstopped,
        refused,
        same_program,
        maps_text,
        jit,
        tracer,
    }
}

/// Interrupts and waits until no thread runs any more. Threads that were running may have started
/// others, so the list is read again until it holds nothing new.
fn stop(hold: &mut Hold<'_>, plan: &Plan<'_>, deadline: Instant) {
    loop {
        hold.interrupt();
        hold.wait(deadline);
        if !plan.all || hold.is_complete() || Instant::now() >= deadline {
            return;
        }
        let Ok(members) = plan.dir.list_tasks() else { return };
        hold.drop_strangers(&members);
        if !hold.seize(&members) {
            return;
        }
    }
}

/// Whether every thread is in code that was there before the stop. If not, a library was loaded since,
/// or a program started, and after the release it may be too late to see which.
fn knows_code(plan: &Plan<'_>, copied: &[Copied]) -> bool {
    let is_known = |pc: u64| {
        let after = plan.mappings.partition_point(|mapping| mapping.start <= pc);
        plan.mappings[..after].last().is_some_and(|mapping| pc < mapping.end && mapping.permissions.execute)
    };
    let mut pcs = copied.iter().filter_map(|copied| copied.registers.as_ref().ok()?.pc());
    // Workers of the kernel have the pc 0.
    plan.fingerprint.is_some() && pcs.all(|pc| pc == 0 || is_known(pc))
}

/// `None` for a thread that was killed while it was held.
fn copy(tid: Tid, plan: &Plan<'_>, copier: &mut StackCopier<'_>) -> Option<Copied> {
    let arch = plan.arch;
    let mut bytes = [0; ptrace::MAX_REGISTER_SET];
    let length = match ptrace::general_registers(tid, &mut bytes) {
        Ok(length) => length,
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return None,
        Err(error) => {
            let registers = Err(format!("cannot read the registers of thread {tid}: {error}"));
            return Some(Copied { tid, registers, stacks: Stacks::default() });
        }
    };
    let Some(mut registers) = arch.registers_from_prstatus(&bytes[..length]) else {
        let what = mode_of(length);
        let registers = Err(format!("thread {tid} runs {what} ({length} bytes of registers)"));
        return Some(Copied { tid, registers, stacks: Stacks::default() });
    };
    let handler = plan.interrupted.filter(|interrupted| interrupted.tid == tid);
    let before = handler.and_then(|handler| interrupted::registers(plan.memory, arch, &handler));
    registers = before.unwrap_or(registers);
    if let Some(note) = arch.extra_note()
        && let Ok(length) = ptrace::register_set(tid, note, &mut bytes)
    {
        arch.add_extra_registers(&mut registers, &bytes[..length]);
    }
    let stacks = copier.copy(tid, arch, &registers);
    Some(Copied { tid, registers: Ok(registers), stacks })
}

/// What a thread runs whose registers are not as long as those of its program: a program can change the
/// mode of its processor.
fn mode_of(length: usize) -> &'static str {
    match length {
        68 => "32-bit i386 code",
        72 => "32-bit arm code",
        216 => "64-bit x86_64 code",
        _ => "code of an unknown mode",
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
