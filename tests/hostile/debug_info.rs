//! DWARF that turns in circles, explodes, or contradicts itself.
use super::case::{Case, Wants, called, stacked};
use super::craft::{CALL, Craft, TEXT, block, uleb};
use super::dwarf::{
    Attribute, Die, Dwarf, INLINED, NAME, ORIGIN, RANGES, SUBPROGRAM, UNIT_HEADER, compile_unit, function,
    line_program, plain, range, start_of_lines, text, unit, unit_of,
};
use super::files::zlib;
use super::stage::Folder;

const fn case(name: &'static str, make: fn(&Folder) -> Vec<String>, wants: Wants) -> Case {
    Case { name, make, wants }
}

pub(crate) const CASES: &[Case] = &[
    case("dwarf: nothing wrong", |folder| called(folder, &unit(&plain()).craft()), Wants::Named("crafted")),
    case("dwarf: abbreviations without end", endless_abbreviations, Wants::Whole),
    case("dwarf: an abbreviation of a million attributes", long_abbreviation, Wants::Whole),
    case("dwarf: abbreviations of every unit elsewhere", many_units, Wants::Whole),
    case("dwarf: a unit longer than its section", |folder| lengths(folder, 0x7fff_ffff), Wants::Whole),
    case("dwarf: a unit of the longest length", |folder| lengths(folder, 0xffff_fffe), Wants::Whole),
    case("dwarf: a unit of 64 bits", wide_unit, Wants::Whole),
    case("dwarf: an abstract origin that is itself", |folder| origin(folder, 0), Wants::Whole),
    case("dwarf: two abstract origins that name each other", |folder| origin(folder, 1), Wants::Whole),
    case("dwarf: an abstract origin outside", |folder| origin(folder, 1 << 30), Wants::Whole),
    case("dwarf: a chain of a hundred thousand origins", origin_chain, Wants::Whole),
    case("dwarf: a hundred thousand nested inlined calls", |folder| nested(folder, 100_000), Wants::Whole),
    case("dwarf: five hundred inlined calls at each address", inlined_everywhere, Wants::Anything),
    case("dwarf: entries nested a million deep", deep_entries, Wants::Whole),
    case("dwarf: forms that name forms", indirect_forms, Wants::Whole),
    case(
        "dwarf: forms that do not exist",
        |folder| called(folder, &unit(&with_form(0x7f)).craft()),
        Wants::Whole,
    ),
    case("dwarf: blocks longer than the section", long_block, Wants::Whole),
    case("dwarf: strings outside", |folder| called(folder, &unit(&with_form(0x0e)).craft()), Wants::Whole),
    case("dwarf: indexes outside", |folder| called(folder, &unit(&with_form(0x25)).craft()), Wants::Whole),
    case("dwarf: a name without end", endless_name, Wants::Whole),
    case("dwarf: functions by the million", many_functions, Wants::Whole),
    case("dwarf: ranges by the million", many_ranges, Wants::Whole),
    case("dwarf: ranges that wrap", wrapping_ranges, Wants::Whole),
    case("dwarf: address ranges by the million", many_aranges, Wants::Whole),
    case("dwarf: address ranges of a unit outside", aranges_outside, Wants::Whole),
    case(
        "line: a program of rows only",
        |folder| lines(folder, &vec![0x20; 4 << 20]),
        Wants::Named("crafted"),
    ),
    case("line: sequences without end", |folder| lines(folder, &[0, 1, 1].repeat(1 << 20)), Wants::Whole),
    case(
        "line: addresses that wrap",
        |folder| lines(folder, &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1].repeat(1000)),
        Wants::Whole,
    ),
    case("line: a length of nothing", zero_line_range, Wants::Whole),
    case("line: files by the million", many_files, Wants::Whole),
    case("line: a hundred thousand files with the longest name", long_file_names, Wants::Whole),
    case("line: compressed rows", compressed_lines, Wants::Whole),
    case("line: no end of the header", endless_header, Wants::Whole),
];

