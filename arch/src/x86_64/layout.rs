//! Kernel layouts: the register set of ptrace and core files, and the signal frame.
use super::table::{ORIG_RAX, R8, R9, R10, RAX, RDI, RDX, RSI};
use crate::facts::{InCall, NOWHERE, RegisterSet, SystemCalls};

/// `struct user_regs_struct`: 27 registers of 8 bytes.
pub(super) const PRSTATUS: RegisterSet = RegisterSet { size: 27 * 8, places: &PRSTATUS_PLACES };

const PRSTATUS_PLACES: [u16; 24] =
    words([10, 5, 11, 12, 14, 13, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16, 18, 17, 25, 26, 21, 22, 15]);

/// `ucontext_t` up to and including the pointer to the floating point state. `uc_mcontext` begins at
/// byte 40 with r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags and one word of segment
/// selectors.
pub(super) const CONTEXT: RegisterSet =
    RegisterSet { size: (FPSTATE_WORD as u16 + 1) * 8, places: &CONTEXT_PLACES };

const CONTEXT_PLACES: [u16; 24] = words([
    18, 16, 19, 17, 13, 14, 15, 20, 5, 6, 7, 8, 9, 10, 11, 12, 21, 22, NOWHERE, NOWHERE, NOWHERE, NOWHERE,
    NOWHERE, NOWHERE,
]);
const SELECTORS_WORD: usize = 23;
const FPSTATE_WORD: usize = 28;

/// cs = 0x33 and ss = 0x2b, the selectors of 64-bit user code; gs and fs are 0 there.
const USER_SELECTORS: u64 = 0x002b_0000_0000_0033;

const fn words<const N: usize>(mut places: [u16; N]) -> [u16; N] {
    let mut index = 0;
    while index < N {
        if places[index] != NOWHERE {
            places[index] *= 8;
        }
        index += 1;
    }
    places
}

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    let piece = bytes.get(index * 8..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*piece))
}

/// Signal frames are told by the word of segment selectors and confirmed by the pointer to the floating
/// point state, which the kernel puts above the frame on the same stack.
pub(super) fn looks_like_context(bytes: &[u8], address: u64) -> bool {
    if word(bytes, SELECTORS_WORD) != Some(USER_SELECTORS) {
        return false;
    }
    // The state is at most a few pages (AVX-512 2.7 KiB, AMX 11 KiB), or absent.
    word(bytes, FPSTATE_WORD).is_some_and(|state| state == 0 || state.wrapping_sub(address) <= 0x1_0000)
}

/// `orig_rax` holds the number of a call in progress, or is negative (`arch/x86/entry/calling.h`).
pub(super) const CALLS: SystemCalls = SystemCalls {
    number: Some(ORIG_RAX),
    arguments: [RDI, RSI, RDX, R10, R8, R9],
    result: RAX,
    clones: [56, 435],
    sign: InCall::Result,
};
