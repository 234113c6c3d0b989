//! Random rows, stacks and sections: no panic, an end, and soon.
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use threaddump_arch::{Arch, RegisterId, Registers};

use super::scene::*;
use super::section::{Builder, Cie, EH_FRAME, EH_FRAME_HDR, Kind, eh, ordinary};
use crate::{
    Cfa, Context, DebugCfi, EhCfi, EhSections, FdeIndex, FileAddress, Frame, How, Row, Rule, Target, Walker,
    evaluate,
};

/// In debug builds on a loaded machine.
const SOON: Duration = Duration::from_secs(5);
/// Words of each of the two stacks.
const WORDS: usize = 64;
const BASES: [u64; 2] = [STACK, OTHER_STACK];

fn any_register() -> impl Strategy<Value = RegisterId> {
    (0..Arch::X86_64.registers().len() as u8).prop_map(RegisterId::new)
}

/// Values that lead somewhere: stacks, code, and the edges.
fn likely_value() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..2_usize, 0..8 * WORDS as u64 + 16).prop_map(|(stack, offset)| BASES[stack] + offset),
        2 => (0..2_usize, 0..WORDS as u64).prop_map(|(stack, word)| BASES[stack] + 8 * word),
        4 => prop::sample::select(vec![START, MAIN, MIDDLE, LEAF, HANDLER, TRAMPOLINE]),
        4 => prop::sample::select(vec![START, MAIN, MIDDLE, LEAF]).prop_map(after_call),
        1 => prop::sample::select(vec![0, 1, 7, u64::MAX, u64::MAX - 7, 1 << 63]),
        1 => any::<u64>(),
    ]
}

fn small_offset() -> impl Strategy<Value = i64> {
    prop_oneof![8 => (-8_i64..32).prop_map(|words| 8 * words), 2 => -40_i64..40, 1 => any::<i64>()]
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        4 => small_offset().prop_map(Rule::Offset),
        2 => small_offset().prop_map(Rule::ValOffset),
        2 => Just(Rule::SameValue),
        1 => Just(Rule::Undefined),
        1 => Just(Rule::Unspecified),
        1 => any_register().prop_map(Rule::Register),
        2 => likely_value().prop_map(Rule::Constant),
    ]
}

fn random_row() -> impl Strategy<Value = Row> {
    let base = prop_oneof![4 => Just(id("rsp")), 2 => Just(id("rbp")), 1 => any_register()];
    let return_rule = prop_oneof![3 => Just(Rule::Offset(-8)), 2 => rule()];
    let others = vec((any_register(), rule()), 0..4);
    (base, small_offset(), return_rule, others, prop::bool::weighted(0.2)).prop_map(
        |(base, offset, return_rule, others, signal_frame)| {
            let mut row = Row::new(Arch::X86_64.pc());
            row.cfa = Cfa::RegisterOffset(base, offset);
            others.into_iter().for_each(|(id, rule)| row.set(id, rule));
            row.set(Arch::X86_64.pc(), return_rule);
            row.signal_frame = signal_frame;
            row
        },
    )
}

fn random_registers() -> impl Strategy<Value = Registers> {
    let values = vec(prop::option::weighted(0.9, likely_value()), 24);
    (values, likely_value(), 0..2_usize, 0..8 * WORDS as u64).prop_map(|(values, pc, stack, offset)| {
        let mut registers = Registers::new(Arch::X86_64);
        for (index, value) in values.into_iter().enumerate() {
            value.into_iter().for_each(|value| registers.set(RegisterId::new(index as u8), value));
        }
        registers.set(registers.arch().pc(), pc);
        registers.set(registers.arch().sp(), BASES[stack] + offset);
        registers
    })
}

fn random_scene() -> impl Strategy<Value = Scene> {
    let words = || vec(likely_value(), WORDS);
    (words(), words(), vec(prop::option::weighted(0.8, random_row()), 6), any::<bool>()).prop_map(
        |(one, other, rows, trampoline)| {
            let lines = |words: Vec<u64>| words.into_iter().map(Is).collect::<Vec<_>>();
            let mut scene = Scene::new(&lines(one)).stack(OTHER_STACK, &lines(other));
            if trampoline {
                scene = scene.code(TRAMPOLINE, &[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05]);
            }
            for (row, function) in rows.into_iter().zip([START, MAIN, MIDDLE, LEAF, HANDLER, TRAMPOLINE]) {
                scene = row.into_iter().fold(scene, |scene, row| scene.rules(function, row));
            }
            scene
        },
    )
}

