//! One module with its file.
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gimli::EndianSlice;
use threaddump_arch::Arch;
use threaddump_dwarf::symbols::{DebugInfo, DebugInfoError, Function, SymbolTable};
use threaddump_dwarf::{EhSections, gimli};

use super::Slice;
use super::batch::Need;
use super::elf::{Layout, PF_X, PT_ARM_EXIDX};
use super::find::{Finder, Opened};
use super::links::AltLink;
use super::sections::Contents;
use super::separate::Search;
use super::split::{Places, SplitSearch};
use super::{mini, named, notes, plt};
use crate::snapshot::{Module, ModuleImage, Problem};
use crate::sys::mapping::FileMapping;

/// Longest `_start`, in bytes; that of glibc's dynamic linker has 61.
const ENTRY: u64 = 64;

/// A module of the process together with the contents of its ELF file.
///
/// Opening one costs a mapping and a look at its headers; everything else is read when it is first
/// asked for.
#[derive(Debug)]
pub struct Image<'s> {
    path: Vec<u8>,
    build_id: Option<Vec<u8>>,
    start: u64,
    end: u64,
    bias: Option<u64>,
    contents: Option<Contents<'s>>,
    mapping: Option<&'s FileMapping>,
    finder: Rc<Finder<'s>>,
    eh_sections: OnceCell<Option<EhSections<Slice<'s>>>>,
    debug: OnceCell<Option<(Opened<'s>, PathBuf)>>,
    shared_debug: OnceCell<Option<Opened<'s>>>,
    split: SplitSearch<'s>,
    mini: OnceCell<Option<Contents<'s>>>,
    /// `.dynsym` together with the symbols of `mini`.
    merged: OnceCell<Option<SymbolTable<'s>>>,
    refused: RefCell<Vec<String>>,
    /// What may still be looked at for stubs of the procedure linkage table.
    plt_work: Cell<u64>,
    failure: Option<String>,
    generated: bool,
}

impl<'s> Image<'s> {
    pub(super) fn open(module: &Module, finder: &Rc<Finder<'s>>) -> Image<'s> {
        let (opened, failure) = match open(module, finder) {
            Ok(opened) => (Some(opened), None),
            Err(why) => (None, Some(why)),
        };
        let (contents, mapping) = match opened {
            Some((contents, mapping)) => (Some(contents), mapping),
            None => (None, None),
        };
        let generated = matches!(module.image, ModuleImage::Generated(_));
        let own = contents.as_ref().filter(|_| !generated);
        let own_id = || own.and_then(|contents| notes::build_id(&contents.elf));
        Image {
            path: module.path.clone(),
            build_id: module.build_id.clone().or_else(|| own_id().map(<[u8]>::to_vec)),
            start: module.start,
            end: module.end,
            bias: contents.as_ref().and_then(|contents| contents.elf.bias(module.start)),
            contents,
            mapping,
            finder: Rc::clone(finder),
            eh_sections: OnceCell::new(),
            // What the target made names no file.
            debug: if generated { OnceCell::from(None) } else { OnceCell::new() },
            shared_debug: if generated { OnceCell::from(None) } else { OnceCell::new() },
            split: SplitSearch::default(),
            mini: if generated { OnceCell::from(None) } else { OnceCell::new() },
            merged: OnceCell::new(),
            refused: RefCell::default(),
            plt_work: Cell::new(plt::WORK),
            failure: failure.flatten(),
            generated,
        }
    }

    /// Whether it is an object that a JIT compiler registered.
    pub fn is_generated(&self) -> bool {
        self.generated
    }

    /// Where a symbol of the module's own file is (process address). Searches the strings for the name
    /// first, so that the symbols are looked at only if it is there.
    pub fn symbol_address(&self, name: &[u8]) -> Option<u64> {
        let (contents, bias) = (self.contents.as_ref()?, self.bias?);
        let address = named::address(&contents.raw_tables(bias), name)?;
        Some(address.wrapping_add(bias))
    }

    /// Path in the target's root, or `[vdso]`.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Build ID, from the target's memory or else from the file.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// Lowest mapped address (process address space).
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Address after the highest mapped one (process address space).
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Process address minus file address; wraps. `None` if the ELF file could not be read.
    pub fn bias(&self) -> Option<u64> {
        self.bias
    }

    /// The file address of a process address.
    pub fn file_address(&self, process_address: u64) -> Option<u64> {
        Some(process_address.wrapping_sub(self.bias?))
    }

    /// Whether the kernel starts programs here or at most some dozen bytes before: in `_start` of a
    /// program or of the dynamic linker, which nothing calls.
    pub fn is_entry(&self, process_address: u64) -> bool {
        let entry = self.contents.as_ref().map_or(0, |contents| contents.elf.entry);
        let after = self.file_address(process_address).and_then(|address| address.checked_sub(entry));
        entry != 0 && after.is_some_and(|after| after < ENTRY)
    }

    /// Whether handlers of signals return to this process address.
    pub fn is_signal_trampoline(&self, process_address: u64) -> bool {
        self.finder.arch().is_signal_trampoline(self.code(process_address, Arch::TRAMPOLINE))
    }

    /// The separate debug file in use, as the target names it. Known once something was looked up
    /// in it.
    pub fn debug_file(&self) -> Option<PathBuf> {
        Some(self.debug.get()?.as_ref()?.1.clone())
    }

    /// The whole file or memory image.
    pub fn elf_bytes(&self) -> Option<&'s [u8]> {
        Some(self.contents.as_ref()?.elf.bytes)
    }

