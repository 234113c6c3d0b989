//! ELF files whose headers, symbols and compressed sections lie.
use super::case::{Case, Wants, called, called_bytes};
use super::craft::{
    ALLOC, CALL, Craft, NOBITS, PROGBITS, RELA, SYMTAB, Section, TEXT, compression_header, note, symbol,
};
use super::stage::Folder;

const fn case(name: &'static str, make: fn(&Folder) -> Vec<String>, wants: Wants) -> Case {
    Case { name, make, wants }
}

pub(crate) const CASES: &[Case] = &[
    case("header: no section headers", headerless, Wants::Whole),
    case(
        "header: sections beyond the end",
        |folder| patched(folder, &[(40, 8, u64::MAX - 63)]),
        Wants::Whole,
    ),
    case("header: no number of sections but a huge size", section_count_in_size, Wants::Whole),
    case("header: 65,535 sections", |folder| patched(folder, &[(60, 2, 0xffff)]), Wants::Whole),
    case("header: section headers of another size", |folder| patched(folder, &[(58, 2, 1)]), Wants::Whole),
    case(
        "header: names in a section that is none",
        |folder| patched(folder, &[(62, 2, 0xfff0)]),
        Wants::Whole,
    ),
    case(
        "header: sections are the file itself",
        |folder| patched(folder, &[(40, 8, 0), (60, 2, 60)]),
        Wants::Whole,
    ),
    case("header: 65,535 segments", |folder| patched(folder, &[(56, 2, 0xffff)]), Wants::Whole),
    case("header: segments of another size", |folder| patched(folder, &[(54, 2, 57)]), Wants::Anything),
    case(
        "header: segments beyond the end",
        |folder| patched(folder, &[(32, 8, u64::MAX - 8)]),
        Wants::Anything,
    ),
    case("header: another machine", |folder| patched(folder, &[(18, 2, 183)]), Wants::Anything),
    case("header: 32 bits", |folder| patched(folder, &[(4, 1, 1)]), Wants::Anything),
    case("header: big-endian", |folder| patched(folder, &[(5, 1, 2)]), Wants::Anything),
    case("segments: sixty thousand of code", many_segments, Wants::Anything),
    case(
        "segments: a size of everything",
        |folder| patched(folder, &[(96, 8, u64::MAX), (104, 8, u64::MAX)]),
        Wants::Anything,
    ),
    case(
        "segments: at the end of the address space",
        |folder| patched(folder, &[(80, 8, u64::MAX - 4095)]),
        Wants::Anything,
    ),
    case("sections: twenty thousand that overlap", many_sections, Wants::Whole),
    case("sections: sizes that wrap", wrapping_sections, Wants::Anything),
    case("sections: links in a circle", circular_links, Wants::Whole),
    case("notes: names and contents of wrong sizes", wrong_notes, Wants::Whole),
    case("notes: a megabyte of them", many_notes, Wants::Whole),
    case("notes: a build ID of one byte", |folder| noted(folder, &[7]), Wants::Whole),
    case("notes: a build ID of nothing", |folder| noted(folder, &[]), Wants::Whole),
    case("notes: a build ID of a thousand bytes", |folder| noted(folder, &[7; 1000]), Wants::Whole),
    case(
        "notes: a build ID that is a path",
        |folder| noted(folder, b"../../../../etc/passwd\0"),
        Wants::Whole,
    ),
    case("bomb: zlib, a gigabyte", |folder| zlib_bomb(folder, 1 << 30, 1 << 30), Wants::WholeAnd(INFLATE)),
    case(
        "bomb: zlib, small by its header",
        |folder| zlib_bomb(folder, 1 << 28, 100),
        Wants::WholeAnd(INFLATE),
    ),
    case(
        "bomb: zlib, huge by its header",
        |folder| zlib_bomb(folder, 1000, u64::MAX),
        Wants::WholeAnd(INFLATE),
    ),
    case(
        "bomb: zlib, as large as its header can say",
        |folder| zlib_bomb(folder, 1 << 20, 1031 << 10),
        Wants::Whole,
    ),
    case("bomb: zstd, a gigabyte", |folder| zstd_bomb(folder, 1 << 30), Wants::WholeAnd(INFLATE)),
    case("bomb: zstd, a terabyte window", zstd_window, Wants::Whole),
    case("bomb: ten sections", ten_bombs, Wants::WholeAnd(INFLATE)),
    case("bomb: of the old kind", old_bomb, Wants::WholeAnd(INFLATE)),
    case("bomb: unknown compression", unknown_compression, Wants::Whole),
    case("file: a terabyte of nothing behind it", sparse_file, Wants::Whole),
    case("file: sections in a terabyte of nothing", sparse_sections, Wants::Anything),
    case("file: mapped ten thousand times", mapped_often, Wants::Says(&["of the places where"])),
];

