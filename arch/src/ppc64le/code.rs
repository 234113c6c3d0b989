//! What code bytes mean: calls before a return address, and the signal trampoline.
use crate::{CallBefore, EntryState, Trampoline};

/// `addi r1,r1,128; li r0,172; sc` (rt_sigreturn): the vDSO.
const TRAMPOLINE: [u32; 3] = [0x3821_0080, 0x3800_00ac, 0x4400_0002];
/// The frame of the handler's caller stands before the context.
const DUMMY_FRAME: u16 = 128;

fn word(code: &[u8], index: usize) -> Option<u32> {
    code.get(index * 4..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn trampoline(code: &[u8]) -> Option<Trampoline> {
    let known = (0..3).all(|index| word(code, index) == Some(TRAMPOLINE[index]));
    known.then_some(Trampoline { context: DUMMY_FRAME, plain: false })
}

/// `bl` (24 bits of words), `bctrl`, `blrl`.
pub(super) fn call_before(before: &[u8]) -> CallBefore {
    let Some(code) = before.last_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) else {
        return CallBefore::None;
    };
    if code & 0xfc00_0003 == 0x4800_0001 {
        let distance = i64::from(((code & 0x03ff_fffc) << 6) as i32 >> 6);
        // From the call, which is 4 bytes before the return address.
        return CallBefore::Direct(distance - 4);
    }
    if matches!(code, 0x4e80_0421 | 0x4e80_0021) { CallBefore::Indirect } else { CallBefore::None }
}

/// `mflr r0` at the beginning of a function, and `blr`.
pub(super) fn entry_state(_before: &[u8], at: &[u8]) -> EntryState {
    match word(at, 0) {
        Some(0x7c08_02a6 | 0x4e80_0020) => EntryState::ReturnInLink,
        _ => EntryState::Unknown,
    }
}

/// Whether code may change the stack pointer or the link register. Nothing is known of any code.
pub(super) fn may_move_sp(code: &[u8]) -> bool {
    !code.is_empty()
}
