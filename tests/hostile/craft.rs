//! ELF files made byte by byte, right in everything but what a case changes.
//!
//! The whole file is one executable segment at address 0, so that addresses are file offsets.

/// Where the code is.
pub(crate) const TEXT: u64 = 0x1000;
/// A function that calls its argument: `push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret`.
pub(crate) const CALL: u64 = TEXT;
/// A function that waits for ever: `mov $34,%eax; syscall; jmp CALL+0x10`. Its frame is its return
/// address.
pub(crate) const WAIT: u64 = TEXT + 0x10;
/// An address in the same function, for fabricated stacks.
pub(crate) const BACK: u64 = TEXT + 0x20;

pub(crate) const PROGBITS: u32 = 1;
pub(crate) const SYMTAB: u32 = 2;
pub(crate) const STRTAB: u32 = 3;
pub(crate) const RELA: u32 = 4;
pub(crate) const NOTE: u32 = 7;
pub(crate) const NOBITS: u32 = 8;
pub(crate) const ALLOC: u64 = 2;
const EXECUTE: u64 = 4;
pub(crate) const COMPRESSED: u64 = 1 << 11;

/// One section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) link: u32,
    pub(crate) entry: u64,
    pub(crate) bytes: Vec<u8>,
    /// Instead of the place and size it has.
    pub(crate) lie: Option<(u64, u64)>,
}

/// A file in the making.
#[derive(Clone, Debug)]
pub(crate) struct Craft {
    pub(crate) text_size: u64,
    pub(crate) eh_frame: Option<Vec<u8>>,
    pub(crate) table: Option<Vec<u8>>,
    pub(crate) notes: Vec<u8>,
    pub(crate) others: Vec<Section>,
    pub(crate) with_sections: bool,
    /// Further program headers, as they are.
    pub(crate) segments: Vec<[u64; 7]>,
}

pub(crate) fn uleb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

/// A length and so many bytes.
pub(crate) fn block(bytes: &[u8]) -> Vec<u8> {
    [uleb(bytes.len() as u64), bytes.to_vec()].concat()
}

/// An entry of an unwind section, padded.
pub(crate) fn entry(body: &[u8]) -> Vec<u8> {
    let length = body.len().next_multiple_of(8) + 4;
    let mut bytes = (length as u32).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes.resize(length + 4, 0);
    bytes
}

/// A CIE whose pointers are plain addresses, with these initial instructions.
pub(crate) fn cie(instructions: &[u8]) -> Vec<u8> {
    entry(&[&[0, 0, 0, 0, 1][..], b"zR\0", &[1, 0x78, 16, 1, 0], instructions].concat())
}

/// The CIE of ordinary functions: CFA = rsp+8, return address below it.
pub(crate) fn plain_cie() -> Vec<u8> {
    cie(&[0x0c, 7, 8, 0x90, 1])
}

/// An entry at a section offset for a CIE at another.
pub(crate) fn fde(at: usize, cie: usize, start: u64, length: u64, instructions: &[u8]) -> Vec<u8> {
    let back = ((at + 4) as u32).wrapping_sub(cie as u32).to_le_bytes();
    entry(&[&back[..], &start.to_le_bytes(), &length.to_le_bytes(), &[0], instructions].concat())
}

/// Rules of the function [`CALL`].
pub(crate) const CALL_RULES: [u8; 10] = [0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0, 0];

/// `.eh_frame` with `instructions` for all code but [`CALL`], which has its own `call_rules`.
pub(crate) fn eh_frame(text_size: u64, call_rules: &[u8], instructions: &[u8]) -> (Vec<u8>, Vec<(u64, u64)>) {
    let mut bytes = plain_cie();
    let mut rows = Vec::new();
    for (start, length, rules) in [(CALL, 0x10, call_rules), (WAIT, text_size - 0x10, instructions)] {
        rows.push((start, bytes.len() as u64));
        bytes.extend(fde(bytes.len(), 0, start, length, rules));
    }
    bytes.extend([0; 4]);
    (bytes, rows)
}

