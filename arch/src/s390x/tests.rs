use super::code::*;
use crate::{Arch, CallBefore, EntryState};

#[test]
fn calls_before_a_return_address_are_recognised() {
    assert_eq!(call_before(&[0xc0, 0xe5, 0, 0, 0, 8]), CallBefore::Direct(10), "brasl %r14,.+16");
    assert_eq!(call_before(&[0xc0, 0xe5, 0xff, 0xff, 0xff, 0xfe]), CallBefore::Direct(-10));
    assert_eq!(call_before(&[0xa7, 0xe5, 0, 8]), CallBefore::Direct(12), "bras %r14,.+16");
    assert_eq!(call_before(&[0x0d, 0xe1]), CallBefore::Indirect, "basr %r14,%r1");
    assert_eq!(call_before(&[0x0d, 0xe0]), CallBefore::None, "basr %r14,0 does not branch");
    assert_eq!(call_before(&[0xc0, 0xf4, 0, 0, 0, 8]), CallBefore::None, "jg");
}

#[test]
fn prologues_and_epilogues_are_told_by_their_instructions() {
    let stmg = [0xeb, 0x6f, 0xf0, 0x30, 0, 0x24];
    assert_eq!(entry_state(&[], &stmg), EntryState::ReturnInLink, "stmg %r6,%r15,48(%r15)");
    assert_eq!(entry_state(&[], &[0x07, 0xfe]), EntryState::ReturnInLink, "br %r14");
    assert_eq!(entry_state(&[], &[0x07, 0xf1]), EntryState::Unknown, "br %r1");
}

#[test]
fn the_number_of_a_call_is_in_the_instruction_or_in_r1() {
    let arch = Arch::S390x;
    let mut bytes = [0_u8; 216];
    let mut put = |word: usize, value: i64| bytes[word * 8..][..8].copy_from_slice(&value.to_be_bytes());
    put(2 + 1, 435);
    put(2 + 2, -514);
    put(26, 5);
    let registers = arch.registers_from_prstatus(&bytes).expect("216 bytes");
    assert_eq!(arch.system_call_in(&registers, &[0x0a, 29], &[]), Some((29, [5, 0, 0, 0, 0, 0])));
    assert_eq!(arch.system_call_in(&registers, &[0x0a, 0], &[]), Some((435, [5, 0, 0, 0, 0, 0])));
    assert_eq!(arch.system_call_in(&registers, &[0x07, 0xfe], &[]), None);
}
