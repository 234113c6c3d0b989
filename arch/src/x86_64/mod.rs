//! x86_64, System V ABI.
//!
//! Sources: psABI AMD64 supplement (DWARF numbers, figure 3.36; callee-saved, section 3.2.1),
//! `arch/x86/include/uapi/asm/ptrace-abi.h` (register set), `arch/x86/include/uapi/asm/sigcontext.h`
//! and `ucontext.h` (signal frame), Go's `runtime/signal_linux_amd64.go` (names and order).
mod code;
mod layout;
mod table;

pub use code::{call_before, entry_state, is_signal_trampoline, may_move_sp};
pub use layout::{
    CORE_LAYOUT, UCONTEXT_SIZE, find_signal_frames, is_new_thread, registers_from_prstatus,
    registers_from_ucontext, registers_of_blocked, system_call,
};
pub use table::{RBP, REGISTERS, RIP, RSP, from_dwarf};

#[cfg(test)]
mod tests;
