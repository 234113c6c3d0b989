//! z/Architecture, 64-bit, big-endian.
//!
//! Sources: "zSeries ELF Application Binary Interface Supplement" (DWARF numbers, table 1.20; callee-saved
//! registers, section 1.2.1; the stack frame, section 1.2.2), `arch/s390/include/uapi/asm/ptrace.h` (register
//! set), `sigcontext.h`, `ucontext.h` and `arch/s390/kernel/signal.c` (signal frames), Go's
//! `runtime/signal_linux_s390x.go` (names and order).
//!
//! The canonical frame address is 160 bytes above the caller's stack pointer: those belong to the called
//! function. A back chain is there only in code that was asked for one.
mod code;
mod layout;
mod table;

pub use table::{PC, R11, R14, R15, REGISTERS};

use crate::facts::{Facts, FrameRecord, by_dwarf};

pub(crate) static FACTS: Facts = Facts {
    name: "s390x",
    elf: (22, true),
    pointer_size: 8,
    big_endian: true,
    registers: &REGISTERS,
    by_dwarf: &by_dwarf(&REGISTERS),
    pc: PC,
    sp: R15,
    fp: R11,
    link: Some(R14),
    cfa_above_sp: 160,
    code_mask: 0,
    code_mask_register: None,
    frame_records: &[FrameRecord::BackChain { return_address: 112 }],
    prstatus: layout::PRSTATUS,
    context: layout::CONTEXT,
    plain_context: layout::PLAIN,
    extra: Some((layout::NT_PRFPREG, layout::FLOATING)),
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
