use super::code::*;
use crate::{Arch, CallBefore, EntryState, Registers};

const ARCH: Arch = Arch::Aarch64;

fn le<const N: usize>(codes: [u32; N]) -> [u8; 8] {
    let mut bytes = [0; 8];
    for (piece, code) in bytes.chunks_exact_mut(4).zip(codes) {
        piece.copy_from_slice(&code.to_le_bytes());
    }
    bytes
}

#[test]
fn calls_before_a_return_address_are_recognised() {
    let before = |code: u32| call_before(&code.to_le_bytes());
    assert_eq!(before(0x9400_0010), CallBefore::Direct(0x40 - 4), "bl .+0x40");
    assert_eq!(before(0x97ff_ffff), CallBefore::Direct(-8), "bl .-4");
    assert_eq!(before(0xd63f_0060), CallBefore::Indirect, "blr x3");
    assert_eq!(before(0xd73f_0862), CallBefore::Indirect, "blraa x3, x2");
    assert_eq!(before(0xd63f_087f), CallBefore::Indirect, "blraaz x3");
    assert_eq!(before(0x1400_0010), CallBefore::None, "b .+0x40");
    assert_eq!(before(0xd61f_0060), CallBefore::None, "br x3");
    assert_eq!(call_before(&[0, 0, 0x94]), CallBefore::None, "cut");
}

#[test]
fn prologues_and_epilogues_are_told_by_their_instructions() {
    let state = |codes: [u32; 2]| entry_state(&[], &le(codes));
    assert_eq!(state([0xa9be_7bfd, 0]), EntryState::ReturnInLink, "stp x29, x30, [sp, #-32]!");
    assert_eq!(state([0xd503_233f, 0xa9be_7bfd]), EntryState::ReturnInLink, "paciasp before it");
    assert_eq!(state([0xd503_245f, 0xa9be_7bfd]), EntryState::ReturnInLink, "bti c before it");
    assert_eq!(state([0xd65f_03c0, 0]), EntryState::ReturnInLink, "ret");
    assert_eq!(state([0xa901_7bfd, 0]), EntryState::Unknown, "stp x29, x30, [sp, #16]");
    assert_eq!(state([0x9100_03fd, 0]), EntryState::Unknown, "mov x29, sp");
}

#[test]
fn code_that_moves_the_stack_pointer_or_the_link_is_recognised() {
    let moves = |code: u32| may_move_sp(&code.to_le_bytes());
    let moving = [
        (0xd100_43ff, "sub sp, sp, #16"),
        (0x9100_43ff, "add sp, sp, #16"),
        (0x9100_03bf, "mov sp, x29"),
        (0xa9be_7bfd, "stp x29, x30, [sp, #-32]!"),
        (0xa8c2_7bfd, "ldp x29, x30, [sp], #32"),
        (0xf940_07fe, "ldr x30, [sp, #8]"),
        (0x9400_0010, "bl"),
        (0xd63f_0060, "blr x3"),
        (0xd503_233f, "paciasp"),
        (0xaa01_03fe, "mov x30, x1"),
        (0xd65f_03c0, "ret"),
        (0x0000_0000, "udf"),
    ];
    for (code, what) in moving {
        assert!(moves(code), "{what}");
    }
    let still = [
        (0xd280_0ba8, "mov x8, #93"),
        (0xd400_0001, "svc #0"),
        (0xf100_041f, "cmp x0, #1"),
        (0xb940_0020, "ldr w0, [x1]"),
        (0xaa01_03e0, "mov x0, x1"),
        (0x5400_0040, "b.eq"),
        (0xb400_0040, "cbz x0"),
        (0x1400_0010, "b"),
        (0xd503_201f, "nop"),
        (0xd503_245f, "bti c"),
    ];
    for (code, what) in still {
        assert!(!moves(code), "{what}");
    }
}

#[test]
fn a_return_address_loses_its_signature_and_nothing_else() {
    let mut registers = Registers::new(ARCH);
    let strip = |address, registers: &Registers| ARCH.strip_return_address(address, registers);
    assert_eq!(strip(0x002a_aaaa_1234_5678, &registers), 0x0000_aaaa_1234_5678, "computed, 48 bits");
    assert_eq!(strip(0x0000_ffff_9000_0004, &registers), 0x0000_ffff_9000_0004);
    registers.set(super::PAC_MASK, 0x007f_ff80_0000_0000);
    assert_eq!(strip(0x0055_5580_1234_5678, &registers), 0x1234_5678, "39 bits");
}

#[test]
fn a_call_is_told_by_the_instruction_at_the_pc() {
    let mut registers = Registers::new(ARCH);
    for (id, info) in ARCH.iter() {
        registers.set(id, u64::from(info.dwarf.unwrap_or(99)));
    }
    let svc = 0xd400_0001_u32.to_le_bytes();
    assert_eq!(ARCH.system_call_in(&registers, &[], &svc), Some((8, [0, 1, 2, 3, 4, 5])));
    assert_eq!(ARCH.system_call_in(&registers, &svc, &[]), None, "it has returned");
    assert_eq!(ARCH.system_call(&registers), None);
}
