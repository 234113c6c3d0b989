//! A walk ends, whatever the stack and the rules say.
use super::scene::*;
use crate::{Cfa, End, How, Rule, StepError};

#[test]
fn a_cfa_equal_to_the_old_one_ends_the_walk() {
    let mut scene = Scene::new(&[Is(after_call(MAIN)), Is(after_call(MAIN)), Unused(1)])
        .rules(LEAF, row("rsp", 8))
        .rules(MAIN, row("rsp", 0));
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (2, End::NoProgress(STACK + 8)));
}

#[test]
fn a_cfa_less_than_a_return_address_further_out_ends_the_walk() {
    let mut narrow = row("rsp", 1);
    narrow.set(id("rip"), Rule::Constant(after_call(MAIN)));
    let mut scene =
        Scene::new(&[Is(after_call(MAIN)), Unused(4)]).rules(LEAF, row("rsp", 8)).rules(MAIN, narrow);
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (2, End::NoProgress(STACK + 9)));
}

#[test]
fn a_stack_pointer_that_moves_down_ends_the_walk() {
    let mut scene = Scene::new(&[Unused(2), Is(after_call(MAIN)), Unused(1)])
        .rules(LEAF, row("rsp", 8))
        .rules(MAIN, row("rsp", -8));
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK + 16)]);
    assert_eq!(frames.len(), 2);
    assert!(matches!(end, End::NoProgress(_) | End::BadReturnAddress(_)), "{end:?}");
}

#[test]
fn a_circle_between_two_stacks_ends_the_walk() {
    // The stack pointer of the caller is saved in the word above the return address.
    let mut saved_sp = row("rsp", 8);
    saved_sp.set(id("rsp"), Rule::Offset(0));
    let mut scene = Scene::new(&[Is(after_call(MAIN)), Is(OTHER_STACK), Unused(8)])
        .stack(OTHER_STACK, &[Is(after_call(MAIN)), Is(STACK), Unused(8)])
        .rules(LEAF, saved_sp.clone())
        .rules(MAIN, saved_sp);
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (2, End::NoProgress(STACK)));
}

#[test]
fn a_walk_through_more_stacks_than_are_remembered_ends() {
    let mut to_next = row("rsp", 8);
    to_next.set(id("rsp"), Rule::Offset(0));
    let mut scene = Scene::new(&[]).rules(MAIN, to_next);
    for stack in 0..40 {
        let base = OTHER_STACK + stack * 0x1000;
        scene = scene.stack(base, &[Is(after_call(MAIN)), Is(base + 0x1000)]);
    }
    let (frames, end) = scene.walk(&[("rip", MAIN), ("rsp", OTHER_STACK)]);
    assert_eq!((frames.len(), end), (16, End::NoProgress(OTHER_STACK + 16 * 0x1000)));
}

#[test]
fn rules_that_read_no_memory_do_not_walk_through_all_addresses() {
    let mut endless = row("rsp", 8);
    endless.set(id("rip"), Rule::Constant(after_call(MAIN)));
    let mut scene = Scene::new(&[Unused(100)]).rules(MAIN, endless.clone());
    let (frames, end) = scene.walk(&[("rip", MAIN), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (101, End::UnreadableStack(STACK + 800)));
    // Neither do those that call each step an interruption.
    endless.signal_frame = true;
    let mut scene = Scene::new(&[Unused(100)]).rules(MAIN, endless);
    let (frames, end) = scene.walk(&[("rip", MAIN), ("rsp", STACK)]);
    assert!(frames.len() < 130, "{}", frames.len());
    assert!(matches!(end, End::UnreadableStack(_)));
}

#[test]
fn functions_that_lead_to_each_others_start_end_the_walk() {
    // Their starts follow no call and no rules: they pass for pushed return addresses.
    let to = |pc| {
        let mut row = row("rsp", 0);
        row.set(id("rip"), Rule::Constant(pc));
        row
    };
    let mut scene =
        Scene::new(&[Unused(8)]).rules_in(MAIN..MAIN + 16, to(LEAF)).rules_in(LEAF..LEAF + 16, to(MAIN));
    let (frames, end) = scene.walk(&[("rip", MAIN), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (2, End::NoProgress(STACK)));
}

#[test]
fn the_last_address_ends_every_walk() {
    let all: Vec<(&str, u64)> =
        threaddump_arch::Arch::X86_64.registers().iter().map(|info| (info.name, u64::MAX)).collect();
    let code = |scene: Scene| scene.code(u64::MAX - 0xff, &[0x90; 0xff]);
    let mut constant = row("rsp", 0);
    constant.set(id("rip"), Rule::Constant(MAIN));
    for row in [row("rsp", 8), row("rsp", 0), row("rbp", -16), row("rax", i64::MIN), constant] {
        let mut scene = code(Scene::new(&[Unused(1)])).rules_in(0..u64::MAX, row.clone());
        for scan in [false, true] {
            let (frames, _) = scene.walk_with(registers(&all), scan);
            assert!(frames.len() <= 2, "{row:?}");
            let mut inside = registers(&all);
            inside.set(id("rip"), MAIN);
            let (frames, _) = scene.walk_with(inside, scan);
            assert!(frames.len() <= 2, "{row:?}");
        }
    }
    let mut bare = Scene::new(&[Unused(1)]);
    assert_eq!(bare.walk(&all).1, End::NoUnwindInfo(u64::MAX));
    assert_eq!(bare.scan(&all).1, End::NoUnwindInfo(u64::MAX));
}

#[test]
fn addresses_that_overflow_are_an_error() {
    let mut scene = Scene::new(&[Unused(1)]).rules(LEAF, row("rbx", 8));
    let (_, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK), ("rbx", u64::MAX)]);
    assert_eq!(end, End::Rules(StepError::Overflow));
    let mut negative = row("rsp", i64::MIN);
    negative.cfa = Cfa::RegisterOffset(id("rbx"), i64::MIN);
    let mut scene = Scene::new(&[Unused(1)]).rules(LEAF, negative);
    let (_, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK), ("rbx", 0)]);
    assert_eq!(end, End::Rules(StepError::Overflow));
}

#[test]
fn a_deep_recursion_is_walked_to_its_end() {
    let depth = 5000;
    let mut lines = vec![Is(after_call(MIDDLE)); depth];
    lines.extend([Is(after_call(START)), Unused(1)]);
    let mut scene = Scene::new(&lines).rules(MIDDLE, row("rsp", 8)).rules(START, outermost());
    let (frames, end) = scene.walk(&[("rip", MIDDLE), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (depth + 2, End::Root));
    assert!(frames.iter().skip(1).all(|frame| frame.how == How::Cfi));
}
