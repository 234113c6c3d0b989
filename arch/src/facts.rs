//! What each architecture has to say about itself, and what follows from it in the same way for all.
use crate::{Arch, CallBefore, EntryState, RegisterId, RegisterInfo, Registers, SignalFrame};

/// No place in a layout: the kernel does not give the register there.
pub(crate) const NOWHERE: u16 = u16::MAX;
/// No register has this DWARF number.
const NO_REGISTER: u8 = u8::MAX;
/// Numbers from 0 on that any architecture uses.
pub(crate) const DWARF_NUMBERS: usize = 80;

/// All facts about one architecture; the tables are in the order of its registers.
pub(crate) struct Facts {
    /// `uname -m`.
    pub(crate) name: &'static str,
    /// `e_machine`, and whether its files are of class 64.
    pub(crate) elf: (u16, bool),
    /// Bytes of a pointer.
    pub(crate) pointer_size: u8,
    pub(crate) big_endian: bool,
    pub(crate) registers: &'static [RegisterInfo],
    pub(crate) by_dwarf: &'static [u8; DWARF_NUMBERS],
    pub(crate) pc: RegisterId,
    pub(crate) sp: RegisterId,
    pub(crate) fp: RegisterId,
    /// Where a call leaves its return address, if not on the stack.
    pub(crate) link: Option<RegisterId>,
    /// CFA minus the stack pointer of the caller, in bytes.
    pub(crate) cfa_above_sp: u16,
    /// Bits of a return address that are not part of it.
    pub(crate) code_mask: u64,
    /// The register that tells such bits better.
    pub(crate) code_mask_register: Option<RegisterId>,
    pub(crate) frame_records: &'static [FrameRecord],
    pub(crate) prstatus: RegisterSet,
    /// `ucontext_t` as the kernel saves it for handlers with three arguments.
    pub(crate) context: RegisterSet,
    /// What it saves for handlers with one, where that is something else.
    pub(crate) plain_context: RegisterSet,
    /// Another register set of a thread that belongs to the same table, and its note type.
    pub(crate) extra: Option<(u32, RegisterSet)>,
    pub(crate) looks_like_context: fn(&[u8], u64) -> bool,
    pub(crate) trampoline: fn(&[u8]) -> Option<Trampoline>,
    /// Whether unwind rules of a signal trampoline, where there are any, restore everything.
    pub(crate) trampolines_have_rules: bool,
    pub(crate) call_before: fn(&[u8]) -> CallBefore,
    pub(crate) entry_state: fn(&[u8], &[u8]) -> EntryState,
    pub(crate) may_move_sp: fn(&[u8]) -> bool,
    pub(crate) calls: SystemCalls,
}

/// Where the registers stand in a structure of the kernel.
pub(crate) struct RegisterSet {
    /// Bytes of the structure, or of as much of it as is needed.
    pub(crate) size: u16,
    /// Byte offset of each register, or [`NOWHERE`].
    pub(crate) places: &'static [u16],
}

/// How the caller is found without unwind information, in code that keeps a chain of frames. Offsets
/// are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameRecord {
    /// The frame pointer leads to a pair of words.
    Pointer {
        /// The caller's frame pointer, from the frame pointer.
        caller_fp: i64,
        /// The return address, from the frame pointer.
        return_address: i64,
        /// The caller's stack pointer, from the frame pointer.
        caller_sp: i64,
        /// Whether that is exactly the caller's. If not, it is the least it can be.
        exact: bool,
    },
    /// The word at the stack pointer is the caller's stack pointer.
    BackChain {
        /// The return address, from the caller's stack pointer.
        return_address: i64,
    },
}

/// What a signal handler returns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trampoline {
    /// Bytes from the stack pointer at its first instruction to the saved context.
    pub context: u16,
    /// Whether the context is that of a handler with one argument, where this makes a difference.
    pub plain: bool,
}

