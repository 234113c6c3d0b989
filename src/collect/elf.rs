//! As much of ELF as it takes to tell a module and its build ID, from a file or from memory.
use threaddump_arch::Arch;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;
const PF_X: u32 = 1;
const NT_GNU_BUILD_ID: u32 = 3;
const EM_X86_64: u16 = 62;

/// Size of the file header of class 64, the longer one.
pub(super) const HEADER_SIZE: usize = 64;
const HEADER_SIZE_32: u64 = 52;
/// Size of a program header, by class.
const SEGMENT_SIZE: usize = 56;
const SEGMENT_SIZE_32: usize = 32;

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
    pub(super) big_endian: bool,
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
    big_endian: bool,
}

/// Numbers of a file in its byte order.
#[derive(Clone, Copy)]
struct Numbers<'b> {
    bytes: &'b [u8],
    big_endian: bool,
}

impl Numbers<'_> {
    /// The number of `size` bytes (8 at most) at an offset.
    fn at(self, offset: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(offset..offset.checked_add(size)?)?;
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    fn short(self, offset: usize) -> Option<u16> {
        u16::try_from(self.at(offset, 2)?).ok()
    }
}

/// Fields of structures of 64-bit little-endian programs.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// The header, if these are the first bytes of an ELF file.
pub(super) fn parse_header(bytes: &[u8]) -> Option<Header> {
    let (class, order) = (*bytes.get(4)?, *bytes.get(5)?);
    if !bytes.starts_with(b"\x7fELF") || !matches!(class, 1 | 2) || !matches!(order, 1 | 2) {
        return None;
    }
    let (class_64, big_endian) = (class == 2, order == 2);
    let numbers = Numbers { bytes, big_endian };
    // Offsets of e_phoff and e_phentsize, which e_phnum follows.
    let (place, size_place, word) = if class_64 { (32, 54, 8) } else { (28, 42, 4) };
    let machine = numbers.short(18)?;
    let (segments_offset, segments) = match numbers.short(size_place) {
        Some(size) if usize::from(size) == segment_size(class_64) => {
            (numbers.at(place, word)?, numbers.short(size_place + 2)?.min(MAX_SEGMENTS))
        }
        _ => (0, 0),
    };
    Some(Header { class_64, big_endian, machine, segments_offset, segments })
}

const fn segment_size(class_64: bool) -> usize {
    if class_64 { SEGMENT_SIZE } else { SEGMENT_SIZE_32 }
}

impl Header {
    /// What it is made for, if we know it.
    pub(super) fn arch(&self) -> Option<Arch> {
        Arch::from_elf(self.machine, self.class_64).filter(|arch| arch.is_big_endian() == self.big_endian)
    }

    /// What a program is that we cannot read, with an article.
    pub(super) fn describe(&self) -> String {
        let bits = if self.class_64 { 64 } else { 32 };
        match (self.arch(), self.machine) {
            (Some(arch), _) => format!("a {bits}-bit program for {}", arch.name()),
            (None, EM_X86_64) => "an x32 program (x86_64 with 32-bit pointers)".to_owned(),
            (None, machine) => {
                let order = if self.big_endian { "big-endian" } else { "little-endian" };
                format!("a {bits}-bit {order} program of ELF machine {machine}")
            }
        }
    }
}

/// The program headers. `read` copies from a file offset until the buffer is full or there is no more,
/// and gives the number of bytes.
pub(super) fn segments(header: &Header, read: &dyn Fn(u64, &mut [u8]) -> usize) -> Vec<Segment> {
    segments_of(header, header.segments_offset, header.segments.into(), read)
}

/// Size of the file header of a program.
pub(super) fn header_size(arch: Arch) -> u64 {
    if arch.pointer_size() == 8 { HEADER_SIZE as u64 } else { HEADER_SIZE_32 }
}

/// So many program headers of a program at a place that `read` knows.
pub(super) fn segments_at(
    arch: Arch,
    at: u64,
    count: u64,
    read: &dyn Fn(u64, &mut [u8]) -> usize,
) -> Vec<Segment> {
    let (class_64, big_endian) = (arch.pointer_size() == 8, arch.is_big_endian());
    let header = Header { class_64, big_endian, machine: 0, segments_offset: 0, segments: 0 };
    segments_of(&header, at, count, read)
}

