//! LoongArch, 64-bit (LP64).
//!
//! Sources: "ELF for the LoongArch Architecture" (DWARF numbers), "LoongArch Procedure Call Standard"
//! (callee-saved registers, frame pointer), `arch/loongarch/include/uapi/asm/ptrace.h` (register set),
//! `sigcontext.h`, `ucontext.h` and `arch/loongarch/kernel/signal.c` (signal frame), Go's
//! `runtime/signal_loong64.go` (names and order).
mod code;
mod layout;
mod table;

pub use table::{PC, R1, R3, R22, REGISTERS};

use crate::facts::{Facts, FrameRecord, by_dwarf};

pub(crate) static FACTS: Facts = Facts {
    name: "loongarch64",
    elf: (258, true),
    pointer_size: 8,
    big_endian: false,
    registers: &REGISTERS,
    by_dwarf: &by_dwarf(&REGISTERS),
    pc: PC,
    sp: R3,
    fp: R22,
    link: Some(R1),
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
