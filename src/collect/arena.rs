//! Memory into which stacks are copied while their threads are stopped. A page fault of ours during the
//! stop costs the target 1.6 µs and more, so the pages that will probably do are in place before; where
//! the kernel has huge pages that takes a quarter of the time.
use crate::snapshot::MemoryPiece;
use crate::sys::memory::prefer_huge_pages;

/// Bytes of stack that a thread has on average, going by waiting threads of servers and runtimes.
const EXPECTED: usize = 10 << 10;
/// Bytes of a further chunk.
const CHUNK: usize = 4 << 20;
const PAGE: usize = 4096;

/// A place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    chunk: usize,
    start: usize,
    length: usize,
}

/// A piece of memory that still lies in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArenaPiece {
    /// Process address of the first byte.
    pub(super) start: u64,
    pub(super) place: Place,
}

impl ArenaPiece {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.place.length as u64)
    }
}

/// Bytes, given out one after the other.
#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    used: usize,
}

impl Arena {
    /// An arena with the pages for so many threads in place, and `more` bytes.
    pub(super) fn new(threads: usize, more: usize) -> Arena {
        let mut arena = Arena::default();
        arena.add_chunk(threads.saturating_mul(EXPECTED).saturating_add(more));
        if let Some(chunk) = arena.chunks.last_mut() {
            chunk.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        }
        arena
    }

    fn add_chunk(&mut self, size: usize) {
        let mut chunk = vec![0; size];
        prefer_huge_pages(&mut chunk);
        self.chunks.push(chunk);
        self.used = 0;
    }

    /// So many bytes that are free; [`Arena::keep`] keeps the first of them.
    pub(super) fn room(&mut self, wanted: usize) -> &mut [u8] {
        if self.chunks.last().is_none_or(|chunk| chunk.len() - self.used < wanted) {
            self.add_chunk(wanted.max(CHUNK));
        }
        let used = self.used;
        match self.chunks.last_mut() {
            Some(chunk) => &mut chunk[used..used + wanted],
            None => &mut [],
        }
    }

    /// Keeps the first bytes of the room that was given last.
    pub(super) fn keep(&mut self, length: usize) -> Place {
        let place = Place { chunk: self.chunks.len().saturating_sub(1), start: self.used, length };
        self.used += length;
        place
    }

    /// Forgets everything, for the next thread.
    pub(super) fn clear(&mut self) {
        let last = self.chunks.pop();
        self.chunks.clear();
        self.chunks.extend(last);
        self.used = 0;
    }

    /// The bytes at a place.
    pub(super) fn bytes(&self, place: Place) -> &[u8] {
        &self.chunks[place.chunk][place.start..place.start + place.length]
    }

    /// Copies pieces out of the arena. Ask in the order in which they were copied in: what lies before
    /// is given back to the system.
    pub(super) fn take(&mut self, pieces: &[ArenaPiece]) -> Vec<MemoryPiece> {
        let taken = pieces.iter().map(|piece| {
            for before in &mut self.chunks[..piece.place.chunk] {
                *before = Vec::new();
            }
            MemoryPiece { start: piece.start, bytes: self.bytes(piece.place).to_vec() }
        });
        taken.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_in_order() {
        let mut arena = Arena::new(1, 0);
        let mut pieces = Vec::new();
        for index in 0..3000_usize {
            let size = (index * 7919) % 9000;
            let room = arena.room(size + 100);
            assert_eq!(room.len(), size + 100);
            room.fill(index as u8);
            pieces.push(ArenaPiece { start: index as u64, place: arena.keep(size) });
        }
        assert!(arena.chunks.len() > 2);
        for (index, piece) in pieces.iter().enumerate() {
            let taken = arena.take(std::slice::from_ref(piece)).remove(0);
            assert_eq!(taken.bytes, vec![index as u8; (index * 7919) % 9000]);
        }
    }

    #[test]
    fn a_large_piece_gets_a_chunk_of_its_own() {
        let mut arena = Arena::new(0, 0);
        assert_eq!(arena.room(CHUNK * 2).len(), CHUNK * 2);
        assert_eq!(arena.keep(5), Place { chunk: 1, start: 0, length: 5 });
        assert_eq!(arena.room(10).len(), 10);
        assert_eq!(arena.keep(10), Place { chunk: 1, start: 5, length: 10 });
    }
}
