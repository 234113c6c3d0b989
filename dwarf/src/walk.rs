//! The walk from the innermost frame outwards.
use core::borrow::Borrow;

use gimli::Reader;
use threaddump_arch::{Arch, CallBefore, Registers};

use crate::address::CodeAddress;
use crate::error::{CfiError, End, StepError};
use crate::fallback;
use crate::row::{Cfa, ExpressionRef, Row, Rule};

/// How a frame was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// The registers of the thread itself.
    Context,
    /// By unwind information of the frame inside.
    Cfi,
    /// A signal interrupted it: its registers come from what the kernel saved.
    Signal,
    /// By the frame pointer of the frame inside, which has no unwind information.
    FramePointer,
    /// The return address was on top of the stack: the frame inside is no code at all, or has not
    /// set up its frame.
    Leaf,
    /// By searching the stack for a return address. May be wrong.
    Scan,
}

impl How {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            How::Context => "context",
            How::Cfi => "cfi",
            How::Signal => "signal",
            How::FramePointer => "frame_pointer",
            How::Leaf => "leaf",
            How::Scan => "scan",
        }
    }
}

/// One physical frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its pc.
    pub address: CodeAddress,
    /// Its stack pointer (process address).
    pub sp: u64,
    /// How it was found.
    pub how: How,
    /// The return address that led here as it stands in memory or in a register, if it is signed.
    pub signed: Option<u64>,
}

/// What a walk asks of its caller.
pub trait Target {
    /// Bytes of unwind sections.
    type Reader: Reader<Offset = usize>;
    /// A row, or a shared pointer to a cached one.
    type Row: Borrow<Row>;

    /// Fills `bytes` from the process address, or answers `false`.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool;
    /// The row of the code address (use [`CodeAddress::lookup`]); `None` if nothing covers it.
    ///
    /// # Errors
    /// If what covers it is unusable.
    fn row(&mut self, address: CodeAddress) -> Result<Option<Self::Row>, CfiError>;
    /// The bytes of an expression in the row of this address.
    fn expression(&self, address: CodeAddress, place: ExpressionRef) -> Option<Self::Reader>;
    /// Copies code from the process address on; answers how many bytes there are.
    fn code(&mut self, address: u64, bytes: &mut [u8]) -> usize;
    /// Whether the address is in executable memory.
    fn is_executable(&self, address: u64) -> bool;
    /// Whether the address is in executable memory without a file behind it: code that was made at
    /// run time.
    fn is_generated(&self, address: u64) -> bool;
    /// The memory mapping that holds the address: first address and address after the last.
    fn region(&self, address: u64) -> Option<(u64, u64)>;
}

/// Stacks a walk may pass through (alternate signal stacks, coroutines).
const MAX_STACKS: usize = 16;
/// Steps from frames whose stack pointer is in no readable memory. A stack overflow makes one.
const MAX_UNREADABLE: u32 = 16;

/// Walks the frames of one thread. [`Walker::next`] gives them, [`Walker::end`] says why it ended.
///
/// A walk cannot repeat itself: on each stack it only moves outwards, by a return address at least,
/// it enters no part of a stack twice, and it ends where the stack cannot be read. So it is no
/// longer than the readable words of its stacks, whatever the unwind information says.
#[derive(Debug)]
pub struct Walker {
    registers: Registers,
    frame: Option<Frame>,
    end: Option<End>,
    scan: bool,
    /// Parts of stacks walked so far, `(lowest, highest)` stack pointer; the last is current.
    visited: [(u64, u64); MAX_STACKS],
    stacks: usize,
    unreadable: u32,
}

impl Walker {
    /// A walk from these registers. With `scan`, a stack is searched for return addresses where
    /// everything else fails.
    pub fn new(registers: Registers, scan: bool) -> Walker {
        let visited = [(0, 0); MAX_STACKS];
        Walker { registers, frame: None, end: None, scan, visited, stacks: 0, unreadable: 0 }
    }

