//! Kernel layouts: the register set of ptrace and core files, and the signal frames.
use super::table::{ORIG_R2, R1, R2, R3, R4, R5, R6, R7};
use crate::Registers;
use crate::facts::{InCall, NOWHERE, RegisterSet, SystemCalls};

/// `s390_regs`: the program status word, r0 to r15, access registers, the first argument of a system call.
pub(super) const PRSTATUS: RegisterSet = RegisterSet { size: 216, places: &PRSTATUS_PLACES };

const PRSTATUS_PLACES: [u16; 35] = [
    16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 8, 0, 208, NOWHERE, NOWHERE,
    NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE,
    NOWHERE, NOWHERE, NOWHERE,
];

/// `ucontext_t`: `_sigregs` begins at byte 40, with the same and the floating point registers.
pub(super) const CONTEXT: RegisterSet = RegisterSet { size: 384, places: &CONTEXT_PLACES };

const CONTEXT_PLACES: [u16; 35] = [
    56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 48, 40, NOWHERE, 256, 264, 272,
    280, 288, 296, 304, 312, 320, 328, 336, 344, 352, 360, 368, 376,
];

/// Handlers with one argument get `_sigregs` behind the mask and a pointer.
pub(super) const PLAIN: RegisterSet = RegisterSet { size: 344, places: &PLAIN_PLACES };

const PLAIN_PLACES: [u16; 35] = [
    16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 8, 0, NOWHERE, 216, 224, 232, 240,
    248, 256, 264, 272, 280, 288, 296, 304, 312, 320, 328, 336,
];

/// Type of the note with the floating point registers (`include/uapi/linux/elf.h`).
pub(super) const NT_PRFPREG: u32 = 2;

/// `s390_fp_regs`: the control register, then f0 to f15.
pub(super) const FLOATING: RegisterSet = RegisterSet { size: 136, places: &FLOATING_PLACES };

const FLOATING_PLACES: [u16; 35] = {
    let mut places = [NOWHERE; 35];
    let mut index = 0;
    while index < 16 {
        places[19 + index] = 8 + 8 * index as u16;
        index += 1;
    }
    places
};

/// The bits of the program status word that user code always has: interrupts and address translation on,
/// problem state, 64-bit addresses.
const USER_BITS: u64 = 0x0701_0001_8000_0000;

/// Signal frames are told by the program status word and by what they say of the alternate stack.
pub(super) fn looks_like_context(bytes: &[u8], address: u64) -> bool {
    let status = super::FACTS.word(bytes, 40);
    status.is_some_and(|status| status & USER_BITS == USER_BITS)
        && super::FACTS.is_on_its_stack(bytes, address)
}

/// Glibc's calls have the number in the instruction, unless it has more than 8 bits.
pub(super) const CALLS: SystemCalls = SystemCalls {
    number: None,
    arguments: [ORIG_R2, R3, R4, R5, R6, R7],
    result: R2,
    clones: [120, 435],
    sign: InCall::BeforePc(number),
};

/// `svc number`, or `svc 0` with the number in r1.
fn number(before: &[u8], registers: &Registers) -> Option<i64> {
    match before.last_chunk::<2>()? {
        [0x0a, 0] => i64::try_from(registers.get(R1)?).ok(),
        [0x0a, number] => Some(i64::from(*number)),
        _ => None,
    }
}
