//! What code bytes mean: calls before a return address, and the signal trampolines.
use crate::{CallBefore, EntryState, Trampoline};

/// Bytes that every function may use of its caller's frame (`__SIGNAL_FRAMESIZE`).
const CALLER_FRAME: u16 = 160;
/// `svc 173` (rt_sigreturn) and `svc 119` (sigreturn): the vDSO, the frame itself, and C libraries.
const RT: [u8; 2] = [0x0a, 173];
const PLAIN: [u8; 2] = [0x0a, 119];

/// The rt frame has an instruction (padded to 8 bytes) and `siginfo_t` before the context; the other the
/// signal mask and a pointer before the registers.
pub(super) fn trampoline(code: &[u8]) -> Option<Trampoline> {
    if code.starts_with(&RT) {
        return Some(Trampoline { context: CALLER_FRAME + 8 + 128, plain: false });
    }
    code.starts_with(&PLAIN).then_some(Trampoline { context: CALLER_FRAME + 16, plain: true })
}

/// `brasl %r14` (6 bytes), `bras %r14` (4), `basr %r14` (2). Distances count halfwords from the call.
pub(super) fn call_before(before: &[u8]) -> CallBefore {
    if let Some([0xc0, 0xe5, rest @ ..]) = before.last_chunk::<6>() {
        return CallBefore::Direct(i64::from(i32::from_be_bytes(*rest)) * 2 - 6);
    }
    if let Some([0xa7, 0xe5, rest @ ..]) = before.last_chunk::<4>() {
        return CallBefore::Direct(i64::from(i16::from_be_bytes(*rest)) * 2 - 4);
    }
    match before.last_chunk::<2>() {
        Some([0x0d, 0xe1..=0xef]) => CallBefore::Indirect,
        _ => CallBefore::None,
    }
}

/// `stmg` of registers up to r15 at the beginning of a function, and `br %r14`.
pub(super) fn entry_state(_before: &[u8], at: &[u8]) -> EntryState {
    match at {
        [0x07, 0xfe, ..] => EntryState::ReturnInLink,
        [0xeb, registers, 0xf0..=0xff, _, _, 0x24, ..] if registers & 15 == 15 => EntryState::ReturnInLink,
        _ => EntryState::Unknown,
    }
}

/// Whether code may change the stack pointer or the link register. Nothing is known of any code.
pub(super) fn may_move_sp(code: &[u8]) -> bool {
    !code.is_empty()
}
