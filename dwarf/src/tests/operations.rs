//! Every call frame instruction (DWARF 5, section 6.4.2), assembled by hand.
use super::scene::id;
use super::section::{Builder, Cie, Kind, ordinary, sleb, uleb};
use crate::{Cfa, CfiError, Row, Rule};

const FUNCTION: u64 = 0x1000;

/// The row at an offset into a function with these instructions.
fn at(offset: u64, instructions: &[u8]) -> Result<Option<Row>, CfiError> {
    with(ordinary(), offset, instructions)
}

fn with(cie: Cie, offset: u64, instructions: &[u8]) -> Result<Option<Row>, CfiError> {
    let mut builder = Builder::new(Kind::Eh);
    let cie = builder.cie(cie);
    builder.fde(cie, FUNCTION, 0x2_0000, instructions);
    builder.row(FUNCTION + offset)
}

/// The same where it must be there.
fn row(offset: u64, instructions: &[u8]) -> Row {
    at(offset, instructions).expect("the entry is good").expect("the entry covers the address")
}

fn rsp(offset: i64) -> Cfa {
    Cfa::RegisterOffset(id("rsp"), offset)
}

#[test]
fn without_instructions_the_rules_are_those_of_the_cie() {
    let row = row(5, &[]);
    assert_eq!(row.cfa, rsp(8));
    assert_eq!(row.return_address, id("rip"));
    assert_eq!(row.get(id("rip")), Rule::Offset(-8));
    assert_eq!(row.get(id("rbx")), Rule::Unspecified);
    assert!(!row.signal_frame);
}

#[test]
fn nop_does_nothing() {
    assert_eq!(row(5, &[0, 0, 0]), row(5, &[]));
}

/// Instructions that move the CFA to rsp + 16 after an advance, which is given.
fn after(advance: &[u8]) -> Vec<u8> {
    [advance, &[0x0e, 16]].concat()
}

#[track_caller]
fn advances(advance: &[u8], distance: u64) {
    assert_eq!(row(distance - 1, &after(advance)).cfa, rsp(8), "before");
    assert_eq!(row(distance, &after(advance)).cfa, rsp(16), "after");
}

#[test]
fn advance_loc_counts_in_six_bits() {
    advances(&[0x40 | 0x3f], 0x3f);
}

#[test]
fn advance_loc1_counts_in_a_byte() {
    advances(&[0x02, 0xff], 0xff);
}

#[test]
fn advance_loc2_counts_in_two_bytes() {
    advances(&[0x03, 0x34, 0x12], 0x1234);
}

#[test]
fn advance_loc4_counts_in_four_bytes() {
    advances(&[0x04, 0x01, 0x00, 0x01, 0x00], 0x1_0001);
}

#[test]
fn advances_are_multiplied_with_the_code_alignment() {
    let cie = Cie { code_alignment: 4, ..ordinary() };
    let cfa = |offset| with(cie.clone(), offset, &after(&[0x43])).map(|row| row.map(|row| row.cfa));
    assert_eq!(cfa(11), Ok(Some(rsp(8))));
    assert_eq!(cfa(12), Ok(Some(rsp(16))));
}

#[test]
fn set_loc_is_in_the_encoding_of_the_entry() {
    let absolute = Cie { data: vec![0x00], ..ordinary() };
    let instructions = [&[0x01][..], &(FUNCTION + 0x20).to_le_bytes(), &[0x0e, 16]].concat();
    let cfa = |offset| with(absolute.clone(), offset, &instructions).map(|row| row.map(|row| row.cfa));
    assert_eq!((cfa(0x1f), cfa(0x20)), (Ok(Some(rsp(8))), Ok(Some(rsp(16)))));

    // Relative to the place of the operand.
    let mut builder = Builder::new(Kind::Eh);
    let cie = builder.cie(ordinary());
    let operand = super::section::EH_FRAME + builder.bytes.len() as u64 + 4 + 4 + 8 + 1 + 1;
    let distance = (FUNCTION + 0x20).wrapping_sub(operand) as u32;
    builder.fde(cie, FUNCTION, 0x100, &[&[0x01][..], &distance.to_le_bytes(), &[0x0e, 16]].concat());
    let cfa = |offset| builder.row(FUNCTION + offset).map(|row| row.map(|row| row.cfa));
    assert_eq!((cfa(0x1f), cfa(0x20)), (Ok(Some(rsp(8))), Ok(Some(rsp(16)))));
}

