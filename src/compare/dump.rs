//! What of a dump can be compared.
use crate::ids::{Pid, Tid};
use crate::report::{self, Hex, Report};

/// One dump, made of a report or read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// RFC 3339, UTC.
    pub captured_at: String,
    /// How it was obtained.
    pub source: String,
    /// Whether nothing is missing in it.
    pub complete: bool,
    /// The process.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// Executable.
    pub exe: Option<String>,
    /// Architecture.
    pub arch: String,
    /// RFC 3339, UTC.
    pub start_time: Option<String>,
    /// The threads.
    pub threads: Vec<Thread>,
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub tid: Tid,
    /// Its name, if it is known.
    pub name: Option<String>,
    /// State letter before the stop.
    pub state: Option<char>,
    /// Whether it was reached, and stood still.
    pub stopped: bool,
    /// The system call it is in.
    pub syscall: Option<Call>,
    /// Processor time it has used, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// By name, in the order of the dump.
    pub registers: Vec<(String, u64)>,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Frames left out in the middle.
    pub omitted: usize,
    /// Why the walk ended.
    pub end: String,
    /// What went wrong with it.
    pub problems: Vec<String>,
}

/// A system call in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: i64,
    /// Its name, if the number is known.
    pub name: Option<String>,
    /// The six argument registers.
    pub args: [u64; 6],
}

/// One frame, physical or inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Process address.
    pub pc: u64,
    /// Path of its module.
    pub module: Option<String>,
    /// File address.
    pub module_offset: Option<u64>,
    /// Demangled.
    pub function: Option<String>,
    /// Bytes from the start of the function.
    pub function_offset: Option<u64>,
    /// Source file.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// Whether it was inlined into the next one.
    pub inlined: bool,
    /// How it was found.
    pub how: String,
}

impl Thread {
    /// The value of a register.
    pub fn register(&self, name: &str) -> Option<u64> {
        self.registers.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }
}

impl From<&Report> for Dump {
    fn from(report: &Report) -> Dump {
        let process = &report.process;
        // Serialized, it is one word.
        let source = serde_json::to_value(report.source).ok();
        Dump {
            captured_at: report.captured_at.clone(),
            source: source.as_ref().and_then(|source| source.as_str()).unwrap_or("?").to_owned(),
            complete: report.complete,
            pid: process.pid,
            name: process.name.clone(),
            exe: process.exe.clone(),
            arch: process.arch.to_owned(),
            start_time: process.start_time.clone(),
            threads: report.threads.iter().map(Thread::from).collect(),
        }
    }
}

impl From<&report::Thread> for Thread {
    fn from(thread: &report::Thread) -> Thread {
        let call = |call: &report::ReportSyscall| Call {
            number: call.number,
            name: call.name.map(str::to_owned),
            args: call.args.map(|Hex(value)| value),
        };
        Thread {
            tid: thread.tid,
            name: thread.name.clone(),
            state: thread.state,
            stopped: thread.stopped,
            syscall: thread.syscall.as_ref().map(call),
            cpu_ns: thread.cpu_ns,
            registers: thread.registers.iter().map(|&(name, Hex(value))| (name.to_owned(), value)).collect(),
            frames: thread.frames.iter().map(Frame::from).collect(),
            omitted: thread.omitted.map_or(0, |omitted| omitted.count),
            end: thread.end.clone(),
            problems: thread.problems.iter().map(|problem| problem.message.clone()).collect(),
        }
    }
}

impl From<&report::Frame> for Frame {
    fn from(frame: &report::Frame) -> Frame {
        Frame {
            pc: frame.pc.0,
            module: frame.module.as_deref().map(str::to_owned),
            module_offset: frame.module_offset.map(|Hex(value)| value),
            function: frame.function.as_deref().map(str::to_owned),
            function_offset: frame.function_offset,
            file: frame.file.as_deref().map(str::to_owned),
            line: frame.line,
            inlined: frame.inlined,
            how: frame.how.to_owned(),
        }
    }
}
