use super::code::*;
use crate::{Arch, EntryState};

#[test]
fn prologues_and_epilogues_are_told_by_their_instructions() {
    assert_eq!(entry_state(&[], &[0x55, 0x89, 0xe5]), EntryState::ReturnOnTop, "push %ebp; mov %esp,%ebp");
    assert_eq!(entry_state(&[0x55], &[0x8b, 0xec]), EntryState::FramePointerOnTop);
    assert_eq!(entry_state(&[], &[0xf3, 0x0f, 0x1e, 0xfb, 0x55, 0x89, 0xe5]), EntryState::ReturnOnTop);
    assert_eq!(entry_state(&[], &[0xc3]), EntryState::ReturnOnTop);
    assert_eq!(entry_state(&[], &[0x55]), EntryState::Unknown);
}

#[test]
fn code_that_moves_the_stack_pointer_is_recognised() {
    for code in [&[0x60_u8][..], &[0x44], &[0x83, 0xec, 0x10], &[0xc9], &[0x1e]] {
        assert!(may_move_sp(code), "{code:x?}");
    }
    assert!(!may_move_sp(&[0xb8, 0x22, 0, 0, 0, 0xcd, 0x80]), "mov $34,%eax; int $0x80");
}

#[test]
fn a_thread_in_a_system_call_has_a_negative_result_of_32_bits() {
    let arch = Arch::I386;
    let mut bytes = [0_u8; 68];
    bytes[44..48].copy_from_slice(&240_u32.to_le_bytes());
    bytes[24..28].copy_from_slice(&(-512_i32).to_le_bytes());
    bytes[..4].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
    let inside = arch.registers_from_prstatus(&bytes).expect("68 bytes");
    assert_eq!(arch.system_call(&inside), Some((240, [0xdead_beef, 0, 0, 0, 0, 0])));
    bytes[44..48].copy_from_slice(&u32::MAX.to_le_bytes());
    let outside = arch.registers_from_prstatus(&bytes).expect("68 bytes");
    assert_eq!(arch.system_call(&outside), None);
}
