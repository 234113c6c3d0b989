//! Steps for code without unwind information. Each either has evidence or gives nothing.
use core::borrow::Borrow;

use threaddump_arch::{Arch, CallBefore, EntryState, FrameRecord, Registers};

use crate::address::CodeAddress;
use crate::error::End;
use crate::row::Cfa;
use crate::walk::{How, Target};

type Step = Option<(Registers, How)>;

/// A direct call proves a return address if it goes to the function of the pc, which begins at
/// most this many bytes before it and has not touched the stack pointer up to there. (A slot of
/// the frame may hold an old return address, even one of a call to the same function.)
const MAX_LEAF: usize = 256;
/// Most bytes without rules in the middle of a function, up to the pc.
const MAX_GAP: usize = 16;
/// Words that a scan looks at.
const MAX_SCAN: u64 = 0x1_0000;
/// Larger than any context the kernel saves of general registers.
const MAX_CONTEXT: usize = 640;

fn word<T: Target>(target: &mut T, arch: Arch, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    let size = usize::from(arch.pointer_size());
    let part = bytes.get_mut(..size)?;
    target.read(address, part).then(|| arch.number(part))
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

/// Where a called function finds its return address before it has set up a frame: the address, and the
/// stack pointer of its caller.
fn called_from<T: Target>(target: &mut T, registers: &Registers) -> Option<(u64, u64)> {
    let arch = registers.arch();
    let sp = registers.sp()?;
    match arch.link() {
        Some(link) => Some((arch.strip_return_address(registers.get(link)?, registers), sp)),
        None => Some((word(target, arch, sp)?, sp.checked_add(u64::from(arch.pointer_size()))?)),
    }
}

/// A set of registers in which only what is the same in all frames is known.
fn unknown(registers: &Registers) -> Registers {
    let arch = registers.arch();
    let mut caller = Registers::new(arch);
    if let Some((id, value)) = arch.code_mask_register().and_then(|id| Some((id, registers.get(id)?))) {
        caller.set(id, value);
    }
    caller
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
/// top of the stack or in the link register.
pub(crate) fn bad_pc<T: Target>(target: &mut T, registers: &Registers) -> Step {
    let arch = registers.arch();
    let (pc, sp) = called_from(target, registers)?;
    let found = call_before(target, arch, pc) != CallBefore::None;
    found.then(|| (returned(registers, pc, sp), How::Leaf))
}

/// The pc is in code that has not set up a frame, or has taken it down: told by the instructions
/// of a prologue or epilogue, or by a direct call to this very function on top of the stack or in the
/// link register.
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
        EntryState::ReturnOnTop | EntryState::ReturnInLink => {
            let (back, sp) = called_from(target, registers)?;
            let found = call_before(target, arch, back) != CallBefore::None;
            found.then(|| (returned(registers, back, sp), How::Leaf))
        }
        EntryState::FramePointerOnTop => {
            let second = sp.checked_add(size)?;
            let (fp, back) = (word(target, arch, sp)?, word(target, arch, second)?);
            let found = call_before(target, arch, back) != CallBefore::None;
            let mut caller = returned(registers, back, second.wrapping_add(size));
            caller.set(arch.fp(), fp);
            found.then_some((caller, How::Leaf))
        }
        EntryState::PopsThenLink(popped) => {
            let (back, first) = called_from(target, registers)?;
            let found = call_before(target, arch, back) != CallBefore::None;
            let mut caller = returned(registers, back, first);
            let mut place = first;
            for number in (0..16).filter(|number| popped >> number & 1 == 1) {
                caller.set(arch.from_dwarf(number)?, word(target, arch, place)?);
                place = place.checked_add(size)?;
            }
            caller.set(arch.sp(), place);
            found.then_some((caller, How::Leaf))
        }
        EntryState::Unknown => {
            let (back, caller_sp) = called_from(target, registers)?;
            let CallBefore::Direct(distance) = call_before(target, arch, back) else { return None };
            let callee = back.wrapping_add_signed(distance);
            let inside =
                usize::try_from(pc.checked_sub(callee)?).ok().filter(|inside| *inside <= MAX_LEAF)?;
            let known = described(target, arch, callee, pc);
            let mut code = [0; MAX_LEAF];
            let code = code.get_mut(known..inside)?;
            let start = callee.checked_add(known as u64)?;
            let found = target.code(start, code) == code.len() && !arch.may_move_sp(code);
            found.then(|| (returned(registers, back, caller_sp), How::Leaf))
        }
    }
}

