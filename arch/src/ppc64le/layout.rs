//! Kernel layouts: the register set of ptrace and core files, and the signal frame.
use super::table::{ORIG_R3, R0, R3, R4, R5, R6, R7, R8, TRAP};
use crate::facts::{InCall, RegisterSet, SystemCalls};

/// `elf_gregset_t`: r0 to r31, nip, msr, orig_gpr3, ctr, link, xer, ccr, softe, trap, dar, dsisr, result, and
/// room for more.
pub(super) const PRSTATUS: RegisterSet = RegisterSet { size: 384, places: &PRSTATUS_PLACES };

const PRSTATUS_PLACES: [u16; 40] = [
    0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184,
    192, 200, 208, 216, 224, 232, 240, 248, 256, 280, 288, 296, 304, 320, 264, 272,
];

/// Offset of the pointer to the registers in `ucontext_t`, and of the registers.
const REGISTERS_POINTER: usize = 224;
const REGISTERS_AT: u16 = 232;

/// `ucontext_t`: behind a signal mask with room for 1024 signals are four reserved words, the signal number,
/// the handler, the old mask and the pointer to the registers, which come next.
pub(super) const CONTEXT: RegisterSet = RegisterSet { size: 568, places: &CONTEXT_PLACES };

const CONTEXT_PLACES: [u16; 40] = [
    232, 240, 248, 256, 264, 272, 280, 288, 296, 304, 312, 320, 328, 336, 344, 352, 360, 368, 376, 384, 392,
    400, 408, 416, 424, 432, 440, 448, 456, 464, 472, 480, 488, 512, 520, 528, 536, 552, 496, 504,
];

/// Signal frames are told by the pointer to the registers, which the kernel makes lead into the frame.
pub(super) fn looks_like_context(bytes: &[u8], address: u64) -> bool {
    let registers = super::FACTS.word(bytes, REGISTERS_POINTER);
    registers.is_some() && registers == address.checked_add(u64::from(REGISTERS_AT))
}

/// 0xc00 is the trap of `sc`, 0x3000 that of `scv` (`arch/powerpc/include/asm/ptrace.h`).
pub(super) const CALLS: SystemCalls = SystemCalls {
    number: Some(R0),
    arguments: [ORIG_R3, R4, R5, R6, R7, R8],
    result: R3,
    clones: [120, 435],
    sign: InCall::Trap { register: TRAP, values: &[0xc00, 0x3000] },
};
