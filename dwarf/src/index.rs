//! A search table for unwind sections that have none.
use alloc::vec::Vec;

use gimli::{BaseAddresses, CieOrFde, Reader, UnwindOffset, UnwindSection};

use crate::address::FileAddress;
use crate::cfi::{DebugCfi, EhCfi};

/// Where the entry of an address is: built once per section, then searched.
#[derive(Clone, Debug, Default)]
pub struct FdeIndex {
    /// First address, address after the last, section offset; by first address.
    entries: Vec<(u64, u64, usize)>,
}

impl FdeIndex {
    /// An index of `.eh_frame`. A damaged entry ends it: what comes before is indexed.
    pub fn of_eh_frame<R: Reader<Offset = usize>>(cfi: &EhCfi<R>) -> FdeIndex {
        let (section, bases) = cfi.parts();
        FdeIndex::build(section, bases)
    }

    /// An index of `.debug_frame`. A damaged entry ends it: what comes before is indexed.
    pub fn of_debug_frame<R: Reader<Offset = usize>>(cfi: &DebugCfi<R>) -> FdeIndex {
        let (section, bases) = cfi.parts();
        FdeIndex::build(section, bases)
    }

    fn build<R, S>(section: &S, bases: &BaseAddresses) -> FdeIndex
    where
        R: Reader<Offset = usize>,
        S: UnwindSection<R>,
        S::Offset: UnwindOffset<usize>,
    {
        let mut entries = Vec::new();
        // Most entries share the CIE of the one before.
        let mut last_cie: Option<(usize, gimli::CommonInformationEntry<R>)> = None;
        let mut all = section.entries(bases);
        while let Ok(Some(entry)) = all.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(|section, bases, offset| {
                let place: usize = UnwindOffset::into(offset);
                if let Some((known, cie)) = &last_cie
                    && *known == place
                {
                    return Ok(cie.clone());
                }
                let cie = section.cie_from_offset(bases, offset)?;
                last_cie = Some((place, cie.clone()));
                Ok(cie)
            });
            if let Ok(fde) = fde
                && fde.len() > 0
            {
                entries.push((fde.initial_address(), fde.end_address(), fde.offset()));
            }
        }
        entries.sort_unstable();
        FdeIndex { entries }
    }

    /// The section offset of the entry that covers the address. Where entries overlap (functions
    /// that the linker discarded are left at address 0) the one that starts last wins.
    pub fn entry(&self, address: FileAddress) -> Option<usize> {
        let after = self.entries.partition_point(|(start, ..)| *start <= address.0);
        let near = self.entries[..after].iter().rev().take(8);
        near.copied().find(|(_, end, _)| address.0 < *end).map(|(.., offset)| offset)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
