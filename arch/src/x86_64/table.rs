//! The register table, in dumpregs order.
use crate::facts::reg;
use crate::{RegisterId, RegisterInfo};

/// Go's dumpregs order, then what the kernel gives besides.
pub static REGISTERS: [RegisterInfo; 24] = [
    reg("rax", Some(0), 8, false),
    reg("rbx", Some(3), 8, true),
    reg("rcx", Some(2), 8, false),
    reg("rdx", Some(1), 8, false),
    reg("rdi", Some(5), 8, false),
    reg("rsi", Some(4), 8, false),
    reg("rbp", Some(6), 8, true),
    reg("rsp", Some(7), 8, true),
    reg("r8", Some(8), 8, false),
    reg("r9", Some(9), 8, false),
    reg("r10", Some(10), 8, false),
    reg("r11", Some(11), 8, false),
    reg("r12", Some(12), 8, true),
    reg("r13", Some(13), 8, true),
    reg("r14", Some(14), 8, true),
    reg("r15", Some(15), 8, true),
    reg("rip", Some(16), 8, false),
    reg("rflags", Some(49), 8, false),
    reg("cs", Some(51), 2, false),
    reg("fs", Some(54), 2, false),
    reg("gs", Some(55), 2, false),
    reg("fs_base", Some(58), 8, true),
    reg("gs_base", Some(59), 8, true),
    reg("orig_rax", None, 8, false),
];

/// Stack pointer.
pub const RSP: RegisterId = RegisterId::new(7);
/// Frame pointer.
pub const RBP: RegisterId = RegisterId::new(6);
/// Program counter (the ABI's return address column).
pub const RIP: RegisterId = RegisterId::new(16);
pub(super) const RAX: RegisterId = RegisterId::new(0);
pub(super) const RDX: RegisterId = RegisterId::new(3);
pub(super) const RDI: RegisterId = RegisterId::new(4);
pub(super) const RSI: RegisterId = RegisterId::new(5);
pub(super) const R8: RegisterId = RegisterId::new(8);
pub(super) const R9: RegisterId = RegisterId::new(9);
pub(super) const R10: RegisterId = RegisterId::new(10);
pub(super) const ORIG_RAX: RegisterId = RegisterId::new(23);
