//! Kernel layouts: the register set of ptrace and core files, and the signal frame.
use super::table::{R0, R1, R2, R3, R4, R5, R8};
use crate::facts::{InCall, NOWHERE, RegisterSet, SystemCalls};

/// `struct user_pt_regs`: 31 registers, sp, pc, pstate.
pub(super) const PRSTATUS: RegisterSet = RegisterSet { size: 272, places: &PRSTATUS_PLACES };

const PRSTATUS_PLACES: [u16; 35] = [
    0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184,
    192, 200, 208, 216, 224, 232, 240, 248, 256, 264, NOWHERE,
];

/// `ucontext_t`: the signal mask has room for 1024 signals, and `sigcontext` is aligned to 16 bytes. It begins
/// at byte 176 with the fault address.
pub(super) const CONTEXT: RegisterSet = RegisterSet { size: 456, places: &CONTEXT_PLACES };

const CONTEXT_PLACES: [u16; 35] = [
    184, 192, 200, 208, 216, 224, 232, 240, 248, 256, 264, 272, 280, 288, 296, 304, 312, 320, 328, 336, 344,
    352, 360, 368, 376, 384, 392, 400, 408, 416, 424, 432, 440, 448, NOWHERE,
];

/// Type of the note with the masks of pointer authentication (`include/uapi/linux/elf.h`).
pub(super) const NT_ARM_PAC_MASK: u32 = 0x406;

/// `struct user_pac_mask`: that of data, then that of code.
pub(super) const PAC_MASKS: RegisterSet = RegisterSet { size: 16, places: &PAC_PLACES };

const PAC_PLACES: [u16; 35] = {
    let mut places = [NOWHERE; 35];
    places[34] = 8;
    places
};

/// Signal frames are told by what they say of the alternate stack.
pub(super) fn looks_like_context(bytes: &[u8], address: u64) -> bool {
    super::FACTS.is_on_its_stack(bytes, address)
}

pub(super) const CALLS: SystemCalls = SystemCalls {
    number: Some(R8),
    arguments: [R0, R1, R2, R3, R4, R5],
    result: R0,
    clones: [220, 435],
    sign: InCall::AtPc(is_svc),
};

/// Before a debugger sees the thread, the kernel sets it back to `svc #0` with all arguments in their
/// places (`do_signal` in `arch/arm64/kernel/signal.c`).
fn is_svc(code: &[u8]) -> bool {
    code.starts_with(&0xd400_0001_u32.to_le_bytes())
}
