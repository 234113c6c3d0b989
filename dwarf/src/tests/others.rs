//! Walks of other architectures over stacks written by hand: word sizes, byte orders, link registers, chains.
use std::collections::HashMap;
use std::rc::Rc;

use gimli::{EndianSlice, LittleEndian};
use threaddump_arch::{Arch, RegisterId, Registers};

use crate::{Cfa, CfiError, CodeAddress, End, ExpressionRef, How, Row, Rule, Target, Walker};

const STACK: u64 = 0x1000_0000;
const OUTER: u64 = 0x40_0000;
const INNER: u64 = 0x40_1000;
const TRAMPOLINE: u64 = 0x40_2000;
const PAGE: u64 = 0x1000;

/// Some code and one stack, in the byte order and word size of an architecture.
struct Picture {
    arch: Arch,
    code: HashMap<u64, Vec<u8>>,
    stack: Vec<u8>,
    rows: Vec<(u64, Row)>,
}

impl Picture {
    /// Words from [`STACK`] on.
    fn new(arch: Arch, words: &[u64]) -> Picture {
        let mut picture = Picture { arch, code: HashMap::new(), stack: vec![0; 4096], rows: Vec::new() };
        for (index, word) in words.iter().enumerate() {
            picture.put(index * usize::from(arch.pointer_size()), *word);
        }
        picture
    }

    fn put(&mut self, offset: usize, value: u64) {
        let size = usize::from(self.arch.pointer_size());
        let big = value.to_be_bytes();
        let bytes = if self.arch.is_big_endian() {
            big[8 - size..].to_vec()
        } else {
            value.to_le_bytes()[..size].to_vec()
        };
        self.stack[offset..offset + size].copy_from_slice(&bytes);
    }

    /// Code that ends at an address.
    fn code_before(mut self, address: u64, bytes: &[u8]) -> Picture {
        self.code.insert(address - bytes.len() as u64, bytes.to_vec());
        self
    }

    fn row(mut self, page: u64, row: Row) -> Picture {
        self.rows.push((page, row));
        self
    }

    fn walk(&mut self, values: &[(RegisterId, u64)]) -> (Vec<(u64, How)>, End) {
        let mut registers = Registers::new(self.arch);
        values.iter().for_each(|(id, value)| registers.set(*id, *value));
        let mut walker = Walker::new(registers, false);
        let mut frames = Vec::new();
        while let Some(frame) = walker.next(self) {
            frames.push((frame.address.pc, frame.how));
        }
        (frames, walker.end().expect("it has ended"))
    }
}

impl Target for Picture {
    type Reader = EndianSlice<'static, LittleEndian>;
    type Row = Rc<Row>;

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let place = address.checked_sub(STACK).and_then(|offset| usize::try_from(offset).ok());
        let found = place.and_then(|at| self.stack.get(at..)?.get(..bytes.len()));
        found.inspect(|found| bytes.copy_from_slice(found)).is_some()
    }

    fn row(&mut self, address: CodeAddress) -> Result<Option<Rc<Row>>, CfiError> {
        let page = address.lookup() & !(PAGE - 1);
        Ok(self.rows.iter().find(|(at, _)| *at == page).map(|(_, row)| Rc::new(row.clone())))
    }

    fn expression(&self, _: CodeAddress, _: ExpressionRef) -> Option<Self::Reader> {
        None
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> usize {
        bytes.fill(0);
        for (start, code) in &self.code {
            for (index, byte) in code.iter().enumerate() {
                let place =
                    (start + index as u64).checked_sub(address).and_then(|at| usize::try_from(at).ok());
                if let Some(slot) = place.and_then(|at| bytes.get_mut(at)) {
                    *slot = *byte;
                }
            }
        }
        bytes.len()
    }

    fn is_executable(&self, address: u64) -> bool {
        (OUTER..TRAMPOLINE + PAGE).contains(&address)
    }

    fn is_generated(&self, _: u64) -> bool {
        false
    }

    fn region(&self, address: u64) -> Option<(u64, u64)> {
        let stack = (STACK, STACK + self.stack.len() as u64);
        (stack.0..stack.1).contains(&address).then_some(stack)
    }
}

