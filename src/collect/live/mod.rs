//! Collecting from a running process: everything that can be read before is read before, then all
//! threads are stopped, their registers and stacks copied, and the process released.
mod arena;
mod assemble;
mod code;
mod fingerprint;
mod hold;
mod stacks;
mod threads;
mod tracer;

use std::path::{Path, PathBuf};

use super::denied::{self, is_gone, is_refusal};
use super::error::io_error;
use super::modules::{self, Finder};
use super::{CollectError, Options, PermissionReason, facts};
use crate::ids::{Pid, Tid};
use crate::proc::{ProcDir, Stat, Status, parse_maps};
use crate::snapshot::{Mapping, Module, Problem, ProcessFacts, Snapshot};
use fingerprint::Fingerprint;
use threaddump_arch::Arch;

/// A process about which everything is known that can be read without stopping it.
#[derive(Debug)]
pub struct Prepared {
    pid: Pid,
    /// `/proc/PID`, held open.
    leader: ProcDir,
    /// The directory that works: the same, or that of another thread if the leader has ended.
    dir: ProcDir,
    /// A thread that was alive, through which memory is read.
    via: Tid,
    options: Options,
    facts: ProcessFacts,
    maps_text: Vec<u8>,
    mappings: Vec<Mapping>,
    modules: Vec<Module>,
    root: PathBuf,
    fingerprint: Option<Fingerprint>,
    problems: Vec<Problem>,
}

/// Reads everything that can be read before the stop.
///
/// # Errors
/// If there is no such process, or it cannot be looked at; the cause is found out.
pub fn prepare(pid: Pid, options: &Options) -> Result<Prepared, CollectError> {
    let (leader, stat, status) = open_process(pid)?;
    let (dir, via) = working_dir(pid, &leader, &stat)?;
    if let Some(tracer) = denied::tracer(&leader, Some(via)) {
        return Err(CollectError::AlreadyTraced { pid, tracer: Some(tracer) });
    }
    let arch = check_arch(pid, &dir)?;
    let maps_text = dir.read("maps").map_err(|error| cannot_read(pid, &leader, "maps", error))?;
    let mappings = parse_maps(&maps_text);
    if mappings.is_empty() {
        return Err(CollectError::Exited { pid });
    }
    check_threads(pid, &leader, &options.threads)?;
    let mut finder = Finder::new(via, &dir);
    let modules = finder.find(&mappings, &[]);
    let problems = std::mem::take(&mut finder.problems);
    let fingerprint = Fingerprint::read(&dir, via);
    let facts = facts::read(pid, &dir, &stat, &status, arch);
    let (root, options) = (dir.path().join("root"), options.clone());
    Ok(Prepared {
        pid,
        leader,
        dir,
        via,
        options,
        facts,
        maps_text,
        mappings,
        modules,
        root,
        fingerprint,
        problems,
    })
}

impl Prepared {
    /// The ELF objects of the process, by ascending address.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Facts about the process.
    pub fn facts(&self) -> &ProcessFacts {
        &self.facts
    }

    /// The root directory of the process, as a path that works for us.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory of `/proc` that works: that of the process, or of another thread if the first has
    /// ended.
    pub fn proc_dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Stops every thread, copies, releases. All ptrace calls are made on one OS thread, which has ended
    /// when this returns.
    ///
    /// # Errors
    /// If the process ended, started another program, or may not be traced.
    pub fn capture(self) -> Result<Snapshot, CollectError> {
        assemble::capture(self)
    }
}

fn open_process(pid: Pid) -> Result<(ProcDir, Stat, Status), CollectError> {
    if pid.0 <= 0 {
        return Err(CollectError::NoSuchProcess { pid });
    }
    let own = std::process::id() as i32;
    if pid.0 == own {
        return Err(CollectError::Itself { pid });
    }
    let what = |error| first_error(pid, error);
    let dir = ProcDir::open(format!("/proc/{pid}")).map_err(what)?;
    let stat = dir.stat(None).map_err(what)?;
    let status = dir.status(None).map_err(what)?;
    match status.tgid {
        Some(tgid) if tgid == own => return Err(CollectError::Itself { pid }),
        Some(tgid) if tgid != pid.0 => {
            return Err(CollectError::NotAProcess { tid: Tid(pid.0), pid: Pid(tgid) });
        }
        _ => {}
    }
    if stat.is_kernel_thread() {
        let name = String::from_utf8_lossy(&stat.name).into_owned();
        return Err(CollectError::KernelThread { pid, name });
    }
    Ok((dir, stat, status))
}

