//! Unwind sections, byte by byte.
use threaddump_arch::Arch;

use super::scene::Slice;
use crate::{CfiError, Context, DebugCfi, EhCfi, EhSections, FileAddress, Row};

/// File address of every `.eh_frame` that is built here.
pub(super) const EH_FRAME: u64 = 0x2000;
/// File address of every `.eh_frame_hdr`.
pub(super) const EH_FRAME_HDR: u64 = 0x1800;

pub(super) fn uleb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(super) fn sleb(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !(-64..64).contains(&value) {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8 & 0x7f);
    bytes
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Eh,
    Debug,
}

/// A common information entry.
#[derive(Clone, Debug)]
pub(super) struct Cie {
    pub(super) version: u8,
    pub(super) augmentation: &'static str,
    /// What follows the length of the augmentation data, with the augmentation `z`.
    pub(super) data: Vec<u8>,
    pub(super) code_alignment: u64,
    pub(super) data_alignment: i64,
    pub(super) return_column: u8,
    pub(super) instructions: Vec<u8>,
}

/// As compilers write it for x86_64: the CFA is rsp + 8, the return address right below it.
pub(super) fn ordinary() -> Cie {
    Cie {
        version: 1,
        augmentation: "zR",
        data: vec![0x1b], // pc-relative, four bytes, signed
        code_alignment: 1,
        data_alignment: -8,
        return_column: 16,
        instructions: vec![0x0c, 7, 8, 0x90, 1],
    }
}

/// A section under construction.
#[derive(Clone, Debug)]
pub(super) struct Builder {
    kind: Kind,
    /// Whether entries have 64-bit lengths.
    wide: bool,
    pub(super) bytes: Vec<u8>,
    cies: Vec<(usize, Cie)>,
}

impl Builder {
    pub(super) fn new(kind: Kind) -> Builder {
        Builder { kind, wide: false, bytes: Vec::new(), cies: Vec::new() }
    }

    pub(super) fn wide(mut self) -> Builder {
        self.wide = true;
        self
    }

    /// Puts length and padding around a body; its place is the section offset of its length.
    fn entry(&mut self, body: &[u8]) -> usize {
        let place = self.bytes.len();
        let padded = body.len().next_multiple_of(8);
        if self.wide {
            self.bytes.extend([0xff; 4]);
            self.bytes.extend((padded as u64).to_le_bytes());
        } else {
            self.bytes.extend((padded as u32).to_le_bytes());
        }
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len() + padded - body.len(), 0); // DW_CFA_nop
        place
    }

    fn header(&self) -> usize {
        if self.wide { 12 } else { 4 }
    }

    pub(super) fn cie(&mut self, cie: Cie) -> usize {
        let mut body = match (self.kind, self.wide) {
            (Kind::Eh, _) => vec![0; 4],
            (Kind::Debug, false) => vec![0xff; 4],
            (Kind::Debug, true) => vec![0xff; 8],
        };
        body.push(cie.version);
        body.extend(cie.augmentation.as_bytes());
        body.push(0);
        if cie.version >= 4 {
            body.extend([8, 0]); // size of addresses, of segments
        }
        body.extend(uleb(cie.code_alignment));
        body.extend(sleb(cie.data_alignment));
        body.push(cie.return_column);
        if cie.augmentation.starts_with('z') {
            body.extend(uleb(cie.data.len() as u64));
            body.extend(&cie.data);
        }
        body.extend(&cie.instructions);
        let place = self.entry(&body);
        self.cies.push((place, cie));
        place
    }

    pub(super) fn fde(&mut self, cie: usize, start: u64, length: u64, instructions: &[u8]) -> usize {
        let (_, parent) = self.cies.iter().find(|(place, _)| *place == cie).expect("the CIE is there");
        let field = self.bytes.len() + self.header();
        let mut body = match (self.kind, self.wide) {
            (Kind::Eh, _) => ((field - cie) as u32).to_le_bytes().to_vec(),
            (Kind::Debug, false) => (cie as u32).to_le_bytes().to_vec(),
            (Kind::Debug, true) => (cie as u64).to_le_bytes().to_vec(),
        };
        if parent.data.last() == Some(&0x1b) {
            let here = EH_FRAME + (field + body.len()) as u64;
            body.extend((start.wrapping_sub(here) as u32).to_le_bytes());
            body.extend((length as u32).to_le_bytes());
        } else {
            body.extend(start.to_le_bytes());
            body.extend(length.to_le_bytes());
        }
        match parent.augmentation {
            "zPLR" => body.extend([4, 1, 2, 3, 4]), // a pointer to language data
            other if other.starts_with('z') => body.push(0),
            _ => {}
        }
        body.extend(instructions);
        self.entry(&body)
    }

    /// The search table of these entries, in the order given: pc-relative pointer to `.eh_frame`,
    /// four-byte count, rows relative to the header.
    pub(super) fn table(rows: &[(u64, usize)]) -> Vec<u8> {
        let mut bytes = vec![1, 0x1b, 0x03, 0x3b];
        bytes.extend((EH_FRAME.wrapping_sub(EH_FRAME_HDR + 4) as u32).to_le_bytes());
        bytes.extend((rows.len() as u32).to_le_bytes());
        for (start, place) in rows {
            bytes.extend((start.wrapping_sub(EH_FRAME_HDR) as u32).to_le_bytes());
            bytes.extend(((EH_FRAME - EH_FRAME_HDR) as u32 + *place as u32).to_le_bytes());
        }
        bytes
    }

    pub(super) fn row(&self, address: u64) -> Result<Option<Row>, CfiError> {
        let mut context = Context::new();
        match self.kind {
            Kind::Eh => eh(&self.bytes, None).row(&mut context, FileAddress(address), None),
            Kind::Debug => {
                let section = Slice::new(&self.bytes, gimli::LittleEndian);
                DebugCfi::new(Arch::X86_64, section).row(&mut context, FileAddress(address), None)
            }
        }
    }
}

/// `.eh_frame`, with or without search table.
pub(super) fn eh<'a>(bytes: &'a [u8], table: Option<&'a [u8]>) -> EhCfi<Slice<'a>> {
    let slice = |bytes| Slice::new(bytes, gimli::LittleEndian);
    let sections = EhSections {
        eh_frame: slice(bytes),
        eh_frame_address: EH_FRAME,
        eh_frame_hdr: table.map(|table| (slice(table), EH_FRAME_HDR)),
        text_address: None,
        got_address: None,
    };
    EhCfi::new(Arch::X86_64, sections)
}