/// A call through a register, as each architecture writes it.
fn call(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::X86_64 | Arch::I386 => &[0xff, 0xd0],
        Arch::Aarch64 => &[0x60, 0x00, 0x3f, 0xd6],
        Arch::Arm => &[0x33, 0xff, 0x2f, 0xe1],
        Arch::Riscv64 => &[0xe7, 0x80, 0x07, 0x00],
        Arch::Ppc64le => &[0x21, 0x04, 0x80, 0x4e],
        Arch::S390x => &[0x0d, 0xe1],
        Arch::Loongarch64 => &[0x81, 0x01, 0x00, 0x4c],
        arch => panic!("no call of {}", arch.name()),
    }
}

/// The row of a function that has saved its return address in the lowest word of its frame of four, and of one
/// that calls nobody and is called by nobody.
fn rows(arch: Arch) -> (Row, Row) {
    let word = i64::from(arch.pointer_size());
    let column = arch.link().unwrap_or(arch.pc());
    let mut inner = Row::new(column);
    inner.cfa = Cfa::RegisterOffset(arch.sp(), 4 * word + arch.cfa_above_sp() as i64);
    inner.set(column, Rule::Offset(-4 * word - arch.cfa_above_sp() as i64));
    let mut outer = Row::new(column);
    outer.set(column, Rule::Undefined);
    (inner, outer)
}

#[test]
fn saved_return_addresses_are_read_in_the_width_and_order_of_the_target() {
    for arch in Arch::ALL {
        let back = OUTER + 0x40;
        let (inner, outer) = rows(arch);
        let mut picture = Picture::new(arch, &[back]).row(INNER, inner).row(OUTER, outer);
        let start = [(arch.pc(), INNER + 8), (arch.sp(), STACK)];
        let expected = vec![(INNER + 8, How::Context), (back, How::Cfi)];
        assert_eq!(picture.walk(&start), (expected, End::Root), "{}", arch.name());
    }
}

#[test]
fn a_function_that_has_saved_nothing_returns_to_its_link_register() {
    for arch in Arch::ALL {
        let Some(link) = arch.link() else { continue };
        let (_, outer) = rows(arch);
        let mut leaf = Row::new(link);
        leaf.cfa = Cfa::RegisterOffset(arch.sp(), arch.cfa_above_sp() as i64);
        let mut picture = Picture::new(arch, &[]).row(INNER, leaf).row(OUTER, outer);
        let start = [(arch.pc(), INNER + 8), (arch.sp(), STACK), (link, OUTER + 0x40)];
        let expected = vec![(INNER + 8, How::Context), (OUTER + 0x40, How::Cfi)];
        assert_eq!(picture.walk(&start), (expected, End::Root), "{}", arch.name());
    }
}

#[test]
fn a_system_call_of_arm_without_rules_gives_back_what_it_has_pushed() {
    let arch = Arch::Arm;
    // svc 0; pop {r4-r7}; cmn.w r0, #4096; it cc; bxcc lr
    let end = [0x00, 0xdf, 0xf0, 0xbc, 0x10, 0xf5, 0x80, 0x5f, 0x38, 0xbf, 0x70, 0x47];
    let (back, outermost) = (OUTER + 0x40, TRAMPOLINE + 0x40);
    let r7 = arch.from_dwarf(7).expect("arm has it");
    // The caller's frame can be found by the r7 that was popped only.
    let mut outer = Row::new(arch.link().expect("arm has one"));
    outer.cfa = Cfa::RegisterOffset(r7, 8);
    outer.set(outer.return_address, Rule::Offset(-4));
    let (_, root) = rows(arch);
    let picture = Picture::new(arch, &[4, 5, 6, STACK + 24, 0, 0, 0, outermost]);
    let mut picture = picture.code_before(INNER + 12, &end).code_before(back, call(arch));
    picture = picture.row(OUTER, outer).row(TRAMPOLINE, root);
    let start =
        [(arch.pc(), INNER), (arch.sp(), STACK), (arch.link().expect("arm has one"), back), (r7, 240)];
    let expected = vec![(INNER, How::Context), (back, How::Leaf), (outermost, How::Cfi)];
    assert_eq!(picture.walk(&start), (expected, End::Root));
}

