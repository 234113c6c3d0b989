//! A search table for unwind sections that have none.
use alloc::vec::Vec;

use gimli::{BaseAddresses, Reader};

use crate::address::FileAddress;
use crate::cfi::{DebugCfi, EhCfi};
use crate::entries::{Frames, each};

/// Where the entry of an address is: built once per section, then searched.
#[derive(Clone, Debug, Default)]
pub struct FdeIndex {
    /// First address, address after the last, section offset; by first address.
    entries: Vec<(u64, u64, usize)>,
}

impl FdeIndex {
    /// An index of `.eh_frame`. Damaged entries are left out.
    pub fn of_eh_frame<R: Reader<Offset = usize>>(cfi: &EhCfi<R>) -> FdeIndex {
        let (section, bases) = cfi.parts();
        FdeIndex::build(section, bases)
    }

    /// An index of `.debug_frame`. Damaged entries are left out.
    pub fn of_debug_frame<R: Reader<Offset = usize>>(cfi: &DebugCfi<R>) -> FdeIndex {
        let (section, bases) = cfi.parts();
        FdeIndex::build(section, bases)
    }

    fn build<R, S>(section: &S, bases: &BaseAddresses) -> FdeIndex
    where
        R: Reader<Offset = usize>,
        S: Frames<R>,
    {
        let mut entries = Vec::new();
        each(section, bases, |fde| entries.push((fde.initial_address(), fde.end_address(), fde.offset())));
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
