//! What code bytes mean: calls before a return address, and the signal trampolines.
use crate::{EntryState, Trampoline};

/// The same encodings as on x86_64; without a SIB byte, a displacement alone is absolute.
pub(super) use crate::x86_64::code::call_before;

/// `mov $173,%eax; int $0x80` (rt_sigreturn): vDSO and C libraries.
const RT: [u8; 7] = [0xb8, 173, 0, 0, 0, 0xcd, 0x80];
/// `pop %eax; mov $119,%eax; int $0x80` (sigreturn).
const PLAIN: [u8; 8] = [0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80];

/// At the trampoline the stack pointer is behind the return address of the handler: at its arguments.
/// The rt frame has four words of arguments (the first was the return address) and `siginfo_t` of 128
/// bytes before the context, the other has the signal number.
pub(super) fn trampoline(code: &[u8]) -> Option<Trampoline> {
    if code.starts_with(&RT) {
        Some(Trampoline { context: 3 * 4 + 128, plain: false })
    } else {
        code.starts_with(&PLAIN).then_some(Trampoline { context: 4, plain: true })
    }
}

/// `push %ebp`, `mov %esp,%ebp` (two encodings), `ret`, and the forms the latter comes in.
pub(super) fn entry_state(before: &[u8], at: &[u8]) -> EntryState {
    const MOV_FP: [[u8; 2]; 2] = [[0x89, 0xe5], [0x8b, 0xec]];
    const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfb];
    let after_endbr = at.strip_prefix(&ENDBR).unwrap_or(at);
    let sets_fp = |code: &[u8]| MOV_FP.iter().any(|mov| code.starts_with(mov));
    if after_endbr.first() == Some(&0x55) && sets_fp(&after_endbr[1..]) {
        return EntryState::ReturnOnTop;
    }
    if before.last() == Some(&0x55) && sets_fp(at) {
        return EntryState::FramePointerOnTop;
    }
    match at {
        [0xc3, ..] | [0xf3, 0xc3, ..] | [0xc2, ..] => EntryState::ReturnOnTop,
        _ => EntryState::Unknown,
    }
}

/// Whether code may change the stack pointer: conservative, as it looks at bytes, not at instructions.
/// Beyond what x86_64 has: `push` and `pop` of segments and of all registers, and the one-byte `inc`
/// and `dec` of esp.
pub(super) fn may_move_sp(code: &[u8]) -> bool {
    let single = |byte: &u8| {
        matches!(byte, 0x06 | 0x07 | 0x0e | 0x16 | 0x17 | 0x1e | 0x1f | 0x44 | 0x4c | 0x60 | 0x61)
    };
    code.iter().any(single) || crate::x86_64::code::may_move_sp(code)
}
