//! What code bytes mean: calls before a return address, and the signal trampoline.
use crate::{CallBefore, EntryState, Trampoline};

/// `li.w a7,139; syscall 0` (rt_sigreturn): the vDSO.
const TRAMPOLINE: [u32; 2] = [0x0382_2c0b, 0x002b_0000];
/// `siginfo_t` stands before the context.
const SIGINFO: u16 = 128;

fn word(code: &[u8], index: usize) -> Option<u32> {
    code.get(index * 4..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn trampoline(code: &[u8]) -> Option<Trampoline> {
    let known = word(code, 0) == Some(TRAMPOLINE[0]) && word(code, 1) == Some(TRAMPOLINE[1]);
    known.then_some(Trampoline { context: SIGINFO, plain: false })
}

/// `bl` (26 bits of words, the low ones in the upper place), and `jirl ra`.
pub(super) fn call_before(before: &[u8]) -> CallBefore {
    let Some(code) = before.last_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) else {
        return CallBefore::None;
    };
    if code & 0xfc00_0000 == 0x5400_0000 {
        let words = (code & 0x3ff) << 16 | (code >> 10 & 0xffff);
        // From the call, which is 4 bytes before the return address.
        return CallBefore::Direct(i64::from((words << 6) as i32 >> 6) * 4 - 4);
    }
    if code & 0xfc00_001f == 0x4c00_0001 { CallBefore::Indirect } else { CallBefore::None }
}

/// `ret`.
pub(super) fn entry_state(_before: &[u8], at: &[u8]) -> EntryState {
    match word(at, 0) {
        Some(0x4c00_0020) => EntryState::ReturnInLink,
        _ => EntryState::Unknown,
    }
}

/// Whether code may change the stack pointer or the link register. Nothing is known of any code.
pub(super) fn may_move_sp(code: &[u8]) -> bool {
    !code.is_empty()
}
