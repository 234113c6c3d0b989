//! RISC-V, 64-bit (LP64).
//!
//! Sources: RISC-V psABI (DWARF numbers; callee-saved registers and frame pointer, "Integer Calling
//! Convention" and "Frame Pointer Convention"), `arch/riscv/include/uapi/asm/ptrace.h` (register set),
//! `ucontext.h` and `arch/riscv/kernel/signal.c` (signal frame, restarted calls), Go's
//! `runtime/signal_riscv64.go` (names and order).
mod code;
mod layout;
mod table;

pub use table::{PC, RA, REGISTERS, S0, SP};

use crate::facts::{Facts, FrameRecord, by_dwarf};

pub(crate) static FACTS: Facts = Facts {
    name: "riscv64",
    elf: (243, true),
    pointer_size: 8,
    big_endian: false,
    registers: &REGISTERS,
    by_dwarf: &by_dwarf(&REGISTERS),
    pc: PC,
    sp: SP,
    fp: S0,
    link: Some(RA),
    cfa_above_sp: 0,
    code_mask: 0,
    code_mask_register: None,
    frame_records: &[FrameRecord::Pointer { caller_fp: -16, return_address: -8, caller_sp: 0, exact: true }],
    prstatus: layout::PRSTATUS,
    context: layout::CONTEXT,
    plain_context: layout::CONTEXT,
    extra: None,
    looks_like_context: layout::looks_like_context,
    trampoline: code::trampoline,
    trampolines_have_rules: false,
    call_before: code::call_before,
    entry_state: code::entry_state,
    may_move_sp: code::may_move_sp,
    calls: layout::CALLS,
};

#[cfg(test)]
mod tests;
