//! The register table, in dumpregs order.
use crate::facts::reg;
use crate::{RegisterId, RegisterInfo};

/// Go's dumpregs order, then what the kernel gives besides.
pub static REGISTERS: [RegisterInfo; 40] = [
    reg("r0", Some(0), 8, false),
    reg("r1", Some(1), 8, true),
    reg("r2", Some(2), 8, false),
    reg("r3", Some(3), 8, false),
    reg("r4", Some(4), 8, false),
    reg("r5", Some(5), 8, false),
    reg("r6", Some(6), 8, false),
    reg("r7", Some(7), 8, false),
    reg("r8", Some(8), 8, false),
    reg("r9", Some(9), 8, false),
    reg("r10", Some(10), 8, false),
    reg("r11", Some(11), 8, false),
    reg("r12", Some(12), 8, false),
    reg("r13", Some(13), 8, true),
    reg("r14", Some(14), 8, true),
    reg("r15", Some(15), 8, true),
    reg("r16", Some(16), 8, true),
    reg("r17", Some(17), 8, true),
    reg("r18", Some(18), 8, true),
    reg("r19", Some(19), 8, true),
    reg("r20", Some(20), 8, true),
    reg("r21", Some(21), 8, true),
    reg("r22", Some(22), 8, true),
    reg("r23", Some(23), 8, true),
    reg("r24", Some(24), 8, true),
    reg("r25", Some(25), 8, true),
    reg("r26", Some(26), 8, true),
    reg("r27", Some(27), 8, true),
    reg("r28", Some(28), 8, true),
    reg("r29", Some(29), 8, true),
    reg("r30", Some(30), 8, true),
    reg("r31", Some(31), 8, true),
    reg("pc", None, 8, false),
    reg("ctr", Some(66), 8, false),
    reg("link", Some(65), 8, false),
    reg("xer", Some(76), 8, false),
    reg("ccr", Some(64), 8, false),
    reg("trap", None, 8, false),
    reg("msr", None, 8, false),
    reg("orig_r3", None, 8, false),
];

/// Stack pointer.
pub const R1: RegisterId = RegisterId::new(1);
/// What compilers use as a frame pointer, where they need one.
pub const R31: RegisterId = RegisterId::new(31);
/// Link register (the ABI's return address column).
pub const LINK: RegisterId = RegisterId::new(34);
/// Program counter; it has no DWARF number.
pub const PC: RegisterId = RegisterId::new(32);
pub(super) const R0: RegisterId = RegisterId::new(0);
pub(super) const R3: RegisterId = RegisterId::new(3);
pub(super) const R4: RegisterId = RegisterId::new(4);
pub(super) const R5: RegisterId = RegisterId::new(5);
pub(super) const R6: RegisterId = RegisterId::new(6);
pub(super) const R7: RegisterId = RegisterId::new(7);
pub(super) const R8: RegisterId = RegisterId::new(8);
pub(super) const TRAP: RegisterId = RegisterId::new(37);
pub(super) const ORIG_R3: RegisterId = RegisterId::new(39);