const INFLATE: &[&str] = &["cannot inflate"];

fn patched(folder: &Folder, patches: &[(usize, usize, u64)]) -> Vec<String> {
    let mut bytes = Craft::new().build();
    for &(at, size, value) in patches {
        bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
    called_bytes(folder, &bytes)
}

fn headerless(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    craft.with_sections = false;
    called(folder, &craft)
}

fn section_count_in_size(folder: &Folder) -> Vec<String> {
    let mut bytes = Craft::new().build();
    let start =
        usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().expect("8 bytes"))).expect("64 bits");
    bytes[60..62].fill(0);
    bytes[start + 32..start + 40].fill(0x7f);
    called_bytes(folder, &bytes)
}

fn many_segments(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    craft.segments = (0..60_000).map(|index| [1, 5, 0, index, 1 << 40, 1 << 40, 1]).collect();
    craft.with_sections = false;
    called(folder, &craft)
}

fn many_sections(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    for _ in 0..20_000 {
        let lie = Some((TEXT, 0x1000));
        craft.others.push(Section {
            name: ".text",
            kind: PROGBITS,
            flags: ALLOC | 4,
            lie,
            ..Section::default()
        });
    }
    called(folder, &craft)
}

fn wrapping_sections(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    for lie in [(u64::MAX, 2), (TEXT, u64::MAX), (1, u64::MAX), (u64::MAX - 8, 8)] {
        for kind in [PROGBITS, SYMTAB, RELA, NOBITS, 7, 11, 18] {
            let name = ".debug_info";
            craft.others.push(Section { name, kind, flags: ALLOC, lie: Some(lie), ..Section::default() });
        }
    }
    called(folder, &craft)
}

fn circular_links(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    for index in 5..9 {
        let bytes = symbol(1, CALL, 8).to_vec();
        let link = if index == 8 { 5 } else { index + 1 };
        craft.others.push(Section { name: ".symtab", kind: SYMTAB, link, bytes, ..Section::default() });
    }
    called(folder, &craft)
}

fn with_notes(folder: &Folder, notes: Vec<u8>) -> Vec<String> {
    let mut craft = Craft::new();
    craft.notes = notes;
    called(folder, &craft)
}

fn noted(folder: &Folder, id: &[u8]) -> Vec<String> {
    with_notes(folder, note(b"GNU\0", 3, id))
}

