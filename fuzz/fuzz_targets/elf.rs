//! An ELF file, and the same bytes as a memory image: headers, notes, sections inflated, symbols,
//! stubs, DWARF.
#![no_main]

#[path = "../common/panics.rs"]
mod panics;

use libfuzzer_sys::fuzz_target;

// The address that is looked up, then the file.
fuzz_target!(|data: &[u8]| {
    panics::allow_caught_ones_of_libraries();
    let Some((address, file)) = data.split_first_chunk() else { return };
    threaddump::images::inspect(file, u64::from_le_bytes(*address));
});
