//! Unwind sections: rows of addresses, by search table, index and linear search.
#![no_main]

use gimli::{EndianSlice, LittleEndian};
use libfuzzer_sys::fuzz_target;
use threaddump_arch::{Arch, Registers};
use threaddump_dwarf::{Context, DebugCfi, EhCfi, EhSections, FdeIndex, FileAddress, Row};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

const EH_FRAME: u64 = 0x2000;
const EH_FRAME_HDR: u64 = 0x1800;

fn slice(bytes: &[u8]) -> Slice<'_> {
    EndianSlice::new(bytes, LittleEndian)
}

/// The caller of a frame whose registers are all known, on a stack of zeros.
fn apply(row: &Row, section: &Slice<'_>) {
    let mut registers = Registers::new(Arch::X86_64);
    for (id, _) in Arch::X86_64.iter() {
        registers.set(id, 0x7000 + 8 * id.index() as u64);
    }
    let mut zeros = |_: u64, bytes: &mut [u8]| {
        bytes.fill(0);
        true
    };
    let _ = row.apply(&registers, &mut zeros, |place| place.get(section));
}

// Length of .eh_frame, of .eh_frame_hdr (two bytes each), an address (two bytes), the two
// sections; the rest is .debug_frame.
fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_first_chunk::<6>() else { return };
    let number = |place: usize| usize::from(u16::from_le_bytes([head[place], head[place + 1]]));
    let (eh_frame, rest) = rest.split_at(number(0).min(rest.len()));
    let (table, debug_frame) = rest.split_at(number(2).min(rest.len()));
    let sections = EhSections {
        eh_frame: slice(eh_frame),
        eh_frame_address: EH_FRAME,
        eh_frame_hdr: Some((slice(table), EH_FRAME_HDR)),
        text_address: Some(0x1000),
        got_address: None,
    };
    let cfi = EhCfi::new(Arch::X86_64, sections);
    let bare = EhCfi::new(
        Arch::X86_64,
        EhSections {
            eh_frame: slice(eh_frame),
            eh_frame_address: EH_FRAME,
            eh_frame_hdr: None,
            text_address: Some(0x1000),
            got_address: None,
        },
    );
    let debug = DebugCfi::new(Arch::X86_64, slice(debug_frame));
    let (index, debug_index) = (FdeIndex::of_eh_frame(&bare), FdeIndex::of_debug_frame(&debug));
    let mut context = Context::new();
    let chosen = number(4) as u64;
    for address in [chosen, chosen ^ 0x40, 0x1000, 0x1008, 0x1101, u64::MAX].map(FileAddress) {
        if let Ok(Some(row)) = cfi.row(&mut context, address, None) {
            apply(&row, cfi.reader());
        }
        let linear = bare.row(&mut context, address, None);
        let indexed = index.entry(address).map(|place| bare.row(&mut context, address, Some(place)));
        // Equal starts may be told apart differently; whether there is an entry may not.
        if indexed.is_some() {
            assert!(!matches!(linear, Ok(None)), "the index finds what the section does not have");
        }
        if let Ok(Some(row)) = debug.row(&mut context, address, None) {
            apply(&row, debug.reader());
        }
        if let Some(place) = debug_index.entry(address) {
            let _ = debug.row(&mut context, address, Some(place));
        }
        let _ = bare.row(&mut context, address, Some(address.0 as usize));
    }
});