/// How many bytes of a function have rules that leave the return address on top of the stack, if
/// they end just before the pc: around a system call that both makers and made return from (glibc's
/// clone, clone3), rules that hold for both cannot be given.
fn described<T: Target>(target: &mut T, arch: Arch, function: u64, pc: u64) -> usize {
    let pushed = if arch.link().is_none() { i64::from(arch.pointer_size()) } else { 0 };
    let on_top = Cfa::RegisterOffset(arch.sp(), pushed + arch.cfa_above_sp() as i64);
    let last = (function..pc).rev().take(MAX_GAP).find_map(|address| {
        let row = target.row(CodeAddress { pc: address, exact: true }).ok()??;
        Some((row.borrow().cfa == on_top).then_some(address))
    });
    let length = last.flatten().map_or(0, |last| last - function + 1);
    usize::try_from(length).unwrap_or(0)
}

/// The frame pointer, or the word at the stack pointer, leads to the caller's and to the return address.
pub(crate) fn frame_pointer<T: Target>(target: &mut T, registers: &Registers) -> Step {
    let records = registers.arch().frame_records();
    records.iter().find_map(|record| by_record(target, registers, record))
}

/// Whether a chain of frame pointers leaves the exact stack pointer of a caller open.
pub(crate) fn has_vague_chain(arch: Arch) -> bool {
    arch.frame_records().iter().any(|record| matches!(record, FrameRecord::Pointer { exact: false, .. }))
}

/// What a record says.
struct Link {
    caller_sp: u64,
    caller_fp: Option<u64>,
    /// Unstripped.
    pc: u64,
    /// The first address after the record.
    record_end: u64,
}

fn read_record<T: Target>(
    target: &mut T,
    arch: Arch,
    record: &FrameRecord,
    (sp, fp): (u64, Option<u64>),
    (start, end): (u64, u64),
) -> Option<Link> {
    let size = u64::from(arch.pointer_size());
    match *record {
        FrameRecord::Pointer { caller_fp, return_address, caller_sp, .. } => {
            let fp = fp?;
            let first = fp.checked_add_signed(caller_fp.min(return_address))?;
            let caller_sp = fp.checked_add_signed(caller_sp)?;
            let record_end = first.checked_add(2 * size)?;
            if fp % size != 0 || first < sp || first < start || record_end.max(caller_sp) > end {
                return None;
            }
            let caller_fp = Some(word(target, arch, fp.checked_add_signed(caller_fp)?)?);
            let pc = word(target, arch, fp.checked_add_signed(return_address)?)?;
            Some(Link { caller_sp, caller_fp, pc, record_end })
        }
        FrameRecord::BackChain { return_address } => {
            let caller_sp = word(target, arch, sp)?;
            let place = caller_sp.checked_add_signed(return_address)?;
            if caller_sp % size != 0 || caller_sp <= sp || caller_sp < start || place >= end {
                return None;
            }
            Some(Link { caller_sp, caller_fp: None, pc: word(target, arch, place)?, record_end: caller_sp })
        }
    }
}

fn by_record<T: Target>(target: &mut T, registers: &Registers, record: &FrameRecord) -> Step {
    let arch = registers.arch();
    let sp = registers.sp()?;
    let stack = target.region(sp)?;
    let link = read_record(target, arch, record, (sp, registers.fp()), stack)?;
    let pc = arch.strip_return_address(link.pc, registers);
    if call_before(target, arch, pc) == CallBefore::None
        && !is_chained(target, arch, pc, record, &link, stack.1)
    {
        return None;
    }
    // Registers that a function without unwind information preserves may lie anywhere in its frame.
    let mut caller = unknown(registers);
    // The walk strips it.
    caller.set(arch.pc(), link.pc);
    caller.set(arch.sp(), link.caller_sp);
    if let Some(fp) = link.caller_fp {
        caller.set(arch.fp(), fp);
    }
    Some((caller, How::FramePointer))
}

