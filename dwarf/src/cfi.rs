//! From the unwind sections of a module to the row of an address.
use core::cell::OnceCell;

use gimli::{
    BaseAddresses, DebugFrame, EhFrame, EhFrameHdr, FrameDescriptionEntry, ParsedEhFrameHdr, Reader, Vendor,
};
use threaddump_arch::Arch;

use crate::address::FileAddress;
use crate::cfi_sections::EhSections;
use crate::entries::{Frames, entry_at, linear};
use crate::error::CfiError;
use crate::row::{Row, Section};
use crate::storage::Context;

/// `.eh_frame` of one module (Linux Standard Base core, section "Exception Frames").
#[derive(Clone, Debug)]
pub struct EhCfi<R: Reader<Offset = usize>> {
    arch: Arch,
    bytes: R,
    section: EhFrame<R>,
    bases: BaseAddresses,
    /// Only if its search table can be used.
    header: Option<ParsedEhFrameHdr<R>>,
    /// Whether all of the table is in order; found out when it gives no answer.
    sorted: OnceCell<bool>,
}

/// `.debug_frame` of one module (DWARF 5, section 6.4). It has no search table.
#[derive(Clone, Debug)]
pub struct DebugCfi<R: Reader<Offset = usize>> {
    arch: Arch,
    bytes: R,
    section: DebugFrame<R>,
    bases: BaseAddresses,
}

/// Pairs of neighbours that are compared to tell whether a search table is sorted.
const ORDER_SAMPLES: u64 = 32;

impl<R: Reader<Offset = usize>> EhCfi<R> {
    /// Takes the sections; a header whose search table is missing, of an unknown form or not in
    /// order is left aside.
    pub fn new(arch: Arch, sections: EhSections<R>) -> EhCfi<R> {
        let mut bases = BaseAddresses::default().set_eh_frame(sections.eh_frame_address);
        if let Some(text) = sections.text_address {
            bases = bases.set_text(text);
        }
        if let Some(got) = sections.got_address {
            bases = bases.set_got(got);
        }
        let mut header = None;
        if let Some((reader, address)) = &sections.eh_frame_hdr {
            bases = bases.set_eh_frame_hdr(*address);
            header = EhFrameHdr::from(reader.clone())
                .parse(&bases, arch.pointer_size())
                .ok()
                .filter(|header| table_is_usable(header, &bases, &sections));
        }
        let bytes = sections.eh_frame.clone();
        let mut section = EhFrame::from(sections.eh_frame);
        section.set_address_size(arch.pointer_size());
        section.set_vendor(vendor(arch));
        EhCfi { arch, bytes, section, bases, header, sorted: OnceCell::new() }
    }

    /// Whether lookups search linearly unless an index is given.
    pub fn wants_index(&self) -> bool {
        self.header.is_none()
    }

    /// The row of an address, `None` if the section does not cover it.
    ///
    /// # Errors
    /// [`CfiError`] if the entry that covers it cannot be used.
    pub fn row(
        &self,
        context: &mut Context,
        address: FileAddress,
        entry: Option<usize>,
    ) -> Result<Option<Row>, CfiError> {
        let fde = match (entry, &self.header) {
            (Some(offset), _) => Some(entry_at(&self.section, &self.bases, offset)?),
            (None, Some(header)) => self.search(header, address)?,
            (None, None) => linear(&self.section, &self.bases, address),
        };
        row_of(self.arch, Section::Eh, &self.section, &self.bases, context, fde, address)
    }

    fn search(
        &self,
        header: &ParsedEhFrameHdr<R>,
        address: FileAddress,
    ) -> Result<Option<FrameDescriptionEntry<R>>, CfiError> {
        let Some(table) = header.table() else { return Ok(None) };
        let pointer = table.lookup(address.0, &self.bases).and_then(gimli::Pointer::direct);
        let offset = pointer.map_err(CfiError::Damaged)?.checked_sub(self.bases_start());
        match offset.and_then(|offset| usize::try_from(offset).ok()) {
            Some(offset) => entry_at(&self.section, &self.bases, offset).map(Some),
            None => Err(CfiError::Damaged(gimli::Error::OffsetOutOfBounds(offset.unwrap_or(u64::MAX)))),
        }
    }

    /// Whether the search table is wrong about an address: not in order, or its row leads to another
    /// function's entry. Worth asking where [`EhCfi::row`] gave nothing: an index may know better.
    pub fn table_misleads(&self, address: FileAddress) -> bool {
        let Some(header) = &self.header else { return false };
        let Some(rows) = header.table().map(|table| table.iter(&self.bases).size_hint().0) else {
            return false;
        };
        if !*self.sorted.get_or_init(|| table_is_sorted(header, &self.bases)) {
            return true;
        }
        let (mut low, mut high) = (0, rows);
        while low < high {
            let middle = low + (high - low) / 2;
            match table_start(header, &self.bases, middle) {
                Some(start) if start <= address.0 => low = middle + 1,
                _ => high = middle,
            }
        }
        let before = low.checked_sub(1).and_then(|row| table_start(header, &self.bases, row));
        let Some(start) = before else { return false };
        !matches!(self.search(header, address), Ok(Some(entry)) if entry.initial_address() == start)
    }

