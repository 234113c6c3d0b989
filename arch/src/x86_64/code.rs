//! What code bytes mean: calls before a return address, and the signal trampoline.
use crate::CallBefore;

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
