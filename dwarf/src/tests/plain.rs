//! Walks by rules alone.
use super::scene::*;
use crate::{Cfa, CfiError, End, How, Rule, StepError, Walker};

#[test]
fn plain_calls_lead_to_the_outermost_function() {
    let mut scene = Scene::new(&[
        At("leaf"),
        Is(after_call(MIDDLE)),
        At("middle"),
        Unused(2),
        Is(after_call(MAIN)),
        At("main"),
        Unused(1),
        Is(after_call(START)),
        At("start"),
        Unused(1),
    ])
    .rules(LEAF, row("rsp", 8))
    .rules(MIDDLE, row("rsp", 24))
    .rules(MAIN, row("rsp", 16))
    .rules(START, outermost());
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK)]);
    assert_eq!(end, End::Root);
    let expected = [
        (LEAF, How::Context),
        (after_call(MIDDLE), How::Cfi),
        (after_call(MAIN), How::Cfi),
        (after_call(START), How::Cfi),
    ];
    assert_eq!(pcs(&frames), expected);
    let sps: Vec<u64> = frames.iter().map(|frame| frame.sp).collect();
    assert_eq!(sps, ["leaf", "middle", "main", "start"].map(|label| scene.at(label)));
    let lookups: Vec<u64> = frames.iter().map(|frame| frame.address.lookup()).collect();
    assert_eq!(lookups[0], LEAF, "the innermost pc is looked up as it is");
    assert_eq!(lookups[1], after_call(MIDDLE) - 1, "a return address inside its call");
}

#[test]
fn saved_registers_are_restored_several_frames_down() {
    let mut scene = Scene::new(&[
        Is(0x1212), // r12 of the caller of leaf
        Is(after_call(MIDDLE)),
        Is(0xb0b0), // rbx of main
        Is(after_call(MAIN)),
        Is(after_call(START)),
    ])
    .rules(LEAF, saving(row("rsp", 16), "r12", -16))
    .rules(MIDDLE, saving(row("rsp", 16), "rbx", -16))
    .rules(MAIN, row("rsp", 8))
    .rules(START, outermost());
    let start =
        [("rip", LEAF), ("rsp", STACK), ("rbx", 1), ("r12", 2), ("r13", 3), ("rax", 4), ("fs_base", 5)];
    let mut walker = Walker::new(registers(&start), false);
    let mut seen = Vec::new();
    while walker.next(&mut scene).is_some() {
        let get = |name| walker.registers().get(id(name));
        seen.push([get("rbx"), get("r12"), get("r13"), get("rax"), get("fs_base")]);
    }
    assert_eq!(seen[0], [Some(1), Some(2), Some(3), Some(4), Some(5)]);
    assert_eq!(seen[1], [Some(1), Some(0x1212), Some(3), None, Some(5)], "rax is lost in a call");
    assert_eq!(seen[2], [Some(0xb0b0), Some(0x1212), Some(3), None, Some(5)]);
    assert_eq!(seen[3], seen[2]);
}

#[test]
fn a_frame_pointer_can_be_the_base_several_frames_out() {
    let mut scene = Scene::new(&[
        At("leaf"),
        Unused(3),
        Is(after_call(MIDDLE)), // leaf leaves rbp alone
        Unused(4),              // middle has made room for an unknown number of words
        At("rbp of middle"),
        To("rbp of main"),
        Is(after_call(MAIN)),
        Unused(2),
        At("rbp of main"),
        Is(0),
        Is(after_call(START)),
        Unused(1),
    ])
    .rules(LEAF, row("rsp", 32))
    .rules(MIDDLE, saving(row("rbp", 16), "rbp", -16))
    .rules(MAIN, saving(row("rbp", 16), "rbp", -16))
    .rules(START, outermost());
    let rbp = scene.at("rbp of middle");
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK), ("rbp", rbp)]);
    assert_eq!((frames.len(), end), (4, End::Root));
}