    /// `.eh_frame` and its search table; from the section headers, else from the segment that
    /// holds the table.
    pub fn eh_sections(&self) -> Option<EhSections<Slice<'s>>> {
        self.eh_sections.get_or_init(|| self.contents.as_ref()?.eh_sections()).clone()
    }

    /// `.ARM.exidx` with the file address of its first byte, in 32-bit ARM code.
    pub fn arm_exidx(&self) -> Option<(&'s [u8], u64)> {
        let elf = &self.contents.as_ref()?.elf;
        let mut segments = elf.segments.iter().filter(|_| elf.arch == Arch::Arm);
        let table = segments.find(|segment| segment.kind == PT_ARM_EXIDX)?;
        Some((elf.exactly_at(table.address, table.memory_size)?, table.address))
    }

    /// The bytes from a file address to the end of their segment.
    pub fn at_file_address(&self, address: u64) -> Option<&'s [u8]> {
        Some(self.contents.as_ref()?.elf.at_address(address)?.0)
    }

    /// `.debug_frame` of the file, else of the debug file or of `.gnu_debugdata`.
    pub fn debug_frame(&self) -> Option<Slice<'s>> {
        let holder = self.holder_of(".debug_frame").or_else(|| self.mini())?;
        let bytes = holder.debug(".debug_frame");
        (!bytes.is_empty()).then(|| EndianSlice::new(bytes, holder.elf.order()))
    }

    /// Whether the Go linker made it: it has Go's own table of functions.
    pub fn is_go(&self) -> bool {
        let sections = self.contents.iter().flat_map(|contents| &contents.elf.sections);
        sections.into_iter().any(|section| matches!(section.name, b".gopclntab" | b".data.rel.ro.gopclntab"))
    }

    /// Up to `len` bytes of code at a process address, as they are in the file; fewer, or none,
    /// where the executable segment ends.
    pub fn code(&self, process_address: u64, len: usize) -> &'s [u8] {
        let code = || {
            let address = self.file_address(process_address)?;
            let (bytes, segment) = self.contents.as_ref()?.elf.at_address(address)?;
            (segment.flags & PF_X != 0).then(|| &bytes[..len.min(bytes.len())])
        };
        code().unwrap_or(&[])
    }

    /// Symbol tables, the most complete first. `.symtab` where there is one, then `.dynsym`.
    pub fn symbol_tables(&self) -> Vec<SymbolTable<'s>> {
        let Some(contents) = &self.contents else { return Vec::new() };
        let full = contents.symtab().or_else(|| self.debug_contents()?.symtab());
        if full.is_none() {
            let merge = || mini::merged(self.mini()?, contents, contents.store());
            if let Some(merged) = self.merged.get_or_init(merge) {
                return vec![merged.clone()];
            }
        }
        full.into_iter().chain(contents.dynsym(self.bias.unwrap_or(0))).collect()
    }

    /// What is in `.gnu_debugdata`.
    fn mini(&self) -> Option<&Contents<'s>> {
        let open = || {
            let opened = mini::open(self.contents.as_ref()?, &self.finder, self.build_id())?;
            let refuse = |why| {
                let name = String::from_utf8_lossy(&self.path);
                self.refused.borrow_mut().push(format!("cannot use .gnu_debugdata of {name}: {why}"));
            };
            opened.map_err(refuse).ok()
        };
        self.mini.get_or_init(open).as_ref()
    }

    /// The function that a stub of the procedure linkage table calls, and the file address of the
    /// stub, if `address` (file address) is in one.
    pub fn plt_target(&self, address: u64) -> Option<(&'s [u8], u64)> {
        plt::target(&self.contents.as_ref()?.elf, address, &self.plt_work)
    }

    /// The DWARF of the file, else of its debug file. `None` if there is none.
    pub fn debug_info(&self) -> Option<DebugInfo<'s>> {
        let holder = self.holder_of(".debug_info")?;
        let shared = self.shared_debug(holder).map(|shared| shared.contents.supply());
        Some(DebugInfo::open(holder.supply(), shared).in_order(holder.elf.order()))
    }

    /// What is to be inflated before names are looked up in [`Image::debug_info`], of which only `parts`
    /// (ranges of `.debug_info`) are read; all of it if that is `None`.
    pub fn needs(&self, parts: Option<Vec<Range<u64>>>) -> Vec<Need<'s>> {
        let Some(holder) = self.holder_of(".debug_info") else { return Vec::new() };
        let shared = self.shared_debug(holder).map(|shared| Need::all_of(&shared.contents, None));
        Need::all_of(holder, parts).into_iter().chain(shared.into_iter().flatten()).collect()
    }

    /// The file that `holder`, which has the DWARF, shares with others.
    fn shared_debug(&self, holder: &Contents<'s>) -> Option<&Opened<'s>> {
        let separate = self.debug.get().and_then(Option::as_ref).map(|(_, path)| path.as_path());
        let path = separate.unwrap_or(Path::new(OsStr::from_bytes(&self.path)));
        let find = || Search::new(&self.finder, &mut self.refused.borrow_mut()).shared(&holder.elf, path);
        self.shared_debug.get_or_init(find).as_ref()
    }

    /// What `info`, which is this image's, says about a file address. Files of split DWARF that it needs
    /// for that are looked for.
    ///
    /// # Errors
    ///
    /// As [`DebugInfo::at`].
    pub fn look_up(&self, info: &mut DebugInfo<'s>, address: u64) -> Result<Function, DebugInfoError> {
        if self.generated {
            return info.at(address);
        }
        let debug_file = self.debug.get().and_then(Option::as_ref).map(|(_, path)| path.as_path());
        let places = Places { object: Path::new(OsStr::from_bytes(&self.path)), debug_file };
        self.split.look_up(info, address, &self.finder, places)
    }

    /// What could not be read or used so far.
    pub fn problems(&self) -> Vec<Problem> {
        let name = String::from_utf8_lossy(&self.path);
        let debug = self.debug.get().and_then(Option::as_ref);
        let refused = self.failure.iter().map(|why| format!("cannot use {name}: {why}"));
        let own = self.contents.iter().flat_map(|contents| contents.failures());
        let own = own.map(|why| format!("{name}: {why}"));
        let separate = debug.iter().flat_map(|(opened, path)| {
            let path = path.display().to_string();
            let failures = opened.contents.failures().into_iter();
            failures.chain(opened.contents.cut()).map(move |why| format!("{path}: {why}"))
        });
        let damaged = self.mapping.is_some_and(FileMapping::damaged).then(|| name.to_string());
        let debug_damaged = debug.filter(|(opened, _)| opened.mapping.damaged());
        let changed = damaged.into_iter().chain(debug_damaged.map(|(_, path)| path.display().to_string()));
        let changed = changed.map(|path| format!("{path} became shorter while it was read"));
        let links = self.refused.borrow().clone().into_iter().chain(self.split.problems());
        let messages = refused.chain(own).chain(separate).chain(changed).chain(links);
        messages.map(|message| Problem::new("file", message)).collect()
    }

    /// The build ID of a file that is not here and would tell more: see [`super::Images::lacking`].
    pub(super) fn lacking(&self, lines: bool) -> Option<Vec<u8>> {
        let own = self.contents.as_ref().filter(|_| !self.generated)?;
        let Some(holder) = self.holder_of(".debug_info") else {
            let named = || {
                own.symtab().is_some()
                    || self.mini().is_some()
                    || self.debug_contents().is_some_and(|debug| debug.symtab().is_some())
            };
            return self.build_id.clone().filter(|_| lines || !named());
        };
        let wanted = AltLink::of(&holder.elf)?.build_id;
        self.shared_debug(holder).is_none().then(|| wanted.to_vec())
    }

    /// Forgets what was not found, since it is here now. Whether it has rules to unwind by that were not
    /// there before.
    pub(super) fn look_again(&mut self, build_id: &[u8]) -> bool {
        if self.build_id() == Some(build_id) {
            let had = self.debug_frame().is_some();
            self.refused.borrow_mut().clear();
            self.debug = OnceCell::new();
            self.shared_debug = OnceCell::new();
            return !had && self.debug_frame().is_some();
        }
        if self.shared_debug.get().is_some_and(Option::is_none) && !self.generated {
            self.refused.borrow_mut().clear();
            self.shared_debug = OnceCell::new();
        }
        false
    }

    /// The object that has a debug section: the file itself if it does.
    fn holder_of(&self, name: &str) -> Option<&Contents<'s>> {
        let own = self.contents.as_ref()?;
        if own.has_debug(name) {
            return Some(own);
        }
        self.debug_contents().filter(|debug| debug.has_debug(name))
    }

    fn debug_contents(&self) -> Option<&Contents<'s>> {
        let find = || {
            let mut refused = self.refused.borrow_mut();
            let mut search = Search::new(&self.finder, &mut refused);
            let by_id = self.build_id().and_then(|id| search.by_id(id));
            by_id.or_else(|| {
                let elf = &self.contents.as_ref()?.elf;
                search.linked(elf, Path::new(OsStr::from_bytes(&self.path)), self.build_id())
            })
        };
        self.debug.get_or_init(find).as_ref().map(|(opened, _)| &opened.contents)
    }
}

type Parts<'s> = (Contents<'s>, Option<&'s FileMapping>);

/// Opens the contents of a module. `Err(None)`: there are none, and that is already known.
fn open<'s>(module: &Module, finder: &Finder<'s>) -> Result<Parts<'s>, Option<String>> {
    let (bytes, layout) = match &module.image {
        ModuleImage::File => {
            let opened = finder.module(module).map_err(Some)?;
            return Ok((opened.contents, Some(opened.mapping)));
        }
        ModuleImage::FileCopy(bytes) => (bytes, Layout::File),
        ModuleImage::Memory(bytes) => (bytes, Layout::Memory),
        ModuleImage::Generated(bytes) => return Ok((finder.generated(bytes).map_err(Some)?, None)),
        ModuleImage::None => return Err(None),
    };
    let contents = finder.copy(bytes, layout).map_err(Some)?;
    Ok((contents, None))
}
