//! What code bytes mean: calls before a return address, and the signal trampoline.
use crate::{CallBefore, EntryState, Trampoline};

/// `mov x8,#139; svc #0` (rt_sigreturn): the vDSO, and C libraries that have their own.
const TRAMPOLINE: [u32; 2] = [0xd280_1168, 0xd400_0001];
/// `siginfo_t` stands before the context.
const SIGINFO: u16 = 128;

fn word(code: &[u8], index: usize) -> Option<u32> {
    code.get(index * 4..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn trampoline(code: &[u8]) -> Option<Trampoline> {
    let known = word(code, 0) == Some(TRAMPOLINE[0]) && word(code, 1) == Some(TRAMPOLINE[1]);
    known.then_some(Trampoline { context: SIGINFO, plain: false })
}

/// `bl` (26 bits of words), and `blr` with its forms that check a signature.
pub(super) fn call_before(before: &[u8]) -> CallBefore {
    let Some(code) = before.last_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) else {
        return CallBefore::None;
    };
    if code & 0xfc00_0000 == 0x9400_0000 {
        let distance = i64::from((code << 6) as i32 >> 6) * 4;
        // From the call, which is 4 bytes before the return address.
        return CallBefore::Direct(distance - 4);
    }
    if code & 0xffff_fc1f == 0xd63f_0000 || code & 0xfeff_f800 == 0xd63f_0800 {
        return CallBefore::Indirect;
    }
    CallBefore::None
}

/// `stp x29,x30,[sp,#-n]!` at the beginning of a function, also behind `bti` or `paciasp`; and `ret`.
pub(super) fn entry_state(_before: &[u8], at: &[u8]) -> EntryState {
    let is_hint = |code: &u32| matches!(*code, 0xd503_233f | 0xd503_237f | 0xd503_245f | 0xd503_24df);
    let first = word(at, 0);
    let start = if first.as_ref().is_some_and(is_hint) { word(at, 1) } else { first };
    let pushes = start.is_some_and(|code| code & 0xffc0_7fff == 0xa980_7bfd);
    let returns = matches!(first, Some(0xd65f_03c0 | 0xd65f_0bff | 0xd65f_0fff));
    if pushes || returns { EntryState::ReturnInLink } else { EntryState::Unknown }
}

/// Whether code may change the stack pointer or the link register: anything that is not known not to.
pub(super) fn may_move_sp(code: &[u8]) -> bool {
    let (words, rest) = code.as_chunks::<4>();
    !rest.is_empty() || words.iter().any(|bytes| changes(u32::from_le_bytes(*bytes)))
}

/// By the encoding groups of the architecture manual, section C4.1.
fn changes(code: u32) -> bool {
    let is_31_or_30 = |register: u32| register & 31 >= 30;
    match code >> 25 & 15 {
        // Data processing: its destination.
        0b1000 | 0b1001 | 0b0101 | 0b1101 => is_31_or_30(code) && !discards(code),
        // Floating point and vectors; some move to a general register.
        0b0111 | 0b1111 => is_31_or_30(code) && code & 0x5f20_fc00 == 0x1e20_0000,
        // Loads and stores: what they load, and a base that they move.
        0b0100 | 0b0110 | 0b1100 | 0b1110 => {
            is_31_or_30(code >> 5) || is_31_or_30(code) || is_31_or_30(code >> 10)
        }
        // Branches within the function and hints; calls set the link register.
        0b1010 | 0b1011 => {
            let jumps = code & 0x7c00_0000 == 0x1400_0000 && code >> 31 == 0
                || code & 0xfe00_0000 == 0x5400_0000
                || code & 0x7c00_0000 == 0x3400_0000;
            let is_hint = code & 0xffff_f01f == 0xd503_201f && !(0xd503_233f..=0xd503_23ff).contains(&code);
            let is_svc = code & 0xffe0_001f == 0xd400_0001;
            !(jumps || is_hint || is_svc)
        }
        _ => true,
    }
}

/// `cmp`, `cmn` and `tst`: the flags are all that remains of the result.
fn discards(code: u32) -> bool {
    let sets_flags = code >> 29 & 1 == 1;
    code & 31 == 31 && sets_flags
}
