//! Looking at one thread without stopping it: where it is, and the stack it has there.
use std::io;

use super::super::arena::Arena;
use super::super::denied::{self, is_gone, is_refusal};
use super::super::kernel;
use super::super::memory::Memory;
use super::super::stacks::{Ranges, StackCopier};
use crate::ids::Tid;
use crate::proc::{ProcDir, SyscallFile, parse_syscall};
use crate::snapshot::{Problem, ThreadSnapshot};
use threaddump_arch::Arch;

/// Looks at a thread that does not hold still for one of them.
const TRIES: usize = 3;

/// What became of a look at a thread.
#[derive(Debug)]
pub(in super::super) enum Look {
    /// It waited in the kernel all the time; what was copied belongs together.
    Blocked,
    /// It went on while its stack was copied, each time.
    Moved,
    /// It ran, so nothing is known of its registers.
    Running,
    /// It has ended.
    Gone,
    /// It is not allowed, or something that should work did not.
    Failed(io::Error),
}

/// Looks at threads of one process.
#[derive(Debug)]
pub(in super::super) struct Looker<'a> {
    /// `/proc/PID`, held open.
    dir: &'a ProcDir,
    arch: Arch,
    copier: StackCopier<'a>,
    /// The tracer of the process, which need not be named again for each thread.
    tracer: Option<i32>,
}

/// Where a thread is. Two places are equal if it did not run between them.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    file: SyscallFile,
    /// `schedstat`, which counts how often it was given a processor; empty in kernels without it.
    turns: Vec<u8>,
}

impl<'a> Looker<'a> {
    pub(in super::super) fn new(
        dir: &'a ProcDir,
        arch: Arch,
        memory: &'a Memory,
        ranges: &'a Ranges,
        stack_bytes: Option<u64>,
    ) -> Looker<'a> {
        Looker { dir, arch, copier: StackCopier::new(0, memory, ranges, stack_bytes), tracer: None }
    }

    /// Names each thread that is traced by another than this one, too.
    pub(super) fn name_tracers(&mut self, tracer: i32) {
        self.tracer = Some(tracer);
    }

    /// Completes a thread: where it is and what it waits for, its registers as far as they can be known,
    /// and its stack.
    pub(in super::super) fn look(&mut self, thread: &mut ThreadSnapshot) -> Look {
        let tid = thread.tid;
        let mut look = self.copy(thread);
        match self.dir.stat(Some(tid)) {
            Ok(stat) => thread.state = Some(stat.state),
            Err(error) if is_gone(&error) => look = Look::Gone,
            Err(_) => {}
        }
        if let Look::Running = look {
            // It may wait by now, but nothing is known of where.
            thread.state = Some('R');
        }
        thread.wait_channel = kernel::wait_channel(self.dir, tid);
        if (self.tracer.is_some() || thread.state == Some('t'))
            && let Some((tracer, name)) = denied::tracer(self.dir, Some(tid))
            && Some(tracer) != self.tracer
        {
            let what = format!("thread {tid} is traced by {tracer} ({name})");
            thread.problems.push(Problem::of_thread("tracer", tid, what));
        }
        look
    }

    fn copy(&mut self, thread: &mut ThreadSnapshot) -> Look {
        let tid = thread.tid;
        let mut before = match place(self.dir, tid) {
            Ok(place) => place,
            Err(error) if is_gone(&error) => return Look::Gone,
            Err(error) => return Look::Failed(error),
        };
        for _ in 0..TRIES {
            let SyscallFile::Blocked { syscall, sp, pc } = &before.file else { return Look::Running };
            let call = syscall.as_ref().map(|call| (call.number, call.args));
            let registers = self.arch.registers_of_blocked(call, *sp, *pc);
            let stacks = self.copier.copy(tid, self.arch, &registers);
            let after = match place(self.dir, tid) {
                Ok(place) => place,
                Err(error) if is_gone(&error) => return Look::Gone,
                Err(error) => return Look::Failed(error),
            };
            let arena: &mut Arena = &mut self.copier.arena;
            let same = after == before;
            if same || thread.registers.is_none() {
                thread.syscall.clone_from(syscall);
                thread.registers = Some(registers);
                thread.stacks = arena.take(&stacks.pieces);
                thread.stack_cut = stacks.cut;
            }
            arena.clear();
            if same {
                self.check_stack(thread);
                return Look::Blocked;
            }
            before = after;
        }
        Look::Moved
    }

    fn check_stack(&self, thread: &mut ThreadSnapshot) {
        let sp = thread.registers.as_ref().and_then(|registers| registers.sp());
        if let (Some(sp), true) = (sp.filter(|&sp| sp != 0), thread.stacks.is_empty()) {
            let what = format!("cannot read the stack of thread {} at {sp:#x}", thread.tid);
            thread.problems.push(Problem::of_thread("stack", thread.tid, what));
        }
    }
}

/// Where a thread is now.
fn place(dir: &ProcDir, tid: Tid) -> io::Result<Place> {
    let turns = |turns: io::Result<Vec<u8>>| turns.unwrap_or_default();
    let first = turns(dir.read(&format!("task/{tid}/schedstat")));
    let text = dir.read(&format!("task/{tid}/syscall"))?;
    let file = parse_syscall(&text).ok_or(io::ErrorKind::InvalidData)?;
    // A place that was left while it was read is equal to no other.
    let last = turns(dir.read(&format!("task/{tid}/schedstat")));
    let turns = if first == last { first } else { [first, last].concat() };
    Ok(Place { file, turns })
}

/// Whether it can be known where the threads of a process are.
///
/// # Errors
/// Those of reading the file, if they mean that it is not allowed.
pub(super) fn check(dir: &ProcDir, tid: Tid) -> io::Result<()> {
    match place(dir, tid) {
        Err(error) if is_refusal(&error) => Err(error),
        _ => Ok(()),
    }
}
