//! The value itself.
use serde::{Deserialize, Serialize};
use threaddump_arch::{Arch, Registers};

use super::text::{arch_name, byte_text, byte_text_list, byte_text_option, hex_option};
use crate::ids::{Pid, Tid};

/// One moment of one process.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the stop began, nanoseconds since the epoch; of a core file, when it was last changed.
    pub captured_at_ns: i64,
    /// How the data was obtained.
    pub source: Source,
    /// Why a weaker source than ptrace was used.
    pub fallback_reason: Option<String>,
    /// The next step that would make a stronger one possible.
    pub fallback_advice: Option<String>,
    /// From the first request to stop to the last release, in nanoseconds; of a crash, how long the process
    /// was kept for the copy. `None` if nothing was stopped.
    pub pause_ns: Option<u64>,
    /// Facts about the process as a whole.
    pub process: ProcessFacts,
    /// The signal that ended the process, for crashes.
    pub signal: Option<SignalFacts>,
    /// All mappings, by ascending address, without overlaps.
    pub mappings: Vec<Mapping>,
    /// ELF objects among the mappings.
    pub modules: Vec<Module>,
    /// Threads, the leader first, then by ascending thread id; of a crash, the one that got the signal
    /// first of all.
    pub threads: Vec<ThreadSnapshot>,
    /// Pieces of memory that belong to no one thread (code without a file).
    pub memory: Vec<MemoryPiece>,
    /// Names that a JIT compiler gave to its code in a file for perf(1), as far as registers and stacks
    /// point there; by ascending address, without overlaps.
    pub code_names: Vec<CodeName>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Where a snapshot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Source {
    /// Threads stopped by ptrace.
    Ptrace,
    /// `/proc` alone; nothing was stopped.
    Proc,
    /// A core file.
    Core,
    /// The relay inside the process, which held its threads.
    Relay,
    /// A process that has crashed, before the kernel removed it.
    Crash,
}

/// Facts about the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Process id in our pid namespace.
    pub pid: Pid,
    /// Process id in its own, innermost pid namespace, if it could be read.
    pub ns_pid: Option<i32>,
    /// Parent process id.
    pub ppid: Option<i32>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Name of the leader thread (`comm`), as the kernel gives it: any bytes but NUL.
    #[serde(with = "byte_text")]
    pub name: Vec<u8>,
    /// Path of the executable in the target's root.
    #[serde(with = "byte_text_option")]
    pub exe: Option<Vec<u8>>,
    /// Arguments.
    #[serde(with = "byte_text_list")]
    pub cmdline: Vec<Vec<u8>>,
    /// Architecture of the executable.
    #[serde(with = "arch_name")]
    pub arch: Arch,
    /// Start time, nanoseconds since the epoch.
    pub start_time_ns: Option<i64>,
    /// Control group path (version 2, else the first).
    pub cgroup: Option<String>,
    /// Kernel release (`uname -r`).
    pub kernel: Option<String>,
    /// Process id and name of another tracer, if there was one.
    pub tracer: Option<(i32, String)>,
}

/// The signal of a crash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignalFacts {
    /// Signal number.
    pub number: i32,
    /// `si_code`.
    pub code: Option<i32>,
    /// Fault address (process address space).
    pub address: Option<u64>,
    /// The thread that received it.
    pub tid: Option<Tid>,
}

/// One line of `/proc/PID/maps` (proc_pid_maps(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// First address (process address space).
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Readable, writable, executable, shared.
    pub permissions: Permissions,
    /// Offset into the file, in bytes.
    pub offset: u64,
    /// Device of the file, as `(major, minor)`.
    pub device: (u32, u32),
    /// Inode of the file, 0 if there is none.
    pub inode: u64,
    /// Path or `[name]`, unescaped, without the ` (deleted)` mark; empty for anonymous memory.
    #[serde(with = "byte_text")]
    pub path: Vec<u8>,
    /// Whether the file was deleted.
    pub deleted: bool,
}

impl Mapping {
    /// Whether it shows a file. Core files tell paths, but no inodes.
    pub fn has_file(&self) -> bool {
        self.inode != 0 || self.path.starts_with(b"/")
    }
}

/// Access rights of a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
    /// Shared, not private.
    pub shared: bool,
}

/// An ELF object in the target's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Module {
    /// Path in the target's root, or `[vdso]`, `/memfd:…`, [`JIT_PATH`].
    #[serde(with = "byte_text")]
    pub path: Vec<u8>,
    /// Lowest mapped address (process address space).
    pub start: u64,
    /// Address after the highest mapped one.
    pub end: u64,
    /// Device of the file.
    pub device: (u32, u32),
    /// Inode of the file, 0 if there is none.
    pub inode: u64,
    /// Whether the file was deleted or replaced.
    pub deleted: bool,
    /// Build ID read from the target's memory (`NT_GNU_BUILD_ID`).
    #[serde(with = "hex_option")]
    pub build_id: Option<Vec<u8>>,
    /// Where its contents are.
    pub image: ModuleImage,
}

