//! What code bytes mean: calls before a return address, and the signal trampolines. Whether code is ARM
//! or Thumb is not known here: both readings are tried.
use crate::{CallBefore, EntryState, Trampoline};

/// `siginfo_t` stands before the context of handlers with three arguments.
const SIGINFO: u16 = 128;
const SIGRETURN: u8 = 119;
const RT_SIGRETURN: u8 = 173;

/// `mov r7,#number; svc 0`, as ARM code (also with the number in the `svc`, for old kernels), as Thumb
/// code and as Thumb-2 code.
fn calls(code: &[u8], number: u8) -> bool {
    match code {
        [low, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef, ..] => *low == number,
        [low, 0x70, 0xa0, 0xe3, again, 0, 0x90, 0xef, ..] => *low == number && *again == number,
        [low, 0x27, 0, 0xdf, ..] => *low == number,
        [0x4f, 0xf0, low, 0x07, 0, 0xdf, ..] => *low == number,
        _ => false,
    }
}

pub(super) fn trampoline(code: &[u8]) -> Option<Trampoline> {
    if calls(code, RT_SIGRETURN) {
        return Some(Trampoline { context: SIGINFO, plain: false });
    }
    calls(code, SIGRETURN).then_some(Trampoline { context: 0, plain: true })
}

/// ARM `bl`, `blx`, `blx register`; Thumb `bl` and `blx` (two halfwords) and `blx register` (one).
pub(super) fn call_before(before: &[u8]) -> CallBefore {
    if let Some(&[a, b, c, d]) = before.last_chunk::<4>() {
        let (first, second) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        if first & 0xf800 == 0xf000 && matches!(second & 0xd001, 0xd000 | 0xd001 | 0xc000) {
            return CallBefore::Direct(thumb_distance(first, second));
        }
        let code = u32::from_le_bytes([a, b, c, d]);
        if code & 0x0f00_0000 == 0x0b00_0000 && code >> 28 != 15 || code & 0xfe00_0000 == 0xfa00_0000 {
            let half = if code >> 28 == 15 { i64::from(code >> 24 & 1) * 2 } else { 0 };
            // From the call plus 8, which is the return address plus 4.
            return CallBefore::Direct(i64::from((code << 8) as i32 >> 8) * 4 + 4 + half);
        }
        if code & 0x0fff_fff0 == 0x012f_ff30 {
            return CallBefore::Indirect;
        }
    }
    match before.last_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes)) {
        Some(code) if code & 0xff87 == 0x4780 => CallBefore::Indirect,
        _ => CallBefore::None,
    }
}

/// The offset of a Thumb `bl` or `blx` (encodings T1 and T2), which counts from the return address.
fn thumb_distance(first: u16, second: u16) -> i64 {
    let (first, second) = (u32::from(first), u32::from(second));
    let sign = first >> 10 & 1;
    let high = !(second >> 13 ^ sign) & 1;
    let middle = !(second >> 11 ^ sign) & 1;
    let bits = sign << 24 | high << 23 | middle << 22 | (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
    i64::from((bits << 7) as i32 >> 7)
}

/// The end of a system call of the C library (`syscall` and others that have no rules): `svc 0; pop {...};
/// cmn r0, #4096; bxcc lr`, from the `svc` or the `pop` on. `None` if a register is popped that says where it goes on.
fn end_of_call(at: &[u8]) -> Option<u16> {
    end_of_thumb_call(at).or_else(|| end_of_arm_call(at))
}

fn end_of_thumb_call(at: &[u8]) -> Option<u16> {
    let at = at.strip_prefix(&[0x00, 0xdf]).unwrap_or(at);
    match at {
        // `it cc` makes the `bx lr` conditional.
        [low, 0xbc, 0x10, 0xf5, 0x80, 0x5f, 0x38, 0xbf, 0x70, 0x47, ..] => Some(u16::from(*low)),
        _ => None,
    }
}

fn end_of_arm_call(at: &[u8]) -> Option<u16> {
    let at = at.strip_prefix(&[0x00, 0x00, 0x00, 0xef]).unwrap_or(at);
    match at {
        [low, high, 0xbd, 0xe8, 0x01, 0x0a, 0x70, 0xe3, 0x1e, 0xff, 0x2f, 0x31, ..] if high & 0xe0 == 0 => {
            Some(u16::from_le_bytes([*low, *high]))
        }
        _ => None,
    }
}

/// `push {..., lr}` at the beginning of a function and `bx lr` at its end.
pub(super) fn entry_state(_before: &[u8], at: &[u8]) -> EntryState {
    if let Some(popped) = end_of_call(at) {
        return EntryState::PopsThenLink(popped);
    }
    let returns = matches!(at, [0x1e, 0xff, 0x2f, 0xe1, ..] | [0x70, 0x47, ..]);
    let pushes = match at {
        [_, high, 0x2d, 0xe9, ..] | [0x2d, 0xe9, _, high, ..] => high & 0x40 != 0,
        [_, 0xb5, ..] => true,
        _ => false,
    };
    if pushes || returns { EntryState::ReturnInLink } else { EntryState::Unknown }
}

/// Whether code may change the stack pointer or the link register. Nothing is known of any code.
pub(super) fn may_move_sp(code: &[u8]) -> bool {
    !code.is_empty()
}
