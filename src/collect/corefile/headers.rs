//! The headers of a core file: which architecture, where the notes are, and which memory it has.
use std::ops::Range;

use goblin::container::Ctx;
use goblin::elf::header::{EM_X86_64, ET_CORE, ET_DYN, ET_EXEC, ET_REL, machine_to_str};
use goblin::elf::program_header::{PT_LOAD, PT_NOTE, ProgramHeader};
use goblin::elf::{Elf, Header, SectionHeader};
use threaddump_arch::Arch;

use super::CoreError;
use crate::snapshot::Problem;

/// Size of the file header of class 64; that of class 32 is smaller.
const HEADER_SIZE: usize = 64;
/// `e_phnum` of a file with more program headers than it can say (`PN_XNUM` of elf(5)).
const PN_XNUM: u16 = 0xffff;
/// More segments are not read. A process has 65,530 mappings at most, unless `vm.max_map_count` was
/// raised; a million of them have 56 MB of headers.
const MAX_SEGMENTS: usize = 1 << 20;
/// Segments with notes; real files have one.
const MAX_NOTE_SEGMENTS: usize = 16;

/// What the headers say.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) arch: Arch,
    pub(super) context: Ctx,
    /// Where notes are in the file, and their alignment.
    pub(super) notes: Vec<(Range<usize>, usize)>,
    /// Memory by ascending address, without overlaps.
    pub(super) loads: Vec<Load>,
    pub(super) problems: Vec<Problem>,
}

/// A piece of the process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// First address (process address space).
    pub(super) start: u64,
    /// Address after the last.
    pub(super) end: u64,
    /// `PF_R`, `PF_W`, `PF_X` of elf(5).
    pub(super) flags: u32,
    /// Where its first bytes are in the file; the rest is not there.
    pub(super) bytes: Range<usize>,
}

/// Reads the headers of a core file.
///
/// # Errors
/// If it is no core file, one of an architecture that is not supported, or one without program headers.
pub(super) fn read(bytes: &[u8]) -> Result<Headers, CoreError> {
    let (header, context) = file_header(bytes)?;
    let mut problems = Vec::new();
    let arch = architecture(&header, &context)?;
    let segments = segments(bytes, &header, context, &mut problems)?;
    check_length(bytes.len(), &segments, &mut problems);
    let notes = segments.iter().filter(|segment| segment.p_type == PT_NOTE).take(MAX_NOTE_SEGMENTS);
    let notes = notes.map(|segment| {
        let range = present(bytes.len(), segment.p_offset, segment.p_filesz);
        (range, if segment.p_align == 8 { 8 } else { 4 })
    });
    let notes = notes.collect();
    let loads = loads(bytes.len(), &segments, &mut problems);
    Ok(Headers { arch, context, notes, loads, problems })
}

pub(super) fn file_header(bytes: &[u8]) -> Result<(Header, Ctx), CoreError> {
    if bytes.is_empty() {
        return Err(CoreError::Empty);
    }
    if !bytes.starts_with(&b"\x7fELF"[..bytes.len().min(4)]) {
        return Err(CoreError::NotElf);
    }
    if bytes.len() < HEADER_SIZE {
        return Err(CoreError::Truncated { what: "in its header" });
    }
    let header = Elf::parse_header(bytes).map_err(|_| CoreError::NotElf)?;
    let (Ok(container), Ok(order)) = (header.container(), header.endianness()) else {
        return Err(CoreError::NotElf);
    };
    match header.e_type {
        ET_CORE => Ok((header, Ctx::new(container, order))),
        ET_EXEC => Err(CoreError::NotCore { what: "an ELF executable" }),
        ET_DYN => Err(CoreError::NotCore { what: "an ELF executable or shared library" }),
        ET_REL => Err(CoreError::NotCore { what: "an ELF object file" }),
        _ => Err(CoreError::NotCore { what: "an ELF file of another type" }),
    }
}

