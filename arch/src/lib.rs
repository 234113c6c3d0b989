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

mod registers;
pub mod x86_64;

pub use registers::{MAX_REGISTERS, RegisterId, RegisterInfo, Registers};

/// A processor architecture of a target. Addresses are 64 bits wide in every API; narrower
/// architectures are zero-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// x86_64 with 64-bit pointers (System V ABI, AMD64 supplement).
    X86_64,
}

/// The architecture this program itself runs on, where it is one we know.
#[cfg(target_arch = "x86_64")]
pub const NATIVE: Option<Arch> = Some(Arch::X86_64);
/// The architecture this program itself runs on, where it is one we know.
#[cfg(not(target_arch = "x86_64"))]
pub const NATIVE: Option<Arch> = None;

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
    /// Processor time spent in the program, seconds and microseconds of 8 bytes each.
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
    /// The name used in reports (`uname -m` spelling).
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
        }
    }

    /// The architecture of an ELF file, from `e_machine` and whether it is of class 64.
    pub const fn from_elf(machine: u16, class_64: bool) -> Option<Arch> {
        match (machine, class_64) {
            (62, true) => Some(Arch::X86_64), // EM_X86_64; class 32 is the x32 ABI
            _ => None,
        }
    }

    /// Size of a pointer in bytes.
    pub const fn pointer_size(self) -> u8 {
        match self {
            Arch::X86_64 => 8,
        }
    }

    /// All registers we record, in the order in which a dump prints them.
    pub const fn registers(self) -> &'static [RegisterInfo] {
        match self {
            Arch::X86_64 => &x86_64::REGISTERS,
        }
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
        match self {
            Arch::X86_64 => x86_64::from_dwarf(number),
        }
    }

    /// The program counter.
    pub const fn pc(self) -> RegisterId {
        match self {
            Arch::X86_64 => x86_64::RIP,
        }
    }

    /// The stack pointer.
    pub const fn sp(self) -> RegisterId {
        match self {
            Arch::X86_64 => x86_64::RSP,
        }
    }

    /// The register compilers use as frame pointer.
    pub const fn fp(self) -> RegisterId {
        match self {
            Arch::X86_64 => x86_64::RBP,
        }
    }

    /// Registers from the bytes of `NT_PRSTATUS` as `PTRACE_GETREGSET` gives them. `None` if the
    /// length is not this architecture's: the target then runs in another mode.
    pub fn registers_from_prstatus(self, bytes: &[u8]) -> Option<Registers> {
        match self {
            Arch::X86_64 => x86_64::registers_from_prstatus(bytes),
        }
    }

    /// The form of a core file's notes about threads.
    pub const fn core_layout(self) -> &'static CoreLayout {
        match self {
            Arch::X86_64 => &x86_64::CORE_LAYOUT,
        }
    }

    /// What ends right before a possible return address. `before` are the code bytes that precede
    /// it, the last byte being the one at `address - 1`; [`Arch::MAX_CALL`] bytes are enough.
    pub fn call_before(self, before: &[u8]) -> CallBefore {
        match self {
            Arch::X86_64 => x86_64::call_before(before),
        }
    }

    /// The most code bytes [`Arch::call_before`] looks at.
    pub const MAX_CALL: usize = 8;

    /// Whether the pc is where a prologue or epilogue leaves the frame pointer at the caller's.
    /// `before` are the bytes before the pc ([`Arch::MAX_CALL`] are enough), `at` those from it on
    /// ([`Arch::TRAMPOLINE`] are enough).
    pub fn entry_state(self, before: &[u8], at: &[u8]) -> EntryState {
        match self {
            Arch::X86_64 => x86_64::entry_state(before, at),
        }
    }

    /// Whether this stretch of code may change the stack pointer. `true` if in doubt.
    pub fn may_move_sp(self, code: &[u8]) -> bool {
        match self {
            Arch::X86_64 => x86_64::may_move_sp(code),
        }
    }

    /// Whether these code bytes are the signal trampoline (the code a signal handler returns to).
    /// [`Arch::TRAMPOLINE`] bytes are enough.
    pub fn is_signal_trampoline(self, code: &[u8]) -> bool {
        match self {
            Arch::X86_64 => x86_64::is_signal_trampoline(code),
        }
    }

    /// The most code bytes [`Arch::is_signal_trampoline`] looks at.
    pub const TRAMPOLINE: usize = 16;

    /// Where the kernel's saved context lies when the pc is at the signal trampoline.
    pub const fn signal_context(self, sp: u64) -> u64 {
        match self {
            Arch::X86_64 => sp,
        }
    }

    /// Bytes of saved context that [`Arch::registers_from_signal_context`] wants.
    pub const fn signal_context_size(self) -> usize {
        match self {
            Arch::X86_64 => x86_64::UCONTEXT_SIZE,
        }
    }

    /// The interrupted registers, from the bytes of the saved context (`ucontext_t`).
    pub fn registers_from_signal_context(self, bytes: &[u8]) -> Option<Registers> {
        match self {
            Arch::X86_64 => x86_64::registers_from_ucontext(bytes),
        }
    }

    /// Finds frames that the kernel pushed for signal handlers in a piece of stack, without any
    /// unwinding: by the layout alone. `base` is the process address of `stack[0]`. Used to learn
    /// which other stacks a thread that runs on an alternate signal stack has. May miss a frame
    /// that is cut by the end of the piece; a false match costs only a useless copy.
    pub fn find_signal_frames(self, stack: &[u8], base: u64) -> impl Iterator<Item = SignalFrame> {
        match self {
            Arch::X86_64 => x86_64::find_signal_frames(stack, base),
        }
    }

    /// The registers of a blocked thread as far as `/proc/TID/syscall` tells them: stack pointer, program
    /// counter, and in a system call its number and arguments. A system call leaves all of them as the
    /// program had set them.
    pub fn registers_of_blocked(self, call: Option<(i64, [u64; 6])>, sp: u64, pc: u64) -> Registers {
        match self {
            Arch::X86_64 => x86_64::registers_of_blocked(call, sp, pc),
        }
    }

    /// The system call a thread is in, if its registers say so: number and the six arguments.
    pub fn system_call(self, registers: &Registers) -> Option<(i64, [u64; 6])> {
        match self {
            Arch::X86_64 => x86_64::system_call(registers),
        }
    }

    /// Whether these are the registers of a thread that has not run since it was made, as far as
    /// they can say so: what it was given as a stack holds no caller.
    pub fn is_new_thread(self, registers: &Registers) -> bool {
        match self {
            Arch::X86_64 => x86_64::is_new_thread(registers),
        }
    }
}