/// Whether a return address into generated code is one although no call precedes it: interpreters
/// (HotSpot's, for one) push return addresses of their own. The next link of the chain then has to
/// be further up the same stack and to lead into code too. Into code of a file that has no unwind
/// rules either, as V8's builtins, which a frame returns to that was optimised and is no more, the
/// next link has to follow a call.
fn is_chained<T: Target>(
    target: &mut T,
    arch: Arch,
    pc: u64,
    record: &FrameRecord,
    link: &Link,
    end: u64,
) -> bool {
    if link.caller_fp.is_none() || !target.is_executable(pc) {
        return false;
    }
    let next = read_record(target, arch, record, (link.record_end, link.caller_fp), (link.record_end, end));
    let Some(next) = next else { return false };
    if target.is_generated(pc) {
        return target.is_executable(next.pc);
    }
    matches!(target.row(CodeAddress { pc, exact: true }), Ok(None))
        && call_before(target, arch, next.pc) != CallBefore::None
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
        let found = word(target, arch, place)?;
        let pc = arch.strip_return_address(found, registers);
        if call_before(target, arch, pc) != CallBefore::None {
            let mut caller = unknown(registers);
            caller.set(arch.pc(), found);
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
    let (sp, pc) = registers.sp().zip(registers.pc()).ok_or(End::NoUnwindInfo(0))?;
    let mut code = [0; Arch::TRAMPOLINE];
    let length = target.code(pc, &mut code).min(code.len());
    let trampoline = arch.signal_trampoline(&code[..length]).ok_or(End::NoUnwindInfo(pc))?;
    let place = sp.wrapping_add(u64::from(trampoline.context));
    let mut bytes = [0; MAX_CONTEXT];
    let size = arch.signal_context_size();
    let part = bytes.get_mut(..size).ok_or(End::UnreadableStack(place))?;
    if !target.read(place, part) {
        return Err(End::UnreadableStack(place));
    }
    let mut interrupted =
        arch.registers_from_trampoline(trampoline, part).ok_or(End::UnreadableStack(place))?;
    if let Some((id, value)) = arch.code_mask_register().and_then(|id| Some((id, registers.get(id)?))) {
        interrupted.set(id, value);
    }
    Ok((interrupted, How::Signal))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use gimli::{EndianSlice, LittleEndian};

    use super::*;
    use crate::error::CfiError;
    use crate::row::{ExpressionRef, Row};

    const CALLER: u64 = 0x40_0000;
    const CALLEE: u64 = 0x40_0080;
    /// mov %rcx,%r8 (the byte c8 alone would be `enter`); syscall; test %rax,%rax; ret
    const CODE: [u8; 9] = [0x49, 0x89, 0xc8, 0x0f, 0x05, 0x48, 0x85, 0xc0, 0xc3];

    /// A caller that calls a function whose rules end before its system call.
    struct Gap(Option<Row>);

    impl Target for Gap {
        type Reader = EndianSlice<'static, LittleEndian>;
        type Row = Rc<Row>;

        fn read(&mut self, _: u64, bytes: &mut [u8]) -> bool {
            bytes.copy_from_slice(&(CALLER + 5).to_le_bytes());
            true
        }

        fn row(&mut self, address: CodeAddress) -> Result<Option<Rc<Row>>, CfiError> {
            let inside = (CALLEE..CALLEE + 3).contains(&address.lookup());
            Ok(self.0.clone().filter(|_| inside).map(Rc::new))
        }

        fn expression(&self, _: CodeAddress, _: ExpressionRef) -> Option<Self::Reader> {
            None
        }

        fn code(&mut self, address: u64, bytes: &mut [u8]) -> usize {
            let mut all = [0x90; 0x100];
            all[0x10] = 0xe8;
            all[0x11..0x15].copy_from_slice(&((CALLEE - CALLER - 5) as u32).to_le_bytes());
            all[0x90..0x99].copy_from_slice(&CODE);
            let start = (address + 0x10 - CALLER) as usize;
            bytes.copy_from_slice(&all[start..start + bytes.len()]);
            bytes.len()
        }

        fn is_executable(&self, _: u64) -> bool {
            true
        }

        fn is_generated(&self, _: u64) -> bool {
            false
        }

        fn region(&self, _: u64) -> Option<(u64, u64)> {
            None
        }
    }

    fn step(row: Option<Row>) -> Option<u64> {
        let arch = Arch::X86_64;
        let mut registers = Registers::new(arch);
        registers.set(arch.pc(), CALLEE + 5);
        registers.set(arch.sp(), 0x7000);
        leaf(&mut Gap(row), &registers).and_then(|(caller, _)| caller.pc())
    }

    #[test]
    fn rules_that_end_before_a_system_call_vouch_for_the_code_before_it() {
        let arch = Arch::X86_64;
        let mut row = Row::new(arch.pc());
        assert_eq!(step(None), None, "the bytes alone could move the stack pointer");
        row.cfa = Cfa::RegisterOffset(arch.sp(), 8);
        assert_eq!(step(Some(row.clone())), Some(CALLER + 5));
        row.cfa = Cfa::RegisterOffset(arch.sp(), 16);
        assert_eq!(step(Some(row)), None, "something was pushed");
    }
}