fn lines(folder: &Folder, program: &[u8]) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.line = line_program(&[(b"file.c", 0)], &[&start_of_lines()[..], program].concat());
    called(folder, &dwarf.craft())
}

fn endless_abbreviations(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.abbreviations =
        (1..1_000_000).flat_map(|code| [uleb(code), vec![0x2e, 0, 0, 0]].concat()).collect();
    called(folder, &dwarf.craft())
}

fn long_abbreviation(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.abbreviations = [&[1, 0x11, 1][..], &[3, 8].repeat(1_000_000), &[0, 0, 0]].concat();
    called(folder, &dwarf.craft())
}

/// Each of many units reads the same long list again.
fn many_units(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.abbreviations = (1..10_000).flat_map(|code| [uleb(code), vec![0x11, 0, 0, 0]].concat()).collect();
    let one = unit_of(&[1]);
    dwarf.info = (0..10_000_u32)
        .flat_map(|index| {
            let mut one = one.clone();
            one[6..10].copy_from_slice(&(index * 4).to_le_bytes());
            one
        })
        .collect();
    called(folder, &dwarf.craft())
}

fn lengths(folder: &Folder, length: u32) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.info[..4].copy_from_slice(&length.to_le_bytes());
    called(folder, &dwarf.craft())
}

fn wide_unit(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    let tail = dwarf.info.split_off(4);
    dwarf.info = [&[0xff; 4][..], &(u64::MAX - 3).to_le_bytes(), &tail].concat();
    called(folder, &dwarf.craft())
}

/// Functions whose origins are `step` entries further on, in a circle of two.
fn origin(folder: &Folder, step: u32) -> Vec<String> {
    let die = |target: u32| {
        let mut attributes = vec![Attribute(ORIGIN, 0x13, target.to_le_bytes().to_vec())];
        attributes.extend(range(CALL, 0x10));
        Die { tag: SUBPROGRAM, attributes, children: Vec::new() }
    };
    let before = compile_unit(Vec::new()).attributes.iter().map(|attribute| attribute.2.len()).sum::<usize>();
    let first = (UNIT_HEADER + 1 + before) as u32;
    let size = 1 + 4 + 16;
    let (one, other) = match step {
        0 => (first, first + size),
        1 => (first + size, first),
        far => (far, far),
    };
    called(folder, &unit(&compile_unit(vec![die(one), die(other)])).craft())
}

fn origin_chain(folder: &Folder) -> Vec<String> {
    let attributes = vec![Attribute(ORIGIN, 0x13, vec![0; 4])];
    let link = Die { tag: SUBPROGRAM, attributes, children: Vec::new() };
    let mut dwarf = Dwarf::default();
    let root = compile_unit(vec![Die::default()]);
    let mut entries = Vec::new();
    let code = dwarf.abbreviation(&root);
    entries.extend(uleb(code));
    root.attributes.iter().for_each(|attribute| entries.extend(&attribute.2));
    let real = function("crafted", CALL, 0x10);
    let mut with_origin = real.clone();
    with_origin.attributes[0] = link.attributes[0].clone();
    let (link_code, real_code) = (dwarf.abbreviation(&link), dwarf.abbreviation(&with_origin));
    let first = UNIT_HEADER + entries.len();
    for index in 0..100_000_usize {
        entries.extend(uleb(link_code));
        entries.extend(((first + (index + 1) * 5) as u32).to_le_bytes());
    }
    entries.extend(uleb(real_code));
    entries.extend((first as u32).to_le_bytes());
    with_origin.attributes[1..].iter().for_each(|attribute| entries.extend(&attribute.2));
    entries.push(0);
    dwarf.abbreviations.push(0);
    dwarf.info = unit_of(&entries);
    dwarf.line = line_program(&[], &[]);
    called(folder, &dwarf.craft())
}