/// How system calls are told from the registers of a stopped thread.
pub(crate) struct SystemCalls {
    /// The register with the number, where there is one.
    pub(crate) number: Option<RegisterId>,
    pub(crate) arguments: [RegisterId; 6],
    /// The register with the result, and with the first argument where that is kept elsewhere.
    pub(crate) result: RegisterId,
    /// Numbers of `clone` and `clone3`.
    pub(crate) clones: [u64; 2],
    pub(crate) sign: InCall,
}

/// What tells that a thread is in a system call.
pub(crate) enum InCall {
    /// The register with the number is not negative, and the result is that of an interrupted call.
    Result,
    /// The result alone, and this register is not 0 (a kind of trap) if there is one.
    Trap { register: RegisterId, values: &'static [u64] },
    /// The kernel has set everything back to before the call: the instruction at the pc is one.
    AtPc(fn(&[u8]) -> bool),
    /// The instruction before the pc is one, and may hold the number.
    BeforePc(fn(&[u8], &Registers) -> Option<i64>),
}

/// What the result register holds while a thread is stopped inside a system call: -EINTR, -ERESTARTSYS,
/// -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK (seen on Linux 6.18 and 6.1; any other value
/// is the result of a call that has just ended).
const INTERRUPTED: [i64; 5] = [-4, -512, -513, -514, -516];

/// A register of a table.
pub(crate) const fn reg(
    name: &'static str,
    dwarf: Option<u16>,
    width: u8,
    callee_saved: bool,
) -> RegisterInfo {
    RegisterInfo { name, dwarf, width, callee_saved }
}

/// The table from DWARF numbers to registers.
pub(crate) const fn by_dwarf(registers: &[RegisterInfo]) -> [u8; DWARF_NUMBERS] {
    let mut table = [NO_REGISTER; DWARF_NUMBERS];
    let mut index = 0;
    while index < registers.len() {
        if let Some(number) = registers[index].dwarf {
            table[number as usize] = index as u8;
        }
        index += 1;
    }
    table
}

impl Facts {
    pub(crate) fn by_number(&self, number: u16) -> Option<RegisterId> {
        let index = *self.by_dwarf.get(usize::from(number))?;
        (index != NO_REGISTER).then(|| RegisterId::new(index))
    }

    /// A number of up to 8 bytes in the byte order of the target.
    pub(crate) fn number(&self, bytes: &[u8]) -> u64 {
        let mut wide = [0; 8];
        let length = bytes.len().min(8);
        if self.big_endian {
            wide[8 - length..].copy_from_slice(&bytes[..length]);
            u64::from_be_bytes(wide)
        } else {
            wide[..length].copy_from_slice(&bytes[..length]);
            u64::from_le_bytes(wide)
        }
    }

    pub(crate) fn word(&self, bytes: &[u8], offset: usize) -> Option<u64> {
        let size = usize::from(self.pointer_size);
        Some(self.number(bytes.get(offset..offset.checked_add(size)?)?))
    }

    pub(crate) fn registers(&self, arch: Arch, set: &RegisterSet, bytes: &[u8]) -> Option<Registers> {
        let mut registers = Registers::new(arch);
        for (index, &place) in set.places.iter().enumerate() {
            if place != NOWHERE {
                registers.set(RegisterId::new(index as u8), self.word(bytes, usize::from(place))?);
            }
        }
        Some(registers)
    }

    /// Whether registers alone never tell a system call.
    pub(crate) fn calls_need_code(&self) -> bool {
        matches!(self.calls.sign, InCall::AtPc(_) | InCall::BeforePc(_))
    }

