//! DWARF expressions of unwind rules.
#![no_main]

use gimli::{EndianSlice, LittleEndian};
use libfuzzer_sys::fuzz_target;
use threaddump_arch::{Arch, Registers};
use threaddump_dwarf::evaluate;

// Whether something is on the stack, which registers are known, a value; the rest is the expression.
fuzz_target!(|data: &[u8]| {
    let Some((head, expression)) = data.split_first_chunk::<12>() else { return };
    let [initial, known @ .., v0, v1, v2, v3, v4, v5, v6, v7] = *head;
    let value = u64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
    let mut registers = Registers::new(Arch::X86_64);
    for (id, _) in Arch::X86_64.iter() {
        if known[id.index() / 8] >> (id.index() % 8) & 1 != 0 {
            registers.set(id, value.rotate_left(id.index() as u32));
        }
    }
    let mut reads = 0;
    let mut memory = |address: u64, bytes: &mut [u8]| {
        reads += 1;
        let word = (address ^ value).to_le_bytes();
        bytes.copy_from_slice(&word[..bytes.len()]);
        !address.is_multiple_of(7)
    };
    let initial = (initial & 1 != 0).then_some(value);
    let _ = evaluate(EndianSlice::new(expression, LittleEndian), initial, &registers, &mut memory);
    assert!(reads <= 1000, "an expression has a limit of operations");
});
