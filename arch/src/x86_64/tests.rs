use super::*;
use crate::{Arch, CallBefore, MAX_REGISTERS};

#[test]
fn every_dwarf_number_leads_back_to_its_register() {
    let arch = Arch::X86_64;
    assert!(arch.registers().len() <= MAX_REGISTERS);
    for (id, info) in arch.iter() {
        if let Some(number) = info.dwarf {
            assert_eq!(arch.from_dwarf(number), Some(id), "{}", info.name);
        }
    }
    assert_eq!(arch.from_dwarf(17), None, "xmm0 is not recorded");
}

#[test]
fn names_of_pc_sp_and_fp_are_right() {
    let arch = Arch::X86_64;
    assert_eq!(arch.info(arch.pc()).name, "rip");
    assert_eq!(arch.info(arch.sp()).name, "rsp");
    assert_eq!(arch.info(arch.fp()).name, "rbp");
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
    let registers = registers_from_prstatus(&bytes).expect("216 bytes are this architecture's");
    for (_, info, value) in registers.iter() {
        let place = order.iter().position(|name| *name == info.name).expect("a kernel register");
        assert_eq!(value, 0x1000 + place as u64, "{}", info.name);
    }
    assert!(registers_from_prstatus(&bytes[..68]).is_none(), "68 bytes are an i386 register set");
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
    let registers = registers_from_ucontext(&bytes).expect("long enough");
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
    let inside = registers_from_prstatus(&bytes).expect("right length");
    assert_eq!(system_call(&inside), Some((202, [7, 0, 0, 0, 0, 0])));
    bytes[10 * 8..][..8].copy_from_slice(&0_u64.to_le_bytes());
    let ended = registers_from_prstatus(&bytes).expect("right length");
    assert_eq!(system_call(&ended), None, "rax is the result");
    bytes[15 * 8..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let outside = registers_from_prstatus(&bytes).expect("right length");
    assert_eq!(system_call(&outside), None);
}

#[test]
fn a_blocked_thread_has_the_registers_of_its_call_and_no_others() {
    let call = registers_of_blocked(Some((202, [1, 2, 3, 4, 5, 6])), 0x7000, 0x1000);
    let names: Vec<_> = call.iter().map(|(_, info, value)| (info.name, value)).collect();
    let expected = [
        ("rdx", 3),
        ("rdi", 1),
        ("rsi", 2),
        ("rsp", 0x7000),
        ("r8", 5),
        ("r9", 6),
        ("r10", 4),
        ("rip", 0x1000),
    ];
    assert_eq!(names, [&expected[..], &[("orig_rax", 202)]].concat());
    assert_eq!(registers_of_blocked(None, 0x7000, 0x1000).iter().count(), 2);
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
