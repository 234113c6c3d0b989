//! What a loaded ELF object says about itself, read from its memory.
use crate::memory::Memory;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_NOTE: u64 = 4;
const PT_GNU_EH_FRAME: u64 = 0x6474_e550;
const NT_GNU_BUILD_ID: u64 = 3;
const MAX_SEGMENTS: u64 = 128;
const MAX_NOTES: u64 = 1 << 16;

/// Bytes of a word: what differs between the two classes of ELF is of that size, and comes in another order.
const WORD: u64 = size_of::<usize>() as u64;
const IS_WIDE: bool = WORD == 8;
/// Class, and that the lowest byte of a number comes first.
const IDENTITY: [u8; 2] = [if IS_WIDE { 2 } else { 1 }, 1];

/// Places in the header of a file.
const HEADER_SEGMENTS: u64 = 24 + WORD;
const HEADER_SEGMENT_COUNT: u64 = if IS_WIDE { 56 } else { 44 };

/// Bytes of a program header, and places in it.
const SEGMENT: u64 = if IS_WIDE { 56 } else { 32 };
const SEGMENT_OFFSET: u64 = WORD;
const SEGMENT_ADDRESS: u64 = 2 * WORD;
const SEGMENT_SIZE: u64 = if IS_WIDE { 40 } else { 20 };

/// Longest build ID, in bytes; linkers write 20, or 8 or 16.
pub(crate) const MAX_BUILD_ID: usize = 32;

/// An ELF object of the class of this program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elf {
    /// Address of its header.
    pub(crate) start: u64,
    /// Process address minus file address.
    pub(crate) bias: u64,
    /// Address of `.eh_frame_hdr`.
    pub(crate) frame_header: Option<u64>,
    /// Address of the dynamic section.
    pub(crate) dynamic: Option<u64>,
    build_id: [u8; MAX_BUILD_ID],
    build_id_length: usize,
}

impl Elf {
    /// Reads the headers of the object whose first byte is at `start`.
    pub(crate) fn read(memory: &mut Memory, start: u64) -> Option<Elf> {
        let mut magic = [0; 6];
        if !memory.read(start, &mut magic) || magic[..4] != *b"\x7fELF" || magic[4..] != IDENTITY {
            return None;
        }
        let table = start.checked_add(memory.word(start.checked_add(HEADER_SEGMENTS)?)?)?;
        let count = memory.number::<2>(start.checked_add(HEADER_SEGMENT_COUNT)?)?.min(MAX_SEGMENTS);
        let segment = |index: u64| table.checked_add(index * SEGMENT);
        let mut bias = None;
        for index in 0..count {
            let at = segment(index)?;
            let offset = memory.word(at.checked_add(SEGMENT_OFFSET)?)?;
            // The one with the header in it; how large a page is does not matter then.
            if memory.number::<4>(at)? == PT_LOAD && offset < HEADER_SEGMENT_COUNT {
                let address = memory.word(at.checked_add(SEGMENT_ADDRESS)?)?;
                bias = Some(start.wrapping_sub(address.wrapping_sub(offset)));
                break;
            }
        }
        let mut elf = Elf {
            start,
            bias: bias?,
            frame_header: None,
            dynamic: None,
            build_id: [0; MAX_BUILD_ID],
            build_id_length: 0,
        };
        for index in 0..count {
            let at = segment(index)?;
            let kind = memory.number::<4>(at)?;
            let address = elf.bias.wrapping_add(memory.word(at.checked_add(SEGMENT_ADDRESS)?)?);
            match kind {
                PT_GNU_EH_FRAME => elf.frame_header = Some(address),
                PT_DYNAMIC => elf.dynamic = Some(address),
                PT_NOTE if elf.build_id_length == 0 => {
                    let size = memory.word(at.checked_add(SEGMENT_SIZE)?)?.min(MAX_NOTES);
                    elf.find_build_id(memory, address, size);
                }
                _ => {}
            }
        }
        Some(elf)
    }

