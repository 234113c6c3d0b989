//! What is opened and read by a privileged program while the process is held.
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::time::Instant;

use threaddump_arch::Arch;

use super::super::facts;
use super::super::memory::Memory;
use super::{Event, Limits, identity};
use crate::ids::{Pid, Tid};
use crate::proc::{ProcDir, Stat, Status, parse_maps};
use crate::snapshot::{Mapping, Problem, ProcessFacts, ThreadSnapshot};
use crate::sys::root::Root;

/// Files of code that are held at most.
const MAX_PINNED: usize = 4096;

/// A file that is mapped, by device (major, minor) and inode.
pub type FileId = ((u32, u32), u64);

/// A file that the process has mapped, held without being opened: opening may ask a file system that the
/// process itself serves, and which answers only when it is gone.
#[derive(Debug)]
pub struct PinnedFile {
    /// Which it is.
    pub id: FileId,
    /// A descriptor made with `O_PATH`.
    pub place: File,
    /// Where it is in the root of the process.
    pub path: Vec<u8>,
}

/// A crashed process: handles, and what the kernel says about it.
#[derive(Debug)]
pub struct Held {
    /// The crash.
    pub event: Event,
    /// Its memory (`/proc/PID/mem`).
    pub memory: Option<File>,
    /// Its arguments, which are in its memory: reading them is for those without rights.
    pub(super) cmdline: Option<File>,
    /// What reads its memory, once that was begun.
    pub(super) reader: Option<Memory>,
    /// Its user ids: real, effective, saved, and that of the file system.
    pub(super) uids: Vec<u32>,
    /// Facts, without arguments; the architecture is that of this machine until the notes were read.
    pub facts: ProcessFacts,
    /// The text of `/proc/PID/maps`.
    pub(super) maps: Vec<u8>,
    /// Its threads, without registers.
    pub(super) threads: Vec<ThreadSnapshot>,
    /// The files of code, by ascending id.
    pub files: Vec<PinnedFile>,
    /// Its root directory.
    pub root: Option<Root>,
    /// The root directory as we see it.
    pub(super) root_path: Vec<u8>,
    /// When the look at it began, nanoseconds since the epoch.
    pub(super) began_ns: i64,
    /// Whether times of threads are read, which the notes of a core have, too.
    is_detailed: bool,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

impl Held {
    /// Opens and reads what `/proc` has of the process. Never fails: what is missing is said. `is_detailed` if the
    /// times of its threads are not to come from the notes of a core.
    pub fn open(event: Event, pidfd: Option<BorrowedFd<'_>>, limits: &Limits, is_detailed: bool) -> Held {
        let mut held = Held { is_detailed, ..Held::empty(event) };
        match held.read(pidfd, limits.deadline) {
            Ok(()) => held,
            // Nothing of another process may stay.
            Err(why) => {
                let mut held = Held::empty(held.event);
                held.problems.push(Problem::new("process", why));
                held
            }
        }
    }

    /// A crash of which only the kernel's words are known.
    pub fn empty(event: Event) -> Held {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let facts = ProcessFacts {
            pid: event.pid,
            ns_pid: None,
            ppid: None,
            uid: Some(event.uid),
            name: event.name.clone(),
            exe: None,
            cmdline: Vec::new(),
            arch: threaddump_arch::NATIVE.unwrap_or(Arch::X86_64),
            start_time_ns: None,
            cgroup: None,
            kernel: nix::sys::utsname::uname().ok().map(|name| name.release().to_string_lossy().into_owned()),
            tracer: None,
        };
        Held {
            memory: None,
            cmdline: None,
            reader: None,
            uids: vec![event.uid],
            event,
            facts,
            maps: Vec::new(),
            threads: Vec::new(),
            files: Vec::new(),
            root: None,
            root_path: Vec::new(),
            began_ns: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
            is_detailed: false,
            problems: Vec::new(),
        }
    }

    fn read(&mut self, pidfd: Option<BorrowedFd<'_>>, deadline: Instant) -> Result<(), String> {
        let (pid, tid) = (self.event.pid, self.event.tid);
        let cannot = |error: io::Error| format!("cannot read /proc/{tid}: {error}");
        // By way of the thread that crashed: if the first thread has ended, what is under its id is empty.
        let dir = ProcDir::open(format!("/proc/{tid}")).map_err(cannot)?;
        // Bound to that process from here on, whatever becomes of its number.
        self.memory = dir.open_file("mem").ok();
        self.cmdline = dir.open_file("cmdline").ok();
        self.maps = dir.read("maps").map_err(cannot)?;
        let stat = dir.stat(None).map_err(cannot)?;
        let status = dir.status(None).map_err(cannot)?;
        // Asked after all were opened: if the process is still there, its number was not used again before.
        match pidfd.map(identity::process_of) {
            Some(Ok(known)) if known == Some(pid.0) => {}
            Some(Ok(_)) => return Err(format!("process {pid} was gone before it was looked at")),
            Some(Err(_)) | None => self.event.pidfd = None,
        }
        let start = facts::start_time_ns(&stat);
        if let Some(why) = identity::differs(&self.event, &stat, &status, start) {
            return Err(why);
        }
        let process = ProcDir::open(format!("/proc/{pid}")).map_err(cannot)?;
        self.read_facts(&dir, &process, (&stat, &status), start);
        self.read_threads(&dir, deadline);
        self.pin_files(&dir, deadline);
        // The directories are still those of one process: its start has not changed.
        match dir.stat(None) {
            Ok(after) if after.start_ticks == stat.start_ticks => Ok(()),
            _ => Err(format!("process {pid} was killed while it was looked at")),
        }
    }

