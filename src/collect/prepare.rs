//! Everything that can be read of a process before its threads are looked at.
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use threaddump_arch::Arch;

use super::denied::{self, is_gone, is_refusal};
use super::error::io_error;
use super::fingerprint::Fingerprint;
use super::jit::Lists;
use super::memory::Memory;
use super::modules::{self, Finder};
use super::relay::{self, Asked};
use super::{CollectError, Options, PermissionReason, Via, code, facts, live, proc};
use crate::ids::{Pid, Tid};
use crate::proc::{ProcDir, Stat, Status, parse_maps};
use crate::snapshot::{Mapping, Module, ModuleImage, Problem, ProcessFacts, Snapshot};

/// The longest time for which a process may look as if none of its threads lived. In the midst of an exec
/// among 500 threads it is a millisecond or two.
const IN_BETWEEN: Duration = Duration::from_secs(1);

/// A process about which everything is known that can be read without stopping it.
#[derive(Debug)]
pub struct Prepared {
    pub(super) pid: Pid,
    /// `/proc/PID`, held open.
    pub(super) leader: ProcDir,
    /// The directory that works: the same, or that of another thread if the leader has ended.
    pub(super) dir: ProcDir,
    /// A thread that was alive, through which memory is read.
    pub(super) via: Tid,
    pub(super) memory: Memory,
    pub(super) options: Options,
    pub(super) facts: ProcessFacts,
    pub(super) maps_text: Vec<u8>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) modules: Vec<Module>,
    root: PathBuf,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) problems: Vec<Problem>,
    /// What JIT compilers have registered.
    pub(super) jit: Lists,
    /// Why its threads cannot be stopped, where that is known before the attempt.
    refusal: Option<CollectError>,
}

/// Reads everything that can be read before the threads are looked at.
///
/// # Errors
/// If there is no such process, or nothing of it can be shown in the way that was asked for; the cause
/// is found out.
pub fn prepare(pid: Pid, options: &Options) -> Result<Prepared, CollectError> {
    let mut prepared = read(pid, options)?;
    match (options.via, prepared.refusal.take()) {
        (Via::Ptrace, Some(refusal)) => Err(refusal),
        (_, refusal) => Ok(Prepared { refusal, ..prepared }),
    }
}

