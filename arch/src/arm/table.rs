//! The register table, in dumpregs order.
use crate::facts::reg;
use crate::{RegisterId, RegisterInfo};

/// Go's dumpregs order, then what the kernel gives besides.
pub static REGISTERS: [RegisterInfo; 18] = [
    reg("r0", Some(0), 4, false),
    reg("r1", Some(1), 4, false),
    reg("r2", Some(2), 4, false),
    reg("r3", Some(3), 4, false),
    reg("r4", Some(4), 4, true),
    reg("r5", Some(5), 4, true),
    reg("r6", Some(6), 4, true),
    reg("r7", Some(7), 4, true),
    reg("r8", Some(8), 4, true),
    reg("r9", Some(9), 4, true),
    reg("r10", Some(10), 4, true),
    reg("fp", Some(11), 4, true),
    reg("ip", Some(12), 4, false),
    reg("sp", Some(13), 4, true),
    reg("lr", Some(14), 4, false),
    reg("pc", Some(15), 4, false),
    reg("cpsr", None, 4, false),
    reg("orig_r0", None, 4, false),
];

/// Stack pointer.
pub const SP: RegisterId = RegisterId::new(13);
/// Frame pointer of ARM code; Thumb code uses r7.
pub const FP: RegisterId = RegisterId::new(11);
/// Link register (the ABI's return address column).
pub const LR: RegisterId = RegisterId::new(14);
/// Program counter.
pub const PC: RegisterId = RegisterId::new(15);
pub(super) const R0: RegisterId = RegisterId::new(0);
pub(super) const R1: RegisterId = RegisterId::new(1);
pub(super) const R2: RegisterId = RegisterId::new(2);
pub(super) const R3: RegisterId = RegisterId::new(3);
pub(super) const R4: RegisterId = RegisterId::new(4);
pub(super) const R5: RegisterId = RegisterId::new(5);
pub(super) const R7: RegisterId = RegisterId::new(7);
