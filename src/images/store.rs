//! What images borrow from.
use std::cell::Cell;
use std::fmt;

use typed_arena::Arena;

use crate::sys::mapping::FileMapping;

/// All inflated sections of all files together may take this much, in bytes.
const MAX_INFLATED: u64 = 4 << 30;
/// Sections that are more than [`ORDINARY`] times as large as their compressed form may take this
/// much of it: small ones are seen (tables of zeros), large ones are made to fill memory.
const MAX_SUSPICIOUS: u64 = 16 << 20;
/// What compression gains on debug information at most: 3 to 6 times as a rule, 15 for the best of
/// sections.
const ORDINARY: u64 = 24;

/// Owns file mappings, copies of memory and inflated sections, so that images can borrow them.
pub struct Store {
    mappings: Arena<FileMapping>,
    buffers: Arena<Vec<u8>>,
    inflated: Cell<u64>,
    suspicious: Cell<u64>,
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store {
            mappings: Arena::new(),
            buffers: Arena::new(),
            inflated: Cell::new(0),
            suspicious: Cell::new(0),
        }
    }

    pub(super) fn keep_mapping(&self, mapping: FileMapping) -> &FileMapping {
        self.mappings.alloc(mapping)
    }

    pub(super) fn keep_bytes(&self, bytes: Vec<u8>) -> &[u8] {
        self.buffers.alloc(bytes)
    }

    /// Counts what so many bytes are inflated to.
    pub(super) fn charge(&self, size: u64, compressed: usize) {
        let purse = if is_ordinary(size, compressed) { &self.inflated } else { &self.suspicious };
        purse.set(purse.get().saturating_add(size));
    }

    /// Bytes that may still be inflated from so many, if it is not said beforehand how many they become.
    pub(super) fn most_of(&self, compressed: usize) -> u64 {
        let ordinary = ORDINARY.saturating_mul(compressed as u64);
        let room = MAX_INFLATED.saturating_sub(self.inflated.get());
        ordinary.min(room).max(MAX_SUSPICIOUS.saturating_sub(self.suspicious.get()))
    }

    /// Bytes that may still be inflated from so many, if they are said to become `size`.
    pub(super) fn room(&self, size: u64, compressed: usize) -> u64 {
        if is_ordinary(size, compressed) {
            MAX_INFLATED.saturating_sub(self.inflated.get())
        } else {
            MAX_SUSPICIOUS.saturating_sub(self.suspicious.get())
        }
    }
}

fn is_ordinary(size: u64, compressed: usize) -> bool {
    size <= ORDINARY.saturating_mul(compressed as u64)
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("inflated", &self.inflated.get()).finish_non_exhaustive()
    }
}