#[test]
fn set_loc_cannot_go_back() {
    let absolute = Cie { data: vec![0x00], ..ordinary() };
    let instructions = [&[0x50, 0x01][..], &FUNCTION.to_le_bytes()].concat();
    assert!(matches!(with(absolute, 0x20, &instructions), Err(CfiError::Damaged(_))));
}

#[test]
fn def_cfa_sets_register_and_offset() {
    assert_eq!(row(0, &[0x0c, 6, 16]).cfa, Cfa::RegisterOffset(id("rbp"), 16));
}

#[test]
fn def_cfa_sf_has_a_factored_signed_offset() {
    let instructions = [&[0x12, 6][..], &sleb(-4)].concat();
    assert_eq!(row(0, &instructions).cfa, Cfa::RegisterOffset(id("rbp"), 32));
}

#[test]
fn def_cfa_register_keeps_the_offset() {
    assert_eq!(row(0, &[0x0d, 6]).cfa, Cfa::RegisterOffset(id("rbp"), 8));
}

#[test]
fn def_cfa_offset_keeps_the_register_and_is_not_factored() {
    assert_eq!(row(0, &[&[0x0e][..], &uleb(0x1000)].concat()).cfa, rsp(0x1000));
}

#[test]
fn def_cfa_offset_sf_is_factored() {
    assert_eq!(row(0, &[&[0x13][..], &sleb(3)].concat()).cfa, rsp(-24));
}

#[test]
fn def_cfa_expression_names_its_bytes() {
    let mut builder = Builder::new(Kind::Eh);
    let cie = builder.cie(ordinary());
    builder.fde(cie, FUNCTION, 0x100, &[0x0f, 3, 0x77, 8, 0x06]);
    let row = builder.row(FUNCTION).expect("good").expect("covered");
    let Cfa::Expression(place) = row.cfa else { panic!("{:?}", row.cfa) };
    let cfi = super::section::eh(&builder.bytes, None);
    assert_eq!(place.get(cfi.reader()).expect("inside").slice(), [0x77, 8, 0x06]);
}

#[test]
fn the_register_of_a_cfa_expression_cannot_be_changed() {
    for instruction in [&[0x0d, 6][..], &[0x0e, 16], &[0x13, 2]] {
        let instructions = [&[0x0f, 1, 0x50], instruction].concat();
        assert!(matches!(at(0, &instructions), Err(CfiError::Damaged(_))), "{instruction:x?}");
    }
}

#[track_caller]
fn gives(instructions: &[u8], register: &str, rule: Rule) {
    assert_eq!(row(0, instructions).get(id(register)), rule);
}

#[test]
fn undefined_makes_a_register_unrecoverable() {
    gives(&[0x07, 3], "rbx", Rule::Undefined);
}

#[test]
fn same_value_keeps_a_register() {
    gives(&[0x08, 3], "rbx", Rule::SameValue);
}

#[test]
fn offset_is_factored() {
    gives(&[0x80 | 3, 5], "rbx", Rule::Offset(-40));
}

#[test]
fn offset_extended_is_factored() {
    gives(&[0x05, 3, 5], "rbx", Rule::Offset(-40));
}

#[test]
fn offset_extended_sf_is_factored_and_signed() {
    gives(&[&[0x11, 3][..], &sleb(-5)].concat(), "rbx", Rule::Offset(40));
}

#[test]
fn val_offset_is_the_place_itself() {
    gives(&[0x14, 3, 5], "rbx", Rule::ValOffset(-40));
}

#[test]
fn val_offset_sf_is_the_place_itself_signed() {
    gives(&[&[0x15, 3][..], &sleb(-5)].concat(), "rbx", Rule::ValOffset(40));
}

