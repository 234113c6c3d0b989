//! One opened ELF object: its contents by section name, inflated when asked for.
use std::cell::RefCell;
use std::collections::BTreeMap;

use gimli::{BaseAddresses, EhFrameHdr, EndianSlice, LittleEndian, Pointer};
use threaddump_dwarf::symbols::{Code, SymbolTable};
use threaddump_dwarf::{EhSections, gimli};

use super::Slice;
use super::dynamic;
use super::elf::{
    Elf, PF_X, PT_GNU_EH_FRAME, SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SHT_DYNSYM, SHT_SYMTAB,
    SHT_SYMTAB_SHNDX, Section,
};
use super::inflate::Compressed;
use super::store::Store;

/// One ELF object.
#[derive(Debug)]
pub(super) struct Contents<'s> {
    pub(super) elf: Elf<'s>,
    store: &'s Store,
    /// By section name, and how many have it before. What could not be inflated is empty.
    inflated: RefCell<BTreeMap<(String, usize), &'s [u8]>>,
    failures: RefCell<Vec<String>>,
}

impl<'s> Contents<'s> {
    pub(super) fn new(elf: Elf<'s>, store: &'s Store) -> Contents<'s> {
        Contents { elf, store, inflated: RefCell::default(), failures: RefCell::default() }
    }

    pub(super) fn store(&self) -> &'s Store {
        self.store
    }

    /// Which sections could not be inflated, and why.
    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.borrow().clone()
    }

    /// Whether a `.debug_*` section has contents, in whatever form.
    pub(super) fn has_debug(&self, name: &str) -> bool {
        self.find_debug(name, 0).is_some()
    }

    /// How many sections have a name. Files of split DWARF have several of one name.
    pub(super) fn count(&self, name: &str) -> usize {
        self.elf.sections.iter().filter(|section| section.name == name.as_bytes()).count()
    }

    /// The section of a name that has so many of them before it.
    fn find_debug(&self, name: &str, place: usize) -> Option<(&Section<'s>, &'s [u8])> {
        let full = |section: &&Section<'s>| section.size > 0 && self.elf.contents(section).is_some();
        let old = name.replacen(".debug_", ".zdebug_", 1);
        let named = |wanted: &str| {
            self.elf
                .sections
                .iter()
                .filter(|section| section.name == wanted.as_bytes())
                .filter(full)
                .nth(place)
        };
        let section = named(name).or_else(|| named(&old))?;
        Some((section, self.elf.contents(section)?))
    }

    /// A `.debug_*` section, inflated; empty if there is none.
    pub(super) fn debug(&self, name: &str) -> &'s [u8] {
        self.debug_at(name, 0)
    }

    /// The same of the section that has so many of its name before it.
    pub(super) fn debug_at(&self, name: &str, place: usize) -> &'s [u8] {
        let Some((section, bytes)) = self.find_debug(name, place) else { return &[] };
        let is_old = section.name.starts_with(b".zdebug_");
        if section.flags & SHF_COMPRESSED == 0 && !is_old {
            return bytes;
        }
        if let Some(inflated) = self.inflated.borrow().get(&(name.to_owned(), place)) {
            return inflated;
        }
        let compressed = if is_old { Compressed::with_magic(bytes) } else { Compressed::with_header(bytes) };
        let result = compressed
            .ok_or_else(|| "unknown compression".to_owned())
            .and_then(|compressed| compressed.inflate(self.store.room(compressed.size, bytes.len())));
        let inflated = match result {
            Ok(inflated) => self.store.keep_inflated(inflated, bytes.len()),
            Err(error) => {
                self.failures.borrow_mut().push(format!("cannot inflate {name}: {error}"));
                &[]
            }
        };
        self.inflated.borrow_mut().insert((name.to_owned(), place), inflated);
        inflated
    }

    /// `.symtab`.
    pub(super) fn symtab(&self) -> Option<SymbolTable<'s>> {
        self.table(SHT_SYMTAB)
    }

    /// `.dynsym`, also of a file that has lost its section headers.
    pub(super) fn dynsym(&self, bias: u64) -> Option<SymbolTable<'s>> {
        self.table(SHT_DYNSYM).or_else(|| {
            let (symbols, strings) = dynamic::symbols(&self.elf, bias)?;
            Some(SymbolTable::new(symbols, &[], strings, self.code_ranges()))
        })
    }

    /// Symbols and strings of `.symtab` and `.dynsym`, as they are.
    pub(super) fn raw_tables(&self, bias: u64) -> Vec<(&'s [u8], &'s [u8])> {
        let sections = &self.elf.sections;
        let of_kind = |kind| {
            let section = sections.iter().find(|section| section.kind == kind)?;
            let strings = sections.get(section.link as usize)?;
            Some((self.elf.contents(section)?, self.elf.contents(strings)?))
        };
        let dynamic = of_kind(SHT_DYNSYM).or_else(|| dynamic::symbols(&self.elf, bias));
        dynamic.into_iter().chain(of_kind(SHT_SYMTAB)).collect()
    }

    fn table(&self, kind: u32) -> Option<SymbolTable<'s>> {
        let sections = &self.elf.sections;
        let (index, section) = sections.iter().enumerate().find(|(_, section)| section.kind == kind)?;
        let symbols = self.elf.contents(section)?;
        let strings = self.elf.contents(sections.get(section.link as usize)?)?;
        let belongs = |other: &&Section<'s>| other.kind == SHT_SYMTAB_SHNDX && other.link as usize == index;
        let extended = sections.iter().find(belongs).and_then(|other| self.elf.contents(other));
        let table = SymbolTable::new(symbols, extended.unwrap_or(&[]), strings, self.code_ranges());
        (!table.is_empty()).then_some(table)
    }

    /// Where code is: sections as symbols name them, else executable segments.
    pub(super) fn code_ranges(&self) -> Vec<Code> {
        let wanted = SHF_ALLOC | SHF_EXECINSTR;
        let sections = self.elf.sections.iter().zip(0_u32..);
        let sections = sections.filter(|(section, _)| section.flags & wanted == wanted);
        let code: Vec<_> = sections
            .map(|(section, index)| Code {
                section: Some(index),
                start: section.address,
                end: section.address.saturating_add(section.size),
            })
            .collect();
        if !code.is_empty() {
            return code;
        }
        let segments = self.elf.loads().filter(|segment| segment.flags & PF_X != 0);
        let code = segments.map(|segment| Code {
            section: None,
            start: segment.address,
            end: segment.address.saturating_add(segment.memory_size),
        });
        code.collect()
    }

    /// `.eh_frame` and its search table.
    pub(super) fn eh_sections(&self) -> Option<EhSections<Slice<'s>>> {
        let slice = |bytes| EndianSlice::new(bytes, LittleEndian);
        let address_of = |name: &[u8]| self.elf.section(name).map(|section| section.address);
        let loaded = |name: &[u8]| {
            let section = self.elf.section(name).filter(|section| section.flags & SHF_COMPRESSED == 0)?;
            let bytes = self.elf.contents(section).filter(|bytes| !bytes.is_empty())?;
            Some((bytes, section.address))
        };
        let header = loaded(b".eh_frame_hdr").or_else(|| self.eh_header_segment());
        let text_address = address_of(b".text");
        let got_address = address_of(b".got");
        let (frames, address) =
            loaded(b".eh_frame").or_else(|| self.eh_frame_behind(header?, text_address, got_address))?;
        Some(EhSections {
            eh_frame: slice(frames),
            eh_frame_address: address,
            eh_frame_hdr: header.map(|(bytes, address)| (slice(bytes), address)),
            text_address,
            got_address,
        })
    }

    fn eh_header_segment(&self) -> Option<(&'s [u8], u64)> {
        let segment = self.elf.segments.iter().find(|segment| segment.kind == PT_GNU_EH_FRAME)?;
        Some((self.elf.exactly_at(segment.address, segment.file_size)?, segment.address))
    }

    /// The search table says where `.eh_frame` begins; it ends with its segment at the latest.
    fn eh_frame_behind(
        &self,
        (bytes, address): (&'s [u8], u64),
        text: Option<u64>,
        got: Option<u64>,
    ) -> Option<(&'s [u8], u64)> {
        let mut bases = BaseAddresses::default().set_eh_frame_hdr(address);
        bases = text.into_iter().fold(bases, BaseAddresses::set_text);
        bases = got.into_iter().fold(bases, BaseAddresses::set_got);
        let header = EhFrameHdr::new(bytes, LittleEndian).parse(&bases, 8).ok()?;
        let Pointer::Direct(start) = header.eh_frame_ptr() else { return None };
        Some((self.elf.at_address(start)?.0, start))
    }
}
