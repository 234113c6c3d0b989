//! The register table, in dumpregs order.
use crate::facts::reg;
use crate::{RegisterId, RegisterInfo};

/// Go's dumpregs order (its link is r14), then what the kernel gives besides, and the floating point
/// registers: functions that call no others save general registers in them.
pub static REGISTERS: [RegisterInfo; 35] = [
    reg("r0", Some(0), 8, false),
    reg("r1", Some(1), 8, false),
    reg("r2", Some(2), 8, false),
    reg("r3", Some(3), 8, false),
    reg("r4", Some(4), 8, false),
    reg("r5", Some(5), 8, false),
    reg("r6", Some(6), 8, true),
    reg("r7", Some(7), 8, true),
    reg("r8", Some(8), 8, true),
    reg("r9", Some(9), 8, true),
    reg("r10", Some(10), 8, true),
    reg("r11", Some(11), 8, true),
    reg("r12", Some(12), 8, true),
    reg("r13", Some(13), 8, true),
    reg("r14", Some(14), 8, false),
    reg("r15", Some(15), 8, true),
    reg("pc", Some(65), 8, false),
    reg("pswm", Some(64), 8, false),
    reg("orig_r2", None, 8, false),
    reg("f0", Some(16), 8, false),
    reg("f1", Some(20), 8, false),
    reg("f2", Some(17), 8, false),
    reg("f3", Some(21), 8, false),
    reg("f4", Some(18), 8, false),
    reg("f5", Some(22), 8, false),
    reg("f6", Some(19), 8, false),
    reg("f7", Some(23), 8, false),
    reg("f8", Some(24), 8, true),
    reg("f9", Some(28), 8, true),
    reg("f10", Some(25), 8, true),
    reg("f11", Some(29), 8, true),
    reg("f12", Some(26), 8, true),
    reg("f13", Some(30), 8, true),
    reg("f14", Some(27), 8, true),
    reg("f15", Some(31), 8, true),
];

/// Stack pointer.
pub const R15: RegisterId = RegisterId::new(15);
/// What compilers use as a frame pointer, where they need one.
pub const R11: RegisterId = RegisterId::new(11);
/// Link register (the ABI's return address column).
pub const R14: RegisterId = RegisterId::new(14);
/// Program counter: the address in the program status word.
pub const PC: RegisterId = RegisterId::new(16);
pub(super) const R1: RegisterId = RegisterId::new(1);
pub(super) const R2: RegisterId = RegisterId::new(2);
pub(super) const R3: RegisterId = RegisterId::new(3);
pub(super) const R4: RegisterId = RegisterId::new(4);
pub(super) const R5: RegisterId = RegisterId::new(5);
pub(super) const R6: RegisterId = RegisterId::new(6);
pub(super) const R7: RegisterId = RegisterId::new(7);
pub(super) const ORIG_R2: RegisterId = RegisterId::new(18);