    fn find_build_id(&mut self, memory: &mut Memory, start: u64, size: u64) -> Option<()> {
        let end = start.checked_add(size)?;
        let mut at = start;
        while at.checked_add(12)? <= end {
            let name_size = memory.number::<4>(at)?;
            let size = memory.number::<4>(at + 4)?;
            let name = at + 12;
            let contents = name + name_size.next_multiple_of(4);
            if memory.number::<4>(at + 8)? == NT_GNU_BUILD_ID
                && name_size == 4
                && memory.number::<4>(name)? == u64::from(u32::from_le_bytes(*b"GNU\0"))
            {
                let length = usize::try_from(size).ok().filter(|&length| length <= MAX_BUILD_ID)?;
                if memory.read(contents, self.build_id.get_mut(..length)?) {
                    self.build_id_length = length;
                }
                return Some(());
            }
            at = contents.checked_add(size.next_multiple_of(4))?;
        }
        None
    }

    /// Empty if it has none.
    pub(crate) fn build_id(&self) -> &[u8] {
        self.build_id.get(..self.build_id_length).unwrap_or_default()
    }
}

/// Objects whose headers were read, the last ones asked for.
#[derive(Debug)]
pub(crate) struct Elves {
    kept: [(u64, Option<Elf>); Elves::KEPT],
}

impl Elves {
    const KEPT: usize = 64;

    pub(crate) fn new() -> Elves {
        Elves { kept: [(1, None); Elves::KEPT] }
    }

    /// The object whose first byte is at `start`.
    pub(crate) fn at(&mut self, memory: &mut Memory, start: u64) -> Option<Elf> {
        let hash = start >> 12 ^ start >> 22;
        let slot = self.kept.get_mut(hash as usize % Elves::KEPT)?;
        if slot.0 != start {
            *slot = (start, Elf::read(memory, start));
        }
        slot.1
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn memory() -> Memory {
        Memory::new(std::process::id(), true, u64::MAX)
    }

    /// The object that holds this test, by its place in the memory map.
    fn own() -> Elf {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
        let name = std::env::current_exe().expect("known");
        let line = maps.lines().find(|line| line.ends_with(name.to_str().expect("plain"))).expect("mapped");
        let (start, _) = line.split_once('-').expect("a range");
        let start = u64::from_str_radix(start, 16).expect("hexadecimal");
        Elf::read(&mut memory(), start).expect("an ELF object")
    }

    #[test]
    fn the_headers_of_a_loaded_object_are_read() {
        let elf = own();
        assert!(elf.frame_header.is_some() && elf.dynamic.is_some());
        assert!(!elf.build_id().is_empty());
        let pc = memory as *const () as u64;
        let mut section = crate::cfi::Section::new();
        let header = elf.frame_header.expect("checked");
        assert_eq!(section.load(&mut memory(), header, pc), Some(Ok(())));
        let row = section.row(&mut threaddump_dwarf::Context::new(), pc);
        assert!(matches!(row, Ok(Some(_))), "{row:?}");
    }

    #[test]
    fn damaged_objects_are_no_reason_to_fail() {
        let mut state = 7_u32;
        let mut bytes: Vec<u8> = std::vec![0; 8192];
        for _ in 0..300 {
            for byte in &mut bytes {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = if state >> 30 == 0 { (state >> 16) as u8 } else { 0 };
            }
            bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
            bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
            bytes[64..68].copy_from_slice(&1_u32.to_le_bytes());
            bytes[72..80].fill(0);
            for (place, kind) in [(120, 2_u32), (176, 4), (232, 0x6474_e550)] {
                bytes[place..place + 4].copy_from_slice(&kind.to_le_bytes());
                bytes[place + 18..place + 24].fill(0);
            }
            let start = bytes.as_ptr() as u64;
            let mut memory = memory();
            let Some(elf) = Elf::read(&mut memory, start) else { continue };
            let elf = Elf { dynamic: Some(start + 512), ..elf };
            crate::symbols::find(&mut memory, &elf, start + 100);
            let mut section = crate::cfi::Section::new();
            if let Some(Ok(())) = section.load(&mut memory, start + 1024, start + 100) {
                let _ = section.row(&mut threaddump_dwarf::Context::new(), start + 100);
            }
        }
    }
}
