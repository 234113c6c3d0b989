//! What can be read of a snapshot's memory.
use super::{MemoryPiece, Snapshot};

/// Memory as one thread's unwinding sees it: its own stacks, then what belongs to no one thread.
#[derive(Debug)]
pub struct SnapshotMemory<'a> {
    stacks: &'a [MemoryPiece],
    shared: &'a [MemoryPiece],
}

impl<'a> SnapshotMemory<'a> {
    /// The memory of the thread at this place of the snapshot.
    pub fn for_thread(snapshot: &'a Snapshot, thread: usize) -> SnapshotMemory<'a> {
        let stacks = snapshot.threads.get(thread).map(|thread| thread.stacks.as_slice()).unwrap_or_default();
        SnapshotMemory { stacks, shared: &snapshot.memory }
    }

    /// Fills `bytes` from the process address, or answers `false`.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let found = self.stacks.iter().find_map(|piece| part(piece, address, bytes.len())).or_else(|| {
            let after = self.shared.partition_point(|piece| piece.start <= address);
            part(self.shared[..after].last()?, address, bytes.len())
        });
        let Some(found) = found else { return false };
        bytes.copy_from_slice(found);
        true
    }
}

fn part(piece: &MemoryPiece, address: u64, length: usize) -> Option<&[u8]> {
    let start = usize::try_from(address.checked_sub(piece.start)?).ok()?;
    piece.bytes.get(start..start.checked_add(length)?)
}