fn wrong_notes(folder: &Folder) -> Vec<String> {
    let words = [u32::MAX, u32::MAX, 3, 4, u32::MAX - 3, 3, 0x0047_4e55, 0, 0];
    with_notes(folder, words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn many_notes(folder: &Folder) -> Vec<String> {
    with_notes(folder, note(b"GNU\0", 4, b"").repeat(1 << 16))
}

pub(crate) fn zlib(size: u64) -> Vec<u8> {
    let mut child = std::process::Command::new("python3");
    child.args(["-c", "import sys,zlib\nc=zlib.compressobj(9)\nn=int(sys.argv[1])\nb=bytes(1<<20)\no=sys.stdout.buffer\nwhile n:\n k=min(n,1<<20);o.write(c.compress(b[:k]));n-=k\no.write(c.flush())"]);
    child.arg(size.to_string());
    child.output().expect("python3 is installed").stdout
}

fn zlib_bomb(folder: &Folder, size: u64, said: u64) -> Vec<String> {
    called(folder, &Craft::new().compressed(".debug_info", 1, said, &zlib(size)))
}

/// One frame of blocks that repeat a zero, each 128 KiB in four bytes.
fn zstd(size: u64) -> Vec<u8> {
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0xc0 | 0x20];
    bytes.extend(size.to_le_bytes());
    let blocks = size / (128 << 10);
    for index in 0..blocks {
        let head = ((128_u32 << 10) << 3) | 2 | u32::from(index + 1 == blocks);
        bytes.extend(&head.to_le_bytes()[..3]);
        bytes.push(0);
    }
    bytes
}

fn zstd_bomb(folder: &Folder, size: u64) -> Vec<String> {
    called(folder, &Craft::new().compressed(".debug_info", 2, size, &zstd(size)))
}

/// The largest window a frame can ask for, with a content that may be.
fn zstd_window(folder: &Folder) -> Vec<String> {
    let mut data = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff];
    data.extend([0x02, 0x00, 0x10, 0]);
    data.extend([0x01, 0, 0]);
    called(folder, &Craft::new().compressed(".debug_info", 2, 10_000, &data))
}

fn ten_bombs(folder: &Folder) -> Vec<String> {
    let names = [
        ".debug_info",
        ".debug_abbrev",
        ".debug_line",
        ".debug_str",
        ".debug_line_str",
        ".debug_ranges",
        ".debug_rnglists",
        ".debug_aranges",
        ".debug_addr",
        ".debug_frame",
    ];
    let data = zlib(200 << 20);
    let craft = names.iter().fold(Craft::new(), |craft, name| craft.compressed(name, 1, 200 << 20, &data));
    called(folder, &craft)
}

fn old_bomb(folder: &Folder) -> Vec<String> {
    let bytes = [&b"ZLIB"[..], &(1_u64 << 30).to_be_bytes(), &zlib(1 << 30)].concat();
    called(folder, &Craft::new().debug(".zdebug_info", bytes))
}

fn unknown_compression(folder: &Folder) -> Vec<String> {
    let bytes = [compression_header(77, 1 << 40), vec![1; 100]].concat();
    called(
        folder,
        &Craft::new().with(Section {
            name: ".debug_info",
            kind: PROGBITS,
            flags: 1 << 11,
            bytes,
            ..<_>::default()
        }),
    )
}

fn sparse(folder: &Folder, bytes: &[u8]) -> Vec<String> {
    let path = folder.write("crafted.so", bytes);
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("it is ours");
    // Not every file system has files of a terabyte.
    if file.set_len(1 << 40).is_err() {
        crate::support::record::skip("hostile: a terabyte", "the file system has no files of this size");
    }
    vec![format!("{},{},call,{CALL:#x}", path.display(), bytes.len().next_multiple_of(4096))]
}

fn sparse_file(folder: &Folder) -> Vec<String> {
    sparse(folder, &Craft::new().build())
}

/// Each section reaches to the end of the file.
fn sparse_sections(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    let start = 1 << 30;
    let names = [
        ".debug_info",
        ".debug_abbrev",
        ".debug_line",
        ".debug_str",
        ".debug_ranges",
        ".debug_rnglists",
        ".debug_aranges",
        ".debug_addr",
        ".debug_frame",
    ];
    for name in names {
        let lie = Some((start, (1 << 40) - start));
        craft.others.push(Section { name, kind: PROGBITS, lie, ..Section::default() });
    }
    for kind in [SYMTAB, RELA, 7, 11, 18] {
        let lie = Some((start, (1 << 40) - start));
        let link = craft.others.len() as u32 + 4;
        craft.others.push(Section { name: ".x", kind, lie, link, entry: 24, ..Section::default() });
    }
    craft.eh_frame = None;
    craft.table = None;
    sparse(folder, &craft.build())
}

fn mapped_often(folder: &Folder) -> Vec<String> {
    let path = folder.write("crafted.so", &Craft::new().build());
    vec![format!("{},0,none,10000", path.display())]
}
