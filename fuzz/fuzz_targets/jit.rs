//! An object that a JIT compiler registered: where its code is, and then symbols, unwind and debug
//! information after it was linked.
#![no_main]

#[path = "../common/panics.rs"]
mod panics;

use libfuzzer_sys::fuzz_target;

// The address that is looked up, then the object.
fuzz_target!(|data: &[u8]| {
    panics::allow_caught_ones_of_libraries();
    let Some((address, object)) = data.split_first_chunk() else { return };
    threaddump::collect::jit_object::inspect(object);
    threaddump::images::inspect_generated(object, u64::from_le_bytes(*address));
});
