//! Core files: of a crash, written by the kernel, or of a living process, written by a debugger. The same
//! [`Snapshot`] as of a living process is made of them.
//!
//! The file is mapped and read where it is needed, so that its size does not matter.

pub(super) mod beginning;
mod code;
mod error;
mod headers;
mod links;
mod lz4;
mod memory;
mod modules;
mod notes;
mod stream;
mod unpack;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Mutex;

pub use error::CoreError;
pub use stream::CoreFile;
pub use unpack::inspect as inspect_packed;

use super::calls::system_call;
use super::code::{self as generated_code, Pointers};
use super::generated::copy_at_rest;
use super::later::union;
use super::memory::ReadMemory;
use super::stacks::{Ranges, StackCopier};
use crate::ids::Pid;
use crate::snapshot::{Mapping, Permissions, Problem, ProcessFacts, Snapshot, Source, ThreadSnapshot};
use code::WithFiles;
use headers::{Headers, Load};
use memory::CoreMemory;
use modules::{Disk, Finder};
use notes::{Auxv, MappedFile, Notes};

/// Bytes of stacks that are copied of all threads together. Notes cost little, and those of a crafted
/// file may all name the same stack.
const MAX_STACKS: usize = 2 << 30;
/// Threads for which memory is made ready.
const EXPECTED_THREADS: usize = 4096;

/// How to read a core file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The executable, if it is not where the core says.
    pub exe: Option<PathBuf>,
    /// The directory below which the files of the process are.
    pub sysroot: Option<PathBuf>,
    /// Bytes of stack to copy of each thread, see [`super::Options::stack_bytes`].
    pub stack_bytes: Option<u64>,
}

/// Makes a snapshot of the bytes of a core file, which was last changed at this time (nanoseconds since
/// the epoch).
///
/// # Errors
/// If nothing of it can be shown.
pub fn read(bytes: &[u8], changed_ns: i64, options: &Options) -> Result<Snapshot, CoreError> {
    let disk = Disk::new(options)?;
    let mut headers = headers::read(bytes)?;
    let mut problems = std::mem::take(&mut headers.problems);
    let mut notes = notes::read(bytes, &headers);
    problems.append(&mut notes.problems);
    if notes.threads.is_empty() {
        if let Some(what) = notes.odd {
            return Err(CoreError::OddThreads { what });
        }
        let cut = problems.iter().any(|problem| matches!(problem.stage.as_str(), "threads" | "core"));
        return Err(if cut {
            CoreError::Truncated { what: "before its notes about threads" }
        } else {
            CoreError::NoThreads
        });
    }
    let memory = CoreMemory::new(bytes, &headers.loads, headers.arch);
    let mut mappings = mappings(&headers.loads, &notes);
    let mut finder = Finder::new(&memory, &disk, notes.auxv.get(Auxv::ENTRY).unwrap_or(0));
    let modules = match &notes.files {
        Some(_) => finder.mapped(&mut mappings),
        None => finder.linked(&mappings, &links::loaded(&memory, notes.auxv)),
    };
    problems.extend(finder.problems());
    let entry = notes.auxv.get(Auxv::ENTRY);
    let exe = modules.iter().find(|module| entry.is_some_and(|at| (module.start..module.end).contains(&at)));
    let exe = exe.map(|module| module.path.clone()).filter(|path| !path.is_empty());
    if notes.files.is_none() && exe.is_none() && options.exe.is_none() {
        let what =
            "the core does not name the program's file, so its functions have no names: give it with --exe";
        problems.push(Problem::new("core", what));
    }
    let process = process(&headers, &notes, exe, &mut problems);
    let signal = notes.signal.clone();
    let with_files = WithFiles {
        memory: &memory,
        disk: &disk,
        mappings: &mappings,
        modules: &modules,
        entry: entry.unwrap_or(0),
        opened: Mutex::default(),
    };
    let threads = threads(&headers, notes, &with_files, options, &mut problems);
    let code = generated_code::copy(&memory, &Pointers::of(&mappings, &modules, &threads));
    Ok(Snapshot {
        captured_at_ns: changed_ns,
        source: Source::Core,
        fallback_reason: None,
        fallback_advice: None,
        pause_ns: None,
        process,
        signal,
        mappings,
        modules,
        threads,
        memory: code,
        code_names: Vec::new(),
        problems,
    })
}

/// Adds the objects that JIT compilers registered at these process addresses to a snapshot of the same bytes.
pub fn add_generated(bytes: &[u8], places: &[u64], snapshot: &mut Snapshot) {
    // What is wrong with them was said when the snapshot was made.
    let Ok(headers) = headers::read(bytes) else { return };
    let memory = CoreMemory::new(bytes, &headers.loads, headers.arch);
    copy_at_rest(&memory, places, snapshot);
}

