//! The register table, in dumpregs order.
use crate::facts::reg;
use crate::{RegisterId, RegisterInfo};

/// Go's dumpregs order.
pub static REGISTERS: [RegisterInfo; 32] = [
    reg("ra", Some(1), 8, false),
    reg("sp", Some(2), 8, true),
    reg("gp", Some(3), 8, true),
    reg("tp", Some(4), 8, true),
    reg("t0", Some(5), 8, false),
    reg("t1", Some(6), 8, false),
    reg("t2", Some(7), 8, false),
    reg("s0", Some(8), 8, true),
    reg("s1", Some(9), 8, true),
    reg("a0", Some(10), 8, false),
    reg("a1", Some(11), 8, false),
    reg("a2", Some(12), 8, false),
    reg("a3", Some(13), 8, false),
    reg("a4", Some(14), 8, false),
    reg("a5", Some(15), 8, false),
    reg("a6", Some(16), 8, false),
    reg("a7", Some(17), 8, false),
    reg("s2", Some(18), 8, true),
    reg("s3", Some(19), 8, true),
    reg("s4", Some(20), 8, true),
    reg("s5", Some(21), 8, true),
    reg("s6", Some(22), 8, true),
    reg("s7", Some(23), 8, true),
    reg("s8", Some(24), 8, true),
    reg("s9", Some(25), 8, true),
    reg("s10", Some(26), 8, true),
    reg("s11", Some(27), 8, true),
    reg("t3", Some(28), 8, false),
    reg("t4", Some(29), 8, false),
    reg("t5", Some(30), 8, false),
    reg("t6", Some(31), 8, false),
    reg("pc", Some(64), 8, false),
];

/// Link register (the ABI's return address column).
pub const RA: RegisterId = RegisterId::new(0);
/// Stack pointer.
pub const SP: RegisterId = RegisterId::new(1);
/// Frame pointer.
pub const S0: RegisterId = RegisterId::new(7);
/// Program counter (the ABI's column for frames that a signal interrupted).
pub const PC: RegisterId = RegisterId::new(31);
pub(super) const A0: RegisterId = RegisterId::new(9);
pub(super) const A1: RegisterId = RegisterId::new(10);
pub(super) const A2: RegisterId = RegisterId::new(11);
pub(super) const A3: RegisterId = RegisterId::new(12);
pub(super) const A4: RegisterId = RegisterId::new(13);
pub(super) const A5: RegisterId = RegisterId::new(14);
pub(super) const A7: RegisterId = RegisterId::new(16);