/// Path of modules that a JIT compiler registered.
pub const JIT_PATH: &str = "[jit]";

/// Where the contents of a module are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModuleImage {
    /// In the file at the module's path.
    File,
    /// In the snapshot: a copy of the file (`blob[i]` = file offset i), because the path no longer
    /// leads to it.
    FileCopy(#[serde(skip)] Vec<u8>),
    /// In the snapshot: a copy of the target's memory (`blob[i]` = address `start + i`), because
    /// there is no file.
    Memory(#[serde(skip)] Vec<u8>),
    /// In the snapshot: an ELF object about code that a JIT compiler made, as it registered it for
    /// debuggers. The addresses in its section headers are process addresses.
    Generated(#[serde(skip)] Vec<u8>),
    /// Nowhere.
    None,
}

/// Addresses that have one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeName {
    /// First address (process address space).
    pub from: u64,
    /// Address after the last.
    pub to: u64,
    /// Where the code of that name begins; not above `from`.
    pub start: u64,
    /// The name, any bytes but line ends.
    #[serde(with = "byte_text")]
    pub name: Vec<u8>,
}

/// One thread.
#[derive(Clone, Debug)]
pub struct ThreadSnapshot {
    /// Thread id in our pid namespace.
    pub tid: Tid,
    /// Thread id in the innermost pid namespace of the process.
    pub ns_tid: Option<i32>,
    /// Thread name (`comm`); empty if it is not known, as in core files.
    pub name: Vec<u8>,
    /// State letter of proc_pid_stat(5) before the stop (`R`, `S`, `D`, `T`, `t`, `Z`, `X`, `I`).
    pub state: Option<char>,
    /// The system call it is in.
    pub syscall: Option<Syscall>,
    /// Whether it stood still while it was copied.
    pub stopped: bool,
    /// Whether it is a thread of the kernel that works for the process, as io_uring has them, as far as
    /// `/proc` tells.
    pub kernel_worker: bool,
    /// Processor time it has used, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// The kernel function it waits in (`wchan`); read only of threads that were not stopped.
    pub wait_channel: Option<String>,
    /// Its stack in the kernel, the innermost function first; `None` if it was not read.
    pub kernel_stack: Option<Vec<String>>,
    /// Registers; of a thread that was not stopped, those that `/proc` tells. `None` if there are none.
    pub registers: Option<Registers>,
    /// Its stack, or stacks (a signal handler on an alternate stack has two), the current first.
    pub stacks: Vec<MemoryPiece>,
    /// Whether a stack goes on beyond what was copied.
    pub stack_cut: bool,
    /// What went wrong with this thread.
    pub problems: Vec<Problem>,
}

impl ThreadSnapshot {
    /// A thread of which nothing is known but its id.
    pub fn unknown(tid: Tid) -> ThreadSnapshot {
        ThreadSnapshot {
            tid,
            name: Vec::new(),
            state: None,
            syscall: None,
            stopped: false,
            kernel_worker: false,
            ns_tid: None,
            cpu_ns: None,
            wait_channel: None,
            kernel_stack: None,
            registers: None,
            stacks: Vec::new(),
            stack_cut: false,
            problems: Vec::new(),
        }
    }
}

/// A system call in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syscall {
    /// Its number on the target's architecture.
    pub number: i64,
    /// The six argument registers.
    pub args: [u64; 6],
}

/// A piece of the target's memory.
#[derive(Clone, PartialEq, Eq)]
pub struct MemoryPiece {
    /// Process address of the first byte.
    pub start: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl MemoryPiece {
    /// Address after the last byte.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

impl std::fmt::Debug for MemoryPiece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end())
    }
}

/// Something that could not be done, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The part of the work: `attach`, `stop`, `registers`, `stack`, `maps`, `file`, `unwind`,
    /// `symbols` (an open set).
    pub stage: String,
    /// The thread concerned.
    pub tid: Option<Tid>,
    /// Lower case, object named, cause last.
    pub message: String,
}

impl Problem {
    /// A problem of the process as a whole.
    pub fn new(stage: &str, message: impl Into<String>) -> Problem {
        Problem { stage: stage.to_owned(), tid: None, message: message.into() }
    }

    /// A problem of one thread.
    pub fn of_thread(stage: &str, tid: Tid, message: impl Into<String>) -> Problem {
        Problem { stage: stage.to_owned(), tid: Some(tid), message: message.into() }
    }
}

impl Snapshot {
    /// The mapping that holds an address.
    pub fn mapping_at(&self, address: u64) -> Option<&Mapping> {
        let after = self.mappings.partition_point(|mapping| mapping.start <= address);
        self.mappings[..after].last().filter(|mapping| address < mapping.end)
    }
}
