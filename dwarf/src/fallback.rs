//! Steps for code without unwind information. Each either has evidence or gives nothing.
use threaddump_arch::{Arch, CallBefore, EntryState, Registers};

use crate::error::End;
use crate::walk::{How, Target};

type Step = Option<(Registers, How)>;

/// A direct call proves a return address if it goes to the function of the pc, which begins at
/// most this many bytes before it and has not touched the stack pointer up to there. (A slot of
/// the frame may hold an old return address, even one of a call to the same function.)
const MAX_LEAF: usize = 256;
/// Words that a scan looks at.
const MAX_SCAN: u64 = 0x1_0000;
/// Larger than any context the kernel saves of general registers.
const MAX_CONTEXT: usize = 512;

fn word<T: Target>(target: &mut T, arch: Arch, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    let size = usize::from(arch.pointer_size());
    target.read(address, bytes.get_mut(..size)?).then(|| u64::from_le_bytes(bytes))
}

/// The call before a possible return address; `CallBefore::None` unless it is in code.
pub(crate) fn call_before<T: Target>(target: &mut T, arch: Arch, address: u64) -> CallBefore {
    let Some(start) = address.checked_sub(Arch::MAX_CALL as u64) else { return CallBefore::None };
    if !target.is_executable(address) || !target.is_executable(address - 1) {
        return CallBefore::None;
    }
    let mut code = [0; Arch::MAX_CALL];
    if target.code(start, &mut code) == code.len() {
        return arch.call_before(&code);
    }
    // The first bytes of a mapping: fewer are enough for a short call.
    let mut short = [0; 2];
    match target.code(address - 2, &mut short) {
        2 => arch.call_before(&short),
        _ => CallBefore::None,
    }
}

/// The registers after a return to `pc` that leaves the stack pointer at `sp`.
fn returned(registers: &Registers, pc: u64, sp: u64) -> Registers {
    let arch = registers.arch();
    let mut caller = Registers::new(arch);
    for (id, info, value) in registers.iter() {
        if info.callee_saved {
            caller.set(id, value);
        }
    }
    caller.set(arch.pc(), pc);
    caller.set(arch.sp(), sp);
    caller
}

/// The pc is in no code: a call or jump went wrong, and the call has left its return address on
/// top of the stack.
pub(crate) fn bad_pc<T: Target>(target: &mut T, registers: &Registers) -> Step {
    let arch = registers.arch();
    let sp = registers.sp()?;
    let pc = word(target, arch, sp)?;
    let found = call_before(target, arch, pc) != CallBefore::None;
    let sp = sp.checked_add(u64::from(arch.pointer_size()))?;
    found.then(|| (returned(registers, pc, sp), How::Leaf))
}

/// The pc is in code that has not set up a frame, or has taken it down: told by the instructions
/// of a prologue or epilogue, or by a direct call to this very function on top of the stack.
pub(crate) fn leaf<T: Target>(target: &mut T, registers: &Registers) -> Step {
    let arch = registers.arch();
    let size = u64::from(arch.pointer_size());
    let (pc, sp) = (registers.pc()?, registers.sp()?);
    let mut before = [0; Arch::MAX_CALL];
    let start = pc.checked_sub(before.len() as u64)?;
    let before_length = target.code(start, &mut before);
    let before = if before_length == before.len() { &before[..] } else { &[] };
    let mut at = [0; Arch::TRAMPOLINE];
    let at_length = target.code(pc, &mut at).min(at.len());
    match arch.entry_state(before, &at[..at_length]) {
        EntryState::ReturnOnTop => {
            let back = word(target, arch, sp)?;
            let found = call_before(target, arch, back) != CallBefore::None;
            found.then(|| (returned(registers, back, sp.wrapping_add(size)), How::Leaf))
        }
        EntryState::FramePointerOnTop => {
            let second = sp.checked_add(size)?;
            let (fp, back) = (word(target, arch, sp)?, word(target, arch, second)?);
            let found = call_before(target, arch, back) != CallBefore::None;
            let mut caller = returned(registers, back, second.wrapping_add(size));
            caller.set(arch.fp(), fp);
            found.then_some((caller, How::Leaf))
        }
        EntryState::Unknown => {
            let back = word(target, arch, sp)?;
            let CallBefore::Direct(distance) = call_before(target, arch, back) else { return None };
            let callee = back.wrapping_add_signed(distance);
            let inside =
                usize::try_from(pc.checked_sub(callee)?).ok().filter(|inside| *inside <= MAX_LEAF)?;
            let mut code = [0; MAX_LEAF];
            let found =
                target.code(callee, &mut code[..inside]) == inside && !arch.may_move_sp(&code[..inside]);
            found.then(|| (returned(registers, back, sp.wrapping_add(size)), How::Leaf))
        }
    }
}

