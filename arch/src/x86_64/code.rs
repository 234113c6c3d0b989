//! What code bytes mean: calls before a return address, and the signal trampoline.
use crate::{CallBefore, EntryState};

/// `mov $15,%rax; syscall` (rt_sigreturn): glibc, musl and Go. Go and older C libraries may load
/// `%eax` instead.
const TRAMPOLINES: [&[u8]; 2] =
    [&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xb8, 15, 0, 0, 0, 0x0f, 0x05]];

/// Whether the code is the signal trampoline.
pub fn is_signal_trampoline(code: &[u8]) -> bool {
    TRAMPOLINES.iter().any(|bytes| code.starts_with(bytes))
}

/// Length of the ModRM byte with its SIB and displacement; `None` if `modrm` does not encode a
/// near call (`ff /2`) of that length.
fn indirect_call_length(code: &[u8]) -> Option<usize> {
    let (&opcode, rest) = code.split_first()?;
    let &modrm = rest.first()?;
    if opcode != 0xff || (modrm >> 3) & 7 != 2 {
        return None;
    }
    let (mode, base) = (modrm >> 6, modrm & 7);
    let sib = if mode != 3 && base == 4 { Some(*rest.get(1)?) } else { None };
    let displacement = match (mode, base, sib) {
        (0, 5, _) => 4, // rip-relative
        (0, 4, Some(sib)) if sib & 7 == 5 => 4,
        (1, ..) => 1,
        (2, ..) => 4,
        _ => 0,
    };
    Some(2 + usize::from(sib.is_some()) + displacement)
}

/// The call instruction that ends at the end of `before`: `e8 rel32`, or `ff /2` with any
/// addressing form, prefixes not counted.
pub fn call_before(before: &[u8]) -> CallBefore {
    if let Some([0xe8, d0, d1, d2, d3]) = before.last_chunk::<5>() {
        return CallBefore::Direct(i64::from(i32::from_le_bytes([*d0, *d1, *d2, *d3])));
    }
    for length in 2..=7 {
        let Some(start) = before.len().checked_sub(length) else { break };
        if indirect_call_length(&before[start..]) == Some(length) {
            return CallBefore::Indirect;
        }
    }
    CallBefore::None
}

/// `push %rbp`, `mov %rsp,%rbp` (two encodings), `ret`, and the forms the latter comes in.
pub fn entry_state(before: &[u8], at: &[u8]) -> EntryState {
    const MOV_FP: [[u8; 3]; 2] = [[0x48, 0x89, 0xe5], [0x48, 0x8b, 0xec]];
    const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    let after_endbr = at.strip_prefix(&ENDBR).unwrap_or(at);
    let prologue =
        |code: &[u8]| code.first() == Some(&0x55) && MOV_FP.iter().any(|mov| code[1..].starts_with(mov));
    if prologue(after_endbr) {
        return EntryState::ReturnOnTop;
    }
    if before.last() == Some(&0x55) && MOV_FP.iter().any(|mov| at.starts_with(mov)) {
        return EntryState::FramePointerOnTop;
    }
    match at {
        [0xc3, ..] | [0xf3, 0xc3, ..] | [0xf2, 0xc3, ..] | [0xc2, ..] => EntryState::ReturnOnTop,
        _ => EntryState::Unknown,
    }
}

/// Whether code may change the stack pointer: conservative, as it looks at bytes, not at
/// instructions. `push` is one byte (50 to 57); `sub`, `and`, `lea` and `mov` to `%rsp` have
/// characteristic ModRM bytes; `enter` is c8.
pub fn may_move_sp(code: &[u8]) -> bool {
    const PAIRS: [[u8; 2]; 8] = [
        [0x83, 0xec],
        [0x81, 0xec],
        [0x83, 0xe4],
        [0x81, 0xe4],
        [0x83, 0xc4],
        [0x81, 0xc4],
        [0x8d, 0x64],
        [0x8d, 0xa4],
    ];
    code.iter().any(|byte| matches!(byte, 0x50..=0x57 | 0xc8))
        || code.windows(2).any(|pair| PAIRS.iter().any(|known| pair == known) || moves_to_sp(pair))
}

/// `mov %reg,%rsp` (89 /r with rm = 4) and `mov …,%rsp` (8b /r with reg = 4).
fn moves_to_sp(pair: &[u8]) -> bool {
    matches!(pair, [0x89, modrm] if modrm & 0xc7 == 0xc4)
        || matches!(pair, [0x8b, modrm] if modrm & 0x38 == 0x20)
}
