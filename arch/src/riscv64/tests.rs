use super::code::*;
use crate::{CallBefore, EntryState};

#[test]
fn calls_before_a_return_address_are_recognised() {
    let before = |code: u32| call_before(&code.to_le_bytes());
    assert_eq!(before(0x0100_00ef), CallBefore::Direct(12), "jal .+16");
    assert_eq!(before(0xffdf_f0ef), CallBefore::Direct(-8), "jal .-4");
    assert_eq!(before(0x000a_80e7), CallBefore::Indirect, "jalr s5");
    assert_eq!(call_before(&[0x82, 0x97]), CallBefore::Indirect, "c.jalr a5");
    assert_eq!(call_before(&[0x82, 0x87]), CallBefore::None, "c.jr a5");
    let far = [0x97, 0x10, 0, 0, 0xe7, 0x80, 0x40, 0x01];
    assert_eq!(call_before(&far), CallBefore::Direct(0x1000 + 0x14 - 8), "auipc ra,1; jalr 20(ra)");
}

#[test]
fn a_system_call_without_rules_returns_to_the_link_register() {
    let code = [0x73, 0, 0, 0, 0xfd, 0x77, 0x63, 0xe3, 0xa7, 0x00, 0x82, 0x80];
    assert_eq!(entry_state(&[], &code), EntryState::ReturnInLink, "ecall; lui; bltu; ret");
    assert_eq!(entry_state(&[], &code[4..]), EntryState::ReturnInLink, "after the call");
    assert_eq!(entry_state(&[], &code[..10]), EntryState::Unknown, "where it goes on is not seen");
}
