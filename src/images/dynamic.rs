//! Dynamic symbols of objects without section headers, found as the dynamic linker finds them.
use threaddump_arch::Arch;

use super::elf::{Elf, Layout, PT_DYNAMIC};

/// Entries of the dynamic section read at most; real ones have about thirty.
const MAX_ENTRIES: usize = 4096;
/// Dynamic symbols an object may have.
const MAX_SYMBOLS: u64 = 1 << 22;
/// Size of a symbol, in bytes.
const SYMBOL: u64 = 24;
const SYMBOL_32: u64 = 16;

const DT_NULL: u64 = 0;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

#[derive(Default)]
struct Entries {
    symbols: Option<u64>,
    strings: Option<u64>,
    strings_size: Option<u64>,
    hash: Option<u64>,
    gnu_hash: Option<u64>,
}

/// Contents of the symbol table and of its strings.
pub(super) fn symbols<'s>(elf: &Elf<'s>, bias: u64) -> Option<(&'s [u8], &'s [u8])> {
    let entries = entries(elf)?;
    // glibc overwrites these addresses with process addresses while the object is loaded.
    let at = |address: u64| {
        let relocated = || elf.at_address(address.wrapping_sub(bias));
        let found = match elf.layout {
            Layout::File => elf.at_address(address),
            Layout::Memory => relocated().or_else(|| elf.at_address(address)),
        };
        found.map(|(bytes, _)| bytes)
    };
    let count = entries
        .hash
        .and_then(|address| chain_count(elf, at(address)?))
        .or_else(|| gnu_hash_count(elf, at(entries.gnu_hash?)?))?;
    let symbols = at(entries.symbols?)?;
    let size = usize::try_from(count.checked_mul(if elf.is_wide() { SYMBOL } else { SYMBOL_32 })?)
        .unwrap_or(usize::MAX);
    let strings = at(entries.strings?)?;
    let strings_size = usize::try_from(entries.strings_size?).unwrap_or(usize::MAX);
    Some((&symbols[..size.min(symbols.len())], &strings[..strings_size.min(strings.len())]))
}

fn entries(elf: &Elf<'_>) -> Option<Entries> {
    let segment = elf.segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
    let bytes = elf.segment_contents(segment)?;
    let mut found = Entries::default();
    let word = usize::from(elf.arch.pointer_size());
    for entry in bytes.chunks_exact(2 * word).take(MAX_ENTRIES) {
        let tag = elf.number(entry, 0, word)?;
        let value = elf.number(entry, word, word);
        match tag {
            DT_NULL => break,
            DT_SYMTAB => found.symbols = value,
            DT_STRTAB => found.strings = value,
            DT_STRSZ => found.strings_size = value,
            DT_HASH => found.hash = value,
            DT_GNU_HASH => found.gnu_hash = value,
            _ => {}
        }
    }
    Some(found)
}

/// The GNU hash table does not say how many symbols there are: it is one more than the last entry
/// of the chain that begins last.
fn gnu_hash_count(elf: &Elf<'_>, table: &[u8]) -> Option<u64> {
    let u32_at = |bytes: &[u8], at| elf.number(bytes, at, 4);
    let buckets = u32_at(table, 0)?.min(MAX_SYMBOLS);
    let first = u32_at(table, 4)?;
    let bloom = u32_at(table, 8)?;
    let buckets_at = bloom.checked_mul(u64::from(elf.arch.pointer_size()))?.checked_add(16)?;
    let chains_at = buckets.checked_mul(4)?.checked_add(buckets_at)?;
    let bytes = table.get(usize::try_from(buckets_at).ok()?..usize::try_from(chains_at).ok()?)?;
    let last = bytes.chunks_exact(4).filter_map(|bucket| u32_at(bucket, 0)).max()?;
    let mut symbol = last;
    if symbol < first {
        return Some(first);
    }
    loop {
        let at = (symbol - first).checked_mul(4)?.checked_add(chains_at)?;
        let hash = u32_at(table, usize::try_from(at).ok()?)?;
        symbol += 1;
        if hash & 1 == 1 || symbol > MAX_SYMBOLS {
            return Some(symbol);
        }
    }
}

/// The older hash table has one entry in its chains for each symbol. On s390x its words have 8 bytes.
fn chain_count(elf: &Elf<'_>, table: &[u8]) -> Option<u64> {
    let word = if elf.arch == Arch::S390x { 8 } else { 4 };
    elf.number(table, word, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gnu_hash_table_tells_how_many_symbols_there_are() {
        // two buckets, first hashed symbol 3, one bloom word, chains end at symbols 4 and 6
        let words: [u32; 12] = [2, 3, 1, 0, 0, 0, 3, 5, 0x10, 0x11, 0x20, 0x21];
        let table: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let elf = Elf::bare();
        assert_eq!(gnu_hash_count(&elf, &table), Some(7));
        assert_eq!(gnu_hash_count(&elf, &table[..table.len() - 4]), None);
        assert_eq!(gnu_hash_count(&elf, &[0xff; 16]), None);
        // A bloom word of four bytes less.
        let narrow = [&table[..16], &table[20..]].concat();
        assert_eq!(gnu_hash_count(&Elf { arch: Arch::I386, ..elf }, &narrow), Some(7));
    }
}
