//! Symbol tables and names that lie, explode, or are very many.
use super::case::{Case, Wants, called, called_bytes, stacked};
use super::craft::{ALLOC, BACK, CALL, Craft, PROGBITS, RELA, SYMTAB, Section, TEXT, symbol};
use super::stage::Folder;

const fn case(name: &'static str, make: fn(&Folder) -> Vec<String>, wants: Wants) -> Case {
    Case { name, make, wants }
}

pub(crate) const CASES: &[Case] = &[
    case("names: four megabytes", |folder| named(folder, b"x".repeat(4 << 20)), Wants::Whole),
    case(
        "symbols: nothing wrong",
        |folder| named(folder, b"_ZN3foo3barEv".to_vec()),
        Wants::Named("foo::bar()"),
    ),
    case("names: without end", unterminated_name, Wants::Whole),
    case(
        "names: escape sequences and line ends",
        |folder| named(folder, b"\x1b[2J\r\n#9 fake\xff\xfe".to_vec()),
        Wants::Whole,
    ),
    case("names: C++ that doubles", |folder| named(folder, doubling()), Wants::Whole),
    case(
        "names: C++ that is tried again and again",
        |folder| named(folder, [&b"_Z1f"[..], &b"ISt".repeat(40)].concat()),
        Wants::Whole,
    ),
    case("names: a thousand of those", retried_names, Wants::Anything),
    case(
        "names: C++ nested deeply",
        |folder| named(folder, [&b"_Z1f"[..], &b"P".repeat(60_000), b"i"].concat()),
        Wants::Whole,
    ),
    case("names: Rust that refers to itself", |folder| named(folder, b"_RNvB_1a".to_vec()), Wants::Whole),
    case("names: Rust back references that double", |folder| named(folder, rust_bomb()), Wants::Whole),
    case(
        "names: Rust nested deeply",
        |folder| named(folder, [&b"_R"[..], &b"I".repeat(60_000)].concat()),
        Wants::Whole,
    ),
    case("symbols: four million over everything", many_symbols, Wants::Anything),
    case("symbols: equal but for long names", equal_symbols, Wants::Anything),
    case(
        "symbols: sizes that wrap",
        |folder| symbols(folder, &[symbol(1, CALL, u64::MAX), symbol(1, u64::MAX, 2)], b"\0a\0"),
        Wants::Whole,
    ),
    case(
        "symbols: names beyond the strings",
        |folder| symbols(folder, &[symbol(u32::MAX, CALL, 8)], b"\0a\0"),
        Wants::Whole,
    ),
    case("symbols: segments of code instead of sections", symbols_by_segments, Wants::Whole),
    case("symbols: strings that are the symbols", own_strings, Wants::Whole),
    case("stubs: relocations without end", many_relocations, Wants::Anything),
];

fn symbols(folder: &Folder, list: &[[u8; 24]], strings: &[u8]) -> Vec<String> {
    called(folder, &Craft::new().symbols(list.concat(), strings.to_vec()))
}

fn named(folder: &Folder, name: Vec<u8>) -> Vec<String> {
    symbols(folder, &[[0; 24], symbol(1, CALL, 0x10)], &[&[0][..], &name, &[0]].concat())
}

fn unterminated_name(folder: &Folder) -> Vec<String> {
    symbols(folder, &[symbol(1, CALL, 0x10)], &b"x".repeat(8 << 20))
}

/// Each substitution doubles the text.
fn doubling() -> Vec<u8> {
    let mut name = String::from("_Z1fI1A");
    for index in 0..60 {
        name += &format!("N1BI{}EE", if index == 0 { "S_S_" } else { "S0_S0_" });
    }
    (name + "Evv").into_bytes()
}

fn rust_bomb() -> Vec<u8> {
    let mut name = String::from("_RIC0");
    for index in 0..50 {
        name += &format!("TB{}_B{}_E", if index == 0 { "" } else { "1" }, "2");
    }
    (name + "E").into_bytes()
}

fn retried_names(folder: &Folder) -> Vec<String> {
    let mut strings = vec![0];
    let mut list = Vec::new();
    for index in 0..1000 {
        list.extend(symbol(strings.len() as u32, BACK + index * 4, 4));
        strings.extend(format!("_Z1f{}{index}", "ISt".repeat(40)).into_bytes());
        strings.push(0);
    }
    stacked(folder, &Craft::with_text(0x2000).symbols(list, strings), 4, 1000, 1)
}

fn many_symbols(folder: &Folder) -> Vec<String> {
    let list: Vec<u8> =
        (0..4_000_000_u64).flat_map(|index| symbol(1, BACK - 0x20 + index % 16, 0x1000)).collect();
    stacked(folder, &Craft::new().symbols(list, b"\0a\0".to_vec()), 4, 900, 1)
}

/// Every comparison has to look at the names.
fn equal_symbols(folder: &Folder) -> Vec<String> {
    let list: Vec<u8> = (0..1_000_000).flat_map(|index| symbol(1 + index % 1000, CALL, 0x1000)).collect();
    let strings = [&[0][..], &b"x".repeat(70_000)].concat();
    stacked(folder, &Craft::new().symbols(list, strings), 4, 900, 1)
}

/// In a file without executable sections.
fn symbols_by_segments(folder: &Folder) -> Vec<String> {
    let list: Vec<u8> = (0..1_000_000_u64).flat_map(|index| symbol(1, (1 << 41) + index, 0x1000)).collect();
    let mut craft = Craft::new().symbols(list, b"\0a\0".to_vec());
    craft.segments = (0..60_000).map(|index| [1, 5, 0, (1 << 40) + index * 16, 8, 8, 1]).collect();
    let mut bytes = craft.build();
    let start =
        usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().expect("8 bytes"))).expect("64 bits");
    // `.text` is the first after the empty one.
    bytes[start + 64 + 8] = 2;
    called_bytes(folder, &bytes)
}

fn own_strings(folder: &Folder) -> Vec<String> {
    let bytes: Vec<u8> = (0..1_000_000).flat_map(|index| symbol(index, CALL, 0x1000)).collect();
    let link = 5;
    called(
        folder,
        &Craft::new().with(Section { name: ".symtab", kind: SYMTAB, link, bytes, ..<_>::default() }),
    )
}

/// Every address is in a stub, whose slot no relocation of many sections has.
fn many_relocations(folder: &Folder) -> Vec<String> {
    let size = 1 << 20;
    let mut craft = Craft::with_text(size);
    for _ in 0..2000 {
        let lie = Some((TEXT, size));
        craft.others.push(Section { name: ".rela.plt", kind: RELA, lie, ..Section::default() });
    }
    let lie = Some((TEXT, size));
    craft.others.push(Section { name: ".plt", kind: PROGBITS, flags: ALLOC | 4, lie, ..Section::default() });
    let mut bytes = craft.build();
    let start = TEXT as usize + 0x30;
    for stub in bytes[start..TEXT as usize + size as usize].chunks_exact_mut(16) {
        stub[..2].copy_from_slice(&[0xff, 0x25]);
    }
    let path = folder.write("crafted.so", &bytes);
    vec![format!("{},0,stack,{:#x},{:#x},16,900,1", path.display(), super::craft::WAIT, BACK + 0x20)]
}
