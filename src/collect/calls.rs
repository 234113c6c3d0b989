//! The system call a thread is in, by its registers and the code it stands in.
use threaddump_arch::{Arch, Registers};

use super::memory::ReadMemory;
use crate::snapshot::Syscall;

/// Where the registers alone do not tell it, the code around the pc is read.
pub(super) fn system_call(registers: &Registers, memory: &dyn ReadMemory) -> Option<Syscall> {
    let arch = registers.arch();
    let mut code = [0; 2 * Arch::MAX_CALL];
    let mut length = 0;
    if arch.system_calls_need_code()
        && let Some(start) = registers.pc().and_then(|pc| pc.checked_sub(Arch::MAX_CALL as u64))
    {
        length = memory.read(start, &mut code);
    }
    let (before, at) = code[..length].split_at(length.min(Arch::MAX_CALL));
    let call = arch.system_call_in(registers, before, at);
    call.map(|(number, args)| Syscall { number, args })
}
