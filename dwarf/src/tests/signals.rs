//! Frames that a signal interrupted, and stacks that signals run on.
use super::scene::*;
use crate::{End, How, Row, Rule};

/// mov $15,%rax; syscall
const TRAMPOLINE_CODE: [u8; 9] = [0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05];

/// Words before the general registers of `ucontext_t`, then the registers that the tests look at.
fn context(rbp: Line, rsp: Line, rip: Line) -> Vec<Line> {
    let mut lines = vec![At("context"), Unused(5)];
    lines.push(Unused(8)); // r8 to r15
    lines.extend([Unused(2), rbp, Is(0xb0b0)]); // rdi, rsi; rbp; rbx
    lines.push(Unused(2)); // rdx, rax
    lines.extend([Is(0xcccc), rsp, rip]); // rcx; rsp; rip
    lines.push(Unused(12)); // flags, selectors, the rest
    lines
}

fn picture(parts: &[&[Line]]) -> Vec<Line> {
    parts.concat()
}

/// The row of glibc's trampoline, without expressions: the context lies at the stack pointer.
fn by_rules() -> Row {
    let mut row = row("rsp", 0);
    row.signal_frame = true;
    for (name, word) in [("rbp", 15), ("rbx", 16), ("rcx", 19), ("rsp", 20), ("rip", 21)] {
        row.set(id(name), Rule::Offset(word * 8));
    }
    row
}

/// A handler on the stack of the code it interrupted, at the first instruction of `LEAF`.
fn interrupted() -> Scene {
    let context = context(Is(0xb9b9), To("leaf"), Is(LEAF));
    let lines = picture(&[
        &[Unused(2), Is(TRAMPOLINE)], // the handler
        &context,
        &[At("leaf"), Is(after_call(MIDDLE)), At("middle"), Unused(1)],
    ]);
    Scene::new(&lines)
        .rules(HANDLER, row("rsp", 24))
        .rules(LEAF, row("rsp", 8))
        .rules(MIDDLE, outermost())
        .code(TRAMPOLINE, &TRAMPOLINE_CODE)
}

fn expected() -> Vec<(u64, How)> {
    vec![
        (HANDLER + 1, How::Context),
        (TRAMPOLINE, How::Cfi),
        (LEAF, How::Signal),
        (after_call(MIDDLE), How::Cfi),
    ]
}

#[test]
fn a_signal_frame_is_left_by_its_rules() {
    // The rules of the trampoline begin one byte before it, as glibc's do.
    let mut scene = interrupted().rules_in(TRAMPOLINE - 1..TRAMPOLINE + 9, by_rules());
    let (frames, end) = scene.walk(&[("rip", HANDLER + 1), ("rsp", STACK)]);
    assert_eq!((pcs(&frames), end), (expected(), End::Root));
    assert!(frames[2].address.exact, "the pc after a signal is not decremented");
    assert_eq!(frames[2].address.lookup(), LEAF);
    assert!(!frames[3].address.exact);
}

#[test]
fn the_trampoline_is_found_by_its_bytes_without_rules() {
    let mut scene = interrupted();
    let (frames, end) = scene.walk(&[("rip", HANDLER + 1), ("rsp", STACK)]);
    assert_eq!((pcs(&frames), end), (expected(), End::Root));
    assert!(frames[1].address.exact, "the trampoline is entered by a return");
}

#[test]
fn rules_of_a_plain_function_are_not_believed_at_the_trampoline() {
    let mut scene = interrupted().rules_in(TRAMPOLINE..TRAMPOLINE + 9, row("rsp", 8));
    let (frames, end) = scene.walk(&[("rip", HANDLER + 1), ("rsp", STACK)]);
    assert_eq!((pcs(&frames), end), (expected(), End::Root));
}

#[test]
fn a_thread_may_stop_at_the_trampoline() {
    let mut scene = interrupted();
    let sp = scene.at("context");
    let (frames, end) = scene.walk(&[("rip", TRAMPOLINE), ("rsp", sp)]);
    let pcs = pcs(&frames);
    assert_eq!(pcs[0], (TRAMPOLINE, How::Context));
    assert_eq!((&pcs[1..], end), (&expected()[2..], End::Root));
}

#[test]
fn registers_that_calls_destroy_come_back_from_a_signal_frame() {
    let mut scene = interrupted();
    let mut walker = crate::Walker::new(registers(&[("rip", HANDLER + 1), ("rsp", STACK)]), false);
    while walker.next(&mut scene).is_some_and(|frame| frame.how != How::Signal) {}
    let get = |name| walker.registers().get(id(name));
    assert_eq!([get("rcx"), get("rbx"), get("rbp")], [Some(0xcccc), Some(0xb0b0), Some(0xb9b9)]);
}

