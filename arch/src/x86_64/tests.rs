use super::code::{call_before, entry_state, may_move_sp};
use super::table::{ORIG_RAX, RAX, RSP};
use crate::{Arch, CallBefore, EntryState, Registers, SignalFrame};

const ARCH: Arch = Arch::X86_64;
const UCONTEXT_SIZE: usize = ARCH.signal_context_size();

fn find_signal_frames(stack: &[u8], base: u64) -> impl Iterator<Item = SignalFrame> {
    ARCH.find_signal_frames(stack, base)
}

fn is_signal_trampoline(code: &[u8]) -> bool {
    ARCH.is_signal_trampoline(code)
}

#[test]
fn the_register_set_is_read_in_the_order_of_the_kernel() {
    let order = [
        "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
        "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
    ];
    let mut bytes = [0u8; 216];
    for (place, piece) in bytes.chunks_exact_mut(8).enumerate() {
        piece.copy_from_slice(&(0x1000 + place as u64).to_le_bytes());
    }
    let registers = ARCH.registers_from_prstatus(&bytes).expect("216 bytes are this architecture's");
    for (_, info, value) in registers.iter() {
        let place = order.iter().position(|name| *name == info.name).expect("a kernel register");
        assert_eq!(value, 0x1000 + place as u64, "{}", info.name);
    }
    assert!(ARCH.registers_from_prstatus(&bytes[..68]).is_none(), "68 bytes are an i386 register set");
}

#[test]
fn the_saved_context_is_read_in_the_order_of_the_kernel() {
    let order = [
        "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax",
        "rcx", "rsp", "rip", "rflags",
    ];
    let mut bytes = [0u8; UCONTEXT_SIZE];
    for (place, piece) in bytes[40..].chunks_exact_mut(8).take(order.len()).enumerate() {
        piece.copy_from_slice(&(0x2000 + place as u64).to_le_bytes());
    }
    let registers = ARCH.registers_from_signal_context(&bytes).expect("long enough");
    assert_eq!(registers.iter().count(), order.len());
    for (_, info, value) in registers.iter() {
        let place = order.iter().position(|name| *name == info.name).expect("a saved register");
        assert_eq!(value, 0x2000 + place as u64, "{}", info.name);
    }
}

#[test]
fn a_signal_frame_is_found_in_a_stack_at_an_odd_place() {
    let base = 0x7000_0004_u64; // not a multiple of 8
    let mut stack = [0u8; 1024];
    let context = 4 + 16 * 8;
    stack[context + 20 * 8..][..8].copy_from_slice(&0x7fff_1000_u64.to_le_bytes());
    stack[context + 23 * 8..][..8].copy_from_slice(&0x002b_0000_0000_0033_u64.to_le_bytes());
    let fpstate = base + context as u64 + 0x1c0;
    stack[context + 28 * 8..][..8].copy_from_slice(&fpstate.to_le_bytes());
    let mut frames = find_signal_frames(&stack, base);
    let frame = frames.next().expect("the frame is found");
    assert_eq!(frame.context, base + context as u64);
    assert_eq!(frame.registers.sp(), Some(0x7fff_1000));
    assert_eq!(frames.next(), None);
}

#[test]
fn calls_before_a_return_address_are_recognised() {
    assert_eq!(call_before(&[0x90, 0xe8, 0xfb, 0xff, 0xff, 0xff]), CallBefore::Direct(-5));
    assert_eq!(call_before(&[0xff, 0xd0]), CallBefore::Indirect, "call *%rax");
    assert_eq!(call_before(&[0x41, 0xff, 0xd4]), CallBefore::Indirect, "call *%r12");
    assert_eq!(call_before(&[0xff, 0x50, 0x18]), CallBefore::Indirect, "call *0x18(%rax)");
    assert_eq!(call_before(&[0xff, 0x54, 0x24, 8]), CallBefore::Indirect, "call *8(%rsp)");
    assert_eq!(call_before(&[0xff, 0x15, 1, 2, 3, 4]), CallBefore::Indirect, "call *d(%rip)");
    assert_eq!(call_before(&[0xff, 0x14, 0xc5, 1, 2, 3, 4]), CallBefore::Indirect, "call *d(,%rax,8)");
    assert_eq!(call_before(&[0xff, 0x90, 1, 2, 3, 4]), CallBefore::Indirect, "call *d(%rax)");
    assert_eq!(call_before(&[0xff, 0xe0]), CallBefore::None, "jmp *%rax");
    assert_eq!(call_before(&[0x90, 0x90, 0x90, 0x90, 0x90]), CallBefore::None);
    assert_eq!(call_before(&[]), CallBefore::None);
}

