//! The memory that a core file has, read where it lies.
use threaddump_arch::Arch;

use super::super::memory::ReadMemory;
use super::headers::Load;
use crate::ids::Tid;

/// Memory of a process whose pieces lie in a file that is mapped.
#[derive(Debug)]
pub(super) struct CoreMemory<'a> {
    bytes: &'a [u8],
    loads: &'a [Load],
    arch: Arch,
}

impl<'a> CoreMemory<'a> {
    pub(super) fn new(bytes: &'a [u8], loads: &'a [Load], arch: Arch) -> CoreMemory<'a> {
        CoreMemory { bytes, loads, arch }
    }

    /// Whose memory it is.
    pub(super) fn arch(&self) -> Arch {
        self.arch
    }

    /// What there is from an address (process address) on, up to the end of its piece.
    fn at(&self, address: u64) -> &'a [u8] {
        let after = self.loads.partition_point(|load| load.start <= address);
        let load = after.checked_sub(1).and_then(|index| self.loads.get(index));
        let piece = load.and_then(|load| {
            let skip = usize::try_from(address - load.start).ok()?;
            self.bytes.get(load.bytes.clone())?.get(skip..)
        });
        piece.unwrap_or_default()
    }

    /// Reads a word of the program.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut room = [0; 8];
        let word = &mut room[..usize::from(self.arch.pointer_size())];
        (self.read(address, word) == word.len()).then(|| self.arch.number(word))
    }

    /// Reads a text that ends with NUL.
    pub(super) fn text(&self, address: u64, limit: usize) -> Option<&'a [u8]> {
        let bytes = self.at(address);
        let bytes = &bytes[..bytes.len().min(limit)];
        let end = bytes.iter().position(|&byte| byte == 0)?;
        Some(&bytes[..end])
    }
}

impl ReadMemory for CoreMemory<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buffer.len() {
            let Some(from) = address.checked_add(done as u64) else { break };
            let piece = self.at(from);
            let length = piece.len().min(buffer.len() - done);
            if length == 0 {
                break;
            }
            buffer[done..done + length].copy_from_slice(&piece[..length]);
            done += length;
        }
        done
    }

    fn read_by(&self, _: Tid, address: u64, buffer: &mut [u8]) -> usize {
        self.read(address, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_as_one_and_holes_end_it() {
        let bytes = b"..abcdefgh";
        let load = |start, end, bytes| Load { start, end, flags: 0, bytes };
        let loads =
            [load(0x1000, 0x1004, 2..6), load(0x1004, 0x2000, 6..10), load(0x3000, u64::MAX, 99..100)];
        let memory = CoreMemory::new(bytes, &loads, Arch::X86_64);
        let mut buffer = [b'-'; 6];
        assert_eq!(memory.read(0x1002, &mut buffer), 6);
        assert_eq!(&buffer, b"cdefgh");
        assert_eq!(memory.read(0x1006, &mut buffer), 2, "the rest of the piece is not in the file");
        for address in [0, 0xfff, 0x2000, 0x3000, u64::MAX] {
            assert_eq!(memory.read(address, &mut buffer), 0, "{address:#x}");
        }
        assert_eq!(memory.word(0x1000), Some(u64::from_le_bytes(*b"abcdefgh")));
        assert_eq!(memory.word(0x1001), None);
        let memory = CoreMemory::new(bytes, &loads, Arch::S390x);
        assert_eq!(memory.word(0x1000), Some(u64::from_be_bytes(*b"abcdefgh")));
        let memory = CoreMemory::new(bytes, &loads, Arch::Arm);
        assert_eq!(memory.word(0x1004), Some(u32::from_le_bytes(*b"efgh").into()));
    }
}
