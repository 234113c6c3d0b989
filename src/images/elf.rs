//! The headers of one ELF object, and where its bytes are.
//!
//! Every part is read on its own: a file whose section headers are nonsense still has segments,
//! and one without segments still has sections (debug files).
use object::Endianness;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use threaddump_arch::Arch;
use threaddump_dwarf::gimli::RunTimeEndian;

/// Section headers read at most; real files have some dozens.
const MAX_HEADERS: usize = 1 << 16;
/// Program headers read at most; the kernel takes 1,170.
const MAX_SEGMENTS: usize = 1 << 11;
/// Longest section name read, in bytes.
const MAX_SECTION_NAME: usize = 256;
/// Mappings begin at multiples of this on every kernel for the architectures we know, in bytes.
const PAGE: u64 = 4096;

/// How the bytes of an object are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As in the file: `bytes[i]` is file offset `i`.
    File,
    /// As in memory: `bytes[i]` is the address of the first mapped page plus `i`.
    Memory,
}

/// The parsed headers of one ELF object. All addresses are file addresses.
#[derive(Clone, Debug)]
pub(super) struct Elf<'s> {
    /// The whole file or memory image.
    pub bytes: &'s [u8],
    /// How `bytes` are laid out.
    pub layout: Layout,
    /// What it is made for.
    pub arch: Arch,
    /// Whether it is linked to fixed addresses (`ET_EXEC`).
    pub fixed: bool,
    /// Where a program begins (file address); 0 in most libraries.
    pub entry: u64,
    /// Program headers, in file order.
    pub segments: Vec<Segment>,
    /// Section headers, in file order; empty if there are none or they cannot be read.
    pub sections: Vec<Section<'s>>,
    /// Where the section headers end, as an offset in the file.
    pub headers_end: u64,
}

/// One program header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// `PT_*`.
    pub kind: u32,
    /// `PF_*`.
    pub flags: u32,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// First address.
    pub address: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Bytes in memory.
    pub memory_size: u64,
    /// Alignment, in bytes.
    pub align: u64,
}

/// One section header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'s> {
    /// Its name; empty if it cannot be read.
    pub name: &'s [u8],
    /// `SHT_*`.
    pub kind: u32,
    /// `SHF_*`.
    pub flags: u64,
    /// First address.
    pub address: u64,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Size, in bytes.
    pub size: u64,
    /// Index of the section it belongs to.
    pub link: u32,
    /// Alignment, in bytes.
    pub align: u64,
}

pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_DYNAMIC: u32 = 2;
pub(super) const PT_NOTE: u32 = 4;
pub(super) const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
/// The table of functions of 32-bit ARM code.
pub(super) const PT_ARM_EXIDX: u32 = 0x7000_0001;
pub(super) const PF_X: u32 = 1;
pub(super) const PF_W: u32 = 2;
pub(super) const SHT_SYMTAB: u32 = 2;
pub(super) const SHT_NOTE: u32 = 7;
pub(super) const SHT_NOBITS: u32 = 8;
pub(super) const SHT_DYNSYM: u32 = 11;
pub(super) const SHT_SYMTAB_SHNDX: u32 = 18;
pub(super) const SHF_ALLOC: u64 = 2;
pub(super) const SHF_EXECINSTR: u64 = 4;
pub(super) const SHF_COMPRESSED: u64 = 1 << 11;

