//! Unwind rules of an address, from the memory of its object.
//!
//! The tables are never borrowed: another thread that was not reached may unmap them. The one entry that is
//! needed is copied, with what it shares with others, into a section of its own.
use threaddump_dwarf::gimli::{EndianSlice, LittleEndian};
use threaddump_dwarf::{Cfa, CfiError, Context, EhCfi, EhSections, FileAddress, Row, Rule};

use threaddump_arch::NATIVE;

use crate::memory::Memory;

/// Bytes of one entry with its common part; longer ones end the walk.
pub(crate) const MAX_ENTRY: usize = 16 << 10;
/// The encodings every linker writes: relative to the place or the table, four bytes.
const HEADER: u64 = u32::from_le_bytes([1, 0x1b, 0x03, 0x3b]) as u64;
const MAX_ROWS: u64 = 1 << 24;

pub(crate) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// A copied section, and the place of the entry in it.
#[derive(Debug)]
pub(crate) struct Section {
    bytes: [u8; MAX_ENTRY],
    length: usize,
    entry: usize,
    address: u64,
}

impl Section {
    pub(crate) fn new() -> Section {
        Section { bytes: [0; MAX_ENTRY], length: 0, entry: 0, address: 0 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Copies the entry that may hold the address; `None` if there is none.
    pub(crate) fn load(
        &mut self,
        memory: &mut Memory,
        header: u64,
        address: u64,
    ) -> Option<Result<(), CfiError>> {
        let entry = search(memory, header, address)?;
        let length = memory.number::<4>(entry)?.checked_add(4)?;
        let pointer = entry.checked_add(4)?;
        let common = pointer.checked_sub(memory.number::<4>(pointer)?)?;
        let common_length = memory.number::<4>(common)?.checked_add(4)?;
        let (Ok(length), Ok(common_length)) = (usize::try_from(length), usize::try_from(common_length))
        else {
            return Some(Err(CfiError::TooLarge));
        };
        let total = length.saturating_add(common_length);
        let Some((first, second)) =
            self.bytes.get_mut(..total).and_then(|bytes| bytes.split_at_mut_checked(common_length))
        else {
            return Some(Err(CfiError::TooLarge));
        };
        if !memory.read(common, first) || !memory.read(entry, second) {
            return None;
        }
        // The common part now is where the copy begins.
        let distance = u32::try_from(common_length + 4).ok()?;
        second.get_mut(4..8)?.copy_from_slice(&distance.to_le_bytes());
        (self.length, self.entry) = (total, common_length);
        // What is relative to its place in the entry stays right.
        self.address = entry.wrapping_sub(common_length as u64);
        Some(Ok(()))
    }

    /// The rules of an address that the entry may hold.
    pub(crate) fn row(&self, context: &mut Context, address: u64) -> Result<Option<Row>, CfiError> {
        let Some(arch) = NATIVE else { return Ok(None) };
        let sections = EhSections {
            eh_frame: EndianSlice::new(self.as_bytes(), LittleEndian),
            eh_frame_address: self.address,
            eh_frame_hdr: None,
            text_address: None,
            got_address: None,
        };
        EhCfi::new(arch, sections).row(context, FileAddress(address), Some(self.entry))
    }
}

/// The entry of the last function that starts at or before the address, by the sorted table.
fn search(memory: &mut Memory, header: u64, address: u64) -> Option<u64> {
    if memory.number::<4>(header)? != HEADER {
        return None;
    }
    let count = memory.number::<4>(header.checked_add(8)?)?.min(MAX_ROWS);
    let table = header.checked_add(12)?;
    let mut value = |row: u64, word: u64| {
        let offset = memory.number::<4>(table.checked_add(row * 8 + word * 4)?)?;
        Some(header.wrapping_add_signed(i64::from(offset as u32 as i32)))
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if value(middle, 0)? <= address { low = middle + 1 } else { high = middle }
    }
    value(low.checked_sub(1)?, 1)
}

/// Whether applying the rules needs bytes of the section.
pub(crate) fn has_expressions(row: &Row) -> bool {
    let Some(arch) = NATIVE else { return false };
    matches!(row.cfa, Cfa::Expression(_))
        || arch.iter().any(|(id, _)| matches!(row.get(id), Rule::Expression(_) | Rule::ValExpression(_)))
}