#[test]
fn a_jump_to_nowhere_was_made_by_who_the_link_register_names() {
    for arch in Arch::ALL {
        let Some(link) = arch.link() else { continue };
        let (_, outer) = rows(arch);
        let back = OUTER + 0x40;
        let mut picture = Picture::new(arch, &[]).code_before(back, call(arch)).row(OUTER, outer);
        let start = [(arch.pc(), 8), (arch.sp(), STACK), (link, back)];
        let expected = vec![(8, How::Context), (back, How::Leaf)];
        assert_eq!(picture.walk(&start), (expected, End::Root), "{}", arch.name());
    }
}

#[test]
fn chains_of_frames_are_followed_as_each_architecture_lays_them_out() {
    for arch in Arch::ALL {
        let size = u64::from(arch.pointer_size());
        let back = OUTER + 0x40;
        let (_, outer) = rows(arch);
        let mut words = [0; 64];
        let (frame, next) = (STACK + 16 * size, STACK + 32 * size);
        match arch {
            Arch::Riscv64 | Arch::Loongarch64 => (words[14], words[15]) = (next, back),
            // The word at the stack pointer is the chain.
            Arch::Ppc64le => (words[0], words[16 + 2]) = (frame, back),
            Arch::S390x => (words[0], words[16 + 14]) = (frame, back),
            _ => (words[16], words[17]) = (next, back),
        }
        let picture = Picture::new(arch, &words).row(OUTER, outer);
        let mut picture = picture.code_before(back, call(arch));
        let start = [(arch.pc(), INNER + 8), (arch.sp(), STACK), (arch.fp(), frame)];
        let expected = vec![(INNER + 8, How::Context), (back, How::FramePointer)];
        assert_eq!(picture.walk(&start), (expected, End::Root), "{}", arch.name());
    }
}

#[test]
fn a_signed_return_address_is_followed_without_its_signature() {
    let arch = Arch::Aarch64;
    let (inner, outer) = rows(arch);
    let signed = OUTER + 0x40 + (0x5a << 48);
    let mut picture = Picture::new(arch, &[signed]).row(INNER, inner).row(OUTER, outer);
    let start = [(arch.pc(), INNER + 8), (arch.sp(), STACK)];
    assert_eq!(picture.walk(&start).0[1], (OUTER + 0x40, How::Cfi));
}

/// pc and signed return address of the second frame; with a mask from the kernel if there is one.
fn second(picture: &mut Picture, values: &[(RegisterId, u64)], mask: Option<u64>) -> (u64, Option<u64>) {
    let mut registers = Registers::new(picture.arch);
    let mask = mask.and_then(|mask| Some((picture.arch.code_mask_register()?, mask)));
    values.iter().copied().chain(mask).for_each(|(id, value)| registers.set(id, value));
    let mut walker = Walker::new(registers, false);
    walker.next(picture).expect("the thread is somewhere");
    let frame = walker.next(picture).expect("it was called");
    (frame.address.pc, frame.signed)
}

#[test]
fn a_return_address_is_told_with_its_signature_too() {
    let arch = Arch::Aarch64;
    // Byte for byte: what a kernel with addresses of 48 bits says in NT_ARM_PAC_MASK, data and code.
    let note = [0x007f_0000_0000_0000_u64.to_le_bytes(); 2].concat();
    let mut registers = Registers::new(arch);
    arch.add_extra_registers(&mut registers, &note);
    let mask = arch.code_mask_register().and_then(|id| registers.get(id));
    assert_eq!(mask, Some(0x007f_0000_0000_0000));
    let plain = OUTER + 0x40;
    let signed = plain | 0x005a_0000_0000_0000;
    let start = [(arch.pc(), INNER + 8), (arch.sp(), STACK), (arch.fp(), STACK)];
    let (inner, outer) = rows(arch);
    let mut by_rules = Picture::new(arch, &[signed]).row(INNER, inner.clone()).row(OUTER, outer.clone());
    assert_eq!(second(&mut by_rules, &start, mask), (plain, Some(signed)));
    assert_eq!(second(&mut by_rules, &start, None), (plain, Some(signed)), "without a mask from the kernel");
    let mut unsigned = Picture::new(arch, &[plain]).row(INNER, inner).row(OUTER, outer);
    assert_eq!(second(&mut unsigned, &start, mask), (plain, None));
    // By the frame pointer: its caller's, and the return address.
    let mut by_record = Picture::new(arch, &[STACK + 64, signed]).code_before(plain, call(arch));
    assert_eq!(second(&mut by_record, &start, mask), (plain, Some(signed)));
    // Still in the link register.
    let mut leaf = Picture::new(arch, &[]).code_before(plain, call(arch));
    let start = [(arch.pc(), INNER), (arch.sp(), STACK), (arch.link().expect("there is one"), signed)];
    let bad = [(arch.pc(), 0), start[1], start[2]];
    assert_eq!(second(&mut leaf, &bad, mask), (plain, Some(signed)), "a jump to nowhere");
}

