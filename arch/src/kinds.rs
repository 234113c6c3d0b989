//! What is said of code, notes and signal frames.
use crate::Registers;

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
    /// What [`crate::Arch::registers_from_prstatus`] wants.
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