fn process(
    headers: &Headers,
    notes: &Notes<'_>,
    exe: Option<Vec<u8>>,
    problems: &mut Vec<Problem>,
) -> ProcessFacts {
    let known = notes.process.as_ref();
    let lowest = notes.threads.iter().map(|thread| thread.tid.0).min().unwrap_or(0);
    if known.is_none() {
        let what = "the core does not tell the process id and name; the lowest thread id is shown instead";
        problems.push(Problem::new("core", what));
    }
    let pid = known.map_or(lowest, |process| process.pid);
    let arguments = known.map(|process| process.arguments.clone()).filter(|text| !text.is_empty());
    ProcessFacts {
        pid: Pid(pid),
        ns_pid: Some(pid),
        ppid: known.map(|process| process.ppid),
        uid: known.map(|process| process.uid),
        name: known.map(|process| process.name.clone()).unwrap_or_default(),
        exe,
        cmdline: arguments.into_iter().collect(),
        arch: headers.arch,
        start_time_ns: None,
        cgroup: None,
        kernel: None,
        tracer: None,
    }
}

/// All mappings, by ascending address: those whose memory is in the core, and files that are not.
fn mappings(loads: &[Load], notes: &Notes<'_>) -> Vec<Mapping> {
    let files = notes.files.as_deref().unwrap_or_default();
    let inside = |load: &Load, kind| {
        notes.auxv.get(kind).is_some_and(|address| (load.start..load.end).contains(&address))
    };
    let loaded = loads.iter().map(|load| {
        let mut mapping = plain(load.start, load.end);
        mapping.permissions = Permissions {
            read: load.flags & 4 != 0,
            write: load.flags & 2 != 0,
            execute: load.flags & 1 != 0,
            shared: false,
        };
        let after = files.partition_point(|file| file.start <= load.start);
        let file = after.checked_sub(1).and_then(|index| files.get(index));
        if let Some(file) = file.filter(|file| load.start < file.end) {
            name(&mut mapping, file);
        } else if inside(load, Auxv::SYSINFO_EHDR) {
            mapping.path = b"[vdso]".to_vec();
        } else if inside(load, Auxv::RANDOM) || inside(load, Auxv::EXECFN) {
            mapping.path = b"[stack]".to_vec();
        }
        mapping
    });
    let elsewhere: Vec<Mapping> = files
        .iter()
        .map(|file| {
            let mut mapping = plain(file.start, file.end);
            mapping.permissions.read = true;
            name(&mut mapping, file);
            mapping
        })
        .collect();
    union(loaded.collect(), &elsewhere)
}

fn plain(start: u64, end: u64) -> Mapping {
    Mapping {
        start,
        end,
        permissions: Permissions::default(),
        offset: 0,
        device: (0, 0),
        inode: 0,
        path: Vec::new(),
        deleted: false,
    }
}

/// The kernel marks the names of files that were deleted.
fn name(mapping: &mut Mapping, file: &MappedFile<'_>) {
    let kept = file.path.strip_suffix(b" (deleted)");
    mapping.offset = file.offset.saturating_add(mapping.start.saturating_sub(file.start));
    mapping.path = kept.unwrap_or(file.path).to_vec();
    mapping.deleted = kept.is_some();
}

/// Registers and stacks, the thread that got the signal first, the others by ascending id.
fn threads(
    headers: &Headers,
    notes: Notes<'_>,
    code: &WithFiles<'_>,
    options: &Options,
    problems: &mut Vec<Problem>,
) -> Vec<ThreadSnapshot> {
    let (memory, mappings) = (code.memory, code.mappings);
    let ranges = Ranges::new(mappings);
    let expected = notes.threads.len().min(EXPECTED_THREADS);
    let mut copier = StackCopier::new(expected, memory, &ranges, options.stack_bytes);
    let (mut left, mut without) = (MAX_STACKS, 0);
    let mut threads: Vec<ThreadSnapshot> = Vec::with_capacity(notes.threads.len());
    for note in notes.threads {
        let mut thread = ThreadSnapshot::unknown(note.tid);
        thread.syscall = system_call(&note.registers, code);
        thread.ns_tid = Some(note.tid.0);
        thread.cpu_ns = note.cpu_ns;
        thread.stopped = true;
        if left == 0 {
            without += 1;
        } else {
            let stacks = copier.copy(note.tid, headers.arch, &note.registers);
            thread.stacks = copier.arena.take(&stacks.pieces);
            thread.stack_cut = stacks.cut;
            copier.arena.clear();
            let copied: usize = thread.stacks.iter().map(|piece| piece.bytes.len()).sum();
            left = left.saturating_sub(copied);
            complain_about_stack(&mut thread, &note.registers, memory);
        }
        thread.registers = Some(note.registers);
        threads.push(thread);
    }
    if without > 0 {
        let what = format!(
            "the stacks of {without} threads were not read: those of the others have {MAX_STACKS} bytes"
        );
        problems.push(Problem::new("stack", what));
    }
    if let [_, others @ ..] = &mut threads[..] {
        others.sort_by_key(|thread| thread.tid);
    }
    threads
}

fn complain_about_stack(
    thread: &mut ThreadSnapshot,
    registers: &threaddump_arch::Registers,
    memory: &CoreMemory<'_>,
) {
    let Some(sp) = registers.sp().filter(|&sp| sp != 0 && thread.stacks.is_empty()) else { return };
    if memory.read(sp, &mut [0; 8]) == 0 {
        let what = format!("the stack of thread {} at {sp:#x} is not in the core", thread.tid);
        thread.problems.push(Problem::of_thread("stack", thread.tid, what));
    }
}