    /// Signal frames in a piece of stack: every aligned place is tried.
    pub(crate) fn find_signal_frames(
        &'static self,
        arch: Arch,
        stack: &[u8],
        base: u64,
    ) -> impl Iterator<Item = SignalFrame> {
        let step = usize::from(self.pointer_size);
        let aligned = (base.wrapping_neg() & (step as u64 - 1)) as usize;
        let size = usize::from(self.context.size);
        let count = stack.len().checked_sub(aligned + size).map_or(0, |room| room / step + 1);
        (0..count).filter_map(move |index| {
            let start = aligned + index * step;
            let bytes = stack.get(start..start + size)?;
            let context = base.checked_add(start as u64)?;
            if !(self.looks_like_context)(bytes, context) {
                return None;
            }
            let registers = self.registers(arch, &self.context, bytes)?;
            (registers.sp()? != 0).then_some(SignalFrame { context, registers })
        })
    }

    /// A `ucontext_t` (flags, link, `stack_t` with address, flags and size) that says of the alternate
    /// stack what must be true: that the frame is on it.
    pub(crate) fn is_on_its_stack(&self, bytes: &[u8], address: u64) -> bool {
        let size = usize::from(self.pointer_size);
        let word = |index: usize| self.word(bytes, index * size);
        let (Some(start), Some(length)) = (word(2), word(4)) else { return false };
        // SS_ONSTACK, SS_DISABLE, and SS_AUTODISARM in the highest bit.
        let flags = bytes.get(3 * size..3 * size + 4).map(|bytes| self.number(bytes) & 0x7fff_ffff);
        let plausible = word(1) == Some(0) && start != 0 && flags.is_some_and(|flags| flags <= 2);
        plausible && address.wrapping_sub(start) < length
    }

    fn is_interrupted(&self, result: u64) -> bool {
        let bits = 64 - 8 * u32::from(self.pointer_size);
        INTERRUPTED.contains(&((result << bits) as i64 >> bits))
    }

    /// The system call in progress. `before` and `at` are the code around the pc.
    pub(crate) fn system_call(
        &self,
        registers: &Registers,
        before: &[u8],
        at: &[u8],
    ) -> Option<(i64, [u64; 6])> {
        let calls = &self.calls;
        let result = registers.get(calls.result)?;
        let bits = 64 - 8 * u32::from(self.pointer_size);
        let number = || Some((registers.get(calls.number?)? << bits) as i64 >> bits);
        let number = match &calls.sign {
            InCall::Result => number().filter(|number| *number >= 0 && self.is_interrupted(result)),
            InCall::Trap { register, values } => {
                let trapped = values.contains(&(registers.get(*register)? & !0xf));
                // The sign of an error is a flag on some: both are looked at.
                let interrupted = self.is_interrupted(result) || self.is_interrupted(result.wrapping_neg());
                number().filter(|_| (trapped || values.is_empty()) && interrupted)
            }
            InCall::AtPc(is_call) => number().filter(|_| is_call(at)),
            InCall::BeforePc(number) => number(before, registers).filter(|_| self.is_interrupted(result)),
        }?;
        let mut arguments = [0; 6];
        for (slot, id) in arguments.iter_mut().zip(calls.arguments) {
            *slot = registers.get(id)?;
        }
        Some((number, arguments))
    }

    pub(crate) fn registers_of_blocked(
        &self,
        arch: Arch,
        call: Option<(i64, [u64; 6])>,
        sp: u64,
        pc: u64,
    ) -> Registers {
        let mut registers = Registers::new(arch);
        registers.set(self.sp, sp);
        registers.set(self.pc, pc);
        if let Some((number, arguments)) = call {
            if let Some(id) = self.calls.number {
                registers.set(id, number as u64);
            }
            for (id, value) in self.calls.arguments.into_iter().zip(arguments) {
                registers.set(id, value);
            }
        }
        registers
    }

    /// The kernel gives a new thread the registers of its maker, but 0 as the result of the call.
    pub(crate) fn is_new_thread(&self, registers: &Registers) -> bool {
        let number = self.calls.number.and_then(|id| registers.get(id));
        number.is_some_and(|number| self.calls.clones.contains(&number))
            && registers.get(self.calls.result) == Some(0)
    }
}