#[test]
fn register_moves_the_value_of_another() {
    gives(&[0x09, 16, 11], "rip", Rule::Register(id("r11")));
    gives(&[0x09, 3, 17], "rbx", Rule::Undefined); // xmm0 is not recorded
}

#[test]
fn a_return_address_in_an_unrecorded_register_is_refused() {
    assert_eq!(at(0, &[0x09, 16, 17]), Err(CfiError::ReturnColumn(17)));
}

#[test]
fn expression_and_val_expression_name_their_bytes() {
    let row = row(0, &[0x10, 3, 2, 0x76, 0x08, 0x16, 6, 1, 0x9c]);
    let Rule::Expression(memory) = row.get(id("rbx")) else { panic!("{row:?}") };
    let Rule::ValExpression(value) = row.get(id("rbp")) else { panic!("{row:?}") };
    assert_eq!((memory.length, value.length), (2, 1));
    assert_eq!(value.offset, memory.offset + 2 + 3);
}

#[test]
fn restore_gives_back_the_rule_of_the_cie() {
    gives(&[0x07, 16, 0xc0 | 16], "rip", Rule::Offset(-8));
    gives(&[0x83, 2, 0xc0 | 3], "rbx", Rule::Unspecified);
}

#[test]
fn restore_extended_gives_back_the_rule_of_the_cie() {
    gives(&[0x07, 16, 0x06, 16], "rip", Rule::Offset(-8));
}

#[test]
fn restore_among_several_rules_of_the_cie() {
    let cie = Cie { instructions: vec![0x0c, 7, 8, 0x90, 1, 0x83, 2, 0x08, 6], ..ordinary() };
    let row = with(cie, 0, &[0x07, 3, 0x07, 6, 0xc0 | 3, 0xc0 | 6]).expect("good").expect("covered");
    assert_eq!(row.get(id("rbx")), Rule::Offset(-16));
    assert_eq!(row.get(id("rbp")), Rule::SameValue);
}

#[test]
fn restore_has_no_meaning_in_a_cie() {
    let cie = Cie { instructions: vec![0xc0 | 3], ..ordinary() };
    assert!(matches!(with(cie, 0, &[]), Err(CfiError::Damaged(_))));
}

#[test]
fn remembered_rules_come_back_with_their_cfa() {
    // An epilogue in the middle of a function.
    let instructions = [
        0x86, 2, 0x0c, 6, 16, // rbp saved, CFA rbp + 16
        0x41, 0x0a, 0x0c, 7, 8, 0xc6, // remember; CFA rsp + 8, rbp restored
        0x41, 0x0b, // restore
    ];
    let epilogue = row(1, &instructions);
    assert_eq!((epilogue.cfa, epilogue.get(id("rbp"))), (rsp(8), Rule::Unspecified));
    let behind = row(2, &instructions);
    let outer = (Cfa::RegisterOffset(id("rbp"), 16), Rule::Offset(-16));
    assert_eq!((behind.cfa, behind.get(id("rbp"))), outer);
    assert_eq!(row(0x1000, &instructions), behind, "to the end of the function");
}

#[test]
fn remembered_rules_nest() {
    let instructions = [0x0a, 0x0e, 16, 0x0a, 0x0e, 24, 0x41, 0x0b, 0x41, 0x0b];
    assert_eq!([0, 1, 2].map(|offset| row(offset, &instructions).cfa), [rsp(24), rsp(16), rsp(8)]);
}

#[test]
fn nothing_can_be_restored_that_was_not_remembered() {
    assert!(matches!(at(0, &[0x0b]), Err(CfiError::Damaged(_))));
}

#[test]
fn rules_remembered_too_deep_are_too_large() {
    assert!(at(0, &[0x0a; 4]).is_ok());
    assert_eq!(at(0, &[0x0a; 20]), Err(CfiError::TooLarge));
}

#[test]
fn more_rules_than_registers_are_too_large() {
    let many: Vec<u8> = (0..60).flat_map(|register| [0x05, register, 1]).collect();
    assert_eq!(at(0, &many), Err(CfiError::TooLarge));
}

