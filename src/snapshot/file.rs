//! Saved snapshots: a line with the version, a head in JSON, then the raw bytes of stacks, memory and
//! module images.
//!
//! After the first line every part has its length before it, as 8 bytes, little-endian: the head, then
//! each blob. The head says how many blobs there are and which is what. A file can come from anywhere,
//! so nothing is allocated before the bytes are there.
use std::fmt;
use std::io::{self, Read, Write};

use super::head::{Blobs, Head};
use super::{MemoryPiece, Snapshot};

/// The first line.
const MAGIC: &[u8] = b"threaddump snapshot 1\n";
/// What all versions begin with.
const FAMILY: &[u8] = b"threaddump snapshot ";
/// Longest head: a million mappings have about 200 MB.
const MAX_HEAD: u64 = 512 << 20;
/// Longest blob.
const MAX_BLOB: u64 = 1 << 30;
/// All blobs together.
const MAX_TOTAL: u64 = 8 << 30;

/// Why a file could not be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// It does not begin like a snapshot.
    NotASnapshot,
    /// A snapshot of another version; the version is its text.
    Version(String),
    /// It ends too early; the text says where.
    Truncated(&'static str),
    /// It contradicts itself.
    Damaged(String),
    /// It could not be read.
    Io(io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::NotASnapshot => f.write_str("not a snapshot of threaddump"),
            LoadError::Version(version) => {
                write!(f, "snapshot of version {version}, this program reads version 1")
            }
            LoadError::Truncated(place) => write!(f, "snapshot is cut off in {place}"),
            LoadError::Damaged(what) => write!(f, "snapshot is damaged: {what}"),
            LoadError::Io(error) => write!(f, "cannot read the snapshot: {error}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl LoadError {
    /// The next step the user can take, on one line.
    pub fn advice(&self) -> Option<String> {
        let text = match self {
            LoadError::NotASnapshot => "snapshots are made with --save-snapshot FILE",
            LoadError::Version(_) => "load it with the version of threaddump that saved it",
            LoadError::Truncated(_) | LoadError::Damaged(_) => "copy or save it again",
            LoadError::Io(_) => return None,
        };
        Some(text.to_owned())
    }
}

/// Writes a snapshot. It holds stack memory of the process, so the file wants mode 0600.
///
/// # Errors
/// As the writer's.
pub fn save(snapshot: &Snapshot, out: &mut impl Write) -> io::Result<()> {
    let mut blobs = Vec::new();
    let head = Head::of(snapshot, &mut blobs);
    let json = serde_json::to_vec(&head).map_err(io::Error::other)?;
    out.write_all(MAGIC)?;
    for part in std::iter::once(json.as_slice()).chain(blobs) {
        out.write_all(&(part.len() as u64).to_le_bytes())?;
        out.write_all(part)?;
    }
    out.flush()
}

/// Reads a snapshot.
///
/// # Errors
/// If it is none, is of another version, is cut off or contradicts itself.
pub fn load(input: &mut impl Read) -> Result<Snapshot, LoadError> {
    read_magic(input)?;
    let json = read_part(input, MAX_HEAD, "the head")?;
    let damaged = |error: serde_json::Error| LoadError::Damaged(format!("the head: {error}"));
    let head: Head = serde_json::from_slice(&json).map_err(damaged)?;
    drop(json);
    let mut blobs = Vec::new();
    let mut left = MAX_TOTAL;
    for _ in 0..head.blobs() {
        let blob = read_part(input, MAX_BLOB.min(left), "the memory")?;
        left -= blob.len() as u64;
        blobs.push(Some(blob));
    }
    let snapshot = head.into_snapshot(&mut Blobs::new(blobs)).map_err(LoadError::Damaged)?;
    check(&snapshot)?;
    Ok(snapshot)
}

fn read_magic(input: &mut impl Read) -> Result<(), LoadError> {
    let mut line = Vec::new();
    input.take(MAGIC.len() as u64).read_to_end(&mut line).map_err(LoadError::Io)?;
    if line == MAGIC {
        return Ok(());
    }
    match line.strip_prefix(FAMILY) {
        None => Err(LoadError::NotASnapshot),
        Some(b"" | b"1") => Err(LoadError::Truncated("the first line")),
        Some(version) => Err(LoadError::Version(String::from_utf8_lossy(version).trim_end().to_owned())),
    }
}

/// A length and so many bytes.
fn read_part(input: &mut impl Read, limit: u64, place: &'static str) -> Result<Vec<u8>, LoadError> {
    let mut length = [0; 8];
    input.read_exact(&mut length).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => LoadError::Truncated(place),
        _ => LoadError::Io(error),
    })?;
    let length = u64::from_le_bytes(length);
    if length > limit {
        return Err(LoadError::Damaged(format!("{place} is said to have {length} bytes")));
    }
    let mut bytes = Vec::new();
    // Grows with what is there, not with what is promised.
    input.take(length).read_to_end(&mut bytes).map_err(LoadError::Io)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(LoadError::Truncated(place)) }
}

