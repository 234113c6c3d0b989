use super::code::*;
use crate::CallBefore;

#[test]
fn calls_before_a_return_address_are_recognised() {
    let before = |code: u32| call_before(&code.to_le_bytes());
    assert_eq!(before(0x5400_1000), CallBefore::Direct(12), "bl .+16");
    assert_eq!(before(0x57ff_ffff), CallBefore::Direct(-8), "bl .-4");
    assert_eq!(before(0x4c00_0181), CallBefore::Indirect, "jirl ra, t0, 0");
    assert_eq!(before(0x5000_1000), CallBefore::None, "b .+16");
    assert_eq!(before(0x4c00_0020), CallBefore::None, "ret");
}
