use super::code::*;
use crate::{Arch, CallBefore};

#[test]
fn calls_before_a_return_address_are_recognised() {
    let before = |code: u32| call_before(&code.to_le_bytes());
    assert_eq!(before(0x4800_0011), CallBefore::Direct(12), "bl .+16");
    assert_eq!(before(0x4bff_fffd), CallBefore::Direct(-8), "bl .-4");
    assert_eq!(before(0x4e80_0421), CallBefore::Indirect, "bctrl");
    assert_eq!(before(0x4e80_0420), CallBefore::None, "bctr");
    assert_eq!(before(0x4800_0010), CallBefore::None, "b .+16");
}

#[test]
fn a_call_is_told_by_its_trap() {
    let arch = Arch::Ppc64le;
    let mut bytes = [0_u8; 384];
    let mut put = |word: usize, value: u64| bytes[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
    put(0, 29);
    put(3, 514);
    put(34, 7);
    put(40, 0xc01);
    let inside = arch.registers_from_prstatus(&bytes).expect("384 bytes");
    assert_eq!(arch.system_call(&inside), Some((29, [7, 0, 0, 0, 0, 0])));
    bytes[40 * 8] = 0;
    bytes[40 * 8 + 1] = 9;
    let outside = arch.registers_from_prstatus(&bytes).expect("384 bytes");
    assert_eq!(arch.system_call(&outside), None, "the timer interrupted it");
}
