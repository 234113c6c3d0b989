//! AArch64 (AAPCS64).
//!
//! Sources: "DWARF for the Arm 64-bit Architecture" (numbers, section 4.1), "Procedure Call Standard for
//! the Arm 64-bit Architecture" (callee-saved registers, frame records, sections 6.1.1 and 6.4.6),
//! `arch/arm64/include/uapi/asm/ptrace.h` (register set, `user_pac_mask`), `sigcontext.h` and
//! `arch/arm64/kernel/signal.c` (signal frame, restarted calls), Go's `runtime/signal_arm64.go` (names
//! and order).
//!
//! Return addresses may be signed (pointer authentication): the bits between the size of the address space
//! and bit 55 hold the signature. The kernel tells them; where it does not, those of 48-bit addresses
//! are taken (`ptrauth_user_pac_mask` in `arch/arm64/include/asm/pointer_auth.h`).
mod code;
mod layout;
mod table;

pub use table::{FP, LR, PAC_MASK, PC, REGISTERS, SP};

use crate::facts::{Facts, FrameRecord, by_dwarf};

pub(crate) static FACTS: Facts = Facts {
    name: "aarch64",
    elf: (183, true),
    pointer_size: 8,
    big_endian: false,
    registers: &REGISTERS,
    by_dwarf: &by_dwarf(&REGISTERS),
    pc: PC,
    sp: SP,
    fp: FP,
    link: Some(LR),
    cfa_above_sp: 0,
    code_mask: 0x007f_0000_0000_0000,
    code_mask_register: Some(PAC_MASK),
    frame_records: &[FrameRecord::Pointer { caller_fp: 0, return_address: 8, caller_sp: 16, exact: false }],
    prstatus: layout::PRSTATUS,
    context: layout::CONTEXT,
    plain_context: layout::CONTEXT,
    extra: Some((layout::NT_ARM_PAC_MASK, layout::PAC_MASKS)),
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