/// The error for a process whose directory cannot even be opened. With `hidepid` a process of another
/// user looks like none; sending it no signal at all tells the difference.
fn first_error(pid: Pid, error: std::io::Error) -> CollectError {
    if is_gone(&error) && std::fs::symlink_metadata("/proc/self").is_err() {
        return CollectError::NoProc;
    }
    let exists = || {
        use nix::{errno::Errno, sys::signal::kill, unistd};
        !matches!(kill(unistd::Pid::from_raw(pid.0), None), Err(Errno::ESRCH))
    };
    if is_refusal(&error) || (is_gone(&error) && exists()) {
        return CollectError::Permission { pid, reason: PermissionReason::HidePid };
    }
    if is_gone(&error) {
        return CollectError::NoSuchProcess { pid };
    }
    CollectError::Io { what: format!("read /proc/{pid}"), source: error }
}

/// The leader's directory and id, or those of a thread that lives on after it.
fn working_dir(pid: Pid, leader: &ProcDir, stat: &Stat) -> Result<(ProcDir, Tid), CollectError> {
    let tids = if stat.has_ended() { leader.list_tasks().unwrap_or_default() } else { vec![pid.leader()] };
    let lives = |tid: &Tid| leader.stat(Some(*tid)).is_ok_and(|stat| !stat.has_ended());
    let Some(via) = tids.into_iter().find(lives) else {
        let parent = denied::process_name(stat.ppid).map(|name| (stat.ppid, name));
        let name = String::from_utf8_lossy(&stat.name).into_owned();
        return Err(CollectError::Zombie { pid, name, parent });
    };
    let name = format!("task/{via}");
    let dir = if via == pid.leader() { leader.try_clone() } else { leader.open_dir(&name) };
    Ok((dir.map_err(|error| cannot_read(pid, leader, &name, error))?, via))
}

/// The architecture of the executable, so that a program we cannot read is not stopped at all. A file
/// that may be run but not read is let pass; its registers will tell.
fn check_arch(pid: Pid, dir: &ProcDir) -> Result<Arch, CollectError> {
    let native = threaddump_arch::NATIVE.ok_or_else(|| CollectError::UnsupportedArch {
        pid,
        what: "on a machine of an unknown kind".to_owned(),
    })?;
    let Some(header) = dir.open_file("exe").ok().and_then(|file| modules::file_header(&file)) else {
        return Ok(native);
    };
    match Arch::from_elf(header.machine, header.class_64) {
        Some(arch) if arch == native => Ok(arch),
        _ => Err(CollectError::UnsupportedArch { pid, what: header.describe() }),
    }
}

fn check_threads(pid: Pid, leader: &ProcDir, wanted: &[Tid]) -> Result<(), CollectError> {
    let Some(&first) = wanted.first() else { return Ok(()) };
    let tids = leader.list_tasks().map_err(|error| cannot_read(pid, leader, "task", error))?;
    let any = wanted.iter().any(|tid| tids.binary_search(tid).is_ok());
    if any { Ok(()) } else { Err(CollectError::NoSuchThread { pid, tid: first }) }
}

/// The error for a file in the directory of a process that was there a moment ago.
fn cannot_read(pid: Pid, dir: &ProcDir, name: &str, error: std::io::Error) -> CollectError {
    if is_refusal(&error) {
        denied::refused(pid, dir)
    } else if is_gone(&error) {
        CollectError::Exited { pid }
    } else {
        io_error(format!("read {}", dir.path().join(name).display()))(error)
    }
}
