//! DWARF made entry by entry.
use super::craft::{CALL, Craft, TEXT, uleb};

/// One attribute of an abbreviation and its contents.
#[derive(Clone)]
pub(crate) struct Attribute(pub(crate) u64, pub(crate) u64, pub(crate) Vec<u8>);

/// An entry and those inside it.
#[derive(Clone, Default)]
pub(crate) struct Die {
    pub(crate) tag: u64,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) children: Vec<Die>,
}

/// The sections of one unit.
#[derive(Clone, Default)]
pub(crate) struct Dwarf {
    pub(crate) abbreviations: Vec<u8>,
    pub(crate) info: Vec<u8>,
    pub(crate) line: Vec<u8>,
    pub(crate) others: Vec<(&'static str, Vec<u8>)>,
    pub(crate) count: u64,
}

pub(crate) const NAME: u64 = 0x03;
pub(crate) const LOW: u64 = 0x11;
pub(crate) const HIGH: u64 = 0x12;
pub(crate) const STATEMENTS: u64 = 0x10;
pub(crate) const ORIGIN: u64 = 0x31;
pub(crate) const RANGES: u64 = 0x55;
pub(crate) const SUBPROGRAM: u64 = 0x2e;
pub(crate) const INLINED: u64 = 0x1d;
/// Bytes of a unit before its first entry.
pub(crate) const UNIT_HEADER: usize = 11;

pub(crate) fn text(name: &str) -> Attribute {
    Attribute(NAME, 0x08, [name.as_bytes(), &[0]].concat())
}

pub(crate) fn range(start: u64, length: u64) -> [Attribute; 2] {
    [Attribute(LOW, 0x01, start.to_le_bytes().to_vec()), Attribute(HIGH, 0x07, length.to_le_bytes().to_vec())]
}

pub(crate) fn function(name: &str, start: u64, length: u64) -> Die {
    let mut attributes = vec![text(name)];
    attributes.extend(range(start, length));
    Die { tag: SUBPROGRAM, attributes, children: Vec::new() }
}

pub(crate) fn compile_unit(children: Vec<Die>) -> Die {
    let mut attributes = vec![text("unit.c"), Attribute(STATEMENTS, 0x17, vec![0; 4])];
    attributes.extend(range(TEXT, 0x1000));
    Die { tag: 0x11, attributes, children }
}

pub(crate) fn plain() -> Die {
    compile_unit(vec![function("crafted", CALL, 0x10)])
}

pub(crate) fn unit(die: &Die) -> Dwarf {
    let mut dwarf = Dwarf::default();
    let mut entries = Vec::new();
    dwarf.write(die, &mut entries);
    dwarf.abbreviations.push(0);
    dwarf.info = unit_of(&entries);
    dwarf.line = line_program(&[(b"file.c", 0)], &[]);
    dwarf
}

/// A header of version 4 and these entries.
pub(crate) fn unit_of(entries: &[u8]) -> Vec<u8> {
    let mut info = ((entries.len() + 7) as u32).to_le_bytes().to_vec();
    info.extend([4, 0, 0, 0, 0, 0, 8]);
    info.extend(entries);
    info
}

impl Dwarf {
    pub(crate) fn write(&mut self, die: &Die, entries: &mut Vec<u8>) {
        let code = self.abbreviation(die);
        self.write_as(code, die, entries);
    }

    pub(crate) fn abbreviation(&mut self, die: &Die) -> u64 {
        self.count += 1;
        self.abbreviations.extend(uleb(self.count));
        self.abbreviations.extend(uleb(die.tag));
        self.abbreviations.push(u8::from(!die.children.is_empty()));
        for Attribute(name, form, _) in &die.attributes {
            self.abbreviations.extend([uleb(*name), uleb(*form)].concat());
        }
        self.abbreviations.extend([0, 0]);
        self.count
    }

    pub(crate) fn write_as(&mut self, code: u64, die: &Die, entries: &mut Vec<u8>) {
        entries.extend(uleb(code));
        die.attributes.iter().for_each(|Attribute(_, _, bytes)| entries.extend(bytes));
        for child in &die.children {
            self.write(child, entries);
        }
        if !die.children.is_empty() {
            entries.push(0);
        }
    }

    pub(crate) fn craft(&self) -> Craft {
        self.over(Craft::new())
    }

    pub(crate) fn over(&self, craft: Craft) -> Craft {
        let craft = craft
            .debug(".debug_abbrev", self.abbreviations.clone())
            .debug(".debug_info", self.info.clone())
            .debug(".debug_line", self.line.clone());
        self.others.iter().fold(craft, |craft, (name, bytes)| craft.debug(name, bytes.clone()))
    }
}

/// A line program of version 4.
pub(crate) fn line_program(files: &[(&[u8], u64)], program: &[u8]) -> Vec<u8> {
    let mut header = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0];
    for (name, directory) in files {
        header.extend([name, &[0][..], &uleb(*directory), &[0, 0]].concat());
    }
    header.push(0);
    let mut bytes = ((header.len() + program.len() + 6) as u32).to_le_bytes().to_vec();
    bytes.extend(4_u16.to_le_bytes());
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    bytes.extend(program);
    bytes
}

pub(crate) fn start_of_lines() -> Vec<u8> {
    [&[0, 9, 2][..], &TEXT.to_le_bytes()].concat()
}
