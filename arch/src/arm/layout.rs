//! Kernel layouts: the register set of ptrace and core files, and the signal frames.
use super::table::{R0, R1, R2, R3, R4, R5, R7};
use crate::facts::{InCall, NOWHERE, RegisterSet, SystemCalls};

/// `struct pt_regs`: r0 to r15, cpsr, the first argument of a system call.
pub(super) const PRSTATUS: RegisterSet = RegisterSet { size: 72, places: &PRSTATUS_PLACES };

const PRSTATUS_PLACES: [u16; 18] = [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68];

/// `ucontext_t`: `sigcontext` begins at byte 20 with three words about the fault. Handlers with one argument
/// get the same.
pub(super) const CONTEXT: RegisterSet = RegisterSet { size: 104, places: &CONTEXT_PLACES };

const CONTEXT_PLACES: [u16; 18] =
    [32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76, 80, 84, 88, 92, 96, NOWHERE];

/// Signal frames are told by what they say of the alternate stack.
pub(super) fn looks_like_context(bytes: &[u8], address: u64) -> bool {
    super::FACTS.is_on_its_stack(bytes, address)
}

pub(super) const CALLS: SystemCalls = SystemCalls {
    number: Some(R7),
    arguments: [R0, R1, R2, R3, R4, R5],
    result: R0,
    clones: [120, 435],
    sign: InCall::AtPc(is_svc),
};

/// Before a debugger sees the thread, the kernel sets it back to `svc 0` (ARM or Thumb) with all
/// arguments in their places (`do_signal` in `arch/arm/kernel/signal.c`).
fn is_svc(code: &[u8]) -> bool {
    code.starts_with(&[0, 0, 0, 0xef]) || code.starts_with(&[0, 0xdf])
}
