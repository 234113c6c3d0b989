//! Uses the unwinder where there is neither `std` nor `alloc`: this links only if both crates need
//! nothing but `core`. `.ci/run` builds it and looks through its undefined symbols.
#![no_std]

use core::panic::PanicInfo;

use threaddump_arch::{Arch, Registers};
use threaddump_dwarf::gimli::{EndianSlice, LittleEndian};
use threaddump_dwarf::{
    CfiError, CodeAddress, Context, EhCfi, EhSections, ExpressionRef, FileAddress, Row, Target, Walker,
};

type Bytes = EndianSlice<'static, LittleEndian>;

/// A process with one module and one stack, all in static memory.
struct Static {
    cfi: EhCfi<Bytes>,
    context: Context,
    stack: &'static [u8],
    stack_address: u64,
}

impl Target for Static {
    type Reader = Bytes;
    type Row = Row;

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let Some(offset) = address.checked_sub(self.stack_address) else { return false };
        let piece = self.stack.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        piece.map(|piece| bytes.copy_from_slice(piece)).is_some()
    }

    fn row(&mut self, address: CodeAddress) -> Result<Option<Row>, CfiError> {
        self.cfi.row(&mut self.context, FileAddress(address.lookup()), None)
    }

    fn expression(&self, _: CodeAddress, place: ExpressionRef) -> Option<Bytes> {
        place.get(self.cfi.reader())
    }

    fn code(&mut self, _: u64, _: &mut [u8]) -> usize {
        0
    }

    fn is_executable(&self, _: u64) -> bool {
        true
    }

    fn is_generated(&self, _: u64) -> bool {
        false
    }

    fn region(&self, _: u64) -> Option<(u64, u64)> {
        None
    }
}

/// Counts the frames of a stack.
extern "C" fn count_frames(pc: u64, sp: u64) -> usize {
    let mut registers = Registers::new(Arch::X86_64);
    registers.set(Arch::X86_64.pc(), pc);
    registers.set(Arch::X86_64.sp(), sp);
    let sections = EhSections {
        eh_frame: EndianSlice::new(&[0; 64], LittleEndian),
        eh_frame_address: 0x1000,
        eh_frame_hdr: None,
        text_address: None,
        got_address: None,
    };
    let mut target = Static {
        cfi: EhCfi::new(Arch::X86_64, sections),
        context: Context::new(),
        stack: &[0; 4096],
        stack_address: sp,
    };
    let mut walker = Walker::new(registers, false);
    core::iter::from_fn(|| walker.next(&mut target)).count()
}

/// Keeps the code above in the library.
#[used]
static ENTRY: extern "C" fn(u64, u64) -> usize = count_frames;

/// And the relay, which takes all of its code with it.
#[used]
static INSTALL: fn(threaddump_relay::Options) -> Result<(), threaddump_relay::InstallError> =
    threaddump_relay::install;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
