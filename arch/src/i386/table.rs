//! The register table, in dumpregs order.
use crate::facts::reg;
use crate::{RegisterId, RegisterInfo};

/// Go's dumpregs order, then what the kernel gives besides.
pub static REGISTERS: [RegisterInfo; 14] = [
    reg("eax", Some(0), 4, false),
    reg("ebx", Some(3), 4, true),
    reg("ecx", Some(1), 4, false),
    reg("edx", Some(2), 4, false),
    reg("edi", Some(7), 4, true),
    reg("esi", Some(6), 4, true),
    reg("ebp", Some(5), 4, true),
    reg("esp", Some(4), 4, true),
    reg("eip", Some(8), 4, false),
    reg("eflags", Some(9), 4, false),
    reg("cs", Some(41), 2, false),
    reg("fs", Some(44), 2, false),
    reg("gs", Some(45), 2, false),
    reg("orig_eax", None, 4, false),
];

/// Stack pointer.
pub const ESP: RegisterId = RegisterId::new(7);
/// Frame pointer.
pub const EBP: RegisterId = RegisterId::new(6);
/// Program counter (the ABI's return address column).
pub const EIP: RegisterId = RegisterId::new(8);
pub(super) const EAX: RegisterId = RegisterId::new(0);
pub(super) const EBX: RegisterId = RegisterId::new(1);
pub(super) const ECX: RegisterId = RegisterId::new(2);
pub(super) const EDX: RegisterId = RegisterId::new(3);
pub(super) const EDI: RegisterId = RegisterId::new(4);
pub(super) const ESI: RegisterId = RegisterId::new(5);
pub(super) const ORIG_EAX: RegisterId = RegisterId::new(13);
