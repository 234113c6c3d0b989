//! Kernel layouts: the register set of ptrace and core files, and the signal frames.
use super::table::{EAX, EBP, EBX, ECX, EDI, EDX, ESI, ORIG_EAX};
use crate::facts::{InCall, NOWHERE, RegisterSet, SystemCalls};

/// `struct user_regs_struct` of a 32-bit program: 17 registers of 4 bytes.
pub(super) const PRSTATUS: RegisterSet = RegisterSet { size: 68, places: &PRSTATUS_PLACES };

const PRSTATUS_PLACES: [u16; 14] = [24, 0, 4, 8, 16, 12, 20, 60, 48, 56, 52, 36, 40, 44];

/// `ucontext_t`: `sigcontext` begins at byte 20, with gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx,
/// eax, trapno, err, eip, cs, eflags, esp, ss and the pointer to the floating point state.
pub(super) const CONTEXT: RegisterSet = RegisterSet { size: 100, places: &CONTEXT_PLACES };

const CONTEXT_PLACES: [u16; 14] = [64, 52, 60, 56, 36, 40, 44, 48, 76, 84, 80, 24, 20, NOWHERE];

/// Handlers with one argument get a `sigcontext` alone.
pub(super) const PLAIN: RegisterSet = RegisterSet { size: 80, places: &PLAIN_PLACES };

const PLAIN_PLACES: [u16; 14] = [44, 32, 40, 36, 16, 20, 24, 28, 56, 64, 60, 4, 0, NOWHERE];

/// cs = 0x23 and ss = 0x2b, the selectors of 32-bit user code under a 64-bit kernel; 0x73 and 0x7b under
/// a 32-bit one.
const USER_SELECTORS: [(u64, u64); 2] = [(0x23, 0x2b), (0x73, 0x7b)];

/// Signal frames are told by the segment selectors and the pointer to the floating point state.
pub(super) fn looks_like_context(bytes: &[u8], address: u64) -> bool {
    let word = |offset| super::FACTS.word(bytes, offset);
    let (Some(cs), Some(ss), Some(state)) = (word(80), word(92), word(96)) else { return false };
    USER_SELECTORS.contains(&(cs & 0xffff, ss & 0xffff))
        && (state == 0 || state.wrapping_sub(address) <= 0x1_0000)
}

pub(super) const CALLS: SystemCalls = SystemCalls {
    number: Some(ORIG_EAX),
    arguments: [EBX, ECX, EDX, ESI, EDI, EBP],
    result: EAX,
    clones: [120, 435],
    sign: InCall::Result,
};
