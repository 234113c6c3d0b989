//! Where the code of an ELF object is that a JIT compiler registered.
use threaddump_arch::Arch;

use super::elf::{HEADER_SIZE, array, parse_header, word};

const SECTION_SIZE: usize = 64;
/// Section headers that are read; compilers that give each function a section make thousands.
const MAX_SECTIONS: usize = 1 << 14;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
/// What lies between two sections of one piece of code at most: alignment.
const GAP: u64 = 256;
/// Pieces of code of one object.
const MAX_PIECES: usize = 1024;

/// The pieces of code of an object as `(start, end)` process addresses, by ascending address, without
/// overlaps. `read` fills a buffer from an offset in the object, or answers `false`.
pub(super) fn code(size: u64, arch: Arch, read: impl Fn(u64, &mut [u8]) -> bool) -> Vec<(u64, u64)> {
    let mut header = [0; HEADER_SIZE];
    if size < HEADER_SIZE as u64 || !read(0, &mut header) {
        return Vec::new();
    }
    sections(&header, size, arch, read).map(|table| pieces(&table)).unwrap_or_default()
}

/// The table of section headers.
fn sections(header: &[u8], size: u64, arch: Arch, read: impl Fn(u64, &mut [u8]) -> bool) -> Option<Vec<u8>> {
    let parsed = parse_header(header)?;
    if parsed.arch() != Some(arch) || arch.pointer_size() != 8 || arch.is_big_endian() {
        return None;
    }
    let half = |at| array(header, at).map(|bytes| usize::from(u16::from_le_bytes(bytes)));
    let (place, count) = (word(header, 40)?, half(60)?.min(MAX_SECTIONS));
    let length = count * SECTION_SIZE;
    if half(58)? != SECTION_SIZE || place.checked_add(length as u64)? > size {
        return None;
    }
    let mut table = vec![0; length];
    read(place, &mut table).then_some(table)
}

fn pieces(table: &[u8]) -> Vec<(u64, u64)> {
    let section = |header: &[u8]| {
        let (flags, start, size) = (word(header, 8)?, word(header, 16)?, word(header, 32)?);
        let is_code = flags & (SHF_ALLOC | SHF_EXECINSTR) == SHF_ALLOC | SHF_EXECINSTR;
        let end = start.checked_add(size)?;
        (is_code && start != 0 && start < end).then_some((start, end))
    };
    let mut sections: Vec<(u64, u64)> = table.chunks_exact(SECTION_SIZE).filter_map(section).collect();
    sections.sort_unstable();
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    for (start, end) in sections {
        match pieces.last_mut() {
            Some(last) if start <= last.1.saturating_add(GAP) => last.1 = last.1.max(end),
            _ => pieces.push((start, end)),
        }
    }
    pieces.truncate(MAX_PIECES);
    pieces
}

/// The same of an object that was copied.
pub(super) fn code_of(bytes: &[u8], arch: Arch) -> Vec<(u64, u64)> {
    let read = |offset: u64, buffer: &mut [u8]| {
        let there = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)?.get(..buffer.len()));
        there.map(|there| buffer.copy_from_slice(there)).is_some()
    };
    code(bytes.len() as u64, arch, read)
}

/// The number of those pieces, for tests with arbitrary bytes.
pub fn inspect(bytes: &[u8]) -> usize {
    let pieces = code_of(bytes, Arch::X86_64);
    assert!(pieces.is_sorted_by(|one, next| one.1 <= next.0), "they are disjoint");
    pieces.len()
}
