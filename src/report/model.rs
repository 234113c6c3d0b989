//! The report: everything that is printed, in every format. Its serialized form is the JSON schema
//! `threaddump/1` (man/threaddump-json.5).
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::ids::{Pid, Tid};
use crate::snapshot::{Problem, Source};

/// An address or a register value; serialized as `"0x…"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex(pub u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// A text that many frames have in common.
pub type Text = Arc<str>;

/// [`Thread::end`] of a stack that was followed to its outermost frame.
pub const END_ROOT: &str = "root";
/// [`Thread::end`] of a thread of the kernel inside the process, which has no user stack.
pub const END_KERNEL_WORKER: &str = "kernel_worker";
/// [`Thread::end`] of a thread that has ended, while others of the process live on.
pub const END_EXITED: &str = "exited";
/// [`Thread::end`] of a thread whose registers could not be read.
pub const END_NOT_STOPPED: &str = "not_stopped";
/// [`Thread::end`] of a thread that ran while it was looked at without a stop.
pub const END_RUNNING: &str = "running";
/// [`Problem::stage`] of a thread that could not be stopped.
pub const STAGE_STOP: &str = "stop";
/// [`Problem::stage`] of a thread that did not hold still while it was copied.
pub const STAGE_MOVED: &str = "moved";
/// [`Problem::stage`] of a thread that was not reached by the relay.
pub const STAGE_RELAY: &str = "relay";

/// One dump of one process.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Always `threaddump/1`.
    pub schema: &'static str,
    /// Who made it.
    pub tool: Tool,
    /// RFC 3339, UTC.
    pub captured_at: String,
    /// How the data was obtained.
    pub source: Source,
    /// Why a weaker source than ptrace was used.
    pub fallback_reason: Option<String>,
    /// The next step that would make a stronger source possible.
    pub fallback_advice: Option<String>,
    /// How long the target was held, in nanoseconds.
    pub pause_ns: Option<u64>,
    /// Whether every thread is here and every stack ended at its root.
    pub complete: bool,
    /// The process.
    pub process: Process,
    /// The signal of a crash.
    pub signal: Option<Signal>,
    /// ELF objects, by ascending address.
    pub modules: Vec<ReportModule>,
    /// Threads, in the snapshot's order.
    pub threads: Vec<Thread>,
    /// What could not be done, for the process as a whole.
    pub problems: Vec<Problem>,
}

/// Name and version of this program.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// `threaddump`.
    pub name: &'static str,
    /// Package version.
    pub version: &'static str,
}

impl Tool {
    /// This program.
    pub fn own() -> Tool {
        Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") }
    }
}

/// The process a report is about. Bytes that are not UTF-8 are written as `\xNN`.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Process id in our pid namespace.
    pub pid: Pid,
    /// In its own pid namespace.
    pub ns_pid: Option<i32>,
    /// Parent.
    pub ppid: Option<i32>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Name of the leader thread.
    pub name: String,
    /// Executable.
    pub exe: Option<String>,
    /// Arguments.
    pub cmdline: Vec<String>,
    /// Architecture.
    pub arch: &'static str,
    /// RFC 3339, UTC.
    pub start_time: Option<String>,
    /// Control group.
    pub cgroup: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Another tracer.
    pub tracer: Option<Tracer>,
}

/// Another tracer of the process.
#[derive(Clone, Debug, Serialize)]
pub struct Tracer {
    /// Its process id.
    pub pid: i32,
    /// Its name.
    pub name: String,
}

/// The signal of a crash.
#[derive(Clone, Debug, Serialize)]
pub struct Signal {
    /// Number.
    pub number: i32,
    /// `SIGSEGV`, …
    pub name: String,
    /// `si_code`.
    pub code: Option<i32>,
    /// `SEGV_MAPERR`, …, if the code is a known one.
    pub code_name: Option<&'static str>,
    /// Fault address.
    pub address: Option<Hex>,
    /// Thread.
    pub tid: Option<Tid>,
}

/// An ELF object of the process.
#[derive(Clone, Debug, Serialize)]
pub struct ReportModule {
    /// Path in the target's root, or `[vdso]`.
    pub path: String,
    /// Lower-case hexadecimal.
    pub build_id: Option<String>,
    /// Lowest mapped address.
    pub start: Hex,
    /// Address after the highest.
    pub end: Hex,
    /// Process address minus file address.
    pub bias: Option<Hex>,
    /// Separate debug file that was used.
    pub debug_file: Option<String>,
}

