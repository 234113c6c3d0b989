//! x86_64, System V ABI.
//!
//! Sources: psABI AMD64 supplement (DWARF numbers, figure 3.36; callee-saved, section 3.2.1),
//! `arch/x86/include/uapi/asm/ptrace-abi.h` (register set), `arch/x86/include/uapi/asm/sigcontext.h`
//! and `ucontext.h` (signal frame), Go's `runtime/signal_linux_amd64.go` (names and order).
pub(crate) mod code;
mod layout;
mod table;

pub use table::{RBP, REGISTERS, RIP, RSP};

use crate::facts::{Facts, FrameRecord, by_dwarf};

pub(crate) static FACTS: Facts = Facts {
    name: "x86_64",
    elf: (62, true),
    pointer_size: 8,
    big_endian: false,
    registers: &REGISTERS,
    by_dwarf: &by_dwarf(&REGISTERS),
    pc: RIP,
    sp: RSP,
    fp: RBP,
    link: None,
    cfa_above_sp: 0,
    code_mask: 0,
    code_mask_register: None,
    frame_records: &[FrameRecord::Pointer { caller_fp: 0, return_address: 8, caller_sp: 16, exact: true }],
    prstatus: layout::PRSTATUS,
    context: layout::CONTEXT,
    plain_context: layout::CONTEXT,
    extra: None,
    looks_like_context: layout::looks_like_context,
    trampoline: code::trampoline,
    trampolines_have_rules: true,
    call_before: code::call_before,
    entry_state: code::entry_state,
    may_move_sp: code::may_move_sp,
    calls: layout::CALLS,
};

#[cfg(test)]
mod tests;
