//! What code bytes mean: calls before a return address, and the signal trampoline.
use crate::{CallBefore, EntryState, Trampoline};

/// `li a7,139; ecall` (rt_sigreturn): the vDSO.
const TRAMPOLINE: [u8; 8] = [0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0];
/// `siginfo_t` stands before the context.
const SIGINFO: u16 = 128;

pub(super) fn trampoline(code: &[u8]) -> Option<Trampoline> {
    code.starts_with(&TRAMPOLINE).then_some(Trampoline { context: SIGINFO, plain: false })
}

/// Calls set ra, or t0 for the routines that save registers: `jal`, `auipc` with `jalr`, `jalr`, and
/// `c.jalr` in two bytes.
pub(super) fn call_before(before: &[u8]) -> CallBefore {
    if let Some(&bytes) = before.last_chunk::<4>() {
        let code = u32::from_le_bytes(bytes);
        if matches!(code & 0xfff, 0x0ef | 0x2ef) {
            return CallBefore::Direct(jump_distance(code) - 4);
        }
        if matches!(code & 0x7fff, 0x00e7 | 0x02e7) {
            return far_call(before, code);
        }
    }
    match before.last_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes)) {
        Some(code) if code & 0xf07f == 0x9002 && code & 0x0f80 != 0 => CallBefore::Indirect,
        _ => CallBefore::None,
    }
}

/// The offset of `jal`, from the instruction.
fn jump_distance(code: u32) -> i64 {
    let bits =
        code >> 31 << 20 | (code >> 12 & 0xff) << 12 | (code >> 20 & 1) << 11 | (code >> 21 & 0x3ff) << 1;
    i64::from((bits << 11) as i32 >> 11)
}

/// `auipc r,high; jalr ra,low(r)`, if that is what stands there.
fn far_call(before: &[u8], call: u32) -> CallBefore {
    let Some(&[a, b, c, d, ..]) = before.last_chunk::<8>() else { return CallBefore::Indirect };
    let first = u32::from_le_bytes([a, b, c, d]);
    if first & 0x7f != 0x17 || first >> 7 & 31 != call >> 15 & 31 {
        return CallBefore::Indirect;
    }
    let high = i64::from((first & 0xffff_f000) as i32);
    CallBefore::Direct(high + i64::from(call as i32 >> 20) - 8)
}

/// `ret`, in four bytes or two; and glibc's `syscall`, which has no rules: `ecall; lui a5, -1; bltu a5, a0, .+6; ret`,
/// from the `ecall` or from what follows it on.
pub(super) fn entry_state(_before: &[u8], at: &[u8]) -> EntryState {
    let at = at.strip_prefix(&[0x73, 0, 0, 0]).unwrap_or(at);
    match at {
        [0x82, 0x80, ..] | [0x67, 0x80, 0, 0, ..] => EntryState::ReturnInLink,
        [0xfd, 0x77, 0x63, 0xe3, 0xa7, 0x00, 0x82, 0x80, ..] => EntryState::ReturnInLink,
        _ => EntryState::Unknown,
    }
}

/// Whether code may change the stack pointer or the link register. Nothing is known of any code.
pub(super) fn may_move_sp(code: &[u8]) -> bool {
    !code.is_empty()
}
