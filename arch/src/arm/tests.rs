use super::code::*;
use crate::{Arch, CallBefore, EntryState, Registers};

#[test]
fn calls_before_a_return_address_are_recognised_in_both_modes() {
    let arm = |code: u32| call_before(&code.to_le_bytes());
    assert_eq!(arm(0xeb00_0002), CallBefore::Direct(12), "bl .+16");
    assert_eq!(arm(0xebff_fffe), CallBefore::Direct(-4), "bl .");
    assert_eq!(arm(0xe12f_ff33), CallBefore::Indirect, "blx r3");
    assert_eq!(arm(0xea00_0002), CallBefore::None, "b");
    let thumb = |first: u16, second: u16| {
        let [[a, b], [c, d]] = [first.to_le_bytes(), second.to_le_bytes()];
        call_before(&[a, b, c, d])
    };
    assert_eq!(thumb(0xf000, 0xf802), CallBefore::Direct(4), "bl .+8");
    assert_eq!(thumb(0xf7ff, 0xfffe), CallBefore::Direct(-4), "bl .");
    assert_eq!(thumb(0xbf00, 0x4798), CallBefore::Indirect, "blx r3");
    assert_eq!(thumb(0xbf00, 0x4718), CallBefore::None, "bx r3");
}

#[test]
fn the_end_of_a_system_call_says_what_it_pops() {
    let thumb = [0x00, 0xdf, 0xf0, 0xbc, 0x10, 0xf5, 0x80, 0x5f, 0x38, 0xbf, 0x70, 0x47];
    assert_eq!(entry_state(&[], &thumb), EntryState::PopsThenLink(0xf0));
    assert_eq!(entry_state(&[], &thumb[2..]), EntryState::PopsThenLink(0xf0), "after the call");
    assert_eq!(entry_state(&[], &thumb[..8]), EntryState::Unknown, "where it goes on is not seen");
    let arm = |pop: u32| {
        let code = [0xef00_0000, pop, 0xe370_0a01, 0x312f_ff1e];
        entry_state(&[], &code.map(u32::to_le_bytes).concat())
    };
    assert_eq!(arm(0xe8bd_00f0), EntryState::PopsThenLink(0xf0), "pop r4-r7");
    assert_eq!(arm(0xe8bd_40f0), EntryState::Unknown, "pop r4-r7, lr");
}

#[test]
fn the_lowest_bit_of_a_return_address_is_not_part_of_it() {
    let registers = Registers::new(Arch::Arm);
    assert_eq!(Arch::Arm.strip_return_address(0x1_0445, &registers), 0x1_0444);
}
