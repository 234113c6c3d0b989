use proptest::prelude::*;

use super::*;

/// A small `.debug_info` with one unit, a function `f` at 0x1000..0x2000 and `depth` calls inlined
/// into each other, all of a function `g`.
struct Sections {
    abbrev: Vec<u8>,
    info: Vec<u8>,
    aranges: Vec<u8>,
}

const ABBREVIATIONS: &[u8] = &[
    1, 0x11, 1, 0x11, 0x01, 0x12, 0x07, 0x13, 0x0b, 0, 0, // unit: low_pc, high_pc, language
    2, 0x2e, 1, 0x03, 0x08, 0x11, 0x01, 0x12, 0x07, 0, 0, // function: name, low_pc, high_pc
    3, 0x1d, 1, 0x31, 0x13, 0x11, 0x01, 0x12, 0x07, 0, 0, // inlined: origin, low_pc, high_pc
    4, 0x2e, 0, 0x03, 0x08, 0, 0, // function without code: name
    5, 0x39, 1, 0x03, 0x08, 0, 0, // namespace: name
    0,
];

fn sections(depth: usize, language: u8) -> Sections {
    let mut info = vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8];
    let place = |info: &mut Vec<u8>| {
        info.extend_from_slice(&0x1000_u64.to_le_bytes());
        info.extend_from_slice(&0x1000_u64.to_le_bytes());
    };
    info.push(1);
    place(&mut info);
    info.push(language);
    info.extend_from_slice(b"\x05outer\0\x05inner\0");
    let declaration = info.len() as u32;
    info.extend_from_slice(b"\x04g\0\0\0");
    info.extend_from_slice(b"\x02f\0");
    place(&mut info);
    for _ in 0..depth {
        info.push(3);
        info.extend_from_slice(&declaration.to_le_bytes());
        place(&mut info);
    }
    info.resize(info.len() + depth + 2, 0);
    let length = (info.len() - 4) as u32;
    info[..4].copy_from_slice(&length.to_le_bytes());
    let mut aranges = vec![44, 0, 0, 0, 2, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0];
    place(&mut aranges);
    aranges.resize(48, 0);
    Sections { abbrev: ABBREVIATIONS.to_vec(), info, aranges }
}

impl Sections {
    fn open(&self) -> Result<DebugInfo<'_>, DebugInfoError> {
        DebugInfo::new(|name| match name {
            ".debug_abbrev" => &self.abbrev,
            ".debug_info" => &self.info,
            ".debug_aranges" => &self.aranges,
            _ => &[],
        })
    }
}

fn names(function: &Function) -> Vec<&str> {
    function.frames.iter().map(|frame| frame.function.as_deref().unwrap_or("?")).collect()
}

#[test]
fn inlined_functions_come_first_and_have_their_scopes() {
    for language in [0x04, 0x1c] {
        let mut sections = sections(2, language);
        let function = sections.open().unwrap().at(0x1234).unwrap();
        assert_eq!(names(&function), ["outer::inner::g", "outer::inner::g", "f"]);
        assert_eq!(function.start, Some(0x1000));
        // The same without .debug_aranges, through all units.
        sections.aranges.clear();
        assert_eq!(sections.open().unwrap().at(0x1234).unwrap(), function);
    }
}

#[test]
fn names_of_c_functions_have_no_scopes() {
    assert_eq!(names(&sections(1, 0x0c).open().unwrap().at(0x1fff).unwrap()), ["g", "f"]);
}

#[test]
fn an_address_without_a_unit_has_no_functions() {
    let sections = sections(1, 0x0c);
    let mut info = sections.open().unwrap();
    for address in [0, 0xfff, 0x2000, u64::MAX] {
        assert_eq!(info.at(address).unwrap(), Function::default());
    }
}

#[test]
fn nesting_without_end_is_an_error_and_no_crash() {
    for depth in [600, 10_000, 1_000_000] {
        let mut sections = sections(depth, 0x0c);
        for aranges in [sections.aranges.clone(), Vec::new()] {
            sections.aranges = aranges;
            let mut info = sections.open().unwrap();
            assert!(info.at(0x1234).is_err(), "{depth}");
            // A file that went beyond a limit once is not read any more.
            let next = info.at(0x3000);
            assert!(next == Err(DebugInfoError::Limit) || next == Ok(Function::default()), "{next:?}");
        }
    }
}

#[test]
fn nothing_at_all_is_no_error() {
    let mut info = DebugInfo::new(|_| &[]).unwrap();
    assert_eq!(info.at(0x1000).unwrap(), Function::default());
}

proptest! {
    #[test]
    fn damaged_sections_never_panic(
        damage in prop::collection::vec((0_usize..3, 0_usize..200, 0_u8..), 1..6),
        address in 0x0ff0_u64..0x2010,
    ) {
        let mut sections = sections(5, 0x04);
        for (section, at, value) in damage {
            let bytes = [&mut sections.info, &mut sections.abbrev, &mut sections.aranges];
            let bytes = bytes.into_iter().nth(section).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(mut info) = sections.open() {
            let _ = info.at(address);
        }
    }

    #[test]
    fn arbitrary_sections_never_panic(
        bytes in prop::collection::vec(prop::collection::vec(0_u8.., 0..120), 10),
        address in 0_u64..0x100,
    ) {
        let mut each = bytes.iter();
        if let Ok(mut info) = DebugInfo::new(|_| each.next().map_or(&[], Vec::as_slice)) {
            let _ = info.at(address);
        }
    }
}
