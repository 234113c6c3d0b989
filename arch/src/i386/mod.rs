//! 32-bit x86, System V ABI.
//!
//! Sources: psABI Intel386 supplement (DWARF numbers, table 2.14; callee-saved, section 2.2.1),
//! `arch/x86/include/asm/user_32.h` (register set), `arch/x86/include/uapi/asm/sigcontext.h` and
//! `arch/x86/include/asm/sigframe.h` (signal frames), Go's `runtime/signal_linux_386.go` (names and
//! order).
mod code;
mod layout;
mod table;

pub use table::{EBP, EIP, ESP, REGISTERS};

use crate::facts::{Facts, FrameRecord, by_dwarf};

pub(crate) static FACTS: Facts = Facts {
    name: "i386",
    elf: (3, false),
    pointer_size: 4,
    big_endian: false,
    registers: &REGISTERS,
    by_dwarf: &by_dwarf(&REGISTERS),
    pc: EIP,
    sp: ESP,
    fp: EBP,
    link: None,
    cfa_above_sp: 0,
    code_mask: 0,
    code_mask_register: None,
    frame_records: &[FrameRecord::Pointer { caller_fp: 0, return_address: 4, caller_sp: 8, exact: true }],
    prstatus: layout::PRSTATUS,
    context: layout::CONTEXT,
    plain_context: layout::PLAIN,
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