/// One thread.
#[derive(Clone, Debug, Serialize)]
pub struct Thread {
    /// Thread id in our pid namespace.
    pub tid: Tid,
    /// Thread id in the innermost pid namespace of the process.
    pub ns_tid: Option<i32>,
    /// 0 for the leader, then counting up; without the leader, from 1.
    pub index: usize,
    /// Thread name, if it is known. It can be empty.
    pub name: Option<String>,
    /// State letter before the stop.
    pub state: Option<char>,
    /// The system call it is in.
    pub syscall: Option<ReportSyscall>,
    /// Whether it stood still while it was copied.
    pub stopped: bool,
    /// Processor time it has used, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// The kernel function it waits in; only of threads that were not stopped.
    pub wait_channel: Option<String>,
    /// Its stack in the kernel, innermost first; `None` if it was not read.
    pub kernel_stack: Option<Vec<String>>,
    /// What it waits for, where that is known (nothing yet fills this).
    pub wait: Option<()>,
    /// Name and value, in print order; serialized as an object. Empty if not asked for.
    #[serde(serialize_with = "registers_as_object")]
    pub registers: Vec<(&'static str, Hex)>,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Frames left out in the middle of a very deep stack.
    pub omitted: Option<Omitted>,
    /// Why the walk ended: `root`, or a reason.
    pub end: String,
    /// What the end looked like, in words, where there is more to say.
    pub end_detail: Option<String>,
    /// What went wrong with this thread.
    pub problems: Vec<Problem>,
}

/// A gap in the frames of a very deep stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// The gap is before the frame at this place of `frames`.
    pub before: usize,
    /// Physical frames that are not shown.
    pub count: usize,
}

/// A system call in progress.
#[derive(Clone, Debug, Serialize)]
pub struct ReportSyscall {
    /// Number.
    pub number: i64,
    /// Name, if the number is known.
    pub name: Option<&'static str>,
    /// The six argument registers.
    pub args: [Hex; 6],
}

/// One frame, physical or inlined.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    /// Counts shown frames from 0, inlined ones too; frames left out count as one each.
    pub index: usize,
    /// The pc; for a caller the return address itself. Inlined frames share the pc of the frame
    /// they are part of.
    pub pc: Hex,
    /// Path of the module the pc is in.
    pub module: Option<Text>,
    /// File address of the pc in the module.
    pub module_offset: Option<Hex>,
    /// Build ID of the module.
    pub build_id: Option<Text>,
    /// Demangled function name.
    pub function: Option<Text>,
    /// Where the name comes from: `file`, `jit` or `perf_map`.
    pub function_from: Option<&'static str>,
    /// pc minus start of the function; not for inlined frames.
    pub function_offset: Option<u64>,
    /// Source file.
    pub file: Option<Text>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
    /// Lines around that line; `None` if they were not asked for or not found.
    pub source: Option<Arc<[SourceLine]>>,
    /// Whether the function was inlined into the next frame.
    pub inlined: bool,
    /// How the frame was found.
    pub how: &'static str,
    /// The return address with its signature, where it has one and it was asked for; `pc` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_pc: Option<Hex>,
}

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceLine {
    /// Its number, from 1.
    pub line: u32,
    /// The line without its end.
    pub text: String,
}

impl Report {
    /// Threads that are not shown as a whole.
    pub fn incomplete_threads(&self) -> impl Iterator<Item = &Thread> {
        self.threads.iter().filter(|thread| !thread.is_complete())
    }
}

impl Thread {
    /// Whether all there is to know of its stack is here. Frames left out because of a limit that
    /// was asked for do not count as missing.
    pub fn is_complete(&self) -> bool {
        let is_doubtful =
            |problem: &Problem| matches!(problem.stage.as_str(), STAGE_STOP | STAGE_MOVED | STAGE_RELAY);
        self.has_whole_stack() && !self.problems.iter().any(is_doubtful)
    }

    /// Whether its stack was followed to the end.
    pub fn has_whole_stack(&self) -> bool {
        matches!(self.end.as_str(), END_ROOT | END_KERNEL_WORKER | END_EXITED)
    }
}

fn registers_as_object<S: Serializer>(
    registers: &[(&'static str, Hex)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(registers.iter().map(|(name, value)| (name, value)))
}