/// `.eh_frame_hdr` with absolute pointers: of the section, and of its rows.
pub(crate) fn table(section: u64, count: u32, rows: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = vec![1, 4, 3, 4];
    bytes.extend(section.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    for (start, place) in rows {
        bytes.extend(start.to_le_bytes());
        bytes.extend(place.to_le_bytes());
    }
    bytes
}

pub(crate) fn note(name: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((name.len() as u32).to_le_bytes());
    bytes.extend((descriptor.len() as u32).to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    for part in [name, descriptor] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// A symbol of the code section.
pub(crate) fn symbol(name: u32, start: u64, size: u64) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&name.to_le_bytes());
    bytes[4] = 0x12;
    bytes[6] = 1;
    bytes[8..16].copy_from_slice(&start.to_le_bytes());
    bytes[16..].copy_from_slice(&size.to_le_bytes());
    bytes
}

/// The header before compressed contents.
pub(crate) fn compression_header(kind: u32, size: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &size.to_le_bytes(), &1_u64.to_le_bytes()].concat()
}

impl Craft {
    /// Code with right rules and a right search table.
    pub(crate) fn new() -> Craft {
        Craft::with_text(0x1000)
    }

    pub(crate) fn with_text(text_size: u64) -> Craft {
        let mut craft = Craft {
            text_size,
            eh_frame: None,
            table: None,
            notes: note(b"GNU\0", 3, &[0x5a; 20]),
            others: Vec::new(),
            with_sections: true,
            segments: Vec::new(),
        };
        craft.rules(&CALL_RULES, &[]);
        craft
    }

    /// Where `.eh_frame` will be.
    pub(crate) fn eh_address(&self) -> u64 {
        TEXT + self.text_size.next_multiple_of(16)
    }

    /// Sets rules and a right table for them.
    pub(crate) fn rules(&mut self, call_rules: &[u8], instructions: &[u8]) -> &mut Craft {
        let (bytes, rows) = eh_frame(self.text_size, call_rules, instructions);
        let at = self.eh_address();
        let rows: Vec<_> = rows.into_iter().map(|(start, place)| (start, at + place)).collect();
        self.table = Some(table(at, rows.len() as u32, &rows));
        self.eh_frame = Some(bytes);
        self
    }

    pub(crate) fn with(mut self, section: Section) -> Craft {
        self.others.push(section);
        self
    }

    /// Adds a section of contents only.
    pub(crate) fn debug(self, name: &'static str, bytes: Vec<u8>) -> Craft {
        self.with(Section { name, kind: PROGBITS, bytes, ..Section::default() })
    }

    /// Adds a compressed section.
    pub(crate) fn compressed(self, name: &'static str, kind: u32, size: u64, data: &[u8]) -> Craft {
        let bytes = [compression_header(kind, size), data.to_vec()].concat();
        self.with(Section { name, kind: PROGBITS, flags: COMPRESSED, bytes, ..Section::default() })
    }

    /// Adds `.symtab` and its strings.
    pub(crate) fn symbols(self, symbols: Vec<u8>, strings: Vec<u8>) -> Craft {
        let next = self.parts().len() as u32 + 1;
        let table = Section {
            name: ".symtab",
            kind: SYMTAB,
            link: next + 1,
            entry: 24,
            bytes: symbols,
            ..<_>::default()
        };
        let strings = Section { name: ".strtab", kind: STRTAB, bytes: strings, ..<_>::default() };
        self.with(table).with(strings)
    }

    fn text(&self) -> Vec<u8> {
        let mut text = vec![0x90; self.text_size as usize];
        text[..8].copy_from_slice(&[0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3]);
        text[0x10..0x19].copy_from_slice(&[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]);
        text
    }

