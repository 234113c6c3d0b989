//! Kernel layouts: the register set of ptrace and core files, and the signal frame.
use super::table::{A0, A1, A2, A3, A4, A5, A7};
use crate::facts::{InCall, RegisterSet, SystemCalls};

/// `struct user_regs_struct`: pc, then x1 to x31.
pub(super) const PRSTATUS: RegisterSet = RegisterSet { size: 256, places: &PRSTATUS_PLACES };

const PRSTATUS_PLACES: [u16; 32] = [
    8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184,
    192, 200, 208, 216, 224, 232, 240, 248, 0,
];

/// `ucontext_t`: the signal mask has room for 1024 signals, and `sigcontext` is aligned to 16 bytes.
pub(super) const CONTEXT: RegisterSet = RegisterSet { size: 432, places: &CONTEXT_PLACES };

const CONTEXT_PLACES: [u16; 32] = [
    184, 192, 200, 208, 216, 224, 232, 240, 248, 256, 264, 272, 280, 288, 296, 304, 312, 320, 328, 336, 344,
    352, 360, 368, 376, 384, 392, 400, 408, 416, 424, 176,
];

/// Signal frames are told by what they say of the alternate stack.
pub(super) fn looks_like_context(bytes: &[u8], address: u64) -> bool {
    super::FACTS.is_on_its_stack(bytes, address)
}

pub(super) const CALLS: SystemCalls = SystemCalls {
    number: Some(A7),
    arguments: [A0, A1, A2, A3, A4, A5],
    result: A0,
    clones: [220, 435],
    sign: InCall::AtPc(is_ecall),
};

/// Before a debugger sees the thread, the kernel sets it back to `ecall` with all arguments in their
/// places (`arch_do_signal_or_restart` in `arch/riscv/kernel/signal.c`).
fn is_ecall(code: &[u8]) -> bool {
    code.starts_with(&0x0000_0073_u32.to_le_bytes())
}
