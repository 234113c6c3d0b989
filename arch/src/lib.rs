//! What differs between processor architectures, as data.
//!
//! The caller supplies bytes (a `NT_PRSTATUS` register set, a signal frame, the code before a
//! return address); this crate gives registers by name and DWARF number, the order in which a dump
//! prints them, and what the bytes mean. It reads no memory, knows no DWARF beyond register
//! numbers, and compiles every architecture on every host.
//!
//! ```
//! use threaddump_arch::Arch;
//!
//! let arch = Arch::X86_64;
//! let rip = arch.pc();
//! let mut registers = threaddump_arch::Registers::new(arch);
//! assert_eq!(registers.get(rip), None, "nothing is known until it is set");
//! registers.set(rip, 0x40_1000);
//! assert_eq!(arch.info(rip).name, "rip");
//! assert_eq!(registers.pc(), Some(0x40_1000));
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod facts;
mod registers;
mod signals;

pub mod aarch64;
pub mod arm;
pub mod i386;
pub mod loongarch64;
pub mod ppc64le;
pub mod riscv64;
pub mod s390x;
pub mod x86_64;

pub use facts::{FrameRecord, Trampoline};
pub use registers::{MAX_REGISTERS, RegisterId, RegisterInfo, Registers};
pub use signals::SIGNALS;

use facts::Facts;

/// A processor architecture of a target. Addresses are 64 bits wide in every API; narrower
/// architectures are zero-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// x86_64 with 64-bit pointers (System V ABI, AMD64 supplement).
    X86_64,
    /// 32-bit x86 (System V ABI, Intel386 supplement).
    I386,
    /// AArch64, 64-bit pointers, little-endian (AAPCS64).
    Aarch64,
    /// 32-bit ARM, EABI, little-endian (AAPCS32), in ARM and Thumb code.
    Arm,
    /// RISC-V with 64-bit pointers (LP64).
    Riscv64,
    /// 64-bit POWER, little-endian (ELFv2).
    Ppc64le,
    /// z/Architecture, 64-bit, big-endian.
    S390x,
    /// LoongArch with 64-bit pointers (LP64).
    Loongarch64,
}

/// The architecture this program itself runs on, where it is one we know.
pub const NATIVE: Option<Arch> = native();

const fn native() -> Option<Arch> {
    let little = cfg!(target_endian = "little");
    let wide = cfg!(target_pointer_width = "64");
    if cfg!(target_arch = "x86_64") && wide {
        Some(Arch::X86_64)
    } else if cfg!(target_arch = "x86") {
        Some(Arch::I386)
    } else if cfg!(target_arch = "aarch64") && little && wide {
        Some(Arch::Aarch64)
    } else if cfg!(target_arch = "arm") && little {
        Some(Arch::Arm)
    } else if cfg!(target_arch = "riscv64") {
        Some(Arch::Riscv64)
    } else if cfg!(target_arch = "powerpc64") && little {
        Some(Arch::Ppc64le)
    } else if cfg!(target_arch = "s390x") {
        Some(Arch::S390x)
    } else if cfg!(target_arch = "loongarch64") {
        Some(Arch::Loongarch64)
    } else {
        None
    }
}

/// What stands before an address that might be a return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallBefore {
    /// No call instruction ends there.
    None,
    /// A call through a register or memory ends there; its target is not in the code bytes.
    Indirect,
    /// A direct call ends there; the value is its target relative to the return address.
    Direct(i64),
}

/// What the instruction at the pc says about the stack pointer, in code that keeps frame pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// The function has just been entered or is about to return: the return address is on top of
    /// the stack and the frame pointer is the caller's.
    ReturnOnTop,
    /// The caller's frame pointer has been pushed, the own one not been set: the return address is
    /// the second word of the stack.
    FramePointerOnTop,
    /// The function has just been entered or is about to return: the return address is in the link
    /// register, and the stack pointer and the frame pointer are the caller's.
    ReturnInLink,
    /// The function takes these registers (a bit for each DWARF number) from the top of the stack, the lowest number first,
    /// and returns to the link register.
    PopsThenLink(u16),
    /// Anything else.
    Unknown,
}

