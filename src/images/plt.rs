//! Names for stubs of the procedure linkage table, which no symbol table holds.
//!
//! A stub jumps through a slot of the global offset table, and a relocation of that slot names the
//! function (System V ABI, AMD64 supplement, section 5.2). Lazily bound stubs of a table for
//! indirect branch tracking only push the index of that relocation. Stubs of other architectures are not
//! known here.
use std::cell::Cell;

use object::elf::{R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT};

use threaddump_arch::Arch;

use super::elf::{Elf, Section};

/// Bytes of a stub; `.plt.got` of some linkers has stubs of 8, which fit the search as well.
const STUB: u64 = 16;
const RELA_SIZE: usize = 24;
const SYMBOL_SIZE: usize = 24;
const SHT_RELA: u32 = 4;
/// Longest name given, in bytes.
const MAX_NAME: usize = 4096;

/// Relocations and sections that all lookups in one object may look at together; the largest have
/// a million.
pub(super) const WORK: u64 = 1 << 25;

/// The function a stub at this file address calls: its name and the start of the stub. Takes what
/// it looks at from `work`.
pub(super) fn target<'s>(elf: &Elf<'s>, address: u64, work: &Cell<u64>) -> Option<(&'s [u8], u64)> {
    if elf.arch != Arch::X86_64 {
        return None;
    }
    spend(work, elf.sections.len())?;
    let table = elf.sections.iter().find(|section| {
        matches!(section.name, b".plt" | b".plt.sec" | b".plt.got") && holds(section, address)
    })?;
    let size = if table.name == b".plt.got" { STUB / 2 } else { STUB };
    let start = address - (address - table.address) % size;
    let (code, _) = elf.at_address(start)?;
    let code = code.get(..usize::try_from(size).ok()?)?;
    let name = match (slot(code, start), pushed(code)) {
        (Some(slot), _) => relocation(elf, work, |place, _, _| place == slot)?,
        (None, Some(wanted)) => relocation(elf, work, |_, index, lazy| {
            lazy && index == usize::try_from(wanted).unwrap_or(usize::MAX)
        })?,
        (None, None) => return None,
    };
    Some((name, start))
}

fn holds(section: &Section<'_>, address: u64) -> bool {
    address.checked_sub(section.address).is_some_and(|inside| inside < section.size)
}

/// `jmp *displacement(%rip)`: the address of the slot.
fn slot(code: &[u8], start: u64) -> Option<u64> {
    let at = code.windows(2).position(|pair| pair == [0xff, 0x25])?;
    let displacement = i32::from_le_bytes(*code.get(at + 2..)?.first_chunk()?);
    start.checked_add(at as u64 + 6)?.checked_add_signed(i64::from(displacement))
}

/// `endbr64; push $index`: the index into the relocations of `.plt`.
fn pushed(code: &[u8]) -> Option<u32> {
    let rest = code.strip_prefix(&[0xf3, 0x0f, 0x1e, 0xfa, 0x68])?;
    Some(u32::from_le_bytes(*rest.first_chunk()?))
}

/// The symbol of the first relocation that is wanted: its place, its index in its section, and
/// whether that section belongs to `.plt`.
fn relocation<'s>(
    elf: &Elf<'s>,
    work: &Cell<u64>,
    wanted: impl Fn(u64, usize, bool) -> bool,
) -> Option<&'s [u8]> {
    let sections = elf.sections.iter().filter(|section| section.kind == SHT_RELA);
    sections.into_iter().find_map(|section| {
        let lazy = section.name == b".rela.plt";
        let entries = elf.contents(section)?.chunks_exact(RELA_SIZE);
        spend(work, entries.len())?;
        let (_, entry) = entries.enumerate().find(|(index, entry)| {
            let kind = u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]]);
            let is_function = kind == R_X86_64_JUMP_SLOT.0 || kind == R_X86_64_GLOB_DAT.0;
            is_function && word(entry, 0).is_some_and(|place| wanted(place, *index, lazy))
        })?;
        let symbol = usize::try_from(word(entry, 8)? >> 32).ok()?;
        symbol_name(elf, elf.sections.get(section.link as usize)?, symbol)
    })
}

fn spend(work: &Cell<u64>, amount: usize) -> Option<()> {
    work.set(work.get().checked_sub(amount as u64)?);
    Some(())
}

fn symbol_name<'s>(elf: &Elf<'s>, symbols: &Section<'s>, index: usize) -> Option<&'s [u8]> {
    let entry = elf.contents(symbols)?.get(index.checked_mul(SYMBOL_SIZE)?..)?.get(..SYMBOL_SIZE)?;
    let start = u32::from_le_bytes(*entry.first_chunk()?) as usize;
    let strings = elf.contents(elf.sections.get(symbols.link as usize)?)?.get(start..)?;
    let strings = &strings[..strings.len().min(MAX_NAME)];
    let end = strings.iter().position(|&byte| byte == 0)?;
    Some(&strings[..end]).filter(|name| !name.is_empty())
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_stub_is_relative_to_the_next_instruction() {
        assert_eq!(slot(&[0xff, 0x25, 0x10, 0, 0, 0], 0x1000), Some(0x1016));
        let tracked = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0xf0, 0xff, 0xff, 0xff];
        assert_eq!(slot(&tracked, 0x1000), Some(0x1000 + 11 - 16));
        assert_eq!(slot(&[0xff, 0x25, 1], 0), None, "cut off");
    }

    #[test]
    fn the_index_of_a_tracked_lazy_stub_is_what_it_pushes() {
        assert_eq!(pushed(&[0xf3, 0x0f, 0x1e, 0xfa, 0x68, 7, 0, 0, 0, 0xf2]), Some(7));
        assert_eq!(pushed(&[0x68, 7, 0, 0, 0]), None, "a plain stub has its slot");
    }
}
