//! 32-bit ARM, EABI (AAPCS32).
//!
//! Sources: "DWARF for the Arm Architecture" (numbers, section 4.1), "Procedure Call Standard for the Arm
//! Architecture" (callee-saved registers, frame records, sections 6.1.1 and 6.2.1.4),
//! `arch/arm/include/uapi/asm/ptrace.h` (register set), `sigcontext.h` and `arch/arm/kernel/signal.c`
//! (signal frames, restarted calls), Go's `runtime/signal_arm.go` (names and order).
//!
//! The lowest bit of a return address says that the code is Thumb.
mod code;
mod layout;
mod table;

pub use table::{FP, LR, PC, REGISTERS, SP};

use crate::facts::{Facts, FrameRecord, by_dwarf};

pub(crate) static FACTS: Facts = Facts {
    name: "arm",
    elf: (40, false),
    pointer_size: 4,
    big_endian: false,
    registers: &REGISTERS,
    by_dwarf: &by_dwarf(&REGISTERS),
    pc: PC,
    sp: SP,
    fp: FP,
    link: Some(LR),
    cfa_above_sp: 0,
    code_mask: 1,
    code_mask_register: None,
    frame_records: &[
        // AAPCS; then the older form of GCC, where the frame pointer is at the return address.
        FrameRecord::Pointer { caller_fp: 0, return_address: 4, caller_sp: 8, exact: false },
        FrameRecord::Pointer { caller_fp: -4, return_address: 0, caller_sp: 4, exact: true },
    ],
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