/// Where a core file's note about a thread (`struct elf_prstatus`) has what; all in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreLayout {
    /// The signal that was being delivered, 2 bytes.
    pub signal: usize,
    /// The thread id, 4 bytes.
    pub tid: usize,
    /// Processor time spent in the program, seconds and microseconds of a word each.
    pub user_time: usize,
    /// Processor time spent in the kernel.
    pub system_time: usize,
    /// What [`Arch::registers_from_prstatus`] wants.
    pub registers: usize,
    /// Size of that.
    pub registers_size: usize,
}

/// The interrupted registers and the place of the frame the kernel pushed for a signal handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalFrame {
    /// Process address of the saved context.
    pub context: u64,
    /// Registers of the interrupted code.
    pub registers: Registers,
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Arch; 8] = [
        Arch::X86_64,
        Arch::I386,
        Arch::Aarch64,
        Arch::Arm,
        Arch::Riscv64,
        Arch::Ppc64le,
        Arch::S390x,
        Arch::Loongarch64,
    ];

    const fn facts(self) -> &'static Facts {
        match self {
            Arch::X86_64 => &x86_64::FACTS,
            Arch::I386 => &i386::FACTS,
            Arch::Aarch64 => &aarch64::FACTS,
            Arch::Arm => &arm::FACTS,
            Arch::Riscv64 => &riscv64::FACTS,
            Arch::Ppc64le => &ppc64le::FACTS,
            Arch::S390x => &s390x::FACTS,
            Arch::Loongarch64 => &loongarch64::FACTS,
        }
    }

    /// The name used in reports (`uname -m` spelling).
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The architecture with this [`Arch::name`].
    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// The architecture of an ELF file, from `e_machine` and whether it is of class 64. The byte order
    /// of the file has to be [`Arch::is_big_endian`] too: 64-bit POWER, for one, has both.
    pub fn from_elf(machine: u16, class_64: bool) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.facts().elf == (machine, class_64))
    }

    /// `e_machine` of its ELF files.
    pub const fn elf_machine(self) -> u16 {
        self.facts().elf.0
    }

    /// Size of a pointer in bytes.
    pub const fn pointer_size(self) -> u8 {
        self.facts().pointer_size
    }

    /// Whether the first byte of a number in memory is its highest.
    pub const fn is_big_endian(self) -> bool {
        self.facts().big_endian
    }

    /// The number that up to 8 bytes of memory stand for.
    pub fn number(self, bytes: &[u8]) -> u64 {
        self.facts().number(bytes)
    }

    /// All registers we record, in the order in which a dump prints them.
    pub const fn registers(self) -> &'static [RegisterInfo] {
        self.facts().registers
    }

    /// The table entry of a register of this architecture.
    pub fn info(self, id: RegisterId) -> &'static RegisterInfo {
        &self.registers()[id.index()]
    }

    /// All register ids with their table entries, in print order.
    pub fn iter(self) -> impl Iterator<Item = (RegisterId, &'static RegisterInfo)> {
        self.registers().iter().enumerate().map(|(index, info)| (RegisterId::new(index as u8), info))
    }

    /// The register with this DWARF number (ABI document of the architecture).
    pub fn from_dwarf(self, number: u16) -> Option<RegisterId> {
        self.facts().by_number(number)
    }

    /// The program counter.
    pub const fn pc(self) -> RegisterId {
        self.facts().pc
    }

    /// The stack pointer.
    pub const fn sp(self) -> RegisterId {
        self.facts().sp
    }

    /// The register compilers use as frame pointer.
    pub const fn fp(self) -> RegisterId {
        self.facts().fp
    }

    /// The register in which a call leaves its return address, if it does not push it.
    pub const fn link(self) -> Option<RegisterId> {
        self.facts().link
    }

    /// The canonical frame address minus the stack pointer of the caller, in bytes.
    pub const fn cfa_above_sp(self) -> u64 {
        self.facts().cfa_above_sp as u64
    }

    /// The address in a return address: without what signs it and without what says the mode of the
    /// code. `registers` are those of the frame it was found in.
    pub fn strip_return_address(self, address: u64, registers: &Registers) -> u64 {
        let facts = self.facts();
        let known = facts.code_mask_register.and_then(|id| registers.get(id));
        address & !known.unwrap_or(facts.code_mask)
    }

    /// The pseudo-register with the bits of a return address that sign it, where there is one
    /// (`NT_ARM_PAC_MASK`).
    pub const fn code_mask_register(self) -> Option<RegisterId> {
        self.facts().code_mask_register
    }

    /// How chains of frames are laid out; the first that fits counts.
    pub const fn frame_records(self) -> &'static [FrameRecord] {
        self.facts().frame_records
    }

    /// Registers from the bytes of `NT_PRSTATUS` as `PTRACE_GETREGSET` gives them. `None` if the
    /// length is not this architecture's: the target then runs in another mode. (Lengths do not tell
    /// all architectures apart: x86_64 and s390x have the same.)
    pub fn registers_from_prstatus(self, bytes: &[u8]) -> Option<Registers> {
        let facts = self.facts();
        let right = bytes.len() == usize::from(facts.prstatus.size);
        right.then(|| facts.registers(self, &facts.prstatus, bytes)).flatten()
    }

    /// Bytes of the registers in `NT_PRSTATUS`.
    pub const fn prstatus_size(self) -> usize {
        self.facts().prstatus.size as usize
    }

    /// The type of another note (`NT_*`) of a thread with registers of the table; its bytes are for
    /// [`Arch::add_extra_registers`].
    pub fn extra_note(self) -> Option<u32> {
        self.facts().extra.as_ref().map(|(note, _)| *note)
    }

    /// Adds what the bytes of that note say. Bytes of another length say nothing.
    pub fn add_extra_registers(self, registers: &mut Registers, bytes: &[u8]) {
        let facts = self.facts();
        let Some((_, set)) = facts.extra.as_ref().filter(|(_, set)| bytes.len() == usize::from(set.size))
        else {
            return;
        };
        let added = facts.registers(self, set, bytes);
        for (id, _, value) in added.iter().flat_map(Registers::iter) {
            registers.set(id, value);
        }
    }

    /// The form of a core file's notes about threads.
    pub const fn core_layout(self) -> CoreLayout {
        // `struct elf_prstatus` (`include/linux/elfcore.h`): signal information of three numbers, the signal,
        // two masks of a word, four ids, four times of two words, the registers.
        let word = self.pointer_size() as usize;
        let ids = 16 + 2 * word;
        let times = ids + 16;
        CoreLayout {
            signal: 12,
            tid: ids,
            user_time: times,
            system_time: times + 2 * word,
            registers: times + 8 * word,
            registers_size: self.prstatus_size(),
        }
    }

    /// What ends right before a possible return address. `before` are the code bytes that precede
    /// it, the last byte being the one at `address - 1`; [`Arch::MAX_CALL`] bytes are enough.
    pub fn call_before(self, before: &[u8]) -> CallBefore {
        (self.facts().call_before)(before)
    }

    /// The most code bytes [`Arch::call_before`] looks at.
    pub const MAX_CALL: usize = 8;

    /// Whether the pc is where a prologue or epilogue leaves the frame pointer at the caller's.
    /// `before` are the bytes before the pc ([`Arch::MAX_CALL`] are enough), `at` those from it on
    /// ([`Arch::TRAMPOLINE`] are enough).
    pub fn entry_state(self, before: &[u8], at: &[u8]) -> EntryState {
        (self.facts().entry_state)(before, at)
    }

    /// Whether this stretch of code may change the stack pointer, or the link register where there is
    /// one. `true` if in doubt.
    pub fn may_move_sp(self, code: &[u8]) -> bool {
        (self.facts().may_move_sp)(code)
    }

    /// Whether these code bytes are the signal trampoline (the code a signal handler returns to).
    /// [`Arch::TRAMPOLINE`] bytes are enough.
    pub fn is_signal_trampoline(self, code: &[u8]) -> bool {
        self.signal_trampoline(code).is_some()
    }

    /// The signal trampoline that begins with these code bytes, and where the kernel's saved context
    /// lies when the pc is there.
    pub fn signal_trampoline(self, code: &[u8]) -> Option<Trampoline> {
        (self.facts().trampoline)(code)
    }

    /// Whether the unwind rules of a signal trampoline, where there are any, lead to the interrupted
    /// code. Those in the vDSO of most architectures say no more than that it is one.
    pub const fn trampolines_have_rules(self) -> bool {
        self.facts().trampolines_have_rules
    }

    /// The most code bytes [`Arch::is_signal_trampoline`] looks at.
    pub const TRAMPOLINE: usize = 16;

    /// Bytes of saved context that [`Arch::registers_from_signal_context`] wants.
    pub const fn signal_context_size(self) -> usize {
        self.facts().context.size as usize
    }

    /// The interrupted registers, from the bytes of the saved context (`ucontext_t`).
    pub fn registers_from_signal_context(self, bytes: &[u8]) -> Option<Registers> {
        let facts = self.facts();
        facts.registers(self, &facts.context, bytes)
    }

    /// The same for what lies where a trampoline says ([`Arch::signal_context_size`] bytes are enough).
    pub fn registers_from_trampoline(self, trampoline: Trampoline, bytes: &[u8]) -> Option<Registers> {
        let facts = self.facts();
        let set = if trampoline.plain { &facts.plain_context } else { &facts.context };
        facts.registers(self, set, bytes)
    }

    /// Finds frames that the kernel pushed for signal handlers in a piece of stack, without any
    /// unwinding: by the layout alone. `base` is the process address of `stack[0]`. Used to learn
    /// which other stacks a thread that runs on an alternate signal stack has. May miss a frame
    /// that is cut by the end of the piece; a false match costs only a useless copy.
    pub fn find_signal_frames(self, stack: &[u8], base: u64) -> impl Iterator<Item = SignalFrame> {
        self.facts().find_signal_frames(self, stack, base)
    }

    /// The registers of a blocked thread as far as `/proc/TID/syscall` tells them: stack pointer, program
    /// counter, and in a system call its number and arguments. A system call leaves all of them as the
    /// program had set them.
    pub fn registers_of_blocked(self, call: Option<(i64, [u64; 6])>, sp: u64, pc: u64) -> Registers {
        self.facts().registers_of_blocked(self, call, sp, pc)
    }

    /// The system call a thread is in, if its registers say so: number and the six arguments. On some
    /// architectures registers alone never do ([`Arch::system_call_in`]).
    pub fn system_call(self, registers: &Registers) -> Option<(i64, [u64; 6])> {
        self.system_call_in(registers, &[], &[])
    }

    /// The same, with the code before the pc and from it on ([`Arch::MAX_CALL`] bytes each are
    /// enough): the kernel may have set the thread back to the instruction that makes the call.
    pub fn system_call_in(self, registers: &Registers, before: &[u8], at: &[u8]) -> Option<(i64, [u64; 6])> {
        self.facts().system_call(registers, before, at)
    }

    /// Whether [`Arch::system_call`] can never tell without code.
    pub fn system_calls_need_code(self) -> bool {
        self.facts().calls_need_code()
    }

    /// Whether these are the registers of a thread that has not run since it was made, as far as
    /// they can say so: what it was given as a stack holds no caller.
    pub fn is_new_thread(self, registers: &Registers) -> bool {
        self.facts().is_new_thread(registers)
    }
}
