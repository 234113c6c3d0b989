//! The register table, in dumpregs order.
use crate::facts::reg;
use crate::{RegisterId, RegisterInfo};

/// Go's dumpregs order (the ABI calls r0 to r29 x0 to x29), then what the kernel gives besides.
pub static REGISTERS: [RegisterInfo; 35] = [
    reg("r0", Some(0), 8, false),
    reg("r1", Some(1), 8, false),
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
    reg("r13", Some(13), 8, false),
    reg("r14", Some(14), 8, false),
    reg("r15", Some(15), 8, false),
    reg("r16", Some(16), 8, false),
    reg("r17", Some(17), 8, false),
    reg("r18", Some(18), 8, false),
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
    reg("lr", Some(30), 8, false),
    reg("sp", Some(31), 8, true),
    reg("pc", Some(32), 8, false),
    reg("pstate", None, 8, false),
    reg("pac_mask", None, 8, true),
];

/// Stack pointer.
pub const SP: RegisterId = RegisterId::new(31);
/// Frame pointer.
pub const FP: RegisterId = RegisterId::new(29);
/// Link register (the ABI's return address column).
pub const LR: RegisterId = RegisterId::new(30);
/// Program counter.
pub const PC: RegisterId = RegisterId::new(32);
/// Bits of a code address that sign it, as `NT_ARM_PAC_MASK` gives them: no register of the processor,
/// but the same in every frame of a thread.
pub const PAC_MASK: RegisterId = RegisterId::new(34);
pub(super) const R0: RegisterId = RegisterId::new(0);
pub(super) const R1: RegisterId = RegisterId::new(1);
pub(super) const R2: RegisterId = RegisterId::new(2);
pub(super) const R3: RegisterId = RegisterId::new(3);
pub(super) const R4: RegisterId = RegisterId::new(4);
pub(super) const R5: RegisterId = RegisterId::new(5);
pub(super) const R8: RegisterId = RegisterId::new(8);
