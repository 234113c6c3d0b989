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
/// Process ids (4 of 4 bytes), name and arguments at the end of `NT_PRPSINFO`.
const PROCESS_TAIL: usize = 112;

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
    /// What is wrong with the first note about a thread that cannot be read.
    pub(super) odd: Option<String>,
    /// Whether the last note about a thread was.
    left_out: bool,
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
pub(super) struct Auxv<'a> {
    bytes: &'a [u8],
    form: Option<Arch>,
}

impl Auxv<'_> {
    pub(super) const PHDR: u64 = 3;
    pub(super) const PHNUM: u64 = 5;
    pub(super) const ENTRY: u64 = 9;
    pub(super) const RANDOM: u64 = 25;
    pub(super) const EXECFN: u64 = 31;
    pub(super) const SYSINFO_EHDR: u64 = 33;

    /// The value of a type, if it is there and not 0.
    pub(super) fn get(&self, kind: u64) -> Option<u64> {
        let form = self.form?;
        let size = word_size(form);
        let value = self.bytes.chunks_exact(2 * size).find_map(|pair| {
            let is_it = word(form, pair, 0) == Some(kind);
            is_it.then(|| word(form, pair, size)).flatten()
        });
        value.filter(|&value| value != 0)
    }
}

/// Reads all notes. What is damaged is left out, and said to be.
pub(super) fn read<'a>(bytes: &'a [u8], headers: &Headers) -> Notes<'a> {
    let mut notes = Notes::default();
    let mut seen = HashSet::new();
    let extra = headers.arch.extra_note();
    for (range, align) in &headers.notes {
        let data = bytes.get(range.clone()).unwrap_or_default();
        let context = (*align, headers.context);
        for note in (NoteDataIterator { data, size: data.len(), offset: 0, ctx: context }) {
            match note {
                // Notes that not every system has bear the name of Linux.
                Ok(note) if note.name == "CORE" || Some(note.n_type) == extra => {
                    notes.add(headers.arch, note.n_type, note.desc, &mut seen);
                }
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
            NT_PRSTATUS => self.add_thread(arch, bytes, seen),
            _ if Some(kind) == arch.extra_note() => {
                // It belongs to the thread whose note came last, unless that was left out.
                if let Some(thread) = self.threads.last_mut().filter(|_| !self.left_out) {
                    arch.add_extra_registers(&mut thread.registers, bytes);
                }
            }
            // gcore gives each thread one; the kernel gives one to the first.
            NT_SIGINFO if self.signal.is_none() && self.threads.len() <= 1 => {
                self.signal = signal(arch, bytes)
            }
            NT_PRPSINFO if self.process.is_none() => self.process = process(arch, bytes),
            NT_AUXV if self.auxv.bytes.is_empty() => self.auxv = Auxv { bytes, form: Some(arch) },
            NT_FILE if self.files.is_none() => match files(arch, bytes) {
                Some(files) => self.files = Some(files),
                None => self.complain("core", "the table of mapped files is damaged".to_owned()),
            },
            _ => {}
        }
    }

    fn add_thread(&mut self, arch: Arch, bytes: &[u8], seen: &mut HashSet<Tid>) {
        self.left_out = true;
        match thread(arch, bytes) {
            Ok(thread) if self.threads.len() < MAX_THREADS && seen.insert(thread.tid) => {
                self.threads.push(thread);
                self.left_out = false;
            }
            Ok(thread) => {
                let tid = thread.tid;
                self.complain("threads", format!("a further note about thread {tid} was left out"));
            }
            Err(what) => {
                self.odd.get_or_insert_with(|| what.clone());
                self.complain("threads", what);
            }
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

/// Bytes of a word of the program (`long`).
fn word_size(form: Arch) -> usize {
    usize::from(form.pointer_size())
}

fn number(form: Arch, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    Some(form.number(bytes.get(at..at.checked_add(size)?)?))
}

fn word(form: Arch, bytes: &[u8], at: usize) -> Option<u64> {
    number(form, bytes, at, word_size(form))
}

fn half(form: Arch, bytes: &[u8], at: usize) -> Option<u32> {
    u32::try_from(number(form, bytes, at, 4)?).ok()
}

/// # Errors
/// With what is to be said about a note that is not as the kernel writes it.
fn thread(arch: Arch, bytes: &[u8]) -> Result<ThreadNote, String> {
    // Behind the registers are a number of 4 bytes and its padding.
    let size = |arch: Arch| {
        let layout = arch.core_layout();
        (layout.registers + layout.registers_size + 4).next_multiple_of(word_size(arch))
    };
    let of_other_width = |other: &Arch| word_size(*other) != word_size(arch) && size(*other) == bytes.len();
    if bytes.len() != size(arch)
        && let Some(other) = Arch::ALL.iter().find(|other| of_other_width(other))
    {
        // A debugger of 32 bits gets the registers of a 64-bit thread cut, without an error.
        return Err(format!(
            "a note about a thread of a program for {} has the form of {}: who wrote the core did not see all of its registers",
            arch.name(),
            other.name()
        ));
    }
    read_thread(arch, bytes).ok_or_else(|| {
        format!("a note about a thread has not the form of {}, which the header names", arch.name())
    })
}

fn read_thread(arch: Arch, bytes: &[u8]) -> Option<ThreadNote> {
    let layout = arch.core_layout();
    let registers = bytes.get(layout.registers..)?.get(..layout.registers_size)?;
    let time = |at: usize| {
        let (seconds, micros) = (word(arch, bytes, at)?, word(arch, bytes, at + word_size(arch))?);
        seconds.checked_mul(1_000_000)?.checked_add(micros)?.checked_mul(1000)
    };
    let cpu_ns = time(layout.user_time).zip(time(layout.system_time));
    Some(ThreadNote {
        tid: Tid(half(arch, bytes, layout.tid)?.cast_signed()),
        signal: i32::from((number(arch, bytes, layout.signal, 2)? as u16).cast_signed()),
        cpu_ns: cpu_ns.and_then(|(user, system)| user.checked_add(system)),
        registers: arch.registers_from_prstatus(registers)?,
    })
}

/// `siginfo_t`. Only faults have an address, and only if the kernel caused the signal; it stands behind
/// three numbers, where a word may stand.
fn signal(form: Arch, bytes: &[u8]) -> Option<SignalFacts> {
    let (number, code) = (half(form, bytes, 0)?.cast_signed(), half(form, bytes, 8)?.cast_signed());
    let fault = matches!(number, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGTRAP);
    let address = word(form, bytes, 12_usize.next_multiple_of(word_size(form)));
    let address = address.filter(|_| fault && code > 0 && code != libc::SI_KERNEL);
    Some(SignalFacts { number, code: Some(code), address, tid: None })
}

/// `struct elf_prpsinfo`: four characters, a word of flags, user and group, four process ids, 16 bytes of
/// name, 80 of arguments. User ids have 2 bytes on i386 and arm.
fn process(form: Arch, bytes: &[u8]) -> Option<ProcessNote> {
    let text = |range: std::ops::Range<usize>| {
        let text = bytes.get(range)?;
        Some(text.split(|&byte| byte == 0).next().unwrap_or_default().to_vec())
    };
    let (user, ids) = (2 * word_size(form), bytes.len().checked_sub(PROCESS_TAIL)?);
    let user_size = ids.checked_sub(user)? / 2;
    let uid = matches!(user_size, 2 | 4).then(|| number(form, bytes, user, user_size)).flatten();
    let arguments = text(ids + 32..ids + PROCESS_TAIL)?;
    Some(ProcessNote {
        uid: u32::try_from(uid?).ok()?,
        pid: half(form, bytes, ids)?.cast_signed(),
        ppid: half(form, bytes, ids + 4)?.cast_signed(),
        name: text(ids + 16..ids + 32)?,
        arguments: arguments.trim_ascii_end().to_vec(),
    })
}

/// A count, the size of a page, three words for each mapping, then the paths. `None` if that is cut.
fn files(form: Arch, bytes: &[u8]) -> Option<Vec<MappedFile<'_>>> {
    let size = word_size(form);
    let (count, page) = (usize::try_from(word(form, bytes, 0)?).ok()?, word(form, bytes, size)?);
    let table = bytes.get(2 * size..)?;
    let (ranges, paths) = table.split_at_checked(count.checked_mul(3 * size)?)?;
    let lines = ranges.chunks_exact(3 * size).zip(paths.split(|&byte| byte == 0)).take(MAX_FILES);
    let files = lines.filter_map(|(line, path)| {
        let (start, end) = (word(form, line, 0)?, word(form, line, size)?);
        let offset = word(form, line, 2 * size)?.checked_mul(page)?;
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
