//! What a signal has interrupted, from what the kernel gave its handler.
use threaddump_arch::{Arch, Registers};

use super::Interrupted;
use super::memory::Memory;
use crate::snapshot::SignalFacts;

/// Signals whose `si_addr` is an address: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV.
const WITH_ADDRESS: [i32; 5] = [4, 5, 7, 8, 11];

/// The interrupted registers.
pub(super) fn registers(memory: &Memory, arch: Arch, thread: &Interrupted) -> Option<Registers> {
    let mut bytes = vec![0; arch.signal_context_size()];
    (memory.read(thread.context, &mut bytes) == bytes.len()).then_some(())?;
    arch.registers_from_signal_context(&bytes)
}

/// The signal (sigaction(2), `siginfo_t`).
pub(super) fn signal(memory: &Memory, arch: Arch, thread: &Interrupted) -> Option<SignalFacts> {
    let mut bytes = [0; 24];
    (memory.read(thread.info, &mut bytes) == bytes.len()).then_some(())?;
    let (words, _) = bytes.as_chunks::<4>();
    let number = i32::from_le_bytes(words[0]);
    let code = i32::from_le_bytes(words[2]);
    let word = |index: usize| u64::from(u32::from_le_bytes(words[index]));
    // After three numbers, aligned to a pointer.
    let address = if arch.pointer_size() == 8 { word(4) | word(5) << 32 } else { word(3) };
    // Who sends a signal has no address to give.
    let has_address = code > 0 && WITH_ADDRESS.contains(&number);
    Some(SignalFacts {
        number,
        code: Some(code),
        address: has_address.then_some(address),
        tid: Some(thread.tid),
    })
}
