//! The notes of a core file: registers of all threads, the signal, the auxiliary vector, mapped files.
use std::collections::HashSet;

use goblin::elf::note::NoteDataIterator;
use threaddump_arch::{Arch, Registers};

use super::headers::Headers;
use crate::ids::Tid;
use crate::snapshot::{Problem, SignalFacts};

const NT_PRSTATUS: u32 = 1;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_SIGINFO: u32 = 0x5349_4749;
const NT_FILE: u32 = 0x4649_4c45;

/// More threads are not read: a machine has 4 million ids, and half a million have been seen nowhere.
const MAX_THREADS: usize = 1 << 17;
/// More mapped files are not read, see the limit of segments.
const MAX_FILES: usize = 1 << 20;

/// What the notes say.
#[derive(Debug, Default)]
pub(super) struct Notes<'a> {
    /// The first one is the thread that got the signal.
    pub(super) threads: Vec<ThreadNote>,
    /// The signal that ended the process.
    pub(super) signal: Option<SignalFacts>,
    pub(super) auxv: Auxv<'a>,
    /// `None` if there is no table of them.
    pub(super) files: Option<Vec<MappedFile<'a>>>,
    pub(super) process: Option<ProcessNote>,
    pub(super) problems: Vec<Problem>,
    /// There is a note about a thread whose length is another than this architecture's.
    pub(super) foreign: bool,
}

/// `NT_PRSTATUS`.
#[derive(Debug)]
pub(super) struct ThreadNote {
    pub(super) tid: Tid,
    /// Processor time in nanoseconds.
    pub(super) cpu_ns: Option<u64>,
    pub(super) registers: Registers,
    /// The signal that was being delivered; the kernel writes the same to all threads.
    signal: i32,
}

/// `NT_PRPSINFO`.
#[derive(Debug)]
pub(super) struct ProcessNote {
    pub(super) pid: i32,
    pub(super) ppid: i32,
    pub(super) uid: u32,
    pub(super) name: Vec<u8>,
    /// The beginning of the arguments, with blanks between.
    pub(super) arguments: Vec<u8>,
}

/// A line of `NT_FILE`.
#[derive(Debug)]
pub(super) struct MappedFile<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Offset into the file, in bytes.
    pub(super) offset: u64,
    pub(super) path: &'a [u8],
}

/// The auxiliary vector (getauxval(3)).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Auxv<'a>(&'a [u8]);

impl Auxv<'_> {
    pub(super) const PHDR: u64 = 3;
    pub(super) const PHNUM: u64 = 5;
    pub(super) const ENTRY: u64 = 9;
    pub(super) const RANDOM: u64 = 25;
    pub(super) const EXECFN: u64 = 31;
    pub(super) const SYSINFO_EHDR: u64 = 33;

    /// The value of a type, if it is there and not 0.
    pub(super) fn get(&self, kind: u64) -> Option<u64> {
        let value = self.0.chunks_exact(16).find_map(|pair| {
            let is_it = word(pair, 0) == Some(kind);
            is_it.then(|| word(pair, 8)).flatten()
        });
        value.filter(|&value| value != 0)
    }
}

/// Reads all notes. What is damaged is left out, and said to be.
pub(super) fn read<'a>(bytes: &'a [u8], headers: &Headers) -> Notes<'a> {
    let mut notes = Notes::default();
    let mut seen = HashSet::new();
    for (range, align) in &headers.notes {
        let data = bytes.get(range.clone()).unwrap_or_default();
        let context = (*align, headers.context);
        for note in (NoteDataIterator { data, size: data.len(), offset: 0, ctx: context }) {
            match note {
                Ok(note) if note.name == "CORE" => notes.add(headers.arch, note.n_type, note.desc, &mut seen),
                Ok(_) => {}
                Err(_) => {
                    let what = "the notes of the core file are damaged or cut, so threads may be missing";
                    notes.problems.push(Problem::new("threads", what));
                }
            }
        }
    }
    notes.name_signal();
    notes
}