#[test]
fn the_trampoline_of_glibc_and_musl_is_recognised() {
    assert!(is_signal_trampoline(&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x1f]));
    assert!(!is_signal_trampoline(&[0x48, 0xc7, 0xc0, 14, 0, 0, 0, 0x0f, 0x05]));
}

#[test]
fn a_system_call_is_told_from_user_code() {
    let mut bytes = [0u8; 216];
    let mut put = |place: usize, value: u64| bytes[place * 8..][..8].copy_from_slice(&value.to_le_bytes());
    put(15, 202);
    put(14, 7);
    put(10, -512_i64 as u64);
    let inside = ARCH.registers_from_prstatus(&bytes).expect("right length");
    assert_eq!(ARCH.system_call(&inside), Some((202, [7, 0, 0, 0, 0, 0])));
    bytes[10 * 8..][..8].copy_from_slice(&0_u64.to_le_bytes());
    let ended = ARCH.registers_from_prstatus(&bytes).expect("right length");
    assert_eq!(ARCH.system_call(&ended), None, "rax is the result");
    bytes[15 * 8..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let outside = ARCH.registers_from_prstatus(&bytes).expect("right length");
    assert_eq!(ARCH.system_call(&outside), None);
}

#[test]
fn a_blocked_thread_has_the_registers_of_its_call_and_no_others() {
    let call = ARCH.registers_of_blocked(Some((202, [1, 2, 3, 4, 5, 6])), 0x7000, 0x1000);
    let expected = [
        ("rdx", 3),
        ("rdi", 1),
        ("rsi", 2),
        ("rsp", 0x7000),
        ("r8", 5),
        ("r9", 6),
        ("r10", 4),
        ("rip", 0x1000),
        ("orig_rax", 202),
    ];
    assert!(call.iter().map(|(_, info, value)| (info.name, value)).eq(expected));
    assert_eq!(ARCH.registers_of_blocked(None, 0x7000, 0x1000).iter().count(), 2);
}

#[test]
fn a_thread_that_has_not_run_yet_is_told_from_its_maker() {
    let mut registers = Registers::new(Arch::X86_64);
    assert!(!ARCH.is_new_thread(&registers));
    for (number, result, new) in [(435, 0, true), (56, 0, true), (435, 4242, false), (57, 0, false)] {
        registers.set(ORIG_RAX, number);
        registers.set(RAX, result);
        assert_eq!(ARCH.is_new_thread(&registers), new, "system call {number} gave {result}");
    }
}

#[test]
fn code_that_moves_the_stack_pointer_is_recognised() {
    let moving: [&[u8]; 22] = [
        &[0x55],                         // push %rbp
        &[0x41, 0x54],                   // push %r12
        &[0x5d],                         // pop %rbp
        &[0x41, 0x5c],                   // pop %r12
        &[0x6a, 0x01],                   // push $1
        &[0x68, 1, 2, 3, 4],             // push $0x4030201
        &[0xff, 0x35, 1, 2, 3, 4],       // push d(%rip)
        &[0x8f, 0x00],                   // pop (%rax)
        &[0x9c],                         // pushf
        &[0xc9],                         // leave
        &[0x48, 0x83, 0xec, 0x18],       // sub $0x18,%rsp
        &[0x48, 0x81, 0xec, 0, 1, 0, 0], // sub $0x100,%rsp
        &[0x48, 0x29, 0xc4],             // sub %rax,%rsp
        &[0x48, 0x2b, 0x20],             // sub (%rax),%rsp
        &[0x48, 0x01, 0xc4],             // add %rax,%rsp
        &[0x48, 0x89, 0xec],             // mov %rbp,%rsp
        &[0x48, 0x8b, 0x27],             // mov (%rdi),%rsp
        &[0x48, 0x8d, 0x64, 0x24, 0xf8], // lea -8(%rsp),%rsp
        &[0x48, 0x8d, 0x20],             // lea (%rax),%rsp
        &[0x48, 0x83, 0xe4, 0xf0],       // and $-16,%rsp
        &[0x48, 0x94],                   // xchg %rax,%rsp
        &[0x48, 0x87, 0xe0],             // xchg %rsp,%rax
    ];
    for code in moving {
        assert!(may_move_sp(code), "{code:x?}");
    }
    assert!(!may_move_sp(&[0xb8, 0x22, 0, 0, 0, 0x0f, 0x05]), "mov $34,%eax; syscall");
    assert!(!may_move_sp(&[0xf3, 0x0f, 0x1e, 0xfa]), "endbr64");
    assert!(!may_move_sp(&[0x48, 0x8b, 0x44, 0x24, 0x08]), "mov 8(%rsp),%rax");
    assert!(!may_move_sp(&[0x48, 0x89, 0xf8, 0x48, 0x83, 0xf8, 4]), "mov %rdi,%rax; cmp $4,%rax");
}

#[test]
fn prologues_and_epilogues_are_told_by_their_instructions() {
    let push_mov = [0x55, 0x48, 0x89, 0xe5];
    let cases: [(&[u8], &[u8], EntryState, &str); 10] = [
        (&[], &push_mov, EntryState::ReturnOnTop, "push %rbp; mov %rsp,%rbp"),
        (&[], &[0x55, 0x48, 0x8b, 0xec], EntryState::ReturnOnTop, "the other encoding"),
        (&[], &[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5], EntryState::ReturnOnTop, "endbr64"),
        (&[0x90, 0x55], &push_mov[1..], EntryState::FramePointerOnTop, "after the push"),
        (&[0x90, 0x54], &push_mov[1..], EntryState::Unknown, "after another push"),
        (&[], &[0xc3], EntryState::ReturnOnTop, "ret"),
        (&[], &[0xf3, 0xc3], EntryState::ReturnOnTop, "rep ret"),
        (&[], &[0xc2, 8, 0], EntryState::ReturnOnTop, "ret $8"),
        (&[], &[0x55], EntryState::Unknown, "push %rbp alone saves a register"),
        (&[], &[], EntryState::Unknown, "no code"),
    ];
    for (before, at, state, what) in cases {
        assert_eq!(entry_state(before, at), state, "{what}");
    }
}

#[test]
fn no_code_bytes_confuse_the_readers() {
    // A small generator is enough: every length up to the longest, many values.
    let mut state = 1_u32;
    let mut bytes = [0u8; 24];
    for round in 0..50_000 {
        for byte in &mut bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        let code = &bytes[..round % 25];
        let (before, at) = code.split_at(code.len() / 2);
        entry_state(before, at);
        may_move_sp(code);
        is_signal_trampoline(code);
        if let CallBefore::Direct(distance) = call_before(code) {
            assert_eq!(i64::from(distance as i32), distance);
        }
    }
}

#[test]
fn a_call_with_a_cut_or_foreign_form_is_none() {
    assert_eq!(call_before(&[0xd0]), CallBefore::None, "the first byte is missing");
    assert_eq!(call_before(&[0xfb, 0xff, 0xff, 0xff]), CallBefore::None, "a displacement alone");
    assert_eq!(call_before(&[0xff, 0x14]), CallBefore::None, "call with its SIB byte missing");
    assert_eq!(call_before(&[0xff, 0x18]), CallBefore::None, "a far call");
    assert_eq!(call_before(&[0xff, 0x94, 0x24, 1, 2, 3, 4]), CallBefore::Indirect, "call *d(%rsp)");
    assert_eq!(call_before(&[0xe8, 0, 0, 0, 0x80]), CallBefore::Direct(-0x8000_0000));
}

#[test]
fn a_signal_frame_that_is_cut_or_implausible_is_no_frame() {
    let base = 0x7000_0000_u64;
    let mut stack = [0u8; 512];
    let put = |stack: &mut [u8], word: usize, value: u64| {
        stack[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
    };
    put(&mut stack, 20, 0x7fff_1000);
    put(&mut stack, 23, 0x002b_0000_0000_0033);
    let count = |stack: &[u8], base| find_signal_frames(stack, base).count();
    assert_eq!(count(&stack, base), 1, "a frame without floating point state");
    put(&mut stack, 28, base + 0x200_0000);
    assert_eq!(count(&stack, base), 0, "the state is too far away");
    put(&mut stack, 28, base - 8);
    assert_eq!(count(&stack, base), 0, "the state is below");
    put(&mut stack, 28, 0);
    assert_eq!(count(&stack[..UCONTEXT_SIZE], base), 1, "the whole of the context");
    assert_eq!(count(&stack[..UCONTEXT_SIZE - 1], base), 0, "its end is cut");
    assert_eq!(count(&stack[8..], base), 0, "its beginning is cut");
    assert_eq!(count(&stack, u64::MAX - 7), 1, "at the end of the address space");
    assert_eq!(count(&[], u64::MAX), 0);
    put(&mut stack, 20, 0);
    assert_eq!(count(&stack, base), 0, "no stack pointer");
}

#[test]
fn go_and_old_libraries_load_the_short_register() {
    assert!(is_signal_trampoline(&[0xb8, 15, 0, 0, 0, 0x0f, 0x05]));
    assert!(!is_signal_trampoline(&[0xb8, 15, 0, 0, 0, 0x0f]), "cut");
}

#[test]
fn a_forgotten_register_has_no_value() {
    let mut registers = Registers::new(Arch::X86_64);
    registers.set(RSP, 0);
    assert_eq!(registers.sp(), Some(0), "zero is a value");
    registers.forget(RSP);
    assert_eq!(registers.sp(), None);
    assert_eq!(registers.iter().count(), 0);
}
