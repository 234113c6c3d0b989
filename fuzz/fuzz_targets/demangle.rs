//! Names of functions as they are in symbol tables and DWARF.
#![no_main]

#[path = "../common/panics.rs"]
mod panics;

use libfuzzer_sys::fuzz_target;
use threaddump_dwarf::symbols::{MAX_NAME, display_name};

fuzz_target!(|data: &[u8]| {
    panics::allow_caught_ones_of_libraries();
    let name = display_name(&String::from_utf8_lossy(data));
    assert!(name.len() <= MAX_NAME + '…'.len_utf8());
});
