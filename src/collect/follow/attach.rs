//! The beginning: a program that is started, or a process that runs.
use std::ffi::OsString;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};

use super::super::error::io_error;
use super::super::live::attach as with_help;
use super::super::{CollectError, denied};
use super::Options;
use super::tracees::Tracees;
use crate::ids::{Pid, Tid};
use crate::proc::ProcDir;
use crate::sys::spawn::{Gated, Inherited, gated};
use crate::sys::{ptrace, wait};

/// Passes over the list of threads. Each finds those that threads started which were not traced yet; three
/// are enough but for programs that do nothing else.
const PASSES: u32 = 100;

/// Starts a process that is traced, and waits at its gate.
pub(super) fn start(
    arguments: &[OsString],
    inherited: Inherited,
    options: Options,
) -> Result<(Pid, Gated), CollectError> {
    let name = arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let gated = gated(arguments, inherited).map_err(io_error(format!("start {name}")))?;
    let pid = gated.pid;
    let Err(error) = ptrace::seize_and_follow(pid.leader(), options.children) else {
        return Ok((pid, gated));
    };
    let cause = ProcDir::open(format!("/proc/{pid}"));
    let cause = match (error, &cause) {
        (Errno::EPERM, Ok(dir)) => denied::refused(pid, dir),
        _ => io_error(format!("trace {name}"))(error.into()),
    };
    // It waits at its gate and is nobody's program yet.
    let _ = kill(nix::unistd::Pid::from_raw(pid.0), Signal::SIGKILL);
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid.0), None);
    Err(cause)
}

/// Traces a program once more, and with it these other processes, as far as they are there.
///
/// # Errors
/// If the program has ended or may not be traced.
pub(super) fn again(
    program: Pid,
    pids: &[Pid],
    options: Options,
    tracees: &mut Tracees,
) -> Result<(), CollectError> {
    attach(program, options, tracees)?;
    for &pid in pids.iter().filter(|&&pid| pid != program) {
        let _ = attach(pid, options, tracees);
    }
    Ok(())
}

/// Traces all threads of a process, without stopping one.
///
/// # Errors
/// If there is no such process or it may not be traced.
pub(super) fn attach(pid: Pid, options: Options, tracees: &mut Tracees) -> Result<(), CollectError> {
    // All that can be wrong is found out by what a dump does first.
    let prepared = super::super::prepare(
        pid,
        &super::super::Options { via: super::super::Via::Ptrace, ..super::super::Options::default() },
    )?;
    let dir = &prepared.leader;
    let refused = with_help(pid, dir, |attaching| {
        let mut refused = None;
        for _ in 0..PASSES {
            let tids = dir.list_tasks().unwrap_or_default();
            let new: Vec<Tid> = tids.into_iter().filter(|&tid| tracees.pid(tid).is_none()).collect();
            let mut any = false;
            for tid in new {
                match attaching.during(|| ptrace::seize_and_follow(tid, options.children)) {
                    Ok(()) => {}
                    // A thread that one of ours started is traced from its start.
                    Err(Errno::EPERM) if wait::peek(tid).is_ok() => {}
                    Err(Errno::EPERM) => {
                        let ended = dir.stat(Some(tid)).map_or(true, |stat| stat.has_ended());
                        refused = refused.or((!ended).then_some(tid));
                        continue;
                    }
                    Err(_) => continue,
                }
                tracees.insert(tid, pid);
                any = true;
            }
            if !any {
                break;
            }
        }
        refused
    });
    match (tracees.all().is_empty(), refused) {
        (true, Some(_)) => Err(denied::refused(pid, &prepared.dir)),
        (true, None) => Err(CollectError::Exited { pid }),
        _ => Ok(()),
    }
}
