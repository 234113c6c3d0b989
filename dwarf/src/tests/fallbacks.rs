//! Code without rules: every step needs evidence, and is refused without it.
use super::scene::*;
use crate::{End, How};

/// push %rbp; mov %rsp,%rbp
const PROLOGUE: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];

#[test]
fn a_call_through_null_is_undone() {
    let mut scene = Scene::new(&[Is(after_indirect_call(MAIN)), Unused(1)]).rules(MAIN, outermost());
    let (frames, end) = scene.walk(&[("rip", 0), ("rsp", STACK)]);
    assert_eq!(pcs(&frames), [(0, How::Context), (after_indirect_call(MAIN), How::Leaf)]);
    assert_eq!((frames[1].sp, end), (STACK + 8, End::Root));
}

#[test]
fn a_call_through_a_wild_pointer_is_undone() {
    let mut scene = Scene::new(&[Is(after_indirect_call(MAIN)), Unused(1)]).rules(MAIN, outermost());
    let (frames, end) = scene.walk(&[("rip", 0xdead_beef_0000), ("rsp", STACK)]);
    assert_eq!((pcs(&frames)[1], end), ((after_indirect_call(MAIN), How::Leaf), End::Root));
}

#[test]
fn a_jump_to_a_wild_pointer_goes_on_by_the_frame_pointer() {
    let mut scene = Scene::new(&[
        Is(0x1234), // no return address: it was a jump
        Unused(1),
        At("rbp"),
        Is(0),
        Is(after_call(MAIN)),
        Unused(1),
    ])
    .rules(MAIN, outermost());
    let rbp = scene.at("rbp");
    let (frames, end) = scene.walk(&[("rip", 0xdead_0000), ("rsp", STACK), ("rbp", rbp)]);
    assert_eq!((pcs(&frames)[1], end), ((after_call(MAIN), How::FramePointer), End::Root));
}

#[test]
fn a_jump_to_a_wild_pointer_without_evidence_ends_the_walk() {
    let mut scene = Scene::new(&[Is(MAIN + 7), Unused(3)]).rules(MAIN, outermost());
    let (frames, end) = scene.walk(&[("rip", 0xdead_0000), ("rsp", STACK), ("rbp", 0)]);
    assert_eq!((frames.len(), end), (1, End::NoUnwindInfo(0xdead_0000)));
}

#[test]
fn a_direct_call_to_a_leaf_function_proves_the_return_address() {
    // The call in MIDDLE goes to LEAF, and LEAF has not touched the stack pointer.
    let mut scene = Scene::new(&[Is(after_call(MIDDLE)), Unused(1)]).rules(MIDDLE, outermost());
    let (frames, end) = scene.walk(&[("rip", LEAF + 5), ("rsp", STACK), ("rbp", 0)]);
    assert_eq!(pcs(&frames), [(LEAF + 5, How::Context), (after_call(MIDDLE), How::Leaf)]);
    assert_eq!(end, End::Root);
}

#[test]
fn a_direct_call_to_another_function_proves_nothing() {
    let mut scene = Scene::new(&[Is(after_call(MAIN)), Unused(1)]).rules(MAIN, outermost());
    // MAIN calls MIDDLE, which is more than a leaf's length before the pc.
    let (frames, end) = scene.walk(&[("rip", LEAF + 5), ("rsp", STACK), ("rbp", 0)]);
    assert_eq!((frames.len(), end), (1, End::NoUnwindInfo(LEAF + 5)));
}

#[test]
fn a_leaf_function_that_has_moved_the_stack_pointer_proves_nothing() {
    let mut scene = Scene::new(&[Is(after_call(MIDDLE)), Unused(1)])
        .rules(MIDDLE, outermost())
        .code(LEAF, &[0x48, 0x83, 0xec, 0x18]); // sub $24,%rsp
    let (frames, _) = scene.walk(&[("rip", LEAF + 5), ("rsp", STACK), ("rbp", 0)]);
    assert_eq!(frames.len(), 1);
}

#[test]
fn at_the_push_of_a_prologue_the_return_address_is_on_top() {
    let mut scene = Scene::new(&[Is(after_indirect_call(MAIN)), Unused(1)])
        .rules(MAIN, outermost())
        .code(LEAF, &PROLOGUE);
    let (frames, end) = scene.walk(&[("rip", LEAF), ("rsp", STACK), ("rbp", 0x55)]);
    assert_eq!((pcs(&frames)[1], end), ((after_indirect_call(MAIN), How::Leaf), End::Root));
}

#[test]
fn a_prologue_may_begin_with_endbr64() {
    let mut scene = Scene::new(&[Is(after_indirect_call(MAIN)), Unused(1)])
        .rules(MAIN, outermost())
        .code(LEAF, &[0xf3, 0x0f, 0x1e, 0xfa])
        .code(LEAF + 4, &PROLOGUE);
    for pc in [LEAF, LEAF + 4] {
        let (frames, _) = scene.walk(&[("rip", pc), ("rsp", STACK)]);
        assert_eq!(pcs(&frames)[1], (after_indirect_call(MAIN), How::Leaf), "{pc:#x}");
    }
}

