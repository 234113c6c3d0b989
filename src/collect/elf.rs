//! As much of ELF as it takes to tell a module and its build ID, from a file or from memory.

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;
const PF_X: u32 = 1;
const NT_GNU_BUILD_ID: u32 = 3;
const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;

/// Size of the file header of class 64.
pub(super) const HEADER_SIZE: usize = 64;
const SEGMENT_SIZE: usize = 56;

/// More program headers are not read; linkers make about a dozen.
const MAX_SEGMENTS: u16 = 512;
/// Longer notes are not read; those of real files have a few hundred bytes.
const MAX_NOTES: u64 = 64 << 10;
/// Longer build IDs are none; SHA-1 has 20 bytes, the longest hash in use 32.
const MAX_BUILD_ID: usize = 64;

/// The file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) class_64: bool,
    pub(super) machine: u16,
    segments_offset: u64,
    segments: u16,
}

/// A program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    kind: u32,
    flags: u32,
    /// File offset.
    offset: u64,
    /// File address.
    address: u64,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// The header, if these are the first bytes of a little-endian ELF file.
pub(super) fn parse_header(bytes: &[u8]) -> Option<Header> {
    let (class, order) = (*bytes.get(4)?, *bytes.get(5)?);
    if !bytes.starts_with(b"\x7fELF") || !matches!(class, 1 | 2) || order != 1 {
        return None;
    }
    let class_64 = class == 2;
    let machine = u16::from_le_bytes(array(bytes, 18)?);
    let (segments_offset, segments) = match (class_64, array(bytes, 54)) {
        (true, Some(size)) if usize::from(u16::from_le_bytes(size)) == SEGMENT_SIZE => {
            (word(bytes, 32)?, u16::from_le_bytes(array(bytes, 56)?).min(MAX_SEGMENTS))
        }
        _ => (0, 0),
    };
    Some(Header { class_64, machine, segments_offset, segments })
}

impl Header {
    /// What a program is that we cannot read, with an article.
    pub(super) fn describe(&self) -> String {
        match (self.machine, self.class_64) {
            (EM_386, _) => "a 32-bit i386 program".to_owned(),
            (EM_X86_64, false) => "an x32 program (x86_64 with 32-bit pointers)".to_owned(),
            (machine, true) => format!("a 64-bit program of ELF machine {machine}"),
            (machine, false) => format!("a 32-bit program of ELF machine {machine}"),
        }
    }
}

/// The program headers. `read` copies from a file offset until the buffer is full or there is no more,
/// and gives the number of bytes.
pub(super) fn segments(header: &Header, read: &dyn Fn(u64, &mut [u8]) -> usize) -> Vec<Segment> {
    segments_at(header.segments_offset, header.segments.into(), read)
}

/// So many program headers at a place that `read` knows.
pub(super) fn segments_at(at: u64, count: u64, read: &dyn Fn(u64, &mut [u8]) -> usize) -> Vec<Segment> {
    let mut bytes = vec![0; count.min(MAX_SEGMENTS.into()) as usize * SEGMENT_SIZE];
    let length = read(at, &mut bytes).min(bytes.len());
    bytes[..length].chunks_exact(SEGMENT_SIZE).filter_map(parse_segment).collect()
}

fn parse_segment(bytes: &[u8]) -> Option<Segment> {
    Some(Segment {
        kind: u32::from_le_bytes(array(bytes, 0)?),
        flags: u32::from_le_bytes(array(bytes, 4)?),
        offset: word(bytes, 8)?,
        address: word(bytes, 16)?,
        file_size: word(bytes, 32)?,
        memory_size: word(bytes, 40)?,
        align: word(bytes, 48)?,
    })
}

/// Where a file is loaded, given the process address at which its first byte is mapped: load bias
/// (process address - file address, wrapping), lowest process address and the one after the highest.
pub(super) fn load_range(segments: &[Segment], first_byte: u64) -> Option<(u64, u64, u64)> {
    let loads = || segments.iter().filter(|segment| segment.kind == PT_LOAD);
    // The file is mapped in whole pages, so a first segment that begins inside the first page counts.
    let first = loads().find(|segment| segment.offset < 4096)?;
    let bias = first_byte.wrapping_sub(first.address.wrapping_sub(first.offset));
    let low = loads().map(|segment| segment.address & !4095).min()?;
    let high = loads().filter_map(|segment| segment.address.checked_add(segment.memory_size)).max()?;
    let (start, end) = (bias.wrapping_add(low), bias.wrapping_add(high.checked_add(4095)? & !4095));
    (start <= first_byte && first_byte < end).then_some((bias, start, end))
}

/// Whether a loader puts this part of the file there: the same file may be mapped again nearby as data,
/// by a debugger or a profiler.
pub(super) fn is_loaded_at(segments: &[Segment], bias: u64, start: u64, offset: u64) -> bool {
    loaded_at(segments, bias, start, offset).is_some()
}

/// Whether a loader makes this part of the file executable.
pub(super) fn is_code_at(segments: &[Segment], bias: u64, start: u64, offset: u64) -> bool {
    loaded_at(segments, bias, start, offset).is_some_and(|segment| segment.flags & PF_X != 0)
}