#[test]
fn a_jump_through_null_that_raised_a_signal_is_undone() {
    let context = context(Is(0), To("caller"), Is(0));
    let lines = picture(&[
        &[Unused(2), Is(TRAMPOLINE)],
        &context,
        &[At("caller"), Is(after_indirect_call(MAIN)), Unused(1)],
    ]);
    let mut scene = Scene::new(&lines)
        .rules(HANDLER, row("rsp", 24))
        .rules(MAIN, outermost())
        .code(TRAMPOLINE, &TRAMPOLINE_CODE);
    let (frames, end) = scene.walk(&[("rip", HANDLER + 1), ("rsp", STACK)]);
    let expected = [
        (HANDLER + 1, How::Context),
        (TRAMPOLINE, How::Cfi),
        (0, How::Signal),
        (after_indirect_call(MAIN), How::Leaf),
    ];
    assert_eq!((pcs(&frames), end), (expected.to_vec(), End::Root));
}

/// A handler on an alternate stack that lies at `alternate`, the interrupted code on `STACK`.
fn on_alternate_stack(alternate: u64) -> Scene {
    let context = context(Is(0xb9b9), To("leaf"), Is(LEAF));
    let handler = picture(&[&[At("handler"), Unused(2), Is(TRAMPOLINE)], &context]);
    Scene::new(&[Unused(4), At("leaf"), Is(after_call(MIDDLE)), Unused(1)])
        .stack(alternate, &handler)
        .rules(HANDLER, row("rsp", 24))
        .rules(LEAF, row("rsp", 8))
        .rules(MIDDLE, outermost())
        .code(TRAMPOLINE, &TRAMPOLINE_CODE)
}

#[test]
fn an_alternate_stack_leads_back_to_the_normal_one() {
    for alternate in [OTHER_STACK, STACK + 0x10_0000] {
        let mut scene = on_alternate_stack(alternate);
        let sp = scene.at("handler");
        let (frames, end) = scene.walk(&[("rip", HANDLER + 1), ("rsp", sp)]);
        assert_eq!((pcs(&frames), end), (expected(), End::Root), "alternate stack at {alternate:#x}");
    }
}

#[test]
fn an_alternate_stack_may_lie_above_in_the_same_mapping() {
    let context = context(Is(0xb9b9), To("leaf"), Is(LEAF));
    let lines = picture(&[
        &[At("leaf"), Is(after_call(MIDDLE)), Unused(1)],
        &[At("handler"), Unused(2), Is(TRAMPOLINE)],
        &context,
    ]);
    let mut scene = Scene::new(&lines)
        .rules(HANDLER, row("rsp", 24))
        .rules(LEAF, row("rsp", 8))
        .rules(MIDDLE, outermost())
        .code(TRAMPOLINE, &TRAMPOLINE_CODE);
    let sp = scene.at("handler");
    let (frames, end) = scene.walk(&[("rip", HANDLER + 1), ("rsp", sp)]);
    assert_eq!((pcs(&frames), end), (expected(), End::Root));
}

#[test]
fn a_stack_overflow_is_left_though_the_stack_pointer_is_in_no_stack() {
    // LEAF has moved the stack pointer into the guard page below the stack.
    let context = context(Is(0xb9b9), Is(STACK - 0x800), Is(LEAF + 8));
    let handler = picture(&[&[At("handler"), Unused(2), Is(TRAMPOLINE)], &context]);
    let mut scene = Scene::new(&[Unused(4), Is(after_call(MIDDLE)), Unused(1)])
        .stack(OTHER_STACK, &handler)
        .rules(HANDLER, row("rsp", 24))
        .rules(LEAF, row("rsp", 0x800 + 40))
        .rules(MIDDLE, outermost())
        .code(TRAMPOLINE, &TRAMPOLINE_CODE);
    let (frames, end) = scene.walk(&[("rip", HANDLER + 1), ("rsp", OTHER_STACK)]);
    assert_eq!((frames.len(), end), (4, End::Root));
}

#[test]
fn a_cut_signal_frame_is_an_unreadable_stack() {
    let mut scene = Scene::new(&[Unused(8)]).code(TRAMPOLINE, &TRAMPOLINE_CODE);
    let (frames, end) = scene.walk(&[("rip", TRAMPOLINE), ("rsp", STACK)]);
    assert_eq!((frames.len(), end), (1, End::UnreadableStack(STACK)));
}

#[test]
fn two_signal_frames_that_lead_to_each_other_end_the_walk() {
    // Each context says that the code it interrupted was the trampoline at the other one.
    let context_of = |label, other| {
        let mut lines = context(Is(0), To(other), Is(TRAMPOLINE));
        lines[0] = At(label);
        lines
    };
    let lines = picture(&[&context_of("first", "second"), &context_of("second", "first")]);
    let mut scene = Scene::new(&lines).code(TRAMPOLINE, &TRAMPOLINE_CODE);
    let (first, second) = (scene.at("first"), scene.at("second"));
    let (frames, end) = scene.walk(&[("rip", TRAMPOLINE), ("rsp", first)]);
    assert_eq!((frames.len(), end), (2, End::NoProgress(first)));
    let (frames, end) = scene.walk(&[("rip", TRAMPOLINE), ("rsp", second)]);
    assert_eq!((frames.len(), end), (2, End::NoProgress(second)));
}