/// The frame pointer leads to the caller's frame pointer and the return address.
pub(crate) fn frame_pointer<T: Target>(target: &mut T, registers: &Registers) -> Step {
    let arch = registers.arch();
    let size = u64::from(arch.pointer_size());
    let (sp, fp) = (registers.sp()?, registers.fp()?);
    let (start, end) = target.region(sp)?;
    let caller_sp = fp.checked_add(2 * size)?;
    if fp % size != 0 || fp < sp || fp < start || caller_sp > end {
        return None;
    }
    let (caller_fp, pc) = (word(target, arch, fp)?, word(target, arch, fp + size)?);
    if call_before(target, arch, pc) == CallBefore::None
        && !is_chained(target, arch, pc, caller_fp, (caller_sp, end))
    {
        return None;
    }
    // Registers that a function without unwind information preserves may lie anywhere in its frame.
    let mut caller = Registers::new(arch);
    caller.set(arch.pc(), pc);
    caller.set(arch.sp(), caller_sp);
    caller.set(arch.fp(), caller_fp);
    Some((caller, How::FramePointer))
}

/// Whether a return address into generated code is one although no call precedes it: interpreters
/// (HotSpot's, for one) push return addresses of their own. The next link of the chain then has to
/// be further up the same stack and to lead into code too.
fn is_chained<T: Target>(target: &mut T, arch: Arch, pc: u64, fp: u64, stack: (u64, u64)) -> bool {
    let size = u64::from(arch.pointer_size());
    let above = fp.is_multiple_of(size)
        && fp >= stack.0
        && fp.checked_add(2 * size).is_some_and(|next| next <= stack.1);
    if !target.is_generated(pc) || !above {
        return false;
    }
    word(target, arch, fp + size).is_some_and(|next| target.is_executable(next))
}

/// The nearest word up the stack that follows a call.
pub(crate) fn scan<T: Target>(target: &mut T, registers: &Registers) -> Step {
    let arch = registers.arch();
    let size = u64::from(arch.pointer_size());
    let sp = registers.sp()?;
    let (_, end) = target.region(sp)?;
    let first = sp.checked_next_multiple_of(size)?;
    for index in 0..MAX_SCAN {
        let place = first.checked_add(index * size).filter(|place| *place < end)?;
        let pc = word(target, arch, place)?;
        if call_before(target, arch, pc) != CallBefore::None {
            let mut caller = Registers::new(arch);
            caller.set(arch.pc(), pc);
            caller.set(arch.sp(), place.checked_add(size)?);
            // A frame pointer that points further up may still be the caller's.
            if let Some(fp) = registers.fp().filter(|fp| *fp > place && *fp < end) {
                caller.set(arch.fp(), fp);
            }
            return Some((caller, How::Scan));
        }
    }
    None
}

/// At the signal trampoline: the kernel's saved context holds all registers.
pub(crate) fn signal_frame<T: Target>(
    target: &mut T,
    registers: &Registers,
) -> Result<(Registers, How), End> {
    let arch = registers.arch();
    let sp = registers.sp().ok_or(End::NoUnwindInfo(0))?;
    let place = arch.signal_context(sp);
    let mut bytes = [0; MAX_CONTEXT];
    let size = arch.signal_context_size();
    let part = bytes.get_mut(..size).ok_or(End::UnreadableStack(place))?;
    if !target.read(place, part) {
        return Err(End::UnreadableStack(place));
    }
    let interrupted = arch.registers_from_signal_context(part).ok_or(End::UnreadableStack(place))?;
    Ok((interrupted, How::Signal))
}