    fn parts(&self) -> Vec<Section> {
        let loaded = |name, bytes: &Option<Vec<u8>>| {
            let bytes = bytes.clone()?;
            Some(Section { name, kind: PROGBITS, flags: ALLOC, bytes, ..Section::default() })
        };
        let text = Section {
            name: ".text",
            kind: PROGBITS,
            flags: ALLOC | EXECUTE,
            bytes: self.text(),
            ..Section::default()
        };
        let mut parts = vec![text];
        parts.extend(loaded(".eh_frame", &self.eh_frame));
        parts.extend(loaded(".eh_frame_hdr", &self.table));
        if !self.notes.is_empty() {
            parts.push(Section {
                name: ".note",
                kind: NOTE,
                flags: ALLOC,
                bytes: self.notes.clone(),
                ..<_>::default()
            });
        }
        parts.extend(self.others.iter().cloned());
        parts
    }

    /// The bytes of the file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut file = vec![0; TEXT as usize];
        let mut headers = vec![[0; 64]];
        let mut names = vec![0];
        let mut segments = self.segments.clone();
        let mut parts = self.parts();
        for part in &mut parts {
            file.resize(file.len().next_multiple_of(16), 0);
            let place = file.len() as u64;
            file.append(&mut part.bytes.clone());
            let size = file.len() as u64 - place;
            match part.name {
                ".eh_frame_hdr" => segments.push([0x6474_e550, 4, place, place, size, size, 4]),
                ".note" => segments.push([4, 4, place, place, size, size, 4]),
                _ => {}
            }
            headers.push(header(part, names.len() as u32, place, size));
            names.extend(part.name.as_bytes());
            names.push(0);
        }
        let strings = Section { kind: STRTAB, ..Section::default() };
        headers.push(header(&strings, 0, file.len() as u64, names.len() as u64));
        file.extend(names);
        file.resize(file.len().next_multiple_of(16), 0);
        let start = file.len() as u64;
        if self.with_sections {
            headers.iter().for_each(|header| file.extend(header));
        }
        let segments_at = if segments.len() > 60 { file.len() as u64 } else { 64 };
        let total = file.len() as u64;
        segments.insert(0, [1, 5, 0, 0, total, total, 0x1000]);
        let list: Vec<u8> = segments.iter().flat_map(segment).collect();
        if segments_at == 64 {
            file[64..64 + list.len()].copy_from_slice(&list);
        } else {
            file.extend(&list);
        }
        let sections = if self.with_sections { (start, headers.len() as u16) } else { (0, 0) };
        file[..64].copy_from_slice(&file_header(segments_at, segments.len() as u16, sections));
        file
    }
}

fn file_header(segments_at: u64, segments: u16, (sections_at, sections): (u64, u16)) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend(3_u16.to_le_bytes());
    bytes.extend(62_u16.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(segments_at.to_le_bytes());
    bytes.extend(sections_at.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    for half in [64, 56, segments, 64, sections, sections.saturating_sub(1)] {
        bytes.extend(half.to_le_bytes());
    }
    bytes
}

fn segment(fields: &[u64; 7]) -> Vec<u8> {
    let [kind, flags, offset, address, in_file, in_memory, align] = *fields;
    let mut bytes = (kind as u32).to_le_bytes().to_vec();
    bytes.extend((flags as u32).to_le_bytes());
    for word in [offset, address, address, in_file, in_memory, align] {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}

fn header(section: &Section, name: u32, place: u64, size: u64) -> [u8; 64] {
    let (place, size) = section.lie.unwrap_or((place, size));
    let address = if section.flags & ALLOC != 0 { place } else { 0 };
    let mut bytes = [0; 64];
    bytes[..4].copy_from_slice(&name.to_le_bytes());
    bytes[4..8].copy_from_slice(&section.kind.to_le_bytes());
    bytes[40..44].copy_from_slice(&section.link.to_le_bytes());
    let words = [(8, section.flags), (16, address), (24, place), (32, size), (48, 1), (56, section.entry)];
    for (at, word) in words {
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