fn loaded_at(segments: &[Segment], bias: u64, start: u64, offset: u64) -> Option<&Segment> {
    let distance = start.wrapping_sub(bias).wrapping_sub(offset);
    let mut loads = segments.iter().filter(|segment| segment.kind == PT_LOAD);
    loads.find(|segment| {
        let inside = segment.offset & !4095..segment.offset.saturating_add(segment.file_size);
        inside.contains(&offset) && segment.address.wrapping_sub(segment.offset) == distance
    })
}

/// The file address of the program headers themselves.
pub(super) fn headers_address(segments: &[Segment]) -> Option<u64> {
    segments.iter().find(|segment| segment.kind == PT_PHDR).map(|segment| segment.address)
}

/// File address and size of what the dynamic linker reads.
pub(super) fn dynamic(segments: &[Segment]) -> Option<(u64, u64)> {
    let segment = segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
    Some((segment.address, segment.memory_size))
}

/// The build ID among the notes. `read` copies the contents of the segment given (file offset and file
/// address) into the buffer and gives the number of bytes.
pub(super) fn build_id(segments: &[Segment], read: &dyn Fn(u64, u64, &mut [u8]) -> usize) -> Option<Vec<u8>> {
    segments.iter().filter(|segment| segment.kind == PT_NOTE).take(16).find_map(|segment| {
        let mut notes = vec![0; segment.file_size.min(MAX_NOTES) as usize];
        let length = read(segment.offset, segment.address, &mut notes).min(notes.len());
        find_build_id(&notes[..length], if segment.align == 8 { 8 } else { 4 })
    })
}

/// Notes are: name size, descriptor size, type, name, descriptor, each padded to `align`.
fn find_build_id(mut notes: &[u8], align: usize) -> Option<Vec<u8>> {
    loop {
        let name_size = u32::from_le_bytes(array(notes, 0)?) as usize;
        let size = u32::from_le_bytes(array(notes, 4)?) as usize;
        let kind = u32::from_le_bytes(array(notes, 8)?);
        let name = notes.get(12..)?.get(..name_size)?;
        let start = (12 + name_size).next_multiple_of(align);
        let descriptor = notes.get(start..)?.get(..size)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" && (1..=MAX_BUILD_ID).contains(&size) {
            return Some(descriptor.to_vec());
        }
        notes = notes.get((start + size).next_multiple_of(align)..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from_slice(bytes: &[u8], at: u64, buffer: &mut [u8]) -> usize {
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        length
    }

    fn note(name: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((descriptor.len() as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        for part in [name, descriptor] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let id = [7; 20];
        let notes = [note(b"GNU\0", 1, &[1; 16]), note(b"x\0", 3, b"no"), note(b"GNU\0", 3, &id)].concat();
        assert_eq!(find_build_id(&notes, 4).as_deref(), Some(&id[..]));
        assert_eq!(find_build_id(&notes[..notes.len() - 1], 4), None, "cut");
        assert_eq!(find_build_id(&note(b"GNU\0", 3, &[]), 4), None);
        assert_eq!(find_build_id(&[0xff; 64], 4), None);
    }

    #[test]
    fn our_own_file_is_read() {
        let bytes = std::fs::read("/proc/self/exe").expect("/proc is mounted");
        let header = parse_header(&bytes).expect("an ELF file");
        assert!(header.class_64);
        let segments = segments(&header, &|at, buffer| from_slice(&bytes, at, buffer));
        let (bias, start, end) = load_range(&segments, 0x10_0000_0000).expect("it is loaded");
        assert!(start <= 0x10_0000_0000 && end > start && bias <= 0x10_0000_0000);
    }

    #[test]
    fn a_second_mapping_of_a_file_is_not_taken_for_the_loaded_one() {
        let load = |offset, address| Segment {
            kind: PT_LOAD,
            flags: PF_X,
            offset,
            address,
            file_size: 0x1000,
            memory_size: 0x1000,
            align: 0x1000,
        };
        let segments = [load(0, 0), load(0x1000, 0x3000), load(0x2080, 0x5080)];
        for (start, offset) in [(0x7000_0000, 0), (0x7000_3000, 0x1000), (0x7000_5000, 0x2000)] {
            assert!(is_loaded_at(&segments, 0x7000_0000, start, offset), "{start:#x}");
            assert!(!is_loaded_at(&segments, 0x6fff_f000, start, offset), "{start:#x} of another");
        }
        assert!(!is_loaded_at(&segments, 0x7000_0000, 0x7000_1000, 0), "the first page again");
    }

    #[test]
    fn programs_of_other_modes_are_named() {
        let mut bytes = [0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x01\x01");
        bytes[18] = 3;
        assert_eq!(parse_header(&bytes).expect("a header").describe(), "a 32-bit i386 program");
        bytes[18] = 62;
        assert!(parse_header(&bytes).expect("a header").describe().starts_with("an x32 program"));
        bytes[5] = 2;
        assert_eq!(parse_header(&bytes), None, "big-endian");
    }

    proptest! {
        #[test]
        fn damaged_files_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            let magic = b"\x7fELF\x02\x01";
            let length = magic.len().min(bytes.len());
            bytes[..length].copy_from_slice(&magic[..length]);
            if let Some(header) = parse_header(&bytes) {
                let segments = segments(&header, &|at, buffer| from_slice(&bytes, at, buffer));
                load_range(&segments, 4096);
                build_id(&segments, &|at, _, buffer| from_slice(&bytes, at, buffer));
            }
            find_build_id(&bytes, 4);
            find_build_id(&bytes, 8);
        }
    }
}