/// The frames on each stretch of one stack lie further and further out, and there are no more of
/// them than words.
fn check(frames: &[Frame], scene: &Scene) -> Result<(), TestCaseError> {
    let mut stretches = 1;
    for pair in frames.windows(2) {
        let (frame, caller) = (pair[0], pair[1]);
        let frameless = matches!(frame.how, How::Context | How::Signal) && caller.sp == frame.sp;
        if scene.region(frame.sp) != scene.region(caller.sp) || caller.sp < frame.sp {
            stretches += 1;
        } else if !frameless {
            prop_assert!(caller.sp >= frame.sp + 8, "{frame:?} {caller:?}");
        }
        prop_assert!(caller.how == How::Signal || scene.is_executable(caller.address.pc));
    }
    prop_assert!(stretches <= 16);
    // A word of each stack, the frames without a word of their own, those beyond the stack's end.
    let limit = stretches * (WORDS + 2) * 2 + 32;
    prop_assert!(frames.len() <= limit, "{} frames", frames.len());
    Ok(())
}

fn slice(bytes: &[u8]) -> Slice<'_> {
    Slice::new(bytes, gimli::LittleEndian)
}

/// Looks addresses up in every way there is. Most answers are errors; none may panic or take long.
fn look_up(eh_frame: &[u8], table: Option<&[u8]>, debug_frame: &[u8], addresses: &[u64]) {
    let begin = Instant::now();
    let cfi = eh(eh_frame, table);
    let index = FdeIndex::of_eh_frame(&cfi);
    let debug = DebugCfi::new(Arch::X86_64, slice(debug_frame));
    let debug_index = FdeIndex::of_debug_frame(&debug);
    let mut context = Context::new();
    let registers = registers(&[("rsp", STACK), ("rbp", STACK), ("rip", MAIN)]);
    for address in addresses.iter().copied().map(FileAddress) {
        let mut rows = vec![cfi.row(&mut context, address, None), debug.row(&mut context, address, None)];
        if let Some(place) = index.entry(address) {
            rows.push(cfi.row(&mut context, address, Some(place)));
        }
        if let Some(place) = debug_index.entry(address) {
            rows.push(debug.row(&mut context, address, Some(place)));
        }
        let _ = cfi.row(&mut context, address, Some(address.0 as usize));
        for row in rows.into_iter().flatten().flatten() {
            let mut zeros = |_: u64, bytes: &mut [u8]| {
                bytes.fill(0);
                true
            };
            let _ = row.apply(&registers, &mut zeros, |place| place.get(cfi.reader()));
        }
    }
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

/// A section of ordinary entries with random instructions.
fn built(kind: Kind, instructions: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let mut builder = Builder::new(kind);
    let mut cie = ordinary();
    if kind == Kind::Debug {
        cie = Cie { version: 4, augmentation: "", data: Vec::new(), ..cie };
    }
    let cie = builder.cie(cie);
    let starts = (0..).map(|index| 0x1000 + 0x100 * index);
    let rows: Vec<_> = starts
        .zip(instructions)
        .map(|(start, bytes)| (start, builder.fde(cie, start, 0x100, bytes)))
        .collect();
    (builder.bytes.clone(), Builder::table(&rows))
}

/// Changes some bytes, and cuts the end off.
fn damage(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, u8)], cut: Option<prop::sample::Index>) {
    for (place, value) in changes {
        let place = place.index(bytes.len());
        bytes[place] = *value;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
}

fn addresses() -> impl Strategy<Value = Vec<u64>> {
    vec(prop_oneof![4 => 0xff0_u64..0x1800, 1 => any::<u64>(), 1 => 0..0x100_u64], 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_rows_on_random_stacks_lead_to_an_end(
        mut scene in random_scene(), registers in random_registers(), scan in any::<bool>(),
    ) {
        let begin = Instant::now();
        let (frames, _) = scene.walk_with(registers, scan);
        check(&frames, &scene)?;
        prop_assert!(begin.elapsed() < SOON);
    }

    #[test]
    fn a_walk_gives_the_same_frames_again(mut scene in random_scene(), registers in random_registers()) {
        prop_assert_eq!(scene.walk_with(registers.clone(), true), scene.walk_with(registers, true));
    }

    #[test]
    fn random_bytes_as_sections_do_no_harm(
        eh_frame in vec(any::<u8>(), 0..300), table in prop::option::of(vec(any::<u8>(), 0..100)),
        debug_frame in vec(any::<u8>(), 0..300), addresses in addresses(),
    ) {
        look_up(&eh_frame, table.as_deref(), &debug_frame, &addresses);
    }

    #[test]
    fn random_instructions_do_no_harm(
        instructions in vec(vec(any::<u8>(), 0..64), 1..6), addresses in addresses(),
    ) {
        let (eh_frame, table) = built(Kind::Eh, &instructions);
        let (debug_frame, _) = built(Kind::Debug, &instructions);
        look_up(&eh_frame, Some(&table), &debug_frame, &addresses);
    }

    #[test]
    fn damage_to_good_sections_does_no_harm(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        table_changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()), addresses in addresses(),
    ) {
        let instructions = [vec![0x41, 0x0e, 16], vec![0x0f, 2, 0x77, 8], vec![0x0a, 0x41, 0x0b], vec![0x10, 3, 1, 0x9c]];
        let (mut eh_frame, mut table) = built(Kind::Eh, &instructions);
        let (mut debug_frame, _) = built(Kind::Debug, &instructions);
        damage(&mut eh_frame, &changes, cut);
        damage(&mut debug_frame, &changes, cut);
        damage(&mut table, &table_changes, None);
        look_up(&eh_frame, Some(&table), &debug_frame, &addresses);
    }

    #[test]
    fn sections_at_the_end_of_the_address_space_do_no_harm(
        bytes in vec(any::<u8>(), 0..100), place in 0..200_u64, address in any::<u64>(),
    ) {
        let (mut eh_frame, mut table) = built(Kind::Eh, &[vec![0x41, 0x0e, 16]]);
        eh_frame.extend(&bytes);
        table.extend(&bytes);
        let sections = EhSections {
            eh_frame: slice(&eh_frame),
            eh_frame_address: (u64::MAX - place).wrapping_add(EH_FRAME - EH_FRAME_HDR),
            eh_frame_hdr: Some((slice(&table), u64::MAX - place)),
            text_address: Some(u64::MAX),
            got_address: Some(address),
        };
        let cfi = EhCfi::new(Arch::X86_64, sections);
        let index = FdeIndex::of_eh_frame(&cfi);
        for address in [address, u64::MAX - place, 0, u64::MAX].map(FileAddress) {
            let _ = cfi.row(&mut Context::new(), address, None);
            let _ = cfi.row(&mut Context::new(), address, index.entry(address));
        }
    }

    #[test]
    fn random_expressions_do_no_harm(
        bytes in vec(any::<u8>(), 0..64), initial in prop::option::of(any::<u64>()),
        registers in random_registers(), memory in any::<u64>(),
    ) {
        let begin = Instant::now();
        let mut read = |address: u64, bytes: &mut [u8]| {
            let word = (address ^ memory).to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
            !address.is_multiple_of(5)
        };
        let _ = evaluate(slice(&bytes), initial, &registers, &mut read);
        prop_assert!(begin.elapsed() < SOON);
    }

    #[test]
    fn operations_that_work_on_full_stacks_do_no_harm(
        bytes in vec(0x06_u8..0x30, 0..64), values in vec(likely_value(), 1..6),
    ) {
        // Constants first, so that the arithmetic has operands.
        let constants = values.iter().flat_map(|value| std::iter::once(0x0e).chain(value.to_le_bytes()));
        let expression: Vec<u8> = constants.chain(bytes).collect();
        let registers = Registers::new(Arch::X86_64);
        let mut read = |_: u64, bytes: &mut [u8]| {
            bytes.fill(0xff);
            true
        };
        let _ = evaluate(slice(&expression), Some(u64::MAX), &registers, &mut read);
    }

    #[test]
    fn random_code_gives_no_endless_walk(
        code in vec(any::<u8>(), 256), words in vec(likely_value(), WORDS), registers in random_registers(),
    ) {
        let lines: Vec<Line> = words.into_iter().map(Is).collect();
        let mut scene = Scene::new(&lines).code(MAIN, &code);
        let mut walker = Walker::new(registers, true);
        let frames: Vec<Frame> = std::iter::from_fn(|| walker.next(&mut scene)).collect();
        check(&frames, &scene)?;
    }
}