/// What the rest of the program relies on.
fn check(snapshot: &Snapshot) -> Result<(), LoadError> {
    let damaged = |what: &str| Err(LoadError::Damaged(what.to_owned()));
    let range = |piece: &MemoryPiece| (piece.start, piece.end());
    if !are_ordered(snapshot.mappings.iter().map(|mapping| (mapping.start, mapping.end))) {
        return damaged("the mappings are not in order");
    }
    if !snapshot.modules.iter().all(|module| module.start < module.end)
        || !snapshot.modules.is_sorted_by_key(|module| module.start)
    {
        return damaged("the modules are not in order");
    }
    if !are_ordered(snapshot.memory.iter().map(range)) {
        return damaged("the memory is not in order");
    }
    let names = &snapshot.code_names;
    if !are_ordered(names.iter().map(|name| (name.from, name.to)))
        || !names.iter().all(|name| name.start <= name.from)
    {
        return damaged("the names of generated code are not in order");
    }
    let stacks = snapshot.threads.iter().flat_map(|thread| &thread.stacks);
    if stacks.chain(&snapshot.memory).any(|piece| piece.start.checked_add(piece.bytes.len() as u64).is_none())
    {
        return damaged("memory beyond the end of the address space");
    }
    Ok(())
}

/// Whether ranges are by ascending address, without overlaps, none of them empty.
fn are_ordered(mut ranges: impl Iterator<Item = (u64, u64)>) -> bool {
    let mut last = 0;
    ranges.all(|(start, end)| {
        let fits = last <= start && start < end;
        last = end;
        fits
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use threaddump_arch::{Arch, Registers};

    use super::super::*;
    use super::*;
    use crate::ids::{Pid, Tid};

    fn thread(tid: i32) -> ThreadSnapshot {
        let mut registers = Registers::new(Arch::X86_64);
        registers.set(Arch::X86_64.pc(), 0x40_1000);
        registers.set(Arch::X86_64.sp(), u64::MAX);
        ThreadSnapshot {
            tid: Tid(tid),
            name: b"work\xff\n\\er".to_vec(),
            state: Some('S'),
            syscall: Some(Syscall { number: 202, args: [0, 1, 2, 3, 4, u64::MAX] }),
            stopped: true,
            kernel_worker: true,
            ns_tid: Some(3),
            cpu_ns: Some(7),
            wait_channel: Some("do_wait".to_owned()),
            kernel_stack: Some(vec!["do_wait+0x1/0x2".to_owned()]),
            registers: Some(registers),
            stacks: vec![
                MemoryPiece { start: 0x7000, bytes: vec![1, 2, 3] },
                MemoryPiece { start: 0x1000, bytes: vec![0; 9] },
            ],
            stack_cut: true,
            problems: vec![Problem::of_thread("stop", Tid(tid), "thread did not stop")],
        }
    }

    fn module(start: u64, image: ModuleImage) -> Module {
        Module {
            path: b"/lib/x.so".to_vec(),
            start,
            end: start + 0x1000,
            device: (8, 1),
            inode: 77,
            deleted: false,
            build_id: Some(vec![0xab; 20]),
            image,
        }
    }

    /// A snapshot with something in every field.
    pub(crate) fn small() -> Snapshot {
        let process = ProcessFacts {
            pid: Pid(42),
            ns_pid: Some(1),
            ppid: None,
            uid: Some(1000),
            name: b"x y".to_vec(),
            exe: Some(b"/bin/x".to_vec()),
            cmdline: vec![b"x".to_vec(), b"".to_vec(), b"\xfe".to_vec()],
            arch: Arch::X86_64,
            start_time_ns: Some(-1),
            cgroup: Some("/".to_owned()),
            kernel: None,
            tracer: Some((7, "gdb".to_owned())),
        };
        let mapping = Mapping {
            start: 0x1000,
            end: 0x2000,
            permissions: Permissions { read: true, ..Permissions::default() },
            offset: 0x1000,
            device: (8, 1),
            inode: 77,
            path: b"/lib/x.so".to_vec(),
            deleted: true,
        };
        let above = Mapping { start: 0x2000, end: u64::MAX, ..mapping.clone() };
        Snapshot {
            captured_at_ns: 1_700_000_000_000_000_000,
            source: Source::Ptrace,
            fallback_reason: Some("because".to_owned()),
            fallback_advice: Some("try".to_owned()),
            pause_ns: Some(u64::MAX),
            process,
            signal: Some(SignalFacts { number: 11, code: Some(1), address: Some(0), tid: Some(Tid(42)) }),
            mappings: vec![mapping, above],
            modules: vec![
                module(0x1000, ModuleImage::File),
                module(0x3000, ModuleImage::FileCopy(vec![9; 5])),
                module(0x5000, ModuleImage::Memory(vec![8; 6])),
                module(0x7000, ModuleImage::None),
                module(0x9000, ModuleImage::Generated(vec![7; 4])),
            ],
            threads: vec![thread(42), ThreadSnapshot { registers: None, syscall: None, ..thread(43) }],
            memory: vec![MemoryPiece { start: 0x10, bytes: vec![5; 7] }],
            code_names: vec![CodeName { from: 0x20, to: 0x30, start: 0x1f, name: b"f \xff".to_vec() }],
            problems: vec![Problem::new("file", "cannot")],
        }
    }

    fn saved() -> Vec<u8> {
        let mut bytes = Vec::new();
        save(&small(), &mut bytes).expect("a vector takes everything");
        bytes
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let loaded = load(&mut saved().as_slice()).expect("it is whole");
        let (loaded, original) = (format!("{loaded:?}"), format!("{:?}", small()));
        assert_eq!(loaded, original);
        let again = load(&mut saved().as_slice()).expect("it is whole");
        assert_eq!(again.threads[0].stacks, small().threads[0].stacks, "bytes too");
        assert_eq!(again.modules[1].image, ModuleImage::FileCopy(vec![9; 5]));
        assert_eq!(again.memory, small().memory);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = saved();
        for length in 0..bytes.len() {
            let error = load(&mut &bytes[..length]).expect_err("it is cut");
            let cut = matches!(error, LoadError::Truncated(_) | LoadError::NotASnapshot);
            assert!(cut, "{length}: {error}");
        }
    }

    #[test]
    fn huge_lengths_are_refused_without_memory() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u64::MAX.to_le_bytes());
        assert!(matches!(load(&mut bytes.as_slice()), Err(LoadError::Damaged(_))));
        let mut bytes = MAGIC.to_vec();
        bytes.extend(MAX_HEAD.to_le_bytes());
        assert!(matches!(load(&mut bytes.as_slice()), Err(LoadError::Truncated("the head"))));
    }

    #[test]
    fn other_files_and_versions_are_told_apart() {
        assert!(matches!(load(&mut &b"\x7fELF"[..]), Err(LoadError::NotASnapshot)));
        let error = load(&mut &b"threaddump snapshot 2\n"[..]).expect_err("a later version");
        assert_eq!(error.to_string(), "snapshot of version 2, this program reads version 1");
    }

    #[test]
    fn contradictions_are_found() {
        let spoil: [fn(&mut Snapshot); 5] = [
            |snapshot| snapshot.mappings.swap(0, 1),
            |snapshot| snapshot.modules.swap(0, 1),
            |snapshot| snapshot.memory.push(snapshot.memory[0].clone()),
            |snapshot| snapshot.memory[0].start = u64::MAX,
            |snapshot| snapshot.threads[1].stacks[0].start = u64::MAX - 1,
        ];
        for spoil in spoil {
            let mut snapshot = small();
            spoil(&mut snapshot);
            let mut bytes = Vec::new();
            save(&snapshot, &mut bytes).expect("a vector takes everything");
            assert!(matches!(load(&mut bytes.as_slice()), Err(LoadError::Damaged(_))));
        }
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8)) {
            let mut bytes = saved();
            for (place, value) in changes {
                let index = usize::from(place) % bytes.len();
                bytes[index] = value;
            }
            let _ = load(&mut bytes.as_slice());
        }

        #[test]
        fn stacks_of_any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 1..2000), start in 0..1_u64 << 48) {
            let mut snapshot = small();
            snapshot.threads[0].stacks = vec![MemoryPiece { start, bytes }];
            let mut file = Vec::new();
            save(&snapshot, &mut file).expect("a vector takes everything");
            let loaded = load(&mut file.as_slice()).expect("it is whole");
            prop_assert_eq!(&loaded.threads[0].stacks, &snapshot.threads[0].stacks);
        }
    }
}
