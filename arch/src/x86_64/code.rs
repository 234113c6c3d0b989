//! What code bytes mean: calls before a return address, and the signal trampoline.
use crate::{CallBefore, EntryState, Trampoline};

/// `mov $15,%rax; syscall` (rt_sigreturn): glibc, musl and Go. Go and older C libraries may load
/// `%eax` instead.
const TRAMPOLINES: [&[u8]; 2] =
    [&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xb8, 15, 0, 0, 0, 0x0f, 0x05]];

/// At the trampoline the stack pointer is at the saved context.
pub(super) fn trampoline(code: &[u8]) -> Option<Trampoline> {
    let known = TRAMPOLINES.iter().any(|bytes| code.starts_with(bytes));
    known.then_some(Trampoline { context: 0, plain: false })
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
pub(crate) fn call_before(before: &[u8]) -> CallBefore {
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
pub(super) fn entry_state(before: &[u8], at: &[u8]) -> EntryState {
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
/// instructions. One-byte forms: `push` and `pop` of registers (50 to 5f), of constants (68, 6a), of
/// memory (8f), of flags (9c, 9d), `xchg` with rax (94), `enter` and `leave` (c8, c9).
pub(crate) fn may_move_sp(code: &[u8]) -> bool {
    let single =
        |byte: &u8| matches!(byte, 0x50..=0x5f | 0x68 | 0x6a | 0x8f | 0x94 | 0x9c | 0x9d | 0xc8 | 0xc9);
    code.iter().any(single) || code.windows(2).any(|pair| moves_to_sp(pair[0], pair[1]))
}

/// An opcode with a ModRM byte that names `%rsp` as its destination: arithmetic, `mov`, `lea`,
/// `xchg`, `movsxd`; and `push` of memory and `inc`, `dec` of a register (ff).
fn moves_to_sp(opcode: u8, modrm: u8) -> bool {
    let to_rm = modrm & 0xc7 == 0xc4;
    let to_reg = modrm & 0x38 == 0x20;
    match opcode {
        0x00..=0x3f if opcode & 7 == 1 => to_rm,
        0x00..=0x3f if opcode & 7 == 3 => to_reg,
        0x81 | 0x83 | 0x89 | 0xc1 | 0xc7 | 0xd1 | 0xd3 | 0xf7 => to_rm,
        0x63 | 0x8b | 0x8d => to_reg,
        0x87 => to_rm || to_reg,
        0xff => to_rm || modrm & 0x38 == 0x30,
        _ => false,
    }
}
