//! DWARF expressions as unwind rules use them.
use gimli::LittleEndian;
use threaddump_arch::Registers;

use super::scene::{Slice, registers};
use super::section::{sleb, uleb};
use crate::{StepError, evaluate};

/// The word at each address is twice the address.
fn doubled(address: u64, bytes: &mut [u8]) -> bool {
    let word = address.wrapping_mul(2).to_le_bytes();
    bytes.copy_from_slice(&word[..bytes.len()]);
    address < 0x1_0000
}

fn known() -> Registers {
    registers(&[("rsp", 0x700), ("rbp", 0x800), ("r10", 0x900)])
}

fn value_with(bytes: &[u8], initial: Option<u64>) -> Result<u64, StepError> {
    evaluate(Slice::new(bytes, LittleEndian), initial, &known(), &mut doubled)
}

fn value(bytes: &[u8]) -> Result<u64, StepError> {
    value_with(bytes, None)
}

#[test]
fn the_cfa_is_on_the_stack_of_a_register_rule() {
    assert_eq!(value_with(&[0x38, 0x1c], Some(0x7000)), Ok(0x6ff8)); // lit8; minus
    assert_eq!(value_with(&[], Some(0x7000)), Ok(0x7000));
}

#[test]
fn a_register_is_read_by_its_dwarf_number() {
    assert_eq!(value(&[0x77, 0x08]), Ok(0x708)); // breg7 8
    assert_eq!(value(&[&[0x92][..], &uleb(10), &sleb(-16)].concat()), Ok(0x8f0)); // bregx r10 -16
}

#[test]
fn memory_is_read_in_the_size_asked_for() {
    assert_eq!(value(&[0x76, 0x00, 0x06]), Ok(0x1000)); // breg6 0; deref
    assert_eq!(value(&[0x0a, 0xc1, 0x01, 0x94, 1]), Ok(0x82)); // const2u; deref_size 1
    assert_eq!(value(&[0x0a, 0xc1, 0x01, 0x94, 2]), Ok(0x382));
}

#[test]
fn the_rule_of_the_plt_adds_by_condition() {
    // gcc's and ld's rule for .plt: rsp + 8 + ((rip & 15) >= 11) << 3.
    let plt = [0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
    let at = |rip| {
        let registers = registers(&[("rsp", 0x700), ("rip", rip)]);
        evaluate(Slice::new(&plt, LittleEndian), None, &registers, &mut doubled)
    };
    assert_eq!((at(0x100a), at(0x100b)), (Ok(0x708), Ok(0x710)));
}

#[test]
fn branches_are_taken() {
    // lit1; bra over lit7; lit9
    assert_eq!(value(&[0x31, 0x28, 1, 0, 0x37, 0x39]), Ok(9));
    // skip over an operation that is nobody's
    assert_eq!(value(&[0x32, 0x2f, 1, 0, 0xff]), Ok(2));
}

#[test]
fn a_value_may_be_marked_as_one() {
    assert_eq!(value(&[0x35, 0x9f]), Ok(5)); // lit5; stack_value
}

#[test]
fn an_endless_expression_is_stopped() {
    let error = value(&[0x2f, 0xfd, 0xff]); // skip -3
    assert_eq!(error, Err(StepError::Expression(gimli::Error::TooManyIterations)));
}

#[test]
fn a_stack_that_grows_too_far_is_an_error() {
    // lit0; dup; skip -4
    assert!(matches!(value(&[0x30, 0x12, 0x2f, 0xfc, 0xff]), Err(StepError::Expression(_))));
}

#[test]
fn what_is_missing_is_named() {
    let registers = known();
    let rbx = registers.arch().from_dwarf(3).expect("rbx");
    assert_eq!(value(&[0x73, 0]), Err(StepError::UnknownRegister(rbx)));
    assert_eq!(value(&[0x0c, 0, 0, 2, 0, 0x06]), Err(StepError::Unreadable(0x2_0000)));
    assert_eq!(value(&[&[0x92][..], &uleb(17), &[0]].concat()), Err(StepError::ExpressionKind));
}

#[test]
fn what_has_no_meaning_in_unwind_rules_is_refused() {
    for (bytes, what) in [
        (&[0x9c][..], "call_frame_cfa"),
        (&[0x91, 0], "fbreg"),
        (&[0x97], "push_object_address"),
        (&[0x55], "reg5"),
        (&[0x9e, 1, 0], "implicit_value"),
        (&[0x98, 0, 0], "call2"),
        (&[0xa3, 1, 0x55], "entry_value"),
        (&[0x31, 0xe0], "GNU_push_tls_address"),
        (&[0x03, 0, 0, 0, 0, 0, 0, 0, 0], "addr"),
        (&[0x31, 0x30, 0x18], "xderef"),
        (&[0x31, 0x93, 8, 0x31, 0x93, 8], "piece, piece"),
        (&[0xff], "nobody's operation"),
        (&[0x22], "plus without operands"),
        (&[0x30, 0x30, 0x1b], "division by zero"),
        (&[0x31, 0x94, 9], "deref_size 9"),
        (&[0x28], "a cut operand"),
        (&[0x2f, 0xff, 0x7f], "a branch to outside"),
        (&[], "nothing"),
    ] {
        assert!(value(bytes).is_err(), "{what}: {:?}", value(bytes));
    }
}
