//! Memory of the target, by whichever of the two ways is open. They are refused by different rules: a
//! seccomp filter on our side may forbid process_vm_readv(2) and knows nothing of files, while file
//! modes may forbid `/proc/PID/mem` to a program that has CAP_SYS_PTRACE and no more.
use std::fs::File;
use std::io;

use super::relay::Asked;
use crate::ids::Tid;
use crate::proc::ProcDir;
use crate::sys::memory;

/// Memory that can be read by process address: that of a process, or what a core file has of it.
pub(super) trait ReadMemory: std::fmt::Debug + Sync {
    /// Copies from `address` until the buffer is full or the memory ends; gives the number of bytes.
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize;

    /// The same by way of a thread that is known to live.
    fn read_by(&self, via: Tid, address: u64, buffer: &mut [u8]) -> usize;

    /// A thread to name where none is known to live.
    fn via(&self) -> Tid {
        Tid(0)
    }

    /// Copies pieces of one size, one after the other, up to the first that cannot be read; gives their
    /// number.
    fn read_pieces(&self, via: Tid, addresses: &[u64], buffer: &mut [u8], size: usize) -> usize {
        let mut pieces = addresses.iter().zip(buffer.chunks_exact_mut(size));
        let failed = pieces.position(|(address, piece)| self.read_by(via, *address, piece) < size);
        failed.unwrap_or(addresses.len())
    }
}

impl ReadMemory for Memory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        Memory::read(self, address, buffer)
    }

    fn read_by(&self, via: Tid, address: u64, buffer: &mut [u8]) -> usize {
        Memory::read_by(self, via, address, buffer)
    }

    fn via(&self) -> Tid {
        self.via
    }

    /// By file this takes a call for each.
    fn read_pieces(&self, via: Tid, addresses: &[u64], buffer: &mut [u8], size: usize) -> usize {
        if self.file.is_none() && self.relay.is_none() {
            return memory::read_pieces(via, addresses, buffer, size);
        }
        let mut pieces = addresses.iter().zip(buffer.chunks_exact_mut(size));
        let failed = pieces.position(|(address, piece)| self.read_by(via, *address, piece) < size);
        failed.unwrap_or(addresses.len())
    }
}

/// The memory of a process.
#[derive(Debug)]
pub(super) struct Memory {
    /// A live thread, through which memory is read if there is no file.
    via: Tid,
    /// `/proc/PID/mem`. It stays bound to the program that ran when it was opened: once that is gone,
    /// by exit or by exec, nothing can be read.
    file: Option<File>,
    /// The relay inside the process, which reads instead.
    relay: Option<Asked>,
}

impl Memory {
    /// Of whatever program the thread runs at the time it is read.
    pub(super) fn of(via: Tid) -> Memory {
        Memory { via, file: None, relay: None }
    }

    /// By the relay inside the process, and in no other way.
    pub(super) fn asked(via: Tid, relay: Asked) -> Memory {
        Memory { via, file: None, relay: Some(relay) }
    }

    /// The relay inside the process.
    pub(super) fn relay(&self) -> Option<&Asked> {
        self.relay.as_ref()
    }

    /// By an open `/proc/PID/mem` alone.
    pub(super) fn from_file(file: File, via: Tid) -> Memory {
        Memory { via, file: Some(file), relay: None }
    }

    /// By file where that is allowed, so that all that is read is of one program.
    ///
    /// # Errors
    /// If both ways are refused; the error is that of the file.
    pub(super) fn bound(dir: &ProcDir, via: Tid) -> io::Result<Memory> {
        match dir.open_file("mem") {
            Ok(file) => Ok(Memory { via, file: Some(file), relay: None }),
            Err(_) if memory::can_read(via) => Ok(Memory { via, file: None, relay: None }),
            Err(error) => Err(error),
        }
    }

    /// Copies from `address` (process address) until the buffer is full or the memory ends; gives the
    /// number of bytes.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        self.read_by(self.via, address, buffer)
    }

    /// The same by way of a thread that is known to live.
    pub(super) fn read_by(&self, via: Tid, address: u64, buffer: &mut [u8]) -> usize {
        if let Some(relay) = &self.relay {
            return relay.read(address, buffer);
        }
        match &self.file {
            Some(file) => memory::read_from(file, address, buffer),
            None => memory::read(via, address, buffer),
        }
    }

    /// The thread that is named where there is no file.
    pub(super) fn via(&self) -> Tid {
        self.via
    }

    /// Names another thread.
    pub(super) fn set_via(&mut self, via: Tid) {
        self.via = via;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_give_the_same() {
        let own = Tid(std::process::id() as i32);
        let dir = ProcDir::open("/proc/self").expect("/proc is mounted");
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let ways = [Memory::of(own), Memory::bound(&dir, own).expect("our own")];
        assert!(ways[1].file.is_some());
        for memory in ways {
            let mut copy = vec![0; bytes.len()];
            assert_eq!(memory.read(bytes.as_ptr() as u64, &mut copy), bytes.len());
            assert_eq!(copy, bytes);
            for address in [0, u64::MAX, u64::MAX - 7, 1 << 63] {
                assert_eq!(memory.read(address, &mut copy[..8]), 0, "{address:#x}");
            }
        }
    }
}
