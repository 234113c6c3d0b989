//! What images borrow from.
use std::cell::Cell;
use std::fmt;

use typed_arena::Arena;

use crate::sys::mapping::FileMapping;

/// All inflated sections of all files together may take this much, in bytes.
const MAX_INFLATED: u64 = 4 << 30;

/// Owns file mappings, copies of memory and inflated sections, so that images can borrow them.
pub struct Store {
    mappings: Arena<FileMapping>,
    buffers: Arena<Vec<u8>>,
    inflated: Cell<u64>,
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store { mappings: Arena::new(), buffers: Arena::new(), inflated: Cell::new(0) }
    }

    pub(super) fn keep_mapping(&self, mapping: FileMapping) -> &FileMapping {
        self.mappings.alloc(mapping)
    }

    pub(super) fn keep_bytes(&self, bytes: Vec<u8>) -> &[u8] {
        self.buffers.alloc(bytes)
    }

    pub(super) fn keep_inflated(&self, bytes: Vec<u8>) -> &[u8] {
        self.inflated.set(self.inflated.get().saturating_add(bytes.len() as u64));
        self.keep_bytes(bytes)
    }

    /// Bytes that may still be inflated.
    pub(super) fn room(&self) -> u64 {
        MAX_INFLATED.saturating_sub(self.inflated.get())
    }
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