fn read(pid: Pid, options: &Options) -> Result<Prepared, CollectError> {
    let (leader, stat, status) = open_process(pid)?;
    let (dir, via) = working_dir(pid, &leader, &stat)?;
    let tracer = denied::tracer(&leader, Some(via));
    let arch = check_arch(pid, &dir)?;
    let is_asked = options.via == Via::Relay;
    let asked = is_asked.then(|| relay::ask(pid, arch, &leader, options.timeout)).transpose()?;
    let arch = asked.as_ref().map_or(arch, Asked::arch);
    let (maps_text, denial) = match asked.as_ref().map_or_else(|| dir.read("maps"), Asked::maps) {
        Ok(text) => (text, None),
        Err(_) if asked.is_some() => return Err(relay::silent(pid)),
        Err(error) if is_refusal(&error) => (Vec::new(), Some(denied::permission(pid, &dir))),
        Err(error) => return Err(cannot_read(pid, &leader, "maps", error)),
    };
    let mappings = parse_maps(&maps_text);
    if mappings.is_empty() && denial.is_none() {
        return Err(CollectError::Exited { pid });
    }
    check_threads(pid, &leader, &options.threads)?;
    let auxv = asked.as_ref().and_then(|asked| asked.auxv().ok());
    let memory = asked.map_or_else(|| Memory::of(via), |asked| Memory::asked(via, asked));
    let mut finder = Finder::new(&memory, &dir);
    let mut modules = finder.find(&mappings, &[]);
    // What cannot be read yet, perhaps the relay can: the code that the kernel maps is in no file. It is met again
    // after the copy.
    modules.retain(|module| !matches!(module.image, ModuleImage::None));
    let problems = std::mem::take(&mut finder.problems);
    let fingerprint = match &auxv {
        Some(auxv) => Fingerprint::of(auxv, &memory, arch),
        None if is_asked => None,
        None => Fingerprint::read(&dir, &memory, arch),
    };
    // The thread that answers goes on until it is asked again.
    memory.relay().into_iter().for_each(Asked::close);
    let mut facts = facts::read(pid, &dir, &stat, &status, arch);
    facts.exe = facts.exe.or_else(|| relay::program(arch, auxv.as_deref()?, &mappings));
    facts.tracer.clone_from(&tracer);
    let mut root = dir.path().join("root");
    if (is_asked || denial.is_some()) && std::fs::read_link(&root).is_err() {
        // What is found elsewhere has to prove itself by its build ID.
        root = PathBuf::from("/");
    }
    let options = options.clone();
    let traced =
        tracer.filter(|_| !is_asked).map(|tracer| CollectError::AlreadyTraced { pid, tracer: Some(tracer) });
    let refusal = traced.or(denial);
    Ok(Prepared {
        pid,
        leader,
        dir,
        via,
        memory,
        options,
        facts,
        maps_text,
        mappings,
        modules,
        root,
        fingerprint,
        problems,
        jit: Lists::default(),
        refusal,
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

    /// Whether the process has code that is in no file, made by a JIT compiler.
    pub fn has_generated_code(&self) -> bool {
        code::is_generated(&self.mappings, &self.modules)
    }

    /// Looks for registered code by these descriptors of GDB's JIT interface (process addresses).
    pub fn follow_jit(&mut self, descriptors: &[u64]) {
        // The lists are read as 64-bit little-endian programs have them.
        if self.facts.arch.pointer_size() == 8 && !self.facts.arch.is_big_endian() && !descriptors.is_empty()
        {
            if self.memory.relay().is_some()
                && let Ok(asked) = relay::ask(self.pid, self.facts.arch, &self.leader, self.options.timeout)
            {
                self.memory = Memory::asked(self.via, asked);
            }
            self.jit = Lists::read(&self.memory, descriptors);
            self.memory.relay().into_iter().for_each(Asked::close);
        }
    }

    /// Copies registers and stacks in the way that was asked for, or in the best one that is allowed.
    ///
    /// # Errors
    /// If the process ended, started another program, or may not be looked at in the way that was asked
    /// for.
    pub fn capture(mut self) -> Result<Snapshot, CollectError> {
        match (self.options.via, self.refusal.take()) {
            (Via::Proc, _) => proc::capture(self, None),
            (Via::Ptrace, Some(refusal)) => Err(refusal),
            (Via::Ptrace, None) => live::capture(self).map_err(|(_, error)| error),
            (Via::Relay, _) => relay::capture(self, None).map_err(|(_, error)| error),
            (Via::Auto, Some(refusal)) => self.capture_refused(refusal),
            (Via::Auto, None) => match live::capture(self) {
                Ok(snapshot) => Ok(snapshot),
                Err((
                    prepared,
                    error @ (CollectError::AlreadyTraced { .. } | CollectError::Permission { .. }),
                )) => prepared.capture_refused(error),
                Err((_, error)) => Err(error),
            },
        }
    }

    /// Without ptrace: by the relay; but if only a filter on our side stands in the way, or another debugger
    /// holds the threads, without any help of the process.
    fn capture_refused(self, refusal: CollectError) -> Result<Snapshot, CollectError> {
        match &refusal {
            CollectError::Permission { reason, .. } if *reason != PermissionReason::Seccomp => {}
            _ => return proc::capture(self, Some(refusal)),
        }
        match relay::capture(self, Some(&refusal)) {
            Ok(snapshot) => Ok(snapshot),
            Err((prepared, CollectError::NoRelay { reason, .. })) => {
                let mut snapshot = proc::capture(*prepared, Some(refusal))?;
                snapshot
                    .fallback_reason
                    .iter_mut()
                    .for_each(|text| *text += &format!("; no relay: {reason}"));
                Ok(snapshot)
            }
            Err((_, error)) => Err(error),
        }
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
    let Some(via) = living_thread(pid, leader, stat) else {
        let parent = denied::process_name(stat.ppid).map(|name| (stat.ppid, name));
        let name = String::from_utf8_lossy(&stat.name).into_owned();
        return Err(CollectError::Zombie { pid, name, parent });
    };
    let name = format!("task/{via}");
    let dir = if via == pid.leader() { leader.try_clone() } else { leader.open_dir(&name) };
    Ok((dir.map_err(|error| cannot_read(pid, leader, &name, error))?, via))
}

/// The leader, or another thread that lives. When a later thread calls exec there is a time at which the
/// leader has ended and no other is seen to live, while the kernel still counts more than one.
fn living_thread(pid: Pid, leader: &ProcDir, stat: &Stat) -> Option<Tid> {
    if !stat.has_ended() {
        return Some(pid.leader());
    }
    let lives = |tid: &Tid| leader.stat(Some(*tid)).is_ok_and(|stat| !stat.has_ended());
    let deadline = Instant::now() + IN_BETWEEN;
    loop {
        let tids = leader.list_tasks().unwrap_or_default();
        if let Some(tid) = tids.into_iter().find(lives) {
            return Some(tid);
        }
        // Asked after the listing, so that a thread which lives again by then is seen by the next one.
        let is_over = leader.stat(None).map_or(true, |stat| stat.is_last_zombie());
        if is_over || Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
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
    match header.arch() {
        Some(arch) if arch == native || is_narrow_mode(native, arch) => Ok(arch),
        _ => Err(CollectError::UnsupportedArch { pid, what: header.describe() }),
    }
}

/// Whether programs of an architecture can run here, and be looked at.
pub(super) fn is_possible(arch: Arch) -> bool {
    threaddump_arch::NATIVE.is_some_and(|native| arch == native || is_narrow_mode(native, arch))
}

/// Whether a program runs in the 32-bit mode of the processor. The other way round the kernel gives a
/// 32-bit tracer a part of the registers and no error.
fn is_narrow_mode(native: Arch, arch: Arch) -> bool {
    matches!((native, arch), (Arch::X86_64, Arch::I386) | (Arch::Aarch64, Arch::Arm))
}

fn check_threads(pid: Pid, leader: &ProcDir, wanted: &[Tid]) -> Result<(), CollectError> {
    let Some(&first) = wanted.first() else { return Ok(()) };
    let tids = leader.list_tasks().map_err(|error| cannot_read(pid, leader, "task", error))?;
    let any = wanted.iter().any(|tid| tids.binary_search(tid).is_ok());
    if any { Ok(()) } else { Err(CollectError::NoSuchThread { pid, tid: first }) }
}

/// The error for a file in the directory of a process that was there a moment ago.
pub(super) fn cannot_read(pid: Pid, dir: &ProcDir, name: &str, error: std::io::Error) -> CollectError {
    if is_refusal(&error) {
        denied::refused(pid, dir)
    } else if is_gone(&error) {
        CollectError::Exited { pid }
    } else {
        io_error(format!("read {}", dir.path().join(name).display()))(error)
    }
}