impl<'a> Notes<'a> {
    fn add(&mut self, arch: Arch, kind: u32, bytes: &'a [u8], seen: &mut HashSet<Tid>) {
        match kind {
            NT_PRSTATUS => match thread(arch, bytes) {
                Some(thread) if self.threads.len() < MAX_THREADS && seen.insert(thread.tid) => {
                    self.threads.push(thread);
                }
                Some(thread) => {
                    let tid = thread.tid;
                    self.complain("threads", format!("a further note about thread {tid} was left out"));
                }
                None => {
                    self.foreign = true;
                    self.complain("threads", "a note about a thread has an unknown form".to_owned());
                }
            },
            // gcore gives each thread one; the kernel gives one to the first.
            NT_SIGINFO if self.signal.is_none() && self.threads.len() <= 1 => self.signal = signal(bytes),
            NT_PRPSINFO if self.process.is_none() => self.process = process(bytes),
            NT_AUXV if self.auxv.0.is_empty() => self.auxv = Auxv(bytes),
            NT_FILE if self.files.is_none() => match files(bytes) {
                Some(files) => self.files = Some(files),
                None => self.complain("core", "the table of mapped files is damaged".to_owned()),
            },
            _ => {}
        }
    }

    /// Says something, but not a hundred thousand times.
    fn complain(&mut self, stage: &str, what: String) {
        if self.problems.len() < 100 {
            self.problems.push(Problem::new(stage, what));
        }
    }

    /// Completes the signal. A debugger that wrote the core of a living process has stopped it for that,
    /// and a stop ends no process.
    fn name_signal(&mut self) {
        let Some(first) = self.threads.first() else { return };
        let bare = SignalFacts { number: first.signal, code: None, address: None, tid: None };
        let signal = self.signal.take().unwrap_or(bare);
        let ends = !matches!(signal.number, 0 | libc::SIGSTOP) && signal.number > 0;
        self.signal = ends.then_some(SignalFacts { tid: Some(first.tid), ..signal });
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn thread(arch: Arch, bytes: &[u8]) -> Option<ThreadNote> {
    let layout = arch.core_layout();
    let registers = bytes.get(layout.registers..)?.get(..layout.registers_size)?;
    let time = |at: usize| {
        let micros = word(bytes, at)?.checked_mul(1_000_000)?.checked_add(word(bytes, at + 8)?)?;
        micros.checked_mul(1000)
    };
    let cpu_ns = time(layout.user_time).zip(time(layout.system_time));
    Some(ThreadNote {
        tid: Tid(half(bytes, layout.tid)?.cast_signed()),
        signal: i32::from(i16::from_le_bytes(*bytes.get(layout.signal..)?.first_chunk()?)),
        cpu_ns: cpu_ns.and_then(|(user, system)| user.checked_add(system)),
        registers: arch.registers_from_prstatus(registers)?,
    })
}

/// `siginfo_t` of 64-bit Linux. Only faults have an address, and only if the kernel caused the signal.
fn signal(bytes: &[u8]) -> Option<SignalFacts> {
    let (number, code) = (half(bytes, 0)?.cast_signed(), half(bytes, 8)?.cast_signed());
    let fault = matches!(number, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGTRAP);
    let address = word(bytes, 16).filter(|_| fault && code > 0 && code != libc::SI_KERNEL);
    Some(SignalFacts { number, code: Some(code), address, tid: None })
}

/// `struct elf_prpsinfo` of 64-bit Linux.
fn process(bytes: &[u8]) -> Option<ProcessNote> {
    let text = |range: std::ops::Range<usize>| {
        let text = bytes.get(range)?;
        Some(text.split(|&byte| byte == 0).next().unwrap_or_default().to_vec())
    };
    let arguments = text(56..136)?;
    Some(ProcessNote {
        uid: half(bytes, 16)?,
        pid: half(bytes, 24)?.cast_signed(),
        ppid: half(bytes, 28)?.cast_signed(),
        name: text(40..56)?,
        arguments: arguments.trim_ascii_end().to_vec(),
    })
}

/// A count, the size of a page, three words for each mapping, then the paths. `None` if that is cut.
fn files(bytes: &[u8]) -> Option<Vec<MappedFile<'_>>> {
    let (count, page) = (usize::try_from(word(bytes, 0)?).ok()?, word(bytes, 8)?);
    let table = bytes.get(16..)?;
    let (ranges, paths) = table.split_at_checked(count.checked_mul(24)?)?;
    let lines = ranges.chunks_exact(24).zip(paths.split(|&byte| byte == 0)).take(MAX_FILES);
    let files = lines.filter_map(|(line, path)| {
        let (start, end) = (word(line, 0)?, word(line, 8)?);
        let offset = word(line, 16)?.checked_mul(page)?;
        (start < end).then_some(MappedFile { start, end, offset, path })
    });
    let mut files: Vec<MappedFile<'_>> = files.collect();
    files.sort_by_key(|file| file.start);
    let mut reached = 0;
    files.retain(|file| {
        let follows = file.start >= reached;
        reached = reached.max(file.end);
        follows
    });
    Some(files)
}
