//! Reading a snapshot's memory as if it were the process.
use super::{MemoryPiece, Snapshot};

/// The memory that one thread of a snapshot sees: its stacks, then what belongs to no thread.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotMemory<'a> {
    stacks: &'a [MemoryPiece],
    memory: &'a [MemoryPiece],
}

impl<'a> SnapshotMemory<'a> {
    /// The view of the thread at this place of `snapshot.threads`; without its stacks if there is none.
    pub fn for_thread(snapshot: &'a Snapshot, index: usize) -> SnapshotMemory<'a> {
        let stacks = snapshot.threads.get(index).map_or(&[][..], |thread| &thread.stacks);
        SnapshotMemory { stacks, memory: &snapshot.memory }
    }

    /// Fills the buffer from `address` (process address) on. Gives false, and leaves the buffer as it
    /// is, unless all of it lies in one piece.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let after = self.memory.partition_point(|piece| piece.start <= address);
        let shared = after.checked_sub(1).and_then(|index| self.memory.get(index));
        let mut pieces = self.stacks.iter().chain(shared);
        let Some(bytes) = pieces.find_map(|piece| slice(piece, address, buffer.len())) else { return false };
        buffer.copy_from_slice(bytes);
        true
    }
}

fn slice(piece: &MemoryPiece, address: u64, length: usize) -> Option<&[u8]> {
    let offset = usize::try_from(address.checked_sub(piece.start)?).ok()?;
    piece.bytes.get(offset..)?.get(..length)
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::small;
    use super::*;

    fn piece(start: u64, bytes: &[u8]) -> MemoryPiece {
        MemoryPiece { start, bytes: bytes.to_vec() }
    }

    #[test]
    fn stacks_come_first_and_the_rest_is_found_by_address() {
        let mut snapshot = small();
        snapshot.threads[0].stacks = vec![piece(0x2000, b"abcd"), piece(0x1000, b"wxyz")];
        snapshot.memory = vec![piece(0x500, b"code"), piece(0x2000, b"ABCDEF")];
        let memory = SnapshotMemory::for_thread(&snapshot, 0);
        let read = |address, length| {
            let mut buffer = vec![b'.'; length];
            memory.read(address, &mut buffer).then(|| String::from_utf8(buffer).expect("letters"))
        };
        assert_eq!(read(0x2000, 4).as_deref(), Some("abcd"));
        assert_eq!(read(0x2000, 6).as_deref(), Some("ABCDEF"), "the stack has too few");
        assert_eq!(read(0x1002, 2).as_deref(), Some("yz"));
        assert_eq!(read(0x501, 3).as_deref(), Some("ode"));
        for (address, length) in [(0x501, 4), (0x4ff, 1), (0x504, 1), (0, 1), (u64::MAX, 8), (0x1fff, 2)] {
            assert_eq!(read(address, length), None, "{address:#x}");
        }
    }

    #[test]
    fn a_thread_that_is_not_there_has_no_stack() {
        let mut snapshot = small();
        snapshot.memory = vec![piece(0x500, b"code")];
        let memory = SnapshotMemory::for_thread(&snapshot, 1000);
        assert!(memory.read(0x500, &mut [0; 4]));
        assert!(!memory.read(0x1000, &mut [0; 1]));
    }
}