/// Inlined calls inside each other, all at one range.
fn nested_calls(depth: usize, start: u64, length: u64) -> Dwarf {
    let mut dwarf = Dwarf::default();
    let mut attributes = vec![text("inner")];
    attributes.extend(range(start, length));
    let call = Die { tag: INLINED, attributes, children: vec![Die::default()] };
    let mut entries = Vec::new();
    let mut root = compile_unit(vec![Die::default()]);
    root.attributes.truncate(2);
    root.attributes.extend(range(start, length));
    let mut outer = function("crafted", start, length);
    outer.children.push(Die::default());
    for die in [&root, &outer] {
        let code = dwarf.abbreviation(die);
        entries.extend(uleb(code));
        die.attributes.iter().for_each(|attribute| entries.extend(&attribute.2));
    }
    let code = dwarf.abbreviation(&call);
    for _ in 0..depth {
        entries.extend(uleb(code));
        call.attributes.iter().for_each(|attribute| entries.extend(&attribute.2));
    }
    entries.resize(entries.len() + depth + 2, 0);
    dwarf.abbreviations.push(0);
    dwarf.info = unit_of(&entries);
    dwarf.line = line_program(&[(b"file.c", 0)], &[]);
    dwarf
}

fn nested(folder: &Folder, depth: usize) -> Vec<String> {
    called(folder, &nested_calls(depth, CALL, 0x10).craft())
}

fn inlined_everywhere(folder: &Folder) -> Vec<String> {
    let craft = nested_calls(500, TEXT, 0x4000).over(Craft::with_text(0x4000));
    stacked(folder, &craft, 4, 900, 4)
}

fn deep_entries(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.abbreviations = vec![1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0, 2, 0x39, 1, 0, 0, 0];
    let mut entries = vec![1];
    entries.extend(TEXT.to_le_bytes());
    entries.extend(0x1000_u64.to_le_bytes());
    entries.resize(entries.len() + 1_000_000, 2);
    dwarf.info = unit_of(&entries);
    called(folder, &dwarf.craft())
}

fn with_form(form: u64) -> Die {
    let mut die = plain();
    die.children[0].attributes[0] = Attribute(NAME, form, vec![0x7f; 4]);
    die
}

fn indirect_forms(folder: &Folder) -> Vec<String> {
    let mut die = plain();
    die.children[0].attributes[0] = Attribute(NAME, 0x16, vec![0x16; 1 << 20]);
    called(folder, &unit(&die).craft())
}

fn long_block(folder: &Folder) -> Vec<String> {
    let mut die = plain();
    die.children[0].attributes[0] = Attribute(NAME, 0x09, uleb(1 << 40));
    called(folder, &unit(&die).craft())
}

fn endless_name(folder: &Folder) -> Vec<String> {
    let mut die = plain();
    die.children[0].attributes[0] = Attribute(NAME, 0x0e, vec![0; 4]);
    let mut dwarf = unit(&die);
    dwarf.others.push((".debug_str", b"x".repeat(16 << 20)));
    called(folder, &dwarf.craft())
}

fn many_functions(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.abbreviations = vec![1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0, 2, 0x2e, 0, 0x11, 1, 0x12, 0x0b, 0, 0, 0];
    let mut entries = vec![1];
    entries.extend(TEXT.to_le_bytes());
    entries.extend(0x1000_u64.to_le_bytes());
    for _ in 0..400_000 {
        entries.push(2);
        entries.extend(CALL.to_le_bytes());
        entries.push(0x10);
    }
    dwarf.info = unit_of(&entries);
    called(folder, &dwarf.craft())
}

fn ranged(list: Vec<u8>) -> Dwarf {
    let mut die = plain();
    let place = Attribute(RANGES, 0x17, vec![0; 4]);
    die.attributes.truncate(2);
    die.attributes.push(place.clone());
    die.children[0].attributes.truncate(1);
    die.children[0].attributes.push(place);
    let mut dwarf = unit(&die);
    dwarf.others.push((".debug_ranges", list));
    dwarf
}

