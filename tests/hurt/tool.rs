//! Running threaddump under ptrace: it, not its target, is stopped at its system calls.
use std::collections::{HashMap, HashSet};
use std::io::{IoSliceMut, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

const CLONE_EVENT: i32 = nix::libc::PTRACE_EVENT_CLONE;
const STOP_EVENT: i32 = 128;

/// What the tool was doing, by its last call that concerns a thread of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Before,
    Seize,
    Interrupt,
    Wait,
    Read,
    Detach,
    After,
}

/// Which of its threads are stopped at system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// The thread that attaches, from its first attach to its end.
    Tracer,
    /// The first thread of the tool.
    Main,
}

/// What to do at a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    GoOn,
    /// Send this to the whole tool and go on; SIGKILL ends it where it stands.
    Send(Signal),
}

/// A stop before or after a system call of a watched thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// Counted from 0.
    pub(crate) index: u64,
    /// Counted from 0 since the phase began.
    pub(crate) index_in_phase: u64,
    pub(crate) tool: i32,
    pub(crate) phase: Phase,
    /// Signal-delivery stops of the target that the tool has seen and not yet ended by a detach.
    pub(crate) signals_seen: usize,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// Stops of watched threads.
    pub(crate) stops: u64,
    pub(crate) phase: Phase,
    /// Exit status, or the signal it died of, negated.
    pub(crate) status: i32,
}

struct Tool {
    leader: Pid,
    watch: Watch,
    /// Whether each thread is inside of a system call.
    inside: HashMap<Pid, bool>,
    /// The thread that attaches, once it has begun to.
    tracer: Option<Pid>,
    phase: Phase,
    signals_seen: HashSet<u64>,
    stops: u64,
    /// Phase of the last stop and how many stops there were since it began.
    counted: (Phase, u64),
}

/// A shell that waits for a word and then becomes the tool. `limits` are commands for the shell.
fn start(tool: &Path, arguments: &[&str], limits: &str, output: Stdio) -> Child {
    let script = format!("read word; {limits} exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(tool).args(arguments);
    command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::null());
    command.spawn().expect("there is a shell")
}

/// Runs the tool and asks `decide` at each stop of a watched thread. Gives back when it has ended.
pub(crate) fn run(
    arguments: &[&str],
    limits: &str,
    output: Stdio,
    watch: Watch,
    decide: impl FnMut(Stop) -> Act,
) -> End {
    let mut child = start(&super::tool(), arguments, limits, output);
    let leader = Pid::from_raw(child.id().cast_signed());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(leader, options).expect("it is our child");
    child.stdin.take().expect("it is piped").write_all(b"go\n").expect("the shell reads");
    let tool = Tool {
        leader,
        watch,
        inside: HashMap::new(),
        tracer: None,
        phase: Phase::Before,
        signals_seen: HashSet::new(),
        stops: 0,
        counted: (Phase::Before, 0),
    };
    tool.follow(decide)
}

impl Tool {
    fn follow(mut self, mut decide: impl FnMut(Stop) -> Act) -> End {
        loop {
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            let status = waitpid(Pid::from_raw(-1), Some(flags)).expect("the tool is ours");
            match status {
                WaitStatus::Exited(pid, status) => {
                    if self.ended(pid) {
                        return self.end(status);
                    }
                }
                WaitStatus::Signaled(pid, signal, _) => {
                    if self.ended(pid) {
                        return self.end(-(signal as i32));
                    }
                }
                WaitStatus::PtraceSyscall(pid) => self.at_call(pid, &mut decide),
                WaitStatus::PtraceEvent(pid, _, nix::libc::PTRACE_EVENT_EXEC) => {
                    // The second stop of execve comes next.
                    self.inside.insert(pid, true);
                    self.resume(pid, None);
                }
                WaitStatus::PtraceEvent(pid, _, STOP_EVENT | CLONE_EVENT) => self.resume(pid, None),
                WaitStatus::Stopped(pid, signal) => self.resume(pid, Some(signal)),
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    fn end(&self, status: i32) -> End {
        End { stops: self.stops, phase: self.phase, status }
    }

    /// Whether that was all.
    fn ended(&mut self, pid: Pid) -> bool {
        self.inside.remove(&pid);
        if self.tracer == Some(pid) {
            self.phase = Phase::After;
        }
        pid == self.leader
    }

    fn is_watched(&self, pid: Pid) -> bool {
        match self.watch {
            Watch::Main => pid == self.leader,
            Watch::Tracer => self.tracer == Some(pid),
        }
    }

    /// Errors mean that the thread was killed meanwhile.
    fn resume(&self, pid: Pid, signal: Option<Signal>) {
        // The first thread attaches to nothing, so it can run freely where it is not watched.
        let _ = if pid == self.leader && self.watch == Watch::Tracer {
            ptrace::cont(pid, signal)
        } else {
            ptrace::syscall(pid, signal)
        };
    }

    fn at_call(&mut self, pid: Pid, decide: &mut impl FnMut(Stop) -> Act) {
        let inside = self.inside.entry(pid).or_insert(false);
        *inside = !*inside;
        let entry = *inside;
        if let Ok(registers) = ptrace::getregs(pid) {
            self.note(pid, entry, &registers);
        }
        if self.is_watched(pid) {
            let index = self.stops;
            self.stops += 1;
            if self.counted.0 != self.phase {
                self.counted = (self.phase, 0);
            }
            let stop = Stop {
                index,
                index_in_phase: self.counted.1,
                tool: self.leader.as_raw(),
                phase: self.phase,
                signals_seen: self.signals_seen.len(),
            };
            self.counted.1 += 1;
            if let Act::Send(signal) = decide(stop) {
                kill(self.leader, signal).expect("the tool lives");
            }
        }
        self.resume(pid, None);
    }

    fn note(&mut self, pid: Pid, entry: bool, registers: &nix::libc::user_regs_struct) {
        let phase = match registers.orig_rax as i64 {
            nix::libc::SYS_ptrace => match registers.rdi as u32 {
                nix::libc::PTRACE_SEIZE => Phase::Seize,
                nix::libc::PTRACE_INTERRUPT => Phase::Interrupt,
                nix::libc::PTRACE_GETREGSET => Phase::Read,
                nix::libc::PTRACE_DETACH => Phase::Detach,
                other => panic!("ptrace request {other:#x}"),
            },
            nix::libc::SYS_waitid => Phase::Wait,
            nix::libc::SYS_process_vm_readv => Phase::Read,
            _ => return,
        };
        if phase == Phase::Seize && self.tracer.is_none() {
            self.tracer = Some(pid);
        }
        if self.tracer != Some(pid) {
            return;
        }
        self.phase = phase;
        let tid = registers.rsi;
        if phase == Phase::Detach && !entry {
            self.signals_seen.remove(&tid);
        }
        if phase == Phase::Wait && !entry && saw_signal(pid, registers.rdx) {
            self.signals_seen.insert(tid);
        }
    }
}

/// Whether the record that waitid filled in says that a thread stands at the delivery of a signal.
fn saw_signal(tool: Pid, record: u64) -> bool {
    let mut bytes = [0; 28];
    let remote = RemoteIoVec { base: record as usize, len: bytes.len() };
    let read = process_vm_readv(tool, &mut [IoSliceMut::new(&mut bytes)], &[remote]);
    let word = |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (signo, code, status) = (word(0), word(8), word(24));
    read.is_ok() && signo != 0 && code == nix::libc::CLD_TRAPPED && status >> 8 == 0 && status != 0
}
