//! A program is stepped instruction by instruction and unwound at every one. The truth is known by
//! construction: each `call` that is executed puts a return address on a list of our own, and each
//! return takes it off, so what the unwinder must find never depends on unwinding.
mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;

use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd;
use support::cfi::Covered;
use support::process::Running;
use support::symbols::Symbols;
use support::targets::{Target, all};
use support::{Stop, dump, record};
use threaddump::collect::{Options, live};
use threaddump::ids::{Pid, Tid};
use threaddump::images::{FileAccess, ImageOptions, Images, Store};
use threaddump::snapshot::{MemoryPiece, Snapshot, ThreadSnapshot};
use threaddump::unwind::{UnwindOptions, unwind_all};
use threaddump_arch::{Arch, Registers};

/// More than any of the programs needs; a limit only against one that never ends.
const MOST_STEPS: usize = 60_000;

/// Functions whose call frame information is wrong, how many instructions of them, and why.
const WRONG_CFI: [(&str, usize, &str); 1] =
    [("realigned", 2, "GCC keeps the rule `rbp at *(rbp)` after `leave` has restored rbp")];

#[test]
fn every_instruction_of_prologues_and_epilogues_unwinds_to_the_callers() {
    let targets = all().into_iter().filter(|target| target.source.name == "stepped");
    let mut failures = Vec::new();
    for target in targets {
        match follow(&target) {
            Ok(()) => {}
            Err(Stop::Skip(reason)) => record::skip(&target.title(), &reason),
            Err(Stop::Fail(text)) => failures.push(text),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn follow(target: &Target) -> Result<(), Stop> {
    let program = target.build()?;
    let title = target.title();
    let (running, mut input) = Running::start_ready_with_pipe(&mut Command::new(&program), &title, "ready")?;
    support::process::settle(running.pid());
    let prepared = live::prepare(Pid(running.pid()), &Options::default()).map_err(text)?;
    let files = FileAccess::Live { root: prepared.root().to_owned(), proc_dir: prepared.proc_dir() };
    let store = Store::new();
    let modules = prepared.modules().to_vec();
    let snapshot = prepared.capture().map_err(text)?;
    let mut images = Images::open(&store, Arch::X86_64, &modules, &files, &ImageOptions::default());
    images.add(&snapshot.modules);

    let mut tracer = Tracer::attach(running.pid(), &snapshot)?;
    let start = &unwind_all(&snapshot, &images, &UnwindOptions { max_frames: 0, scan: false })[0];
    if start.end != "root" || start.frames.len() < 5 {
        return Err(Stop::Fail(format!("{title}: the start is not unwound: {start:?}")));
    }
    tracer.begin(&start.frames.iter().map(|frame| frame.pc).collect::<Vec<_>>())?;
    input.write_all(b"x").map_err(text)?;
    let mut wrong = BTreeMap::new();
    let mut steps = 0;
    while steps < MOST_STEPS {
        // Each step stands in the snapshot as a thread of its own.
        let (threads, truths) = tracer.steps(500)?;
        let count = threads.len();
        let batch = Snapshot { threads, ..snapshot.clone() };
        let walks = unwind_all(&batch, &images, &UnwindOptions { max_frames: 0, scan: false });
        for (walk, truth) in walks.iter().zip(&truths) {
            let found: Vec<u64> = walk.frames.iter().map(|frame| frame.pc).collect();
            if &found != truth {
                let how: Vec<&str> = walk.frames.iter().map(|frame| frame.how.as_str()).collect();
                let shown = format!("found {found:x?} {how:?} {}, truth {truth:x?}", walk.end);
                wrong.entry(truth[0]).or_insert((truth.clone(), shown));
            }
        }
        steps += count;
        if count < 500 {
            break;
        }
    }
    report(&title, &images, steps, &wrong)
}

fn report(
    title: &str,
    images: &Images<'_>,
    steps: usize,
    wrong: &BTreeMap<u64, (Vec<u64>, String)>,
) -> Result<(), Stop> {
    let mut symbols = Symbols::default();
    let mut covered = Covered::default();
    let mut lines = Vec::new();
    let (mut without_cfi, mut wrong_cfi) = (0, [0; WRONG_CFI.len()]);
    for (&pc, (truth, text)) in wrong {
        let (place, names) = name(images, &mut symbols, pc);
        let known = WRONG_CFI.iter().position(|(name, ..)| names.iter().any(|own| own == name));
        if !truth
            .iter()
            .enumerate()
            .all(|(index, &pc)| has_cfi(&mut covered, images, pc - u64::from(index > 0)))
        {
            without_cfi += 1;
        } else if let Some(index) = known.filter(|&index| wrong_cfi[index] < WRONG_CFI[index].1) {
            wrong_cfi[index] += 1;
        } else {
            lines.push(format!("  {place} {names:?}: {text}"));
        }
    }
    record::summary(&format!(
        "{title}: {steps} steps, {} instructions unwound wrongly; besides, {without_cfi} without call frame \
         information and {} where it is wrong",
        lines.len(),
        wrong_cfi.iter().sum::<usize>(),
    ));
    if steps < 1000 {
        return Err(Stop::Fail(format!("{title}: only {steps} steps")));
    }
    lines.truncate(25);
    if lines.is_empty() { Ok(()) } else { Err(Stop::Fail(format!("{title}:\n{}", lines.join("\n")))) }
}

/// Whether readelf sees call frame information for a pc.
fn has_cfi(covered: &mut Covered, images: &Images<'_>, pc: u64) -> bool {
    let Some(image) = images.at(pc) else { return false };
    let path = String::from_utf8_lossy(image.path());
    image.file_address(pc).is_some_and(|address| covered.holds(&path, address))
}

fn name(images: &Images<'_>, symbols: &mut Symbols, pc: u64) -> (String, Vec<String>) {
    let Some(image) = images.at(pc) else { return (format!("{pc:#x}"), Vec::new()) };
    let path = String::from_utf8_lossy(image.path()).into_owned();
    let build_id = image.build_id().map(threaddump::snapshot::hex);
    let Some(address) = image.file_address(pc) else { return (format!("{path} {pc:#x}"), Vec::new()) };
    let module = dump::Module { path: path.clone(), build_id, debug_file: None };
    let names = symbols.at(&module, address, &[]);
    (format!("{}+{address:#x}", path.rsplit('/').next().unwrap_or_default()), names)
}

fn text(error: impl std::fmt::Display) -> Stop {
    Stop::Fail(error.to_string())
}

/// A stopped process and the return addresses on its stack.
struct Tracer {
    pid: unistd::Pid,
    memory: File,
    stack_end: u64,
    template: ThreadSnapshot,
    /// Return addresses and where they lie, outermost first.
    calls: Vec<(u64, u64)>,
    last: (u64, u64),
}

impl Tracer {
    fn attach(pid: i32, snapshot: &Snapshot) -> Result<Tracer, Stop> {
        let memory = File::open(format!("/proc/{pid}/mem")).map_err(text)?;
        let pid = unistd::Pid::from_raw(pid);
        ptrace::seize(pid, ptrace::Options::empty()).map_err(text)?;
        ptrace::interrupt(pid).map_err(text)?;
        waitpid(pid, None).map_err(text)?;
        let template = snapshot.threads[0].clone();
        let sp = template.registers.as_ref().and_then(Registers::sp).ok_or("no stack pointer".to_owned())?;
        let stack_end = snapshot.mapping_at(sp).ok_or("no stack".to_owned())?.end;
        Ok(Tracer { pid, memory, stack_end, template, calls: Vec::new(), last: (0, 0) })
    }

    /// Takes the callers of the place where the program waits, and finds them on the stack.
    fn begin(&mut self, pcs: &[u64]) -> Result<(), Stop> {
        let registers = ptrace::getregs(self.pid).map_err(text)?;
        let mut slot = registers.rsp;
        for &caller in &pcs[1..] {
            while self.word(slot)? != caller {
                slot += 8;
            }
            self.calls.insert(0, (caller, slot));
            slot += 8;
        }
        self.last = (registers.rip, registers.rsp);
        Ok(())
    }

    fn word(&self, address: u64) -> Result<u64, Stop> {
        let mut bytes = [0; 8];
        self.memory.read_exact_at(&mut bytes, address).map_err(text)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Up to `count` steps: the state after each and the pcs of all its frames.
    fn steps(&mut self, count: usize) -> Result<(Vec<ThreadSnapshot>, Vec<Vec<u64>>), Stop> {
        let (mut threads, mut truths) = (Vec::new(), Vec::new());
        while threads.len() < count {
            ptrace::step(self.pid, None).map_err(text)?;
            match waitpid(self.pid, None).map_err(text)? {
                WaitStatus::Exited(..) => break,
                WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) => {}
                other => return Err(Stop::Fail(format!("unexpected {other:?}"))),
            }
            let registers = ptrace::getregs(self.pid).map_err(text)?;
            self.account(registers.rip, registers.rsp)?;
            let callers = self.calls.iter().rev().map(|(pc, _)| *pc);
            truths.push([registers.rip].into_iter().chain(callers).collect());
            threads.push(self.thread(&registers)?);
        }
        Ok((threads, truths))
    }

    /// Notes what the last instruction did to the list of calls.
    fn account(&mut self, pc: u64, sp: u64) -> Result<(), Stop> {
        let (before, old_sp) = self.last;
        self.last = (pc, sp);
        self.calls.retain(|&(_, slot)| slot >= sp);
        if sp == old_sp.wrapping_sub(8) {
            let pushed = self.word(sp)?;
            // A call pushes the address of the instruction after it; no other push does.
            if pushed > before && pushed <= before + 8 {
                self.calls.push((pushed, sp));
            }
        }
        Ok(())
    }

    fn thread(&self, registers: &libc::user_regs_struct) -> Result<ThreadSnapshot, Stop> {
        // The red zone below the stack pointer belongs to leaf functions.
        let start = registers.rsp.saturating_sub(128) & !7;
        let mut bytes = vec![0; (self.stack_end - start) as usize];
        self.memory.read_exact_at(&mut bytes, start).map_err(text)?;
        Ok(ThreadSnapshot {
            tid: Tid(self.pid.as_raw()),
            registers: Arch::X86_64.registers_from_prstatus(&prstatus(registers)),
            stacks: vec![MemoryPiece { start, bytes }],
            ..self.template.clone()
        })
    }
}

/// The registers in the order in which the kernel gives them.
fn prstatus(r: &libc::user_regs_struct) -> Vec<u8> {
    let words = [
        r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx, r.rsi,
        r.rdi, r.orig_rax, r.rip, r.cs, r.eflags, r.rsp, r.ss, r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs,
    ];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