fn many_ranges(folder: &Folder) -> Vec<String> {
    let list = (0..300_000_u64).flat_map(|at| [CALL + at % 8, CALL + 0x10]).flat_map(u64::to_le_bytes);
    let mut dwarf = ranged(list.collect());
    // Many entries read the same list.
    dwarf.abbreviations = vec![1, 0x11, 1, 0x55, 0x17, 0, 0, 2, 0x2e, 0, 0x55, 0x17, 0, 0, 0];
    let mut entries = vec![1, 0, 0, 0, 0];
    entries.extend([2, 0, 0, 0, 0].repeat(10_000));
    dwarf.info = unit_of(&entries);
    called(folder, &dwarf.craft())
}

fn wrapping_ranges(folder: &Folder) -> Vec<String> {
    let words = [u64::MAX, u64::MAX - 8, CALL, u64::MAX, CALL, CALL + 0x10, 5, 3, 0, 0];
    called(folder, &ranged(words.into_iter().flat_map(u64::to_le_bytes).collect()).craft())
}

fn aranges(unit: u32, list: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = ((list.len() * 16 + 12) as u32).to_le_bytes().to_vec();
    bytes.extend([2, 0]);
    bytes.extend(unit.to_le_bytes());
    bytes.extend([8, 0, 0, 0, 0, 0]);
    for (start, length) in list {
        bytes.extend(start.to_le_bytes());
        bytes.extend(length.to_le_bytes());
    }
    bytes
}

fn many_aranges(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    let list: Vec<_> = (0..1_000_000_u64).map(|at| (at % 0x2000, 0x1000)).collect();
    dwarf.others.push((".debug_aranges", aranges(0, &list)));
    called(folder, &dwarf.craft())
}

fn aranges_outside(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.others.push((".debug_aranges", aranges(0x7fff_0000, &[(TEXT, 0x1000)])));
    called(folder, &dwarf.craft())
}

fn zero_line_range(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.line = line_program(&[], &[&start_of_lines()[..], &[0x20; 1000]].concat());
    dwarf.line[14] = 0;
    called(folder, &dwarf.craft())
}

fn many_files(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    let files: Vec<(&[u8], u64)> = vec![(b"f", 0); 400_000];
    dwarf.line = line_program(&files, &[]);
    called(folder, &dwarf.craft())
}

/// Version 5: names are references, so that each file costs four bytes.
fn long_file_names(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    let mut header = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    header.extend([1, 1, 0x1f, 1, 0, 0, 0, 0]);
    header.extend([1, 1, 0x1f]);
    header.extend(uleb(100_000));
    header.extend(vec![0; 400_000]);
    let mut bytes = ((header.len() + 8) as u32).to_le_bytes().to_vec();
    bytes.extend([5, 0, 8, 0]);
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    dwarf.line = bytes;
    dwarf.others.push((".debug_line_str", [&b"x".repeat(200_000)[..], &[0]].concat()));
    called(folder, &dwarf.craft())
}

/// Rows that compress a thousand times.
fn compressed_lines(folder: &Folder) -> Vec<String> {
    let dwarf = unit(&plain());
    let size = 64 << 20;
    let craft = Craft::new()
        .debug(".debug_abbrev", dwarf.abbreviations.clone())
        .debug(".debug_info", dwarf.info.clone())
        .compressed(".debug_line", 1, size, &zlib(size));
    called(folder, &craft)
}

fn endless_header(folder: &Folder) -> Vec<String> {
    let mut dwarf = unit(&plain());
    dwarf.line = line_program(&[(b"file.c", 0)], &[]);
    dwarf.line.truncate(dwarf.line.len() - 1);
    dwarf.line.extend(block(&[1; 100]).repeat(10_000));
    let length = (dwarf.line.len() - 4) as u32;
    dwarf.line[..4].copy_from_slice(&length.to_le_bytes());
    called(folder, &dwarf.craft())
}
