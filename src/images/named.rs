//! Where a symbol of a known name is.
use memchr::memmem;

/// Size of a symbol, in bytes.
const SYMBOL: usize = 24;
/// Places in a string table where the name may stand; linkers write each string once.
const MAX_PLACES: usize = 16;
/// Symbols looked at; the largest browsers have two million.
const MAX_SYMBOLS: usize = 1 << 22;

/// The file address of the first defined symbol of this name, in tables of symbols and their strings.
pub(super) fn address(tables: &[(&[u8], &[u8])], name: &[u8]) -> Option<u64> {
    tables.iter().find_map(|(symbols, strings)| in_table(symbols, strings, name))
}

fn in_table(symbols: &[u8], strings: &[u8], name: &[u8]) -> Option<u64> {
    let ended = [name, b"\0"].concat();
    // A string may also be the end of a longer one.
    let places = memmem::find_iter(strings, &ended).take(MAX_PLACES);
    let places: Vec<u32> = places.filter_map(|place| u32::try_from(place).ok()).collect();
    if places.is_empty() {
        return None;
    }
    let symbols = symbols.chunks_exact(SYMBOL).take(MAX_SYMBOLS);
    symbols.into_iter().find_map(|symbol| {
        let text = u32::from_le_bytes(*symbol.first_chunk()?);
        let is_defined = symbol[6..8] != [0, 0];
        let value = u64::from_le_bytes(*symbol.get(8..)?.first_chunk()?);
        (places.contains(&text) && is_defined && value != 0).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: u32, section: u16, value: u64) -> Vec<u8> {
        let mut bytes = name.to_le_bytes().to_vec();
        bytes.extend([0x11, 0]);
        bytes.extend(section.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        bytes.extend([0; 8]);
        bytes
    }

    #[test]
    fn a_name_is_found_also_at_the_end_of_a_longer_one() {
        let strings = b"\0other\0my_name\0name_\0";
        let table = |name, section| [symbol(1, 1, 7), symbol(name, section, 0x1234)].concat();
        let find = |symbols: Vec<u8>| address(&[(&symbols, strings)], b"name");
        assert_eq!(find(table(10, 3)), Some(0x1234));
        assert_eq!(find(table(7, 3)), None, "another name");
        assert_eq!(find(table(10, 0)), None, "undefined");
        assert_eq!(address(&[(&[1; 30], b"name")], b"name"), None, "without an end");
    }
}
