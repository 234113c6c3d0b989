//! Build IDs.
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::NoteIterator;

use super::elf::{Elf, PT_NOTE, SHT_NOTE};

/// Longest build ID accepted, in bytes; linkers write 8, 16 or 20.
const MAX_BUILD_ID: usize = 64;
/// Bytes of notes looked through.
const MAX_NOTES: usize = 1 << 20;
const NT_GNU_BUILD_ID: u32 = 3;

/// The build ID of an object (`NT_GNU_BUILD_ID`).
///
/// Sections come first: the segments of a debug file say where notes were in the file it was
/// split from.
pub(super) fn build_id<'s>(elf: &Elf<'s>) -> Option<&'s [u8]> {
    let order = if elf.arch.is_big_endian() { Endianness::Big } else { Endianness::Little };
    let sections = elf.sections.iter().filter(|section| section.kind == SHT_NOTE);
    let in_sections = sections.filter_map(|section| Some((elf.contents(section)?, section.align)));
    let segments = elf.segments.iter().filter(|segment| segment.kind == PT_NOTE);
    let in_segments = segments.filter_map(|segment| Some((elf.segment_contents(segment)?, segment.align)));
    in_sections.chain(in_segments).take(64).find_map(|(bytes, align)| in_notes(bytes, align, order))
}

/// The headers of notes are the same in both classes.
fn in_notes(bytes: &[u8], align: u64, order: Endianness) -> Option<&[u8]> {
    let bytes = &bytes[..bytes.len().min(MAX_NOTES)];
    let notes = NoteIterator::<FileHeader64<Endianness>>::new(order, align, bytes).ok()?;
    notes
        .map_while(Result::ok)
        .find(|note| note.name() == b"GNU" && note.n_type(order).0 == NT_GNU_BUILD_ID)
        .map(|note| note.desc())
        .filter(|id| (1..=MAX_BUILD_ID).contains(&id.len()))
}
