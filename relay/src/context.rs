//! Registers as the kernel saved them for a signal handler.
use threaddump_arch::{NATIVE, Registers};

use crate::memory::Memory;

/// More than any context has of general registers.
const MAX: usize = 512;

/// The interrupted registers, from the `ucontext_t` at an address.
pub(crate) fn registers(memory: &mut Memory, context: u64) -> Option<Registers> {
    let arch = NATIVE?;
    let mut bytes = [0; MAX];
    let bytes = bytes.get_mut(..arch.signal_context_size())?;
    if !memory.read(context, bytes) {
        return None;
    }
    let mut registers = arch.registers_from_signal_context(bytes)?;
    for &(name, place) in SELECTORS {
        let word = bytes.get(place..)?.first_chunk().map(|word| u64::from(u16::from_le_bytes(*word)))?;
        let id = arch.iter().find(|(_, info)| info.name == name).map(|(id, _)| id)?;
        registers.set(id, word);
    }
    Some(registers)
}

/// Segment selectors that share a word of `ucontext_t`, the 24th, and their places in it.
const SELECTORS: &[(&str, usize)] =
    if cfg!(target_arch = "x86_64") { &[("cs", 184), ("gs", 186), ("fs", 188)] } else { &[] };
