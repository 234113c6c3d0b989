//! One opened ELF object: its contents by section name, inflated when asked for.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use gimli::{BaseAddresses, EhFrameHdr, EndianSlice, Pointer};
use threaddump_dwarf::symbols::{Code, Supply, SymbolTable};
use threaddump_dwarf::{EhSections, gimli};

use super::Slice;
use super::dynamic;
use super::elf::{
    Elf, PF_X, PT_GNU_EH_FRAME, SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SHT_DYNSYM, SHT_SYMTAB,
    SHT_SYMTAB_SHNDX, Section,
};
use super::inflate::Compressed;
use super::store::Store;

/// One ELF object. Copies share everything.
#[derive(Clone, Debug)]
pub(super) struct Contents<'s> {
    pub(super) elf: Rc<Elf<'s>>,
    store: &'s Store,
    state: Rc<State<'s>>,
}

/// What was inflated so far.
#[derive(Debug, Default)]
struct State<'s> {
    /// By section name, and how many have it before. What could not be inflated is empty.
    inflated: RefCell<BTreeMap<(String, usize), &'s [u8]>>,
    /// Parts of sections, by section name and place.
    parts: RefCell<BTreeMap<(&'static str, u64), &'s [u8]>>,
    failures: RefCell<Vec<String>>,
}

/// A compressed section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'s> {
    pub(super) compressed: Compressed<'s>,
    /// Bytes it has in the file.
    pub(super) length: usize,
}

impl<'s> Contents<'s> {
    pub(super) fn new(elf: Elf<'s>, store: &'s Store) -> Contents<'s> {
        Contents { elf: Rc::new(elf), store, state: Rc::default() }
    }

    pub(super) fn store(&self) -> &'s Store {
        self.store
    }

    /// That the file was cut off, in words.
    pub(super) fn cut(&self) -> Option<String> {
        self.elf.cut().map(|(length, whole)| format!("it is cut off: it has {length} bytes of {whole}"))
    }

    /// Which sections could not be inflated, and why.
    pub(super) fn failures(&self) -> Vec<String> {
        self.state.failures.borrow().clone()
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
        if let Some(inflated) = self.state.inflated.borrow().get(&(name.to_owned(), place)) {
            return inflated;
        }
        match self.packed_at(name, place) {
            Ok(None) => self.find_debug(name, place).map_or(&[], |(_, bytes)| bytes),
            Ok(Some(packed)) => self.keep_at(name, place, packed.compressed.inflate()),
            Err(why) => self.keep_at(name, place, Err(why)),
        }
    }

    /// The compressed form of a section that has to be inflated, which is then counted. `None` if it is
    /// not compressed, or is there already.
    ///
    /// # Errors
    ///
    /// In words, why it cannot be inflated.
    pub(super) fn packed(&self, name: &str) -> Result<Option<Packed<'s>>, String> {
        self.packed_at(name, 0)
    }

    fn packed_at(&self, name: &str, place: usize) -> Result<Option<Packed<'s>>, String> {
        if self.state.inflated.borrow().contains_key(&(name.to_owned(), place)) {
            return Ok(None);
        }
        let Some(packed) = self.find_packed(name, place) else { return Ok(None) };
        let packed = packed.ok_or_else(|| "unknown compression".to_owned())?;
        let size = packed.compressed.size;
        packed.compressed.check(self.store.room(size, packed.length))?;
        self.store.charge(size, packed.length);
        Ok(Some(packed))
    }

    /// `None` if the section is not compressed; `Some(None)` if nobody knows how.
    fn find_packed(&self, name: &str, place: usize) -> Option<Option<Packed<'s>>> {
        let (section, bytes) = self.find_debug(name, place)?;
        let is_old = section.name.starts_with(b".zdebug_");
        if section.flags & SHF_COMPRESSED == 0 && !is_old {
            return None;
        }
        let compressed =
            if is_old { Compressed::with_magic(bytes) } else { Compressed::with_header(&self.elf, bytes) };
        Some(compressed.map(|compressed| Packed { compressed, length: bytes.len() }))
    }

    /// Keeps what a section was inflated to.
    pub(super) fn keep(&self, name: &str, result: Result<Vec<u8>, String>) -> &'s [u8] {
        self.keep_at(name, 0, result)
    }

    fn keep_at(&self, name: &str, place: usize, result: Result<Vec<u8>, String>) -> &'s [u8] {
        let inflated = match result {
            Ok(inflated) => self.store.keep_bytes(inflated),
            Err(error) => {
                self.state.failures.borrow_mut().push(format!("cannot inflate {name}: {error}"));
                &[]
            }
        };
        self.state.inflated.borrow_mut().insert((name.to_owned(), place), inflated);
        inflated
    }

    /// Keeps a part of a section.
    pub(super) fn keep_part(&self, name: &'static str, start: u64, bytes: Vec<u8>) {
        self.state.parts.borrow_mut().insert((name, start), self.store.keep_bytes(bytes));
    }

    /// Its debug information, section by section.
    pub(super) fn supply(&self) -> Box<dyn Supply<'s> + 's> {
        Box::new(self.clone())
    }

    /// `.symtab`.
    pub(super) fn symtab(&self) -> Option<SymbolTable<'s>> {
        self.table(SHT_SYMTAB)
    }

    /// `.dynsym`, also of a file that has lost its section headers.
    pub(super) fn dynsym(&self, bias: u64) -> Option<SymbolTable<'s>> {
        self.table(SHT_DYNSYM).or_else(|| {
            let (symbols, strings) = dynamic::symbols(&self.elf, bias)?;
            Some(SymbolTable::of_arch(self.elf.arch, symbols, &[], strings, self.code_ranges()))
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
        let extended = extended.unwrap_or(&[]);
        let table = SymbolTable::of_arch(self.elf.arch, symbols, extended, strings, self.code_ranges());
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
        let slice = |bytes| EndianSlice::new(bytes, self.elf.order());
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
        let header = EhFrameHdr::new(bytes, self.elf.order());
        let header = header.parse(&bases, self.elf.arch.pointer_size()).ok()?;
        let Pointer::Direct(start) = header.eh_frame_ptr() else { return None };
        Some((self.elf.at_address(start)?.0, start))
    }
}

impl<'s> Supply<'s> for Contents<'s> {
    fn size(&self, name: &'static str) -> u64 {
        match self.find_packed(name, 0) {
            Some(packed) => packed.map_or(0, |packed| packed.compressed.size),
            None => self.find_debug(name, 0).map_or(0, |(_, bytes)| bytes.len() as u64),
        }
    }

    fn whole(&self, name: &'static str) -> &'s [u8] {
        self.debug(name)
    }

    fn part(&self, name: &'static str, start: u64) -> Option<&'s [u8]> {
        self.state.parts.borrow().get(&(name, start)).copied()
    }
}
