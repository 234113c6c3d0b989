//! Objects that JIT compilers register for debuggers.
//!
//! They come as the compiler made them, with the addresses of loaded sections put into the section
//! headers. In a relocatable object symbols are still relative to their sections, and references
//! between sections of debug and unwind information are still open; a debugger closes them itself.
use super::elf::{SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SHT_NOBITS, SHT_SYMTAB};

const HEADER: usize = 64;
const SECTION: usize = 64;
const SYMBOL: usize = 24;
const RELOCATION: usize = 24;
/// Section headers that are looked at.
const MAX_SECTIONS: usize = 1 << 14;
const ET_REL: u16 = 1;
const SHT_RELA: u32 = 4;
/// From this section index on they are reserved.
const SHN_LORESERVE: u16 = 0xff00;
const R_X86_64_64: u32 = 1;
const R_X86_64_PC32: u32 = 2;
const R_X86_64_32: u32 = 10;
const R_X86_64_32S: u32 = 11;
const R_X86_64_PC64: u32 = 24;

/// The object with process addresses in its symbols and sections; what is not relocatable stays as
/// it is.
pub(super) fn link(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if u16_at(&bytes, 16) == Some(ET_REL) {
        // What is damaged is left as it is, for others to find.
        let _ = link_relocatable(&mut bytes);
    }
    bytes
}

#[derive(Clone, Copy)]
struct Section {
    kind: u32,
    flags: u64,
    address: u64,
    offset: usize,
    size: usize,
    link: usize,
    info: usize,
    /// Place of its header.
    header: usize,
    name: u32,
}

fn link_relocatable(bytes: &mut [u8]) -> Option<()> {
    let mut sections = sections(bytes)?;
    let names = sections.get(usize::from(u16_at(bytes, 62)?)).copied();
    let is_code = |section: &&Section| {
        section.flags & SHF_EXECINSTR != 0 && section.flags & SHF_ALLOC != 0 && section.address != 0
    };
    let code = sections.iter().filter(is_code).map(|section| section.address).min().unwrap_or(0);
    for section in &mut sections {
        let is_frames = name(bytes, names, section).is_some_and(|name| name == b".eh_frame");
        if is_frames && section.address == 0 {
            // It was not loaded. Its references are relative and have to reach the code.
            section.address = code;
            put(bytes, section.header + 16, &code.to_le_bytes());
        }
    }
    let symbols = sections.iter().find(|section| section.kind == SHT_SYMTAB).copied()?;
    let table = contents(bytes, &symbols)?.len();
    for place in (symbols.offset..symbols.offset + table).step_by(SYMBOL) {
        let Some(section) = u16_at(bytes, place + 6).filter(|&index| index < SHN_LORESERVE) else { continue };
        let Some(section) = sections.get(usize::from(section)) else { continue };
        let Some(value) = u64_at(bytes, place + 8) else { break };
        put(bytes, place + 8, &value.wrapping_add(base(section)).to_le_bytes());
    }
    // Each is real only once, however often headers lead to it.
    let mut left = bytes.len() / RELOCATION;
    for section in sections.iter().filter(|section| section.kind == SHT_RELA) {
        let Some(target) = sections.get(section.info).filter(|target| wants(bytes, names, target)) else {
            continue;
        };
        let same_symbols = sections.get(section.link).is_some_and(|table| table.offset == symbols.offset);
        let Some(list) = contents(bytes, section).filter(|_| same_symbols).map(<[u8]>::to_vec) else {
            continue;
        };
        for entry in list.chunks_exact(RELOCATION) {
            left = left.checked_sub(1)?;
            relocate(bytes, &symbols, target, entry);
        }
    }
    Some(())
}

/// What has no place in memory is referred to by its start.
fn base(section: &Section) -> u64 {
    if section.flags & SHF_ALLOC != 0 { section.address } else { 0 }
}

fn wants(bytes: &[u8], names: Option<Section>, section: &Section) -> bool {
    section.flags & SHF_COMPRESSED == 0
        && name(bytes, names, section)
            .is_some_and(|name| name == b".eh_frame" || name.starts_with(b".debug_"))
}

fn relocate(bytes: &mut [u8], symbols: &Section, target: &Section, entry: &[u8]) -> Option<()> {
    let (offset, info, addend) = (u64_at(entry, 0)?, u64_at(entry, 8)?, u64_at(entry, 16)?);
    let symbol = usize::try_from(info >> 32).ok()?.checked_mul(SYMBOL)?;
    if symbol >= symbols.size {
        return None;
    }
    let symbol = u64_at(bytes, symbols.offset.checked_add(symbol)?.checked_add(8)?)?;
    let value = symbol.wrapping_add(addend);
    let relative = value.wrapping_sub(base(target)).wrapping_sub(offset);
    let (value, size) = match info as u32 {
        R_X86_64_64 => (value, 8),
        R_X86_64_PC64 => (relative, 8),
        R_X86_64_32 | R_X86_64_32S => (value, 4),
        R_X86_64_PC32 => (relative, 4),
        _ => return None,
    };
    let offset = usize::try_from(offset).ok()?;
    let inside = contents(bytes, target)?.len();
    if offset.checked_add(size)? <= inside {
        put(bytes, target.offset + offset, &value.to_le_bytes()[..size]);
    }
    Some(())
}

fn sections(bytes: &[u8]) -> Option<Vec<Section>> {
    let start = usize::try_from(u64_at(bytes, 40)?).ok()?;
    let count = usize::from(u16_at(bytes, 60)?).min(MAX_SECTIONS);
    if bytes.len() < HEADER || usize::from(u16_at(bytes, 58)?) != SECTION {
        return None;
    }
    let section = |index: usize| {
        let header = start.checked_add(index * SECTION)?;
        let number = |at: usize| usize::try_from(u64_at(bytes, header.checked_add(at)?)?).ok();
        let half = |at: usize| u32_at(bytes, header.checked_add(at)?);
        Some(Section {
            name: half(0)?,
            kind: half(4)?,
            flags: u64_at(bytes, header.checked_add(8)?)?,
            address: u64_at(bytes, header.checked_add(16)?)?,
            offset: number(24)?,
            size: number(32)?,
            link: half(40)? as usize,
            info: half(44)? as usize,
            header,
        })
    };
    (0..count).map(section).collect()
}

fn contents<'b>(bytes: &'b [u8], section: &Section) -> Option<&'b [u8]> {
    if section.kind == SHT_NOBITS {
        return None;
    }
    bytes.get(section.offset..section.offset.checked_add(section.size)?)
}

fn name<'b>(bytes: &'b [u8], names: Option<Section>, section: &Section) -> Option<&'b [u8]> {
    let rest = contents(bytes, &names?)?.get(section.name as usize..)?;
    let rest = &rest[..rest.len().min(32)];
    rest.split(|&byte| byte == 0).next()
}

fn put(bytes: &mut [u8], place: usize, value: &[u8]) {
    if let Some(there) = bytes.get_mut(place..).and_then(|rest| rest.get_mut(..value.len())) {
        there.copy_from_slice(value);
    }
}

fn array<const N: usize>(bytes: &[u8], place: usize) -> Option<[u8; N]> {
    bytes.get(place..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    array(bytes, place).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    array(bytes, place).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], place: usize) -> Option<u64> {
    array(bytes, place).map(u64::from_le_bytes)
}