#[test]
fn after_the_push_of_a_prologue_the_return_address_is_second() {
    let scene = Scene::new(&[
        To("rbp of main"), // just pushed
        Is(after_indirect_call(MAIN)),
        Unused(2),
        At("rbp of main"),
        Is(0),
        Is(after_call(START)),
        Unused(1),
    ])
    .code(LEAF + 8, &PROLOGUE);
    let mut scene = scene.rules(START, outermost()).rules(MAIN, saving(row("rbp", 16), "rbp", -16));
    // rbp still is the caller's.
    let rbp = scene.at("rbp of main");
    let (frames, end) = scene.walk(&[("rip", LEAF + 9), ("rsp", STACK), ("rbp", rbp)]);
    let expected =
        [(LEAF + 9, How::Context), (after_indirect_call(MAIN), How::Leaf), (after_call(START), How::Cfi)];
    assert_eq!((pcs(&frames), end), (expected.to_vec(), End::Root));
    assert_eq!(frames[1].sp, STACK + 16);
}

#[test]
fn at_the_ret_of_an_epilogue_the_return_address_is_on_top() {
    for ret in [&[0xc3][..], &[0xf3, 0xc3], &[0xc2, 8, 0]] {
        let mut scene = Scene::new(&[Is(after_indirect_call(MAIN)), Unused(1)])
            .rules(MAIN, outermost())
            .code(LEAF + 0x60, ret);
        let (frames, _) = scene.walk(&[("rip", LEAF + 0x60), ("rsp", STACK), ("rbp", 0x55)]);
        assert_eq!(pcs(&frames)[1], (after_indirect_call(MAIN), How::Leaf), "{ret:x?}");
    }
}

/// Three functions without rules that keep frame pointers.
fn chain() -> Scene {
    Scene::new(&[
        Unused(2),
        At("rbp of leaf"),
        To("rbp of middle"),
        Is(after_call(MIDDLE)),
        Unused(3),
        At("rbp of middle"),
        To("rbp of main"),
        Is(after_indirect_call(MAIN)),
        Unused(1),
        At("rbp of main"),
        Is(0),
        Is(after_call(START)),
        At("top"),
        Unused(1),
    ])
    .code(LEAF, &PROLOGUE) // or the call to it would be evidence of its own
}

#[test]
fn frame_pointers_lead_to_the_function_that_was_given_zero() {
    let mut scene = chain();
    let rbp = scene.at("rbp of leaf");
    let (frames, end) = scene.walk(&[("rip", LEAF + 0x50), ("rsp", STACK), ("rbp", rbp)]);
    let expected = [
        (LEAF + 0x50, How::Context),
        (after_call(MIDDLE), How::FramePointer),
        (after_indirect_call(MAIN), How::FramePointer),
        (after_call(START), How::FramePointer),
    ];
    assert_eq!((pcs(&frames), end), (expected.to_vec(), End::Root));
    assert_eq!(frames[3].sp, scene.at("top"));
}

#[test]
fn zero_in_the_frame_pointer_of_interrupted_code_is_no_root() {
    let mut scene = chain();
    let (frames, end) = scene.walk(&[("rip", LEAF + 0x50), ("rsp", STACK), ("rbp", 0)]);
    assert_eq!((frames.len(), end), (1, End::NoUnwindInfo(LEAF + 0x50)));
}

/// Walks the chain from an implausible frame pointer.
fn refused(mut scene: Scene, sp: u64, rbp: u64, why: &str) {
    let (frames, end) = scene.walk(&[("rip", LEAF + 0x50), ("rsp", sp), ("rbp", rbp)]);
    assert_eq!((frames.len(), end), (1, End::NoUnwindInfo(LEAF + 0x50)), "{why}");
}

#[test]
fn an_implausible_frame_pointer_is_refused() {
    let at = |label| chain().at(label);
    refused(chain(), STACK, at("rbp of leaf") + 4, "misaligned");
    refused(chain(), STACK + 0x20, at("rbp of leaf"), "below the stack pointer");
    refused(chain(), STACK, at("top") + 0x1000, "outside of the stack");
    refused(chain(), STACK, at("top"), "its return address is outside of the stack");
    refused(chain(), STACK, u64::MAX - 7, "at the end of the address space");
    refused(chain(), STACK, at("rbp of leaf") + 8, "what it leads to is no code");
    refused(chain(), 0x10, at("rbp of leaf"), "the stack pointer is in no stack");
}

