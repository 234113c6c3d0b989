//! 64-bit POWER, little-endian (ELFv2).
//!
//! Sources: "64-Bit ELF V2 ABI Specification" (DWARF numbers, section 2.4; callee-saved registers and the
//! stack frame with its back chain, sections 2.2.1 and 2.2.3), `arch/powerpc/include/uapi/asm/ptrace.h` and
//! `elf.h` (register set), `sigcontext.h` and `arch/powerpc/kernel/signal_64.c` (signal frame), Go's
//! `runtime/signal_ppc64x.go` (names and order).
//!
//! r2 (TOC pointer) is not preserved by calls: the caller restores it, from 24 bytes above its stack
//! pointer.
mod code;
mod layout;
mod table;

pub use table::{LINK, PC, R1, R31, REGISTERS};

use crate::facts::{Facts, FrameRecord, by_dwarf};

pub(crate) static FACTS: Facts = Facts {
    name: "ppc64le",
    elf: (21, true),
    pointer_size: 8,
    big_endian: false,
    registers: &REGISTERS,
    by_dwarf: &by_dwarf(&REGISTERS),
    pc: PC,
    sp: R1,
    fp: R31,
    link: Some(LINK),
    cfa_above_sp: 0,
    code_mask: 0,
    code_mask_register: None,
    frame_records: &[FrameRecord::BackChain { return_address: 16 }],
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