    fn bases_start(&self) -> u64 {
        self.bases.eh_frame.section.unwrap_or(0)
    }

    /// The bytes of the section, which expressions of its rows stand in.
    pub fn reader(&self) -> &R {
        &self.bytes
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn parts(&self) -> (&EhFrame<R>, &BaseAddresses) {
        (&self.section, &self.bases)
    }
}

impl<R: Reader<Offset = usize>> DebugCfi<R> {
    /// Takes the section's contents, inflated.
    pub fn new(arch: Arch, debug_frame: R) -> DebugCfi<R> {
        let bytes = debug_frame.clone();
        let mut section = DebugFrame::from(debug_frame);
        section.set_address_size(arch.pointer_size());
        section.set_vendor(vendor(arch));
        DebugCfi { arch, bytes, section, bases: BaseAddresses::default() }
    }

    /// The row of an address, `None` if the section does not cover it.
    ///
    /// # Errors
    /// [`CfiError`] if the entry that covers it cannot be used.
    pub fn row(
        &self,
        context: &mut Context,
        address: FileAddress,
        entry: Option<usize>,
    ) -> Result<Option<Row>, CfiError> {
        let fde = match entry {
            Some(offset) => Some(entry_at(&self.section, &self.bases, offset)?),
            None => linear(&self.section, &self.bases, address),
        };
        row_of(self.arch, Section::Debug, &self.section, &self.bases, context, fde, address)
    }

    /// The bytes of the section, which expressions of its rows stand in.
    pub fn reader(&self) -> &R {
        &self.bytes
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn parts(&self) -> (&DebugFrame<R>, &BaseAddresses) {
        (&self.section, &self.bases)
    }
}

/// Who gave meaning to the instructions that every architecture may use for its own: on AArch64 there
/// is one for signed return addresses.
fn vendor(arch: Arch) -> Vendor {
    if arch == Arch::Aarch64 { Vendor::AArch64 } else { Vendor::Default }
}

/// Whether a search table has entries, is whole, points to our `.eh_frame`, and is in order where
/// sampled.
fn table_is_usable<R: Reader<Offset = usize>>(
    header: &ParsedEhFrameHdr<R>,
    bases: &BaseAddresses,
    sections: &EhSections<R>,
) -> bool {
    if header.eh_frame_ptr().direct() != Ok(sections.eh_frame_address) {
        return false;
    }
    let Some(table) = header.table() else { return false };
    let start = |entry: gimli::Result<Option<(gimli::Pointer, gimli::Pointer)>>| {
        entry.ok().flatten().and_then(|(start, _)| start.direct().ok())
    };
    let mut entries = table.iter(bases);
    // The count is checked before gimli multiplies it with the size of a row (4 to 16 bytes).
    let count = entries.size_hint().0;
    let room = sections.eh_frame_hdr.as_ref().map_or(0, |(reader, _)| reader.len() / 4);
    if count == 0 || count > room || start(table.iter(bases).nth(count - 1)).is_none() {
        return false;
    }
    let Some(mut last) = start(entries.next()) else { return false };
    // Samples at growing distances: a table that is not sorted shows it early.
    for sample in 0..ORDER_SAMPLES {
        let skip = usize::try_from(sample * sample).unwrap_or(usize::MAX);
        let Some(next) = start(entries.nth(skip)) else { break };
        if next < last {
            return false;
        }
        last = next;
    }
    true
}

/// The first address of the function in a row of a search table.
fn table_start<R: Reader<Offset = usize>>(
    header: &ParsedEhFrameHdr<R>,
    bases: &BaseAddresses,
    row: usize,
) -> Option<u64> {
    let (start, _) = header.table()?.iter(bases).nth(row).ok()??;
    start.direct().ok()
}

fn table_is_sorted<R: Reader<Offset = usize>>(header: &ParsedEhFrameHdr<R>, bases: &BaseAddresses) -> bool {
    let Some(table) = header.table() else { return false };
    let (mut rows, mut last) = (table.iter(bases), 0);
    loop {
        match rows.next().map(|row| row.map(|(start, _)| start.direct())) {
            Ok(None) => return true,
            Ok(Some(Ok(start))) if last <= start => last = start,
            _ => return false,
        }
    }
}

fn row_of<R, S>(
    arch: Arch,
    kind: Section,
    section: &S,
    bases: &BaseAddresses,
    context: &mut Context,
    fde: Option<FrameDescriptionEntry<R>>,
    address: FileAddress,
) -> Result<Option<Row>, CfiError>
where
    R: Reader<Offset = usize>,
    S: Frames<R>,
{
    let Some(fde) = fde.filter(|fde| fde.contains(address.0)) else { return Ok(None) };
    let length = fde.entry_len().saturating_add(fde.cie().entry_len());
    context.work = context.work.saturating_add(length as u64);
    let row =
        fde.unwind_info_for_address(section, bases, &mut context.unwind, address.0).map_err(|error| {
            match error {
                gimli::Error::StackFull | gimli::Error::TooManyRegisterRules => CfiError::TooLarge,
                error => CfiError::Damaged(error),
            }
        })?;
    let column = fde.cie().return_address_register().0;
    Row::from_gimli(arch, kind, column, fde.is_signal_trampoline(), row).map(Some)
}
