//! Walks through a process in which everything is hostile: registers, stacks, code and CFI.
#![no_main]

use gimli::{EndianSlice, LittleEndian};
use libfuzzer_sys::fuzz_target;
use threaddump_arch::{Arch, RegisterId, Registers};
use threaddump_dwarf::{
    CfiError, CodeAddress, Context, EhCfi, EhSections, ExpressionRef, FileAddress, Row, Target, Walker,
};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

const CODE: u64 = 0x1000;
const STACKS: [u64; 2] = [0x7ffd_0000_0000, 0x7f00_0000_0000];
const WORDS: usize = 32;
const CODE_BYTES: usize = 256;

/// A word from two bytes, so that most lead to a stack or to code.
fn word(bytes: [u8; 2]) -> u64 {
    let number = u64::from(u16::from_le_bytes(bytes));
    let offset = number & 0x3fff;
    match number >> 14 {
        0 => CODE + offset % (CODE_BYTES as u64 + 8),
        1 => STACKS[0] + offset % (8 * WORDS as u64 + 16),
        2 => STACKS[1] + offset % (8 * WORDS as u64 + 16),
        _ => offset.wrapping_sub(0x1000),
    }
}

struct Process<'a> {
    stacks: [Vec<u8>; 2],
    code: &'a [u8],
    cfi: EhCfi<Slice<'a>>,
    context: Context,
    generated: bool,
}

impl Process<'_> {
    fn stack(&self, address: u64) -> Option<(&[u8], u64)> {
        let stacks = self.stacks.iter().zip(STACKS);
        stacks
            .into_iter()
            .find(|(bytes, start)| (*start..*start + bytes.len() as u64).contains(&address))
            .map(|(bytes, start)| (&bytes[(address - start) as usize..], start))
    }
}

impl<'a> Target for Process<'a> {
    type Reader = Slice<'a>;
    type Row = Row;

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let found = self.stack(address).and_then(|(rest, _)| rest.get(..bytes.len()));
        found.inspect(|found| bytes.copy_from_slice(found)).is_some()
    }

    fn row(&mut self, address: CodeAddress) -> Result<Option<Row>, CfiError> {
        self.cfi.row(&mut self.context, FileAddress(address.lookup()), None)
    }

    fn expression(&self, _: CodeAddress, place: ExpressionRef) -> Option<Slice<'a>> {
        place.get(self.cfi.reader())
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> usize {
        let offset = address.checked_sub(CODE).map_or(usize::MAX, |offset| offset as usize);
        let rest = self.code.get(offset..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        length
    }

    fn is_executable(&self, address: u64) -> bool {
        (CODE..CODE + CODE_BYTES as u64).contains(&address)
    }

    fn is_generated(&self, _: u64) -> bool {
        self.generated
    }

    fn region(&self, address: u64) -> Option<(u64, u64)> {
        self.stack(address).map(|(_, start)| (start, start + 8 * WORDS as u64))
    }
}

// Flags, registers, two stacks (two bytes for each word), code; the rest is .eh_frame.
fuzz_target!(|data: &[u8]| {
    let Some((&flags, mut rest)) = data.split_first() else { return };
    let mut words = |count: usize| {
        let (taken, left) = rest.split_at_checked(2 * count)?;
        rest = left;
        Some(taken.chunks_exact(2).map(|pair| word([pair[0], pair[1]])).collect::<Vec<u64>>())
    };
    let arch = Arch::X86_64;
    let Some(values) = words(arch.registers().len()) else { return };
    let (Some(one), Some(two)) = (words(WORDS), words(WORDS)) else { return };
    let Some((code, eh_frame)) = rest.split_at_checked(CODE_BYTES) else { return };
    let mut registers = Registers::new(arch);
    for (index, value) in values.into_iter().enumerate() {
        registers.set(RegisterId::new(index as u8), value);
    }
    let sections = EhSections {
        eh_frame: EndianSlice::new(eh_frame, LittleEndian),
        eh_frame_address: 0x2000,
        eh_frame_hdr: None,
        text_address: None,
        got_address: None,
    };
    let mut process = Process {
        stacks: [one, two].map(|words| words.into_iter().flat_map(u64::to_le_bytes).collect()),
        code,
        cfi: EhCfi::new(arch, sections),
        context: Context::new(),
        generated: flags & 2 != 0,
    };
    let mut walker = Walker::new(registers, flags & 1 != 0);
    let mut seen: Vec<u64> = Vec::new();
    while let Some(frame) = walker.next(&mut process) {
        // One place may be given twice only in a function without a frame of its own.
        let again = seen.iter().filter(|sp| **sp == frame.sp).count();
        assert!(again < 2, "the walk is at {:#x} for the third time", frame.sp);
        seen.push(frame.sp);
        assert!(seen.len() <= 2 * 16 * 2 * WORDS + 64, "the walk is longer than its stacks");
    }
    assert!(walker.end().is_some());
});