impl<'s> Elf<'s> {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// In words, if this is no ELF file for `arch`.
    pub(super) fn parse(bytes: &'s [u8], layout: Layout, arch: Arch) -> Result<Elf<'s>, String> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err("not an ELF file".to_owned());
        }
        match arch.pointer_size() {
            4 => Elf::parse_as::<FileHeader32<Endianness>>(bytes, layout, arch),
            _ => Elf::parse_as::<FileHeader64<Endianness>>(bytes, layout, arch),
        }
    }

    fn parse_as<H: FileHeader<Endian = Endianness>>(
        bytes: &'s [u8],
        layout: Layout,
        arch: Arch,
    ) -> Result<Elf<'s>, String> {
        let order = if arch.is_big_endian() { Endianness::Big } else { Endianness::Little };
        let header = H::parse(bytes).ok().filter(|header| header.endian() == Ok(order)).ok_or_else(|| {
            let order = if arch.is_big_endian() { "big" } else { "little" };
            format!("not a {}-bit {order}-endian ELF file", 8 * arch.pointer_size())
        })?;
        let machine = header.e_machine(order).0;
        if machine != arch.elf_machine() {
            return Err(format!("an ELF file for another machine ({machine})"));
        }
        let mut elf = Elf {
            bytes,
            layout,
            arch,
            fixed: header.e_type(order) == object::elf::ET_EXEC,
            entry: header.e_entry(order).into(),
            segments: segments(header, order, bytes),
            sections: Vec::new(),
            headers_end: Into::<u64>::into(header.e_shoff(order))
                .saturating_add(u64::from(header.e_shnum(order)) * size_of::<H::SectionHeader>() as u64),
        };
        if elf.has_section_headers(header, order) {
            elf.sections = sections(header, order, bytes);
        }
        Ok(elf)
    }

    /// In memory a file offset leads to something only in a segment that is mapped as it is in
    /// the file, at the same distance from the start.
    fn has_section_headers<H: FileHeader>(&self, header: &H, order: H::Endian) -> bool {
        if self.layout == Layout::File {
            return true;
        }
        let Some(base) = self.base() else { return false };
        let start: u64 = header.e_shoff(order).into();
        let size = u64::from(header.e_shnum(order)) * size_of::<H::SectionHeader>() as u64;
        let Some(end) = start.checked_add(size) else { return false };
        self.loads().any(|load| {
            let last = load.offset.saturating_add(load.file_size).saturating_add(PAGE - 1) & !(PAGE - 1);
            load.flags & PF_W == 0
                && load.address.wrapping_sub(base) == load.offset
                && load.offset <= start
                && end <= last
        })
    }

    /// The byte order of everything in it.
    pub(super) fn order(&self) -> RunTimeEndian {
        if self.arch.is_big_endian() { RunTimeEndian::Big } else { RunTimeEndian::Little }
    }

    /// Whether it has 64-bit fields.
    pub(super) fn is_wide(&self) -> bool {
        self.arch.pointer_size() == 8
    }

    /// A number of `size` bytes (8 at most) at a place in a part of it.
    pub(super) fn number(&self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        Some(self.arch.number(bytes.get(at..at.checked_add(size)?)?))
    }

    /// Segments that are mapped.
    pub(super) fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.kind == PT_LOAD)
    }

    /// The address of the first mapped page.
    pub(super) fn base(&self) -> Option<u64> {
        self.loads().map(|load| load.address & !(PAGE - 1)).min()
    }

    /// Process address minus file address of a module whose first page is at `start`; wraps.
    pub(super) fn bias(&self, start: u64) -> Option<u64> {
        if self.fixed {
            return Some(0);
        }
        Some(start.wrapping_sub(self.base()?))
    }

    /// A part of the file by offset and size; `None` if it is not all there.
    pub(super) fn range(&self, offset: u64, size: u64) -> Option<&'s [u8]> {
        let start = usize::try_from(offset).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    }

    /// The bytes from a file address to the end of the segment's contents that hold it.
    pub(super) fn at_address(&self, address: u64) -> Option<(&'s [u8], &Segment)> {
        let inside = |load: &&Segment| {
            let size = if self.layout == Layout::File { load.file_size } else { load.memory_size };
            address.checked_sub(load.address).is_some_and(|offset| offset < size)
        };
        let load = self.loads().find(inside)?;
        let within = address - load.address;
        let (start, left) = match self.layout {
            Layout::File => (load.offset.checked_add(within)?, load.file_size - within),
            Layout::Memory => (address.checked_sub(self.base()?)?, load.memory_size - within),
        };
        let rest = self.bytes.get(usize::try_from(start).ok()?..)?;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        Some((&rest[..left.min(rest.len())], load))
    }

    /// Exactly `size` bytes at a file address.
    pub(super) fn exactly_at(&self, address: u64, size: u64) -> Option<&'s [u8]> {
        self.at_address(address)?.0.get(..usize::try_from(size).ok()?)
    }

    /// The contents of a section as they are in the file (not inflated).
    pub(super) fn contents(&self, section: &Section<'s>) -> Option<&'s [u8]> {
        if section.kind == SHT_NOBITS || section.kind == 0 {
            return None;
        }
        match self.layout {
            Layout::File => self.range(section.offset, section.size),
            Layout::Memory if section.flags & SHF_ALLOC != 0 => {
                self.exactly_at(section.address, section.size)
            }
            Layout::Memory => None,
        }
    }

    /// The contents of a segment in the file.
    pub(super) fn segment_contents(&self, segment: &Segment) -> Option<&'s [u8]> {
        match self.layout {
            Layout::File => self.range(segment.offset, segment.file_size),
            Layout::Memory => self.exactly_at(segment.address, segment.file_size),
        }
    }

    /// A file for x86_64 in which nothing is.
    #[cfg(test)]
    pub(super) fn bare() -> Elf<'static> {
        Elf {
            bytes: &[],
            layout: Layout::File,
            arch: Arch::X86_64,
            fixed: false,
            entry: 0,
            segments: Vec::new(),
            sections: Vec::new(),
            headers_end: 0,
        }
    }

    /// How long a file is that should be longer, and how long it should be, going by its sections, in bytes.
    pub(super) fn cut(&self) -> Option<(u64, u64)> {
        let length = self.bytes.len() as u64;
        let stored = self.sections.iter().filter(|section| !matches!(section.kind, SHT_NOBITS | 0));
        let ends = stored.map(|section| section.offset.saturating_add(section.size));
        let end = ends.chain([self.headers_end]).max().filter(|_| self.layout == Layout::File)?;
        (end > length).then_some((length, end))
    }

    /// The first section of a name.
    pub(super) fn section(&self, name: &[u8]) -> Option<&Section<'s>> {
        self.sections.iter().find(|section| section.name == name)
    }
}

