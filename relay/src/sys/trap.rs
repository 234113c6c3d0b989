//! What both kinds of x86 have in common: how far the processor has gone past the instruction that a signal comes
//! from.

/// An action says what its handler returns to (`arch/x86/include/uapi/asm/signal.h`).
pub(super) const SA_RESTORER: u64 = 0x0400_0000;

/// What the saved context says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    pub(super) pc: u64,
    /// Number of the trap.
    pub(super) trap: u64,
    /// `cr2`
    pub(super) fault_address: u64,
}

/// Bytes to go back for the same signal to come again, in the same way; `None` if it does not come from an
/// instruction. The trap is that of the last fault: a signal that the kernel forces on a thread for another
/// reason, as when there is no room for a signal frame, is told by what does not fit.
pub(super) fn distance(signal: u32, code: i32, address: u64, saved: Saved) -> Option<u64> {
    const KERNEL: i32 = 0x80;
    const ACTION_OPTIONAL: i32 = 5;
    let Saved { pc, trap, fault_address } = saved;
    let is_address = address == fault_address;
    let before = |length: u64| {
        let mut bytes = [0; 2];
        let bytes = &mut bytes[..length as usize];
        let place = pc.wrapping_sub(length);
        let is_one_page = place >> 12 == pc.wrapping_sub(1) >> 12;
        (is_one_page && super::memory::read_by_probe(place, bytes)).then(|| u64::from(bytes[0]))
    };
    let is_here = match (signal, code) {
        (_, ..1) => false,
        // ILL; FPE: the address is that of the instruction.
        (4, _) => trap == 6 && address == pc,
        (8, _) => matches!(trap, 0 | 16 | 19) && address == pc,
        // A general protection fault, or one of the stack segment, has no address.
        (11, KERNEL) => trap == 13,
        (7, KERNEL) => matches!(trap, 11 | 12),
        (11, _) => trap == 14 && is_address,
        (7, _) => matches!(trap, 14 | 17 | 18) && is_address && code != ACTION_OPTIONAL,
        // TRAP: after the one byte of a breakpoint, which is no fault.
        (5, KERNEL) if trap == 3 && before(1) == Some(0xcc) => return Some(1),
        // SYS: after the two bytes of the call, whose number is in its register again.
        (31, _) if address == pc && matches!(before(2), Some(0x0f | 0xcd)) => return Some(2),
        _ => false,
    };
    is_here.then_some(0)
}
