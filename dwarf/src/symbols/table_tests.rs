use proptest::prelude::*;

use super::*;

const FUNC: u8 = 2;
const NOTYPE: u8 = 0;
const OBJECT: u8 = 1;
const LOCAL: u8 = 0;
const GLOBAL: u8 = 1;
const WEAK: u8 = 2;

/// name, kind, binding, section, value, size
type Line<'a> = (&'a str, u8, u8, u16, u64, u64);

fn bytes(lines: &[Line<'_>]) -> (Vec<u8>, Vec<u8>) {
    let (mut symbols, mut strings) = (vec![0; 24], vec![0]);
    for &(name, kind, bind, section, value, size) in lines {
        symbols.extend_from_slice(&(strings.len() as u32).to_le_bytes());
        symbols.extend_from_slice(&[(bind << 4) | kind, 0]);
        symbols.extend_from_slice(&section.to_le_bytes());
        symbols.extend_from_slice(&value.to_le_bytes());
        symbols.extend_from_slice(&size.to_le_bytes());
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    (symbols, strings)
}

fn code() -> Vec<Code> {
    vec![
        Code { section: Some(1), start: 0x1000, end: 0x9000 },
        Code { section: Some(2), start: 0x9000, end: 0xa000 },
    ]
}

fn names(lines: &[Line<'_>], addresses: &[u64]) -> Vec<Option<String>> {
    let (symbols, strings) = bytes(lines);
    let table = SymbolTable::new(&symbols, &[], &strings, code());
    let found = table.resolve(addresses);
    found.iter().map(|symbol| symbol.map(|symbol| String::from_utf8(symbol.name.to_vec()).unwrap())).collect()
}

fn name(lines: &[Line<'_>], address: u64) -> Option<String> {
    names(lines, &[address]).remove(0)
}

#[test]
fn an_address_behind_the_end_of_a_symbol_has_no_name() {
    let lines = [("f", FUNC, GLOBAL, 1, 0x1000, 0x10), ("g", FUNC, GLOBAL, 1, 0x1020, 0x10)];
    let found = names(&lines, &[0xfff, 0x1000, 0x100f, 0x1010, 0x101f, 0x1020, 0x102f, 0x1030]);
    let expected = [None, Some("f"), Some("f"), None, None, Some("g"), Some("g"), None];
    assert_eq!(found, expected.map(|name| name.map(str::to_owned)));
}

#[test]
fn a_symbol_without_size_reaches_to_the_next_one_or_four_kilobytes() {
    let lines = [
        ("asm", NOTYPE, GLOBAL, 1, 0x1000, 0),
        ("next", FUNC, GLOBAL, 1, 0x1100, 0x10),
        ("last", FUNC, GLOBAL, 1, 0x2000, 0),
        ("other_section", FUNC, GLOBAL, 2, 0x9000, 0x10),
    ];
    let found = names(&lines, &[0x1000, 0x10ff, 0x1100, 0x1110, 0x2000, 0x2fff, 0x3000, 0x9000, 0x9800]);
    let expected = [
        Some("asm"),
        Some("asm"),
        Some("next"),
        None,
        Some("last"),
        Some("last"),
        None,
        Some("other_section"),
        None,
    ];
    assert_eq!(found, expected.map(|name| name.map(str::to_owned)));
}

#[test]
fn a_symbol_without_size_does_not_reach_into_another_section() {
    let lines = [("end", FUNC, GLOBAL, 1, 0x8ff0, 0)];
    assert_eq!(name(&lines, 0x8fff).as_deref(), Some("end"));
    assert_eq!(name(&lines, 0x9000), None);
}

#[test]
fn a_label_in_a_function_does_not_reach_beyond_the_function() {
    let lines = [("f", FUNC, GLOBAL, 1, 0x1000, 0x10), ("label", NOTYPE, GLOBAL, 1, 0x1008, 0)];
    assert_eq!(names(&lines, &[0x100c, 0x1010, 0x1014]), [Some("f".to_owned()), None, None]);
    let lines = [("f", FUNC, GLOBAL, 1, 0x1000, 0x10), ("g", FUNC, GLOBAL, 1, 0x1008, 0)];
    assert_eq!(name(&lines, 0x1014).as_deref(), Some("g"), "a function may");
}

#[test]
fn an_alias_without_size_does_not_reach_further_than_its_twin() {
    let lines = [("f", FUNC, GLOBAL, 1, 0x1000, 0x10), ("alias", NOTYPE, GLOBAL, 1, 0x1000, 0)];
    assert_eq!(name(&lines, 0x1008).as_deref(), Some("f"));
    assert_eq!(name(&lines, 0x1010), None);
}

#[test]
fn the_best_alias_wins_in_any_order() {
    let mut lines = vec![
        ("poll", FUNC, WEAK, 1, 0x1000, 0x10),
        ("__poll", FUNC, GLOBAL, 1, 0x1000, 0x10),
        ("__GI___poll", FUNC, LOCAL, 1, 0x1000, 0x10),
        ("po", NOTYPE, GLOBAL, 1, 0x1000, 0x10),
        ("poll@@GLIBC_2.2.5", FUNC, GLOBAL, 1, 0x1000, 0x10),
    ];
    for _ in 0..lines.len() {
        lines.rotate_left(1);
        assert_eq!(name(&lines, 0x1004).as_deref(), Some("poll"));
    }
    let lines = [("a_local", FUNC, LOCAL, 1, 0x1000, 4), ("a_weak", FUNC, WEAK, 1, 0x1000, 4)];
    assert_eq!(name(&lines, 0x1001).as_deref(), Some("a_weak"));
    let lines = [("longer", FUNC, GLOBAL, 1, 0x1000, 4), ("short", FUNC, GLOBAL, 1, 0x1000, 4)];
    assert_eq!(name(&lines, 0x1001).as_deref(), Some("short"));
}

#[test]
fn a_version_is_no_part_of_the_name() {
    let lines = [("read@@GLIBC_2.2.5", FUNC, GLOBAL, 1, 0x1000, 4)];
    assert_eq!(name(&lines, 0x1001).as_deref(), Some("read"));
}

#[test]
fn what_is_not_code_names_nothing() {
    let lines = [
        ("data", OBJECT, GLOBAL, 1, 0x1000, 0x100),
        ("elsewhere", FUNC, GLOBAL, 7, 0x1000, 0x100),
        ("undefined", FUNC, GLOBAL, 0, 0x1000, 0x100),
        ("absolute", FUNC, GLOBAL, 0xfff1, 0x1000, 0x100),
        (".L12", NOTYPE, LOCAL, 1, 0x1000, 0x100),
        ("", FUNC, GLOBAL, 1, 0x1000, 0x100),
    ];
    assert_eq!(name(&lines, 0x1010), None);
}

#[test]
fn the_inner_of_two_symbols_wins() {
    let lines = [("outer", FUNC, GLOBAL, 1, 0x1000, 0x100), ("inner", FUNC, LOCAL, 1, 0x1010, 0x10)];
    let found = names(&lines, &[0x100f, 0x1010, 0x101f, 0x1020]);
    let expected = ["outer", "inner", "inner", "outer"].map(|name| Some(name.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn section_indexes_that_do_not_fit_come_from_their_own_table() {
    let (symbols, strings) = bytes(&[("far", FUNC, GLOBAL, 0xffff, 0x1000, 4)]);
    let code = vec![Code { section: Some(70_000), start: 0x1000, end: 0x2000 }];
    let mut extended = vec![0; 4];
    extended.extend_from_slice(&70_000_u32.to_le_bytes());
    let table = SymbolTable::new(&symbols, &extended, &strings, code.clone());
    assert_eq!(table.at(0x1000).unwrap().name, b"far");
    assert_eq!(SymbolTable::new(&symbols, &[], &strings, code).at(0x1000), None);
}

#[test]
fn without_sections_any_executable_place_will_do() {
    let (symbols, strings) = bytes(&[("f", FUNC, GLOBAL, 9, 0x1000, 4)]);
    let code = vec![Code { section: None, start: 0, end: 0x4000 }];
    assert_eq!(SymbolTable::new(&symbols, &[], &strings, code).at(0x1003).unwrap().start, 0x1000);
}

#[test]
fn a_table_in_which_everything_holds_everything_ends() {
    let lines = vec![("f", FUNC, GLOBAL, 1, 0x1000, u64::MAX); 20_000];
    let (symbols, strings) = bytes(&lines);
    let table = SymbolTable::new(&symbols, &[], &strings, code());
    let addresses: Vec<u64> = (0x1000..0x8000).collect();
    assert_eq!(table.resolve(&addresses).len(), addresses.len());
}

proptest! {
    /// One pass gives what one pass for each address gives.
    #[test]
    fn many_addresses_are_as_good_as_one(
        raw in prop::collection::vec((0_u8..3, 0_u8..3, 0_u16..4, 0x0f00_u64..0x1200, 0_u64..0x80), 0..40),
        mut addresses in prop::collection::vec(0x0e00_u64..0x1400, 0..20),
    ) {
        let lines: Vec<Line<'_>> = raw.iter()
            .map(|&(kind, bind, section, value, size)| ("f", kind, bind, section, value, size))
            .collect();
        let (symbols, strings) = bytes(&lines);
        let table = SymbolTable::new(&symbols, &[], &strings, code());
        addresses.sort_unstable();
        let together = table.resolve(&addresses);
        for (address, found) in addresses.iter().zip(together) {
            prop_assert_eq!(table.at(*address), found);
            prop_assert!(found.is_none_or(|symbol| symbol.start <= *address));
        }
    }

    #[test]
    fn any_bytes_are_a_table(
        symbols in prop::collection::vec(0_u8.., 0..400),
        extended in prop::collection::vec(0_u8.., 0..40),
        strings in prop::collection::vec(0_u8.., 0..100),
        start in 0_u64..,
    ) {
        let code = vec![Code { section: None, start: 0, end: u64::MAX }];
        SymbolTable::new(&symbols, &extended, &strings, code).resolve(&[0, start, u64::MAX]);
    }
}
