//! The beginning of a core file, headers and notes, without the memory: what of a core a crash handler reads.
use goblin::elf::program_header::{PT_NOTE, ProgramHeader};

use threaddump_arch::Arch;

use super::CoreError;
use super::headers::{self, Headers};
use super::notes;
use crate::collect::crash::Caught;
use crate::snapshot::{Problem, SignalFacts};

/// Bytes that tell how long the beginning is: the file header and one program header.
pub(in super::super) const HEAD: usize = 64 + 56;

/// How many bytes the beginning has, by its first [`HEAD`]. The kernel writes the notes first of all, and so
/// describes them first.
///
/// # Errors
/// If it is no core file, or its notes are not first.
pub(in super::super) fn length(head: &[u8]) -> Result<u64, CoreError> {
    let (header, context) = headers::file_header(head)?;
    headers::architecture(&header, &context)?;
    let start = usize::try_from(header.e_phoff).unwrap_or(usize::MAX);
    let first = ProgramHeader::parse(head, start.min(head.len()), 1, context);
    let first = first.ok().and_then(|first| first.into_iter().next());
    let first = first.filter(|first| first.p_type == PT_NOTE);
    let end = first.and_then(|first| first.p_offset.checked_add(first.p_filesz));
    end.ok_or(CoreError::Truncated { what: "before its notes" })
}

/// What the notes say.
#[derive(Debug)]
pub(in super::super) struct CoreNotes {
    pub(in super::super) arch: Arch,
    /// The first one got the signal; with the ids that the process itself sees.
    pub(in super::super) threads: Vec<Caught>,
    pub(in super::super) signal: Option<SignalFacts>,
    pub(in super::super) problems: Vec<Problem>,
}

/// Reads headers and notes; `bytes` end where the notes do, or before, if they could not be read whole.
///
/// # Errors
/// If it is no core file, or has no notes of threads.
pub(in super::super) fn read(bytes: &[u8]) -> Result<CoreNotes, CoreError> {
    let (header, context) = headers::file_header(bytes)?;
    let arch = headers::architecture(&header, &context)?;
    let start = usize::try_from(header.e_phoff).unwrap_or(usize::MAX);
    let first = ProgramHeader::parse(bytes, start.min(bytes.len()), 1, context)
        .map_err(|_| CoreError::Truncated { what: "in its program headers" })?;
    let ranges = first.iter().filter(|segment| segment.p_type == PT_NOTE).map(|segment| {
        let range = headers::present(bytes.len(), segment.p_offset, segment.p_filesz);
        (range, if segment.p_align == 8 { 8 } else { 4 })
    });
    let headers = Headers { arch, context, notes: ranges.collect(), loads: Vec::new(), problems: Vec::new() };
    let notes = notes::read(bytes, &headers);
    if notes.threads.is_empty() {
        return Err(CoreError::Truncated { what: "before its notes about threads" });
    }
    let threads = notes.threads.into_iter();
    Ok(CoreNotes {
        arch,
        threads: threads
            .map(|note| Caught { tid: note.tid, registers: note.registers, cpu_ns: note.cpu_ns })
            .collect(),
        signal: notes.signal,
        problems: notes.problems,
    })
}