    /// Why the walk ended, once [`Walker::next`] has given `None`.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The registers of the frame that [`Walker::next`] gave last.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// The next frame outwards.
    pub fn next<T: Target>(&mut self, target: &mut T) -> Option<Frame> {
        if self.end.is_some() {
            return None;
        }
        let result = match self.frame {
            None => self.first(),
            Some(frame) => self.outwards(target, frame),
        };
        match result {
            Ok(frame) => {
                self.frame = Some(frame);
                Some(frame)
            }
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }

    fn first(&mut self) -> Result<Frame, End> {
        let arch = self.registers.arch();
        let missing = |id| End::Rules(StepError::UnknownRegister(id));
        let pc = self.registers.pc().ok_or(missing(arch.pc()))?;
        let sp = self.registers.sp().ok_or(missing(arch.sp()))?;
        self.visited[0] = (sp, sp);
        self.stacks = 1;
        Ok(Frame { address: CodeAddress { pc, exact: true }, sp, how: How::Context, signed: None })
    }

    fn outwards<T: Target>(&mut self, target: &mut T, frame: Frame) -> Result<Frame, End> {
        let (mut registers, how) = self.caller(target, frame)?;
        let arch = registers.arch();
        let missing = |id| End::Rules(StepError::UnknownRegister(id));
        let raw = registers.pc().ok_or(missing(arch.pc()))?;
        let pc = if how == How::Signal { raw } else { arch.strip_return_address(raw, &self.registers) };
        let signed = self.signed(&registers, raw, pc, how);
        registers.set(arch.pc(), pc);
        let sp = registers.sp().ok_or(missing(arch.sp()))?;
        if how != How::Signal && !target.is_executable(pc) {
            return Err(End::BadReturnAddress(pc));
        }
        if !target.read(frame.sp, &mut [0]) {
            self.unreadable += 1;
            if !frame.address.exact || self.unreadable > MAX_UNREADABLE {
                return Err(End::UnreadableStack(frame.sp));
            }
        }
        self.progress(target, frame, sp, pc, how)?;
        self.registers = registers;
        let exact = how == How::Signal || was_pushed(target, arch, pc);
        Ok(Frame { address: CodeAddress { pc, exact }, sp, how, signed })
    }

    /// The return address with its signature: as it was found, or as the link register has it.
    fn signed(&self, caller: &Registers, raw: u64, pc: u64, how: How) -> Option<u64> {
        let arch = caller.arch();
        arch.code_mask_register().filter(|_| how != How::Signal)?;
        // A function that has not set up a frame has its return address there itself.
        let holder = if how == How::Leaf { &self.registers } else { caller };
        let link = arch.link().and_then(|link| holder.get(link));
        let is_signed =
            |value: &u64| *value != pc && arch.strip_return_address(*value, &self.registers) == pc;
        [Some(raw), link].into_iter().flatten().find(is_signed)
    }

    /// Checks that the frame at `sp` is new, and remembers it.
    fn progress<T: Target>(
        &mut self,
        target: &T,
        frame: Frame,
        sp: u64,
        pc: u64,
        how: How,
    ) -> Result<(), End> {
        let current = self.stacks - 1;
        // Where the return address is in a register, a leaf function has no frame of its own. Only
        // interrupted code is in one.
        let interrupted = matches!(frame.how, How::Context | How::Signal);
        let frameless = sp == frame.sp && interrupted && pc != frame.address.pc && how != How::Signal;
        if frameless {
            return Ok(());
        }
        if self.visited[..self.stacks].iter().any(|(low, high)| (*low..=*high).contains(&sp)) {
            return Err(End::NoProgress(sp));
        }
        let here = target.region(frame.sp);
        let same_stack = here.is_none() || here.is_some_and(|(start, end)| (start..end).contains(&sp));
        if same_stack && sp > frame.sp {
            if sp - frame.sp < u64::from(self.registers.arch().pointer_size()) {
                return Err(End::NoProgress(sp));
            }
            self.visited[current].1 = sp;
            return Ok(());
        }
        if (same_stack && how != How::Signal) || self.stacks == MAX_STACKS {
            return Err(End::NoProgress(sp));
        }
        self.visited[self.stacks] = (sp, sp);
        self.stacks += 1;
        Ok(())
    }

    fn caller<T: Target>(&mut self, target: &mut T, frame: Frame) -> Result<(Registers, How), End> {
        let address = frame.address;
        if !target.is_executable(address.pc) {
            return fallback::bad_pc(target, &self.registers)
                .or_else(|| fallback::frame_pointer(target, &self.registers))
                .or_else(|| self.scan.then(|| fallback::scan(target, &self.registers)).flatten())
                .ok_or(End::NoUnwindInfo(address.pc));
        }
        let arch = self.registers.arch();
        let trampoline = address.exact && is_trampoline(target, arch, address.pc);
        match target.row(address) {
            // Assembled code gets rules of an ordinary function from some build scripts (musl's):
            // at the trampoline only those of a signal frame can be true.
            Ok(Some(row)) if !trampoline || (row.borrow().signal_frame && arch.trampolines_have_rules()) => {
                if self.prefers_chain(frame, row.borrow())
                    && let Some(step) = fallback::frame_pointer(target, &self.registers)
                {
                    return Ok(step);
                }
                return match self.by_row(target, address, row.borrow()) {
                    // The frame is there, but what its rules start from is not.
                    Err(end @ End::Rules(StepError::UnknownRegister(_))) if self.scan => {
                        fallback::scan(target, &self.registers).ok_or(end)
                    }
                    result => result,
                };
            }
            _ if trampoline => return fallback::signal_frame(target, &self.registers),
            Ok(_) => {}
            Err(error) => return Err(End::Damaged(error)),
        }
        if frame.how == How::FramePointer && self.registers.fp() == Some(0) {
            return Err(End::Root);
        }
        let leaf = if address.exact { fallback::leaf(target, &self.registers) } else { None };
        leaf.or_else(|| fallback::frame_pointer(target, &self.registers))
            .or_else(|| self.scan.then(|| fallback::scan(target, &self.registers)).flatten())
            .ok_or(End::NoUnwindInfo(address.pc))
    }

    /// Whether the rules of a frame start from a stack pointer that is not exactly known, since the
    /// frame was found by a frame pointer that says no more than where the next one is.
    fn prefers_chain(&self, frame: Frame, row: &Row) -> bool {
        let arch = self.registers.arch();
        frame.how == How::FramePointer
            && fallback::has_vague_chain(arch)
            && matches!(row.cfa, Cfa::RegisterOffset(id, _) if id == arch.sp())
            && row.get(row.return_address) != Rule::Undefined
    }

    fn by_row<T: Target>(
        &self,
        target: &mut T,
        lookup: CodeAddress,
        row: &Row,
    ) -> Result<(Registers, How), End> {
        let how = if row.signal_frame { How::Signal } else { How::Cfi };
        let result = {
            let target = core::cell::RefCell::new(target);
            let mut read = |at: u64, bytes: &mut [u8]| target.borrow_mut().read(at, bytes);
            row.apply(&self.registers, &mut read, |place| target.borrow().expression(lookup, place))
        };
        let caller = result.map_err(|error| match error {
            StepError::Outermost => End::Root,
            StepError::Unreadable(at) => End::UnreadableStack(at),
            error => End::Rules(error),
        })?;
        Ok((caller.registers, how))
    }
}

/// Whether a return address was put on the stack by hand, so that it is the start of something and
/// not the end of a call: the signal trampoline, or a function like glibc's `__start_context`. What
/// stands before it then belongs to something else.
fn was_pushed<T: Target>(target: &mut T, arch: Arch, pc: u64) -> bool {
    if is_trampoline(target, arch, pc) {
        return true;
    }
    let covers = |row: Result<Option<T::Row>, CfiError>| matches!(row, Ok(Some(_)));
    !covers(target.row(CodeAddress { pc, exact: false }))
        && fallback::call_before(target, arch, pc) == CallBefore::None
        && covers(target.row(CodeAddress { pc, exact: true }))
}

fn is_trampoline<T: Target>(target: &mut T, arch: Arch, pc: u64) -> bool {
    let mut code = [0; Arch::TRAMPOLINE];
    let length = target.code(pc, &mut code);
    arch.is_signal_trampoline(&code[..length.min(Arch::TRAMPOLINE)])
}