#[test]
fn the_size_of_arguments_does_not_matter() {
    assert_eq!(row(0, &[&[0x2e][..], &uleb(0x200)].concat()), row(0, &[]));
}

#[test]
fn instructions_of_other_processors_are_damage() {
    // SPARC's window_save and aarch64's negate_ra_state share a number; 0x3f is nobody's.
    for instruction in [0x2d, 0x1d, 0x3f] {
        assert!(matches!(at(0, &[instruction]), Err(CfiError::Damaged(_))), "{instruction:#x}");
    }
}

#[test]
fn damage_after_the_address_does_no_harm() {
    assert_eq!(row(0, &[0x41, 0x3f]).cfa, rsp(8));
}

#[test]
fn a_cut_operand_is_damage() {
    for instruction in [&[0x0c, 7][..], &[0x03, 0], &[0x0f, 0x70], &[0x05], &[0x10, 3, 9, 0]] {
        let mut builder = Builder::new(Kind::Eh);
        let cie = builder.cie(ordinary());
        // Filled up, so that no padding follows.
        let mut instructions = vec![0; 11 - instruction.len()];
        instructions.extend(instruction);
        builder.fde(cie, FUNCTION, 0x100, &instructions);
        assert!(matches!(builder.row(FUNCTION), Err(CfiError::Damaged(_))), "{instruction:x?}");
    }
}

#[test]
fn rules_of_unrecorded_registers_are_left_out() {
    assert_eq!(row(0, &[0x80 | 17, 3]), row(0, &[]));
}

#[test]
fn a_cfa_based_on_an_unrecorded_register_is_refused() {
    assert_eq!(at(0, &[0x0c, 17, 8]), Err(CfiError::CfaRegister(17)));
}

#[test]
fn a_return_address_column_that_is_no_register_is_refused() {
    assert_eq!(with(Cie { return_column: 33, ..ordinary() }, 0, &[]), Err(CfiError::ReturnColumn(33)));
}

#[test]
fn the_augmentation_s_makes_a_signal_frame() {
    let cie = Cie { augmentation: "zRS", ..ordinary() };
    assert!(with(cie, 0, &[]).expect("good").expect("covered").signal_frame);
}

#[test]
fn personality_and_language_data_are_passed_over() {
    // Personality by four absolute bytes, language data by four bytes relative to the pc.
    let cie = Cie { augmentation: "zPLR", data: vec![0x03, 1, 2, 3, 4, 0x1b, 0x1b], ..ordinary() };
    let row = with(cie, 0, &[0x0e, 16]).expect("good").expect("covered");
    assert_eq!(row.cfa, rsp(16));
}

#[test]
fn every_version_of_common_information_is_read() {
    for kind in [Kind::Eh, Kind::Debug] {
        for version in [1, 3, 4] {
            for wide in [false, true] {
                if kind == Kind::Eh && version == 4 {
                    continue; // only .debug_frame has it
                }
                let mut builder = Builder::new(kind);
                if wide {
                    builder = builder.wide();
                }
                let plain = Cie { augmentation: "", data: Vec::new(), ..ordinary() };
                let cie = builder.cie(Cie { version, ..plain });
                builder.fde(cie, FUNCTION, 0x100, &[0x44, 0x0e, 16]);
                let what = format!("{kind:?} version {version}, wide: {wide}");
                let cfa = |address| builder.row(address).expect(&what).map(|row| row.cfa);
                assert_eq!(cfa(FUNCTION + 4), Some(rsp(16)), "{what}");
                assert_eq!((cfa(FUNCTION - 1), cfa(FUNCTION + 0x100)), (None, None), "{what}");
            }
        }
    }
}

#[test]
fn unknown_versions_cover_nothing() {
    for version in [0, 2, 5] {
        let mut builder = Builder::new(Kind::Eh);
        let cie = builder.cie(Cie { version, ..ordinary() });
        builder.fde(cie, FUNCTION, 0x100, &[]);
        assert_eq!(builder.row(FUNCTION), Ok(None), "version {version}");
    }
}