#[test]
fn the_mode_of_a_thumb_return_address_is_no_part_of_it() {
    let arch = Arch::Arm;
    let (inner, outer) = rows(arch);
    let mut picture = Picture::new(arch, &[OUTER + 0x41]).row(INNER, inner).row(OUTER, outer);
    let start = [(arch.pc(), INNER + 8), (arch.sp(), STACK)];
    assert_eq!(picture.walk(&start).0[1], (OUTER + 0x40, How::Cfi));
}

#[test]
fn the_registers_that_a_signal_interrupted_are_read_from_its_frame() {
    let trampolines: [(Arch, &[u8]); 7] = [
        (Arch::I386, &[0xb8, 173, 0, 0, 0, 0xcd, 0x80]),
        (Arch::Aarch64, &[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4]),
        (Arch::Arm, &[0xad, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef]),
        (Arch::Riscv64, &[0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0]),
        (Arch::Ppc64le, &[0x80, 0, 0x21, 0x38, 0xac, 0, 0, 0x38, 0x02, 0, 0, 0x44]),
        (Arch::S390x, &[0x0a, 173]),
        (Arch::Loongarch64, &[0x0b, 0x2c, 0x82, 0x03, 0, 0, 0x2b, 0]),
    ];
    for (arch, code) in trampolines {
        let trampoline = arch.signal_trampoline(code).expect("it is one");
        let (_, outer) = rows(arch);
        let mut picture = Picture::new(arch, &[]).row(OUTER, outer);
        picture.code.insert(TRAMPOLINE, code.to_vec());
        // Where the pc and the sp stand is asked of the layout: each word of the context names its place.
        let size = usize::from(arch.pointer_size());
        let first = usize::from(trampoline.context);
        let words = (0..arch.signal_context_size() / size).map(|index| index * size);
        for place in words {
            picture.put(first + place, OUTER + place as u64);
        }
        let part = picture.stack[first..first + arch.signal_context_size()].to_vec();
        let saved = arch.registers_from_signal_context(&part).expect("it is whole");
        let sp_place = saved.sp().expect("it is saved") - OUTER;
        picture.put(first + sp_place as usize, STACK + 2048);
        let (frames, end) = picture.walk(&[(arch.pc(), TRAMPOLINE), (arch.sp(), STACK)]);
        let expected = vec![(TRAMPOLINE, How::Context), (saved.pc().expect("it is saved"), How::Signal)];
        assert_eq!((frames, end), (expected, End::Root), "{}", arch.name());
    }
}

#[test]
fn the_highest_addresses_do_not_overflow_a_walk() {
    for arch in Arch::ALL {
        let (inner, outer) = rows(arch);
        let mut picture = Picture::new(arch, &[OUTER]).row(INNER, inner).row(OUTER, outer);
        for value in [u64::MAX, u64::from(u32::MAX), STACK - 1, STACK + 4090] {
            let all: Vec<_> = arch.iter().map(|(id, _)| (id, value)).collect();
            picture.walk(&all);
            let inside: Vec<_> = all.into_iter().chain([(arch.pc(), INNER + 8)]).collect();
            picture.walk(&inside);
        }
    }
}