    /// `stat` and `status` are those of the thread by which it is looked at, which began at `start`.
    fn read_facts(
        &mut self,
        dir: &ProcDir,
        process: &ProcDir,
        (stat, status): (&Stat, &Status),
        start: Option<i64>,
    ) {
        let leader = process.stat(None).ok().filter(|stat| stat.id == self.event.pid.0);
        self.root_path = dir.read_link("root").unwrap_or_default();
        let handle = PathBuf::from("/proc").join(self.event.tid.to_string()).join("root");
        self.root = Root::open(&handle).ok();
        let exe = dir.read_link("exe").ok();
        let exe = exe.map(|exe| {
            facts::in_root(exe.strip_suffix(b" (deleted)").unwrap_or(&exe), &self.root_path).to_vec()
        });
        let facts = &mut self.facts;
        facts.exe = exe;
        facts.cgroup = facts::cgroup(&dir.read("cgroup").unwrap_or_default());
        facts.tracer = super::super::denied::tracer(process, Some(self.event.tid));
        facts.ns_pid = process.status(None).ok().and_then(|status| status.ns_pid.last().copied());
        self.uids = status.uid.map_or_else(|| vec![self.event.uid], Vec::from);
        facts.uid = status.uid.map(|[real, ..]| real).or(facts.uid);
        if let Some(leader) = leader {
            facts.ppid = Some(leader.ppid);
            let is_same = leader.start_ticks == stat.start_ticks;
            facts.start_time_ns = if is_same { start } else { facts::start_time_ns(&leader) };
            facts.name = leader.name;
        }
    }

    /// Names and ids, one file for each thread, and a second where the process has ids of its own.
    fn read_threads(&mut self, dir: &ProcDir, deadline: Instant) {
        let tids = dir.list_tasks().unwrap_or_default();
        let Ok(tasks) = dir.open_dir("task") else { return };
        let has_other_ids = self.facts.ns_pid.is_some_and(|inner| inner != self.event.pid.0);
        let mut late = 0;
        for tid in tids {
            if Instant::now() >= deadline {
                late += 1;
                continue;
            }
            let Some(mut thread) = self.thread(dir, &tasks, tid) else { continue };
            thread.ns_tid = match has_other_ids {
                true => dir.status(Some(tid)).ok().and_then(|status| status.ns_pid.last().copied()),
                false => Some(tid.0),
            };
            self.threads.push(thread);
        }
        if late > 0 {
            let what =
                format!("the names of {late} threads were not read in the time the process may be held");
            self.problems.push(Problem::new("threads", what));
        }
    }

    /// What its name does not tell is in the notes of the core, but for the first thread, which may have ended
    /// before, and for those that the kernel has started in the process.
    fn thread(&self, dir: &ProcDir, tasks: &ProcDir, tid: Tid) -> Option<ThreadSnapshot> {
        if !self.is_detailed && tid.0 != self.event.pid.0 {
            let name = tasks.name_of(tid).ok()?;
            if !Stat::may_be_kernel_worker(&name) {
                return Some(ThreadSnapshot { name, ..ThreadSnapshot::unknown(tid) });
            }
        }
        Some(thread(tid, dir.stat(Some(tid)).ok()?))
    }

    fn pin_files(&mut self, dir: &ProcDir, deadline: Instant) {
        let mappings = parse_maps(&self.maps);
        let mut wanted: HashMap<FileId, &Mapping> = HashMap::new();
        for mapping in mappings.iter().filter(|mapping| mapping.inode != 0 && mapping.permissions.execute) {
            wanted.entry((mapping.device, mapping.inode)).or_insert(mapping);
        }
        let total = wanted.len();
        for (id, mapping) in wanted {
            if self.files.len() == MAX_PINNED || Instant::now() >= deadline {
                break;
            }
            let name = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
            if let Ok(place) = dir.open_place(&name) {
                let path = facts::in_root(&mapping.path, &self.root_path).to_vec();
                self.files.push(PinnedFile { id, place, path });
            }
        }
        self.files.sort_by_key(|file| file.id);
        if self.files.len() < total {
            let missing = total - self.files.len();
            self.problems.push(Problem::new("file", format!("{missing} files of code could not be kept")));
        }
    }

    /// The ids of all its threads.
    pub fn tids(&self) -> Vec<Tid> {
        self.threads.iter().map(|thread| thread.tid).collect()
    }

    /// The descriptors that [`Held::snapshot`] reads.
    pub fn open_files(&self) -> impl Iterator<Item = RawFd> {
        [&self.memory, &self.cmdline].into_iter().flatten().map(AsRawFd::as_raw_fd)
    }

    /// Closes what leads into the memory of the process.
    pub fn forget_memory(&mut self) {
        self.memory = None;
        self.cmdline = None;
        self.reader = None;
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.event.pid
    }
}

/// All that its state tells is that it ends: but a first thread may have ended before.
fn thread(tid: Tid, stat: Stat) -> ThreadSnapshot {
    let thread = facts::thread(tid, stat);
    let state = thread.state.filter(|state| matches!(state, 'Z' | 'X'));
    ThreadSnapshot { state, ..thread }
}