fn segments<H: FileHeader>(header: &H, order: H::Endian, bytes: &[u8]) -> Vec<Segment> {
    let size = size_of::<H::ProgramHeader>();
    // Those that are there count, whatever number the header gives.
    let rest = usize::try_from(header.e_phoff(order).into()).ok().and_then(|start| bytes.get(start..));
    let rest = rest.filter(|_| usize::from(header.e_phentsize(order)) == size).unwrap_or(&[]);
    let count = usize::from(header.e_phnum(order)).min(MAX_SEGMENTS).min(rest.len() / size);
    let headers =
        object::pod::slice_from_bytes::<H::ProgramHeader>(rest, count).map_or(&[][..], |(list, _)| list);
    let segment = |header: &H::ProgramHeader| {
        let memory_size: u64 = header.p_memsz(order).into();
        Segment {
            kind: header.p_type(order).0,
            flags: header.p_flags(order).0,
            offset: header.p_offset(order).into(),
            address: header.p_vaddr(order).into(),
            file_size: memory_size.min(header.p_filesz(order).into()),
            memory_size,
            align: header.p_align(order).into(),
        }
    };
    headers.iter().map(segment).collect()
}

fn sections<'s, H: FileHeader>(header: &H, order: H::Endian, bytes: &'s [u8]) -> Vec<Section<'s>> {
    let headers = header.section_headers(order, bytes).unwrap_or(&[]);
    let strings = header
        .section_strings_index(order, bytes)
        .ok()
        .and_then(|index| headers.get(index.0)?.data(order, bytes).ok())
        .unwrap_or(&[]);
    let section = |header: &H::SectionHeader| Section {
        name: text_at(strings, header.sh_name(order) as usize),
        kind: header.sh_type(order).0,
        flags: header.sh_flags(order).0,
        address: header.sh_addr(order).into(),
        offset: header.sh_offset(order).into(),
        size: header.sh_size(order).into(),
        link: header.sh_link(order),
        align: header.sh_addralign(order).into(),
    };
    headers.iter().take(MAX_HEADERS).map(section).collect()
}

/// The text at an offset, up to its NUL; empty if it has none near.
fn text_at(strings: &[u8], start: usize) -> &[u8] {
    let rest = strings.get(start..).unwrap_or(&[]);
    let rest = &rest[..rest.len().min(MAX_SECTION_NAME)];
    rest.iter().position(|&byte| byte == 0).map_or(&[], |end| &rest[..end])
}