#[test]
fn a_frame_pointer_that_leads_to_code_without_a_call_is_refused() {
    let scene = Scene::new(&[At("rbp"), Is(0), Is(MAIN + 7), Unused(1)]);
    let rbp = scene.at("rbp");
    refused(scene, STACK, rbp, "no call before the return address");
}

#[test]
fn return_addresses_that_generated_code_pushed_need_the_next_link() {
    let picture = |next| {
        let mut scene = Scene::new(&[
            At("rbp"),
            To("next"),
            Is(MIDDLE + 7), // an interpreter's entry point: no call before it
            At("next"),
            Is(0),
            Is(next),
            Unused(1),
        ])
        .rules(MAIN, outermost());
        scene.generated = Some(MIDDLE..MIDDLE + 0x100);
        scene
    };
    let mut scene = picture(after_call(MAIN));
    let rbp = scene.at("rbp");
    let (frames, end) = scene.walk(&[("rip", MIDDLE + 0x50), ("rsp", STACK), ("rbp", rbp)]);
    let expected = [MIDDLE + 0x50, MIDDLE + 7, after_call(MAIN)];
    assert_eq!((frames.iter().map(|frame| frame.address.pc).collect(), end), (expected.to_vec(), End::Root));
    let (frames, _) = picture(0x99).walk(&[("rip", MIDDLE + 0x50), ("rsp", STACK), ("rbp", rbp)]);
    assert_eq!(frames.len(), 1, "the next link leads nowhere");
}

#[test]
fn return_addresses_that_were_put_into_code_without_rules_need_a_call_at_the_next_link() {
    let picture = |next| {
        Scene::new(&[
            At("rbp"),
            To("next"),
            Is(MIDDLE + 7), // where an optimised frame is to go on that is no more: no call before it
            At("next"),
            Is(0),
            Is(next),
            Unused(1),
        ])
        .rules(MAIN, outermost())
    };
    let walk = |mut scene: Scene| {
        let rbp = scene.at("rbp");
        scene.walk(&[("rip", MIDDLE + 0x50), ("rsp", STACK), ("rbp", rbp)])
    };
    let (frames, end) = walk(picture(after_call(MAIN)));
    let expected = [MIDDLE + 0x50, MIDDLE + 7, after_call(MAIN)];
    assert_eq!((frames.iter().map(|frame| frame.address.pc).collect(), end), (expected.to_vec(), End::Root));
    assert_eq!(walk(picture(MAIN + 0x30)).0.len(), 1, "no call before the next one either");
}

#[test]
fn frame_pointers_that_go_in_a_circle_end_the_walk() {
    let mut scene = Scene::new(&[
        At("a"),
        To("b"),
        Is(after_call(MIDDLE)),
        At("b"),
        To("a"),
        Is(after_call(MAIN)),
        Unused(1),
    ])
    .code(LEAF, &PROLOGUE);
    let a = scene.at("a");
    let (frames, end) = scene.walk(&[("rip", LEAF + 0x50), ("rsp", STACK), ("rbp", a)]);
    assert_eq!((frames.len(), end), (3, End::NoUnwindInfo(after_call(MAIN))));
}

fn lost() -> Scene {
    Scene::new(&[
        Is(0x1111),
        Is(MAIN + 7), // code, but no call before it
        Is(after_indirect_call(MIDDLE)),
        At("found"),
        Is(0x2222),
        Is(after_call(START)),
        Unused(1),
    ])
    .code(LEAF, &PROLOGUE)
    .rules(START, outermost())
}

#[test]
fn a_scan_finds_the_nearest_return_address() {
    let mut scene = lost();
    let (frames, end) = scene.scan(&[("rip", LEAF + 0x50), ("rsp", STACK), ("rbp", 3)]);
    let expected = [
        (LEAF + 0x50, How::Context),
        (after_indirect_call(MIDDLE), How::Scan),
        (after_call(START), How::Scan),
    ];
    assert_eq!((pcs(&frames), end), (expected.to_vec(), End::Root));
    assert_eq!(frames[1].sp, scene.at("found"));
}

#[test]
fn nothing_is_scanned_unless_asked_for() {
    let (frames, end) = lost().walk(&[("rip", LEAF + 0x50), ("rsp", STACK), ("rbp", 3)]);
    assert_eq!((frames.len(), end), (1, End::NoUnwindInfo(LEAF + 0x50)));
}

#[test]
fn a_scan_of_a_misaligned_stack_looks_at_whole_words() {
    let mut scene = lost();
    let (frames, _) = scene.scan(&[("rip", LEAF + 0x50), ("rsp", STACK + 3)]);
    assert_eq!(frames[1].sp, scene.at("found"));
}

#[test]
fn a_scan_ends_at_the_end_of_the_stack() {
    let mut scene = Scene::new(&[Unused(1000)]);
    let (frames, _) = scene.scan(&[("rip", LEAF + 0x50), ("rsp", STACK)]);
    assert_eq!(frames.len(), 1);
    assert!(scene.reads < 1100);
}
