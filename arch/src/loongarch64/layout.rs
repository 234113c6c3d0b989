//! Kernel layouts: the register set of ptrace and core files, and the signal frame.
use super::table::{ORIG_A0, R4, R5, R6, R7, R8, R9, R11};
use crate::facts::{InCall, NOWHERE, RegisterSet, SystemCalls};

/// `struct user_pt_regs`: r0 to r31, the first argument of a system call, pc, the bad address, and ten
/// reserved words.
pub(super) const PRSTATUS: RegisterSet = RegisterSet { size: 360, places: &PRSTATUS_PLACES };

const PRSTATUS_PLACES: [u16; 35] = [
    0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184,
    192, 200, 208, 216, 224, 232, 240, 248, 264, 256, 272,
];

/// `ucontext_t`: the signal mask has room for 1024 signals, and `sigcontext` is aligned to 16 bytes: pc, then
/// r0 to r31.
pub(super) const CONTEXT: RegisterSet = RegisterSet { size: 440, places: &CONTEXT_PLACES };

const CONTEXT_PLACES: [u16; 35] = [
    184, 192, 200, 208, 216, 224, 232, 240, 248, 256, 264, 272, 280, 288, 296, 304, 312, 320, 328, 336, 344,
    352, 360, 368, 376, 384, 392, 400, 408, 416, 424, 432, 176, NOWHERE, NOWHERE,
];

/// Signal frames are told by what they say of the alternate stack.
pub(super) fn looks_like_context(bytes: &[u8], address: u64) -> bool {
    super::FACTS.is_on_its_stack(bytes, address)
}

/// A call that was interrupted keeps its result until a signal is handled (`arch_do_signal_or_restart` in
/// `arch/loongarch/kernel/signal.c`); r0, which is always 0 elsewhere, is not while it does.
pub(super) const CALLS: SystemCalls = SystemCalls {
    number: Some(R11),
    arguments: [ORIG_A0, R5, R6, R7, R8, R9],
    result: R4,
    clones: [220, 435],
    sign: InCall::Result,
};
