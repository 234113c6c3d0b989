//! Names of functions, from the dynamic symbols of an object in memory.
use crate::elf::Elf;
use crate::memory::Memory;

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const MAX_ENTRIES: u64 = 256;
const MAX_BUCKETS: u64 = 1 << 20;
/// Symbols looked at for one name.
const MAX_SYMBOLS: u64 = 1 << 20;
/// Bytes of a word.
const WORD: u64 = size_of::<usize>() as u64;
const IS_WIDE: bool = WORD == 8;
/// Bytes of a symbol, and places in it; its name comes first.
const SYMBOL: u64 = if IS_WIDE { 24 } else { 16 };
const VALUE: usize = if IS_WIDE { 8 } else { 4 };
const SIZE: usize = if IS_WIDE { 16 } else { 8 };
/// Its kind, and two bytes on its section.
const INFO: usize = if IS_WIDE { 4 } else { 12 };
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// Longest name that is shown, in bytes.
pub(crate) const MAX_NAME: usize = 256;

/// A function that an address is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol {
    name: [u8; MAX_NAME],
    length: usize,
    /// From its start to the address.
    pub(crate) offset: u64,
}

impl Symbol {
    pub(crate) fn name(&self) -> &[u8] {
        self.name.get(..self.length).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Tables {
    symbols: u64,
    strings: u64,
    count: u64,
}

/// The function that holds an address, if the object exports it.
pub(crate) fn find(memory: &mut Memory, elf: &Elf, address: u64) -> Option<Symbol> {
    let tables = tables(memory, elf)?;
    let value = address.wrapping_sub(elf.bias);
    // The smallest that holds it: some symbols span others.
    let mut best: Option<(u64, u64, u64)> = None;
    for index in 0..tables.count.min(MAX_SYMBOLS) {
        let at = tables.symbols.checked_add(index * SYMBOL)?;
        let mut entry = [0; SYMBOL as usize];
        if !memory.read(at, &mut entry) {
            break;
        }
        let word =
            |at: usize| entry.get(at..)?.first_chunk().map(|bytes| usize::from_le_bytes(*bytes) as u64);
        let (start, size) = (word(VALUE)?, word(SIZE)?);
        let is_function = matches!(entry[INFO] & 15, STT_FUNC | STT_GNU_IFUNC);
        let is_defined = entry[INFO + 2..INFO + 4] != [0, 0];
        let inside = value.wrapping_sub(start) < size;
        if is_function && is_defined && inside && best.is_none_or(|(_, _, least)| size < least) {
            let name = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
            best = Some((u64::from(name), value.wrapping_sub(start), size));
        }
    }
    let (name, offset, _) = best?;
    let mut symbol = Symbol { name: [0; MAX_NAME], length: 0, offset };
    let at = tables.strings.checked_add(name)?;
    for byte in &mut symbol.name {
        let mut one = [0];
        if !memory.read(at.checked_add(symbol.length as u64)?, &mut one) || one[0] == 0 {
            break;
        }
        *byte = one[0];
        symbol.length += 1;
    }
    (symbol.length > 0).then_some(symbol)
}

fn tables(memory: &mut Memory, elf: &Elf) -> Option<Tables> {
    let mut tables = Tables::default();
    let (mut hash, mut gnu_hash) = (None, None);
    // glibc relocates these addresses in place, other loaders and the vdso do not.
    let relocated = |value: u64| if value < elf.start { value.wrapping_add(elf.bias) } else { value };
    for index in 0..MAX_ENTRIES {
        let at = elf.dynamic?.checked_add(index * 2 * WORD)?;
        let (tag, value) = (memory.word(at)?, memory.word(at.checked_add(WORD)?)?);
        match tag {
            0 => break,
            DT_HASH => hash = Some(relocated(value)),
            DT_GNU_HASH => gnu_hash = Some(relocated(value)),
            DT_STRTAB => tables.strings = relocated(value),
            DT_SYMTAB => tables.symbols = relocated(value),
            _ => {}
        }
    }
    tables.count = match (hash, gnu_hash) {
        (Some(at), _) => memory.number::<4>(at.checked_add(4)?)?,
        (None, Some(at)) => gnu_hash_count(memory, at)?,
        _ => return None,
    };
    (tables.symbols != 0 && tables.strings != 0).then_some(tables)
}

/// One more than the last entry of the chain that begins last.
fn gnu_hash_count(memory: &mut Memory, table: u64) -> Option<u64> {
    let buckets = memory.number::<4>(table)?.min(MAX_BUCKETS);
    let first = memory.number::<4>(table.checked_add(4)?)?;
    let bloom = memory.number::<4>(table.checked_add(8)?)?;
    let buckets_at = table.checked_add(16)?.checked_add(bloom.checked_mul(WORD)?)?;
    let chains_at = buckets_at.checked_add(buckets * 4)?;
    let mut last = 0;
    for bucket in 0..buckets {
        last = last.max(memory.number::<4>(buckets_at + bucket * 4)?);
    }
    if last < first {
        return Some(first);
    }
    while last < MAX_SYMBOLS {
        let hash = memory.number::<4>(chains_at.checked_add((last - first) * 4)?)?;
        last += 1;
        if hash & 1 == 1 {
            break;
        }
    }
    Some(last)
}

/// Names found, by address.
#[derive(Debug)]
pub(crate) struct Symbols {
    kept: [Option<(u64, Option<Symbol>)>; Symbols::KEPT],
}

impl Symbols {
    const KEPT: usize = 128;

    pub(crate) fn new() -> Symbols {
        Symbols { kept: [const { None }; Symbols::KEPT] }
    }

    /// The function that holds an address.
    pub(crate) fn at(&mut self, memory: &mut Memory, elf: &Elf, address: u64) -> Option<Symbol> {
        let slot = self.kept.get_mut((address ^ address >> 7) as usize % Symbols::KEPT)?;
        match slot {
            Some((known, symbol)) if *known == address => *symbol,
            _ => {
                let symbol = find(memory, elf, address);
                *slot = Some((address, symbol));
                symbol
            }
        }
    }
}
