//! A DWARF reader that gives up.
//!
//! addr2line recurses once per level of inlining and reads whatever the sections say; crafted
//! DWARF makes it overflow the stack or read for hours. Every read goes through here, so a budget
//! of reads and a lowest stack address are enough to end both with an ordinary error.
use std::borrow::Cow;
use std::cell::Cell;

use gimli::{EndianSlice, Error, Reader, ReaderOffsetId, Result, RunTimeEndian};

/// Stack a lookup may use, in bytes. A level of inlining takes about half a kilobyte in a release
/// build and three in a debug build; threads of Rust programs have 2 MiB.
const STACK: usize = 768 * 1024;

/// Longest name or path, in bytes.
const MAX_TEXT: usize = 1 << 18;
/// Bytes of text that cost as much as a read.
const TEXT_OF_A_READ: u64 = 16;

thread_local! {
    static READS: Cell<u64> = const { Cell::new(0) };
    static LOWEST: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` with a budget of reads. Also returns how many reads were left over; 0 means that
/// the limit was met. Budgets do not nest.
pub(super) fn with_budget<T>(reads: u64, work: impl FnOnce() -> T) -> (T, u64) {
    READS.set(reads);
    LOWEST.set(stack_address().saturating_sub(STACK));
    let result = work();
    (result, READS.replace(0))
}

#[inline(never)]
fn stack_address() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here).addr()
}

/// Bytes of a DWARF section. Can be read only inside [`with_budget`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded<'s>(EndianSlice<'s, RunTimeEndian>);

impl<'s> Guarded<'s> {
    pub(super) fn new(bytes: &'s [u8], order: RunTimeEndian) -> Guarded<'s> {
        Guarded(EndianSlice::new(bytes, order))
    }

    #[inline]
    fn spend(&self) -> Result<()> {
        let left = READS.get();
        if left == 0 {
            return Err(Error::TooManyIterations);
        }
        READS.set(left - 1);
        Ok(())
    }

    /// For reads whose work grows with their length: names are searched for their end, and copied.
    #[inline]
    fn spend_text(&self, length: usize) -> Result<()> {
        let left = READS.get().saturating_sub(length as u64 / TEXT_OF_A_READ);
        READS.set(left);
        if left == 0 { Err(Error::TooManyIterations) } else { Ok(()) }
    }

    /// As [`Guarded::spend`]; for the reads that every level of recursion makes.
    #[inline]
    fn spend_checking_stack(&self) -> Result<()> {
        let here = 0_u8;
        if std::ptr::from_ref(&here).addr() < LOWEST.get() {
            READS.set(0);
        }
        self.spend()
    }
}

impl Reader for Guarded<'_> {
    type Endian = RunTimeEndian;
    type Offset = usize;

    #[inline]
    fn endian(&self) -> RunTimeEndian {
        self.0.endian()
    }

    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn empty(&mut self) {
        Reader::empty(&mut self.0);
    }

    #[inline]
    fn truncate(&mut self, len: usize) -> Result<()> {
        Reader::truncate(&mut self.0, len)
    }

    #[inline]
    fn offset_from(&self, base: &Self) -> usize {
        // gimli asks only for readers of one section, but a damaged offset must not panic.
        let here = Reader::offset_id(&self.0);
        Reader::lookup_offset_id(&base.0, here).unwrap_or(0)
    }

    #[inline]
    fn offset_id(&self) -> ReaderOffsetId {
        Reader::offset_id(&self.0)
    }

    #[inline]
    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        Reader::lookup_offset_id(&self.0, id)
    }

    #[inline]
    fn find(&self, byte: u8) -> Result<usize> {
        self.spend()?;
        // One read must not walk through gigabytes in search of the end of a name.
        let window = &self.0.slice()[..self.0.len().min(MAX_TEXT)];
        let found = EndianSlice::new(window, self.0.endian()).find(byte);
        self.spend_text(found.unwrap_or(window.len()))?;
        found.ok_or_else(|| Error::UnexpectedEof(self.offset_id()))
    }

    #[inline]
    fn skip(&mut self, len: usize) -> Result<()> {
        self.spend()?;
        Reader::skip(&mut self.0, len)
    }

    #[inline]
    fn split(&mut self, len: usize) -> Result<Self> {
        self.spend()?;
        Reader::split(&mut self.0, len).map(Guarded)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.spend_text(self.0.len())?;
        Reader::to_slice(&self.0)
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        self.spend_text(self.0.len())?;
        Reader::to_string(&self.0)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        self.spend_text(self.0.len())?;
        Reader::to_string_lossy(&self.0)
    }

    #[inline]
    fn read_slice(&mut self, buf: &mut [u8]) -> Result<()> {
        self.spend()?;
        Reader::read_slice(&mut self.0, buf)
    }

    #[inline]
    fn read_u8(&mut self) -> Result<u8> {
        self.spend()?;
        Reader::read_u8(&mut self.0)
    }

    #[inline]
    fn read_uleb128(&mut self) -> Result<u64> {
        self.spend_checking_stack()?;
        Reader::read_uleb128(&mut self.0)
    }

    #[inline]
    fn read_uleb128_u16(&mut self) -> Result<u16> {
        self.spend()?;
        Reader::read_uleb128_u16(&mut self.0)
    }

    #[inline]
    fn skip_leb128(&mut self) -> Result<()> {
        self.spend()?;
        Reader::skip_leb128(&mut self.0)
    }

    #[inline]
    fn read_sleb128(&mut self) -> Result<i64> {
        self.spend()?;
        Reader::read_sleb128(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_ends_with_the_budget() {
        let bytes = [1_u8; 16];
        let (read, left) = with_budget(4, || {
            let mut reader = Guarded::new(&bytes, RunTimeEndian::Little);
            std::iter::from_fn(|| reader.read_u8().ok()).count()
        });
        assert_eq!((read, left), (4, 0));
        let ((), left) = with_budget(4, || ());
        assert_eq!(left, 4);
    }

    #[test]
    fn deep_recursion_ends_before_the_stack_does() {
        fn descend(reader: Guarded<'_>, depth: usize) -> usize {
            let mut copy = reader;
            match std::hint::black_box(copy.read_uleb128()) {
                Ok(_) => descend(reader, depth + 1),
                Err(_) => depth,
            }
        }
        let bytes = [1_u8; 16];
        let (depth, left) = with_budget(u64::MAX, || descend(Guarded::new(&bytes, RunTimeEndian::Little), 0));
        assert!(depth > 1000, "{depth}");
        assert_eq!(left, 0);
    }
}