pub(super) fn architecture(header: &Header, context: &Ctx) -> Result<Arch, CoreError> {
    // The machine and the class tell; lengths of notes do not: those of x86_64 and s390x are the same.
    let known = Arch::from_elf(header.e_machine, context.container.is_big());
    known.filter(|arch| arch.is_big_endian() != context.le.is_little()).ok_or_else(|| {
        let bits = if context.container.is_big() { 64 } else { 32 };
        let order = if context.le.is_little() { "little" } else { "big" };
        if (header.e_machine, bits) == (EM_X86_64, 32) {
            let what = "x32 (x86_64 with 32-bit pointers)".to_owned();
            return CoreError::UnsupportedArch { what };
        }
        let name = match machine_to_str(header.e_machine) {
            "EM_UNKNOWN" => format!("ELF machine {}", header.e_machine),
            name => name.to_owned(),
        };
        CoreError::UnsupportedArch { what: format!("{bits}-bit {order}-endian {name}") }
    })
}

fn segments(
    bytes: &[u8],
    header: &Header,
    context: Ctx,
    problems: &mut Vec<Problem>,
) -> Result<Vec<ProgramHeader>, CoreError> {
    let mut claimed = usize::from(header.e_phnum);
    if header.e_phnum == PN_XNUM {
        // The number is in the first section header, where that could be written.
        let first = usize::try_from(header.e_shoff).ok();
        let first = first.and_then(|at| SectionHeader::parse(bytes, at, 1, context).ok());
        match first.as_deref() {
            Some([first, ..]) => claimed = first.sh_info as usize,
            _ => problems.push(Problem::new(
                "core",
                "the core file is truncated: it does not say how many segments it has, and 65,535 are assumed",
            )),
        }
    }
    let start = usize::try_from(header.e_phoff).ok().filter(|&start| start <= bytes.len());
    let start = start.ok_or(CoreError::Truncated { what: "before its program headers" })?;
    let room = (bytes.len() - start) / ProgramHeader::size(context);
    let count = claimed.min(room).min(MAX_SEGMENTS);
    if count == 0 {
        return Err(CoreError::Truncated { what: "before its program headers" });
    }
    if count < claimed {
        let what = format!("only {count} of the {claimed} segments of the core file were read");
        problems.push(Problem::new("core", what));
    }
    ProgramHeader::parse(bytes, start, count, context)
        .map_err(|_| CoreError::Truncated { what: "in its program headers" })
}

/// Says how much is missing at the end.
fn check_length(length: usize, segments: &[ProgramHeader], problems: &mut Vec<Problem>) {
    let ends = segments.iter().filter(|segment| matches!(segment.p_type, PT_LOAD | PT_NOTE));
    let end = ends.filter_map(|segment| segment.p_offset.checked_add(segment.p_filesz)).max();
    if let Some(end) = end.filter(|&end| end > length as u64) {
        let what = format!("the core file is truncated: it has {length} bytes of {end}");
        problems.push(Problem::new("core", what));
    }
}

/// The part of a range that is in the file.
pub(super) fn present(length: usize, offset: u64, size: u64) -> Range<usize> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(length);
    let end = usize::try_from(offset.saturating_add(size)).unwrap_or(usize::MAX).min(length);
    start..end.max(start)
}

fn loads(length: usize, segments: &[ProgramHeader], problems: &mut Vec<Problem>) -> Vec<Load> {
    let loads = segments.iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0);
    let mut loads: Vec<Load> = loads
        .filter_map(|segment| {
            Some(Load {
                start: segment.p_vaddr,
                // The last page of the address space has no address after it.
                end: segment.p_vaddr.checked_add(segment.p_memsz)?,
                flags: segment.p_flags,
                bytes: present(length, segment.p_offset, segment.p_filesz.min(segment.p_memsz)),
            })
        })
        .collect();
    loads.sort_by_key(|load| load.start);
    let (before, mut end) = (loads.len(), 0);
    loads.retain(|load| {
        let follows = load.start >= end;
        end = if follows { load.end } else { end };
        follows
    });
    if loads.len() < before {
        let what =
            format!("{} segments of the core file overlap others and were left out", before - loads.len());
        problems.push(Problem::new("core", what));
    }
    loads
}
