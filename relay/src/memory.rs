//! Reading the memory of the process without being able to fault, in pages that are kept for a while.
use crate::sys::calls::{EFAULT, now};
use crate::sys::memory::{read_by_call, read_by_probe};

/// Bytes that are read at once, and aligned to as much: no page is smaller, so they lie in one.
const PAGE: usize = crate::sys::memory::SMALLEST_PAGE;
const PAGES: usize = 32;
/// Loads between looks at the clock.
const CLOCK_AFTER: u32 = 256;

#[derive(Debug)]
struct Page {
    /// Address of its first byte; 1 for none.
    address: u64,
    bytes: [u8; PAGE],
}

/// The memory of the process.
#[derive(Debug)]
pub(crate) struct Memory {
    pid: u32,
    pages: [Page; PAGES],
    /// Whether process_vm_readv may be used, and works.
    by_call: bool,
    deadline: u64,
    loads: u32,
    is_late: bool,
}

impl Memory {
    /// Reads end at the deadline. Without `by_call` only a call is used that no filter can do without.
    pub(crate) fn new(pid: u32, by_call: bool, deadline: u64) -> Memory {
        let pages = [const { Page { address: 1, bytes: [0; PAGE] } }; PAGES];
        Memory { pid, pages, by_call, deadline, loads: 0, is_late: false }
    }

    /// Fills the buffer, or answers `false`.
    pub(crate) fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let mut at = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            let offset = (at % PAGE as u64) as usize;
            let length = rest.len().min(PAGE - offset);
            let Some(page) = self.page(at - offset as u64) else { return false };
            let (part, after) = rest.split_at_mut(length);
            part.copy_from_slice(&page[offset..offset + length]);
            rest = after;
            match at.checked_add(length as u64) {
                Some(next) => at = next,
                None => return rest.is_empty(),
            }
        }
        true
    }

    fn page(&mut self, address: u64) -> Option<&[u8; PAGE]> {
        let index = (address / PAGE as u64) as usize % PAGES;
        if self.pages.get(index)?.address != address {
            self.loads += 1;
            if self.loads.is_multiple_of(CLOCK_AFTER) && now() > self.deadline {
                self.is_late = true;
            }
            if self.is_late {
                return None;
            }
            let page = self.pages.get_mut(index)?;
            page.address = 1;
            load(self.pid, &mut self.by_call, address, &mut page.bytes).then_some(())?;
            page.address = address;
        }
        self.pages.get(index).map(|page| &page.bytes)
    }

    /// Forgets what was read, since the thread it was of may have gone on.
    pub(crate) fn forget(&mut self) {
        for page in &mut self.pages {
            page.address = 1;
        }
    }

    /// A little-endian number of 2, 4 or 8 bytes.
    pub(crate) fn number<const N: usize>(&mut self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, bytes.get_mut(..N)?).then(|| u64::from_le_bytes(bytes))
    }

    /// A word of the process.
    pub(crate) fn word(&mut self, address: u64) -> Option<u64> {
        self.number::<{ size_of::<usize>() }>(address)
    }

    /// Whether reads fail because the time is over.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }
}

fn load(pid: u32, by_call: &mut bool, address: u64, bytes: &mut [u8; PAGE]) -> bool {
    if *by_call {
        match read_by_call(pid, address, bytes) {
            Ok(length) => return length == PAGE,
            Err(EFAULT) => return false,
            // Not allowed, or not there: it will stay so.
            Err(_) => *by_call = false,
        }
    }
    read_by_probe(address, bytes)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn memory_is_read_in_both_ways_and_holes_are_no_memory() {
        let text = [7_u8; 3 * PAGE];
        for by_call in [true, false] {
            let mut memory = Memory::new(std::process::id(), by_call, u64::MAX);
            let mut copy = [0; 2 * PAGE + 1];
            assert!(memory.read(text.as_ptr() as u64 + 1, &mut copy));
            assert!(copy.iter().all(|&byte| byte == 7));
            assert!(!memory.read(8, &mut [0]), "page zero");
            assert!(!memory.read(u64::MAX - 3, &mut [0; 8]), "around the end");
            assert_eq!(memory.number::<2>(text.as_ptr() as u64), Some(0x0707));
        }
    }

    #[test]
    fn nothing_is_read_after_the_deadline() {
        let mut memory = Memory::new(std::process::id(), true, 0);
        let value = 1_u8;
        let address = &raw const value as u64;
        for _ in 0..=CLOCK_AFTER {
            memory.forget();
            memory.read(address, &mut [0]);
        }
        assert!(memory.is_late());
        assert!(!memory.read(address, &mut [0]));
    }
}