fn segments_of(header: &Header, at: u64, count: u64, read: &dyn Fn(u64, &mut [u8]) -> usize) -> Vec<Segment> {
    let size = segment_size(header.class_64);
    let mut bytes = vec![0; count.min(MAX_SEGMENTS.into()) as usize * size];
    let length = read(at, &mut bytes).min(bytes.len());
    bytes[..length].chunks_exact(size).filter_map(|bytes| parse_segment(header, bytes)).collect()
}

/// Class 64 has the flags, which are not needed here, before the offset, class 32 behind the sizes.
fn parse_segment(header: &Header, bytes: &[u8]) -> Option<Segment> {
    let numbers = Numbers { bytes, big_endian: header.big_endian };
    let kind = u32::try_from(numbers.at(0, 4)?).ok()?;
    let field = |class_64, class_32| {
        if header.class_64 { numbers.at(class_64, 8) } else { numbers.at(class_32, 4) }
    };
    Some(Segment {
        kind,
        flags: u32::try_from(numbers.at(if header.class_64 { 4 } else { 24 }, 4)?).ok()?,
        offset: field(8, 4)?,
        address: field(16, 8)?,
        file_size: field(32, 16)?,
        memory_size: field(40, 20)?,
        align: field(48, 28)?,
        big_endian: header.big_endian,
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
        // Whole pages are mapped: those of the kernel, which the linker knew.
        let page = if (4096..=0x1_0000).contains(&segment.align) { segment.align } else { 4096 };
        let inside = segment.offset & !(page - 1)..segment.offset.saturating_add(segment.file_size);
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
        let align = if segment.align == 8 { 8 } else { 4 };
        find_build_id(&notes[..length], align, segment.big_endian)
    })
}

/// Notes are: name size, descriptor size, type, name, descriptor, each padded to `align`.
fn find_build_id(mut notes: &[u8], align: usize, big_endian: bool) -> Option<Vec<u8>> {
    loop {
        let numbers = Numbers { bytes: notes, big_endian };
        let (name_size, size) = (numbers.at(0, 4)? as usize, numbers.at(4, 4)? as usize);
        let kind = numbers.at(8, 4)?;
        let name = notes.get(12..)?.get(..name_size)?;
        let start = (12 + name_size).next_multiple_of(align);
        let descriptor = notes.get(start..)?.get(..size)?;
        if kind == u64::from(NT_GNU_BUILD_ID) && name == b"GNU\0" && (1..=MAX_BUILD_ID).contains(&size) {
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
        assert_eq!(find_build_id(&notes, 4, false).as_deref(), Some(&id[..]));
        assert_eq!(find_build_id(&notes[..notes.len() - 1], 4, false), None, "cut");
        assert_eq!(find_build_id(&note(b"GNU\0", 3, &[]), 4, false), None);
        assert_eq!(find_build_id(&[0xff; 64], 4, false), None);
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
            big_endian: false,
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
        assert_eq!(parse_header(&bytes).expect("a header").describe(), "a 32-bit program for i386");
        bytes[18] = 62;
        assert!(parse_header(&bytes).expect("a header").describe().starts_with("an x32 program"));
        bytes[4..6].copy_from_slice(&[2, 2]);
        bytes[18..20].copy_from_slice(&[0, 21]);
        let name = "a 64-bit big-endian program of ELF machine 21";
        assert_eq!(parse_header(&bytes).expect("a header").describe(), name, "ppc64 is not ppc64le");
    }

    proptest! {
        #[test]
        fn damaged_files_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            let magic = b"\x7fELF";
            let length = magic.len().min(bytes.len());
            bytes[..length].copy_from_slice(&magic[..length]);
            bytes.iter_mut().skip(4).take(2).for_each(|byte| *byte = *byte % 2 + 1);
            if let Some(header) = parse_header(&bytes) {
                let segments = segments(&header, &|at, buffer| from_slice(&bytes, at, buffer));
                load_range(&segments, 4096);
                build_id(&segments, &|at, _, buffer| from_slice(&bytes, at, buffer));
            }
            find_build_id(&bytes, 4, false);
            find_build_id(&bytes, 8, true);
        }
    }
}