#[test]
fn a_realigned_stack_is_left_through_the_saved_argument_pointer() {
    // gcc: lea 8(%rsp),%r10; and $-32,%rsp; push -8(%r10); push %rbp; mov %rsp,%rbp; push %r10.
    // CFA = *(rbp - 8), and rbp is saved where rbp points to.
    let mut scene = Scene::new(&[
        Unused(2),
        To("cfa"), // r10
        At("rbp"),
        Is(0xb9b9),           // rbp of the caller
        Is(after_call(MAIN)), // the copy of the return address for debuggers
        Unused(5),            // what the alignment skipped
        Is(after_call(MAIN)),
        At("cfa"),
        Unused(1),
    ]);
    let cfa = scene.expression(&[0x76, 0x78, 0x06]); // DW_OP_breg6 -8; DW_OP_deref
    let saved_rbp = scene.expression(&[0x76, 0x00]); // DW_OP_breg6 0
    let mut aligned = row("rsp", 8);
    aligned.cfa = Cfa::Expression(cfa);
    aligned.set(id("rbp"), Rule::Expression(saved_rbp));
    let mut scene = scene.rules(MIDDLE, aligned).rules(MAIN, outermost());
    let rbp = scene.at("rbp");
    let mut walker = Walker::new(registers(&[("rip", MIDDLE), ("rsp", STACK), ("rbp", rbp)]), false);
    walker.next(&mut scene);
    let main = walker.next(&mut scene).expect("main is found");
    assert_eq!((main.address.pc, main.sp), (after_call(MAIN), scene.at("cfa")));
    assert_eq!(walker.registers().fp(), Some(0xb9b9));
    assert_eq!((walker.next(&mut scene), walker.end()), (None, Some(End::Root)));
}

#[test]
fn the_outermost_function_needs_no_cfa() {
    let mut row = outermost();
    row.cfa = Cfa::RegisterOffset(id("r11"), 0);
    let mut scene = Scene::new(&[Unused(1)]).rules(START, row);
    assert_eq!(scene.walk(&[("rip", START), ("rsp", STACK)]).1, End::Root);
}

#[test]
fn a_return_address_in_a_register_is_followed() {
    let mut plt = row("rsp", 0);
    plt.set(id("rip"), Rule::Register(id("r11")));
    let mut scene = Scene::new(&[Unused(4)]).rules(LEAF, plt).rules(MAIN, outermost());
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK), ("r11", after_call(MAIN))]);
    assert_eq!((pcs(&frames)[1], end), ((after_call(MAIN), How::Cfi), End::Root));
}

#[test]
fn a_missing_register_ends_the_walk_by_its_name() {
    let mut scene =
        Scene::new(&[Is(after_call(MAIN)), Unused(2)]).rules(LEAF, row("rsp", 8)).rules(MAIN, row("r10", 16)); // r10 is not preserved by leaf
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK), ("r10", STACK)]);
    assert_eq!(frames.len(), 2);
    assert_eq!(end, End::Rules(StepError::UnknownRegister(id("r10"))));
    assert_eq!(end.as_str(), "unknown_register");
}

#[test]
fn an_unreadable_saved_register_is_unknown_and_does_no_harm() {
    let mut scene = Scene::new(&[Is(after_call(MAIN)), Unused(1)])
        .rules(LEAF, saving(row("rsp", 8), "rbx", 0x1000))
        .rules(MAIN, outermost());
    let mut walker = Walker::new(registers(&[("rip", LEAF), ("rsp", STACK), ("rbx", 1)]), false);
    walker.next(&mut scene);
    assert!(walker.next(&mut scene).is_some());
    assert_eq!(walker.registers().get(id("rbx")), None);
}

#[test]
fn a_return_address_outside_code_ends_the_walk() {
    let mut scene = Scene::new(&[Is(STACK), Unused(1)]).rules(LEAF, row("rsp", 8));
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (1, End::BadReturnAddress(STACK)));
}

#[test]
fn an_unreadable_stack_is_named_by_its_address() {
    let mut scene = Scene::new(&[Unused(1)]).rules(LEAF, row("rsp", 0x108));
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (1, End::UnreadableStack(STACK + 0x100)));
}

#[test]
fn damaged_rules_end_the_walk() {
    let mut scene = Scene::new(&[Unused(1)]).damaged(LEAF);
    let (_, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK)]);
    assert_eq!(end, End::Damaged(CfiError::TooLarge));
}

#[test]
fn rules_without_a_return_address_are_refused() {
    let mut row = row("rsp", 8);
    row.set(id("rip"), Rule::Unspecified);
    let mut scene = Scene::new(&[Unused(1)]).rules(LEAF, row);
    let (_, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK)]);
    assert_eq!(end, End::Rules(StepError::NoReturnAddress));
}

#[test]
fn registers_without_pc_or_sp_give_no_frame() {
    let mut scene = Scene::new(&[]);
    for (known, missing) in [("rip", "rsp"), ("rsp", "rip")] {
        let (frames, end) = scene.walk(&[(known, STACK)]);
        assert_eq!((frames.len(), end), (0, End::Rules(StepError::UnknownRegister(id(missing)))));
    }
}

#[test]
fn the_working_memory_fits_the_stack_of_a_signal_handler_that_has_its_own() {
    assert!(size_of::<crate::Context>() <= 10 * 1024, "{}", size_of::<crate::Context>());
    assert!(size_of::<Walker>() <= 1024, "{}", size_of::<Walker>());
}
