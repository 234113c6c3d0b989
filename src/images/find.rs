//! Which file is a module's, and which debug file belongs to it.
//!
//! A path from a target's maps is only a hint: the file may have been replaced since, or the path
//! may mean another file outside the target's root.
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind::NotADirectory, ErrorKind::NotFound};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use threaddump_arch::Arch;

use super::FileAccess;
use super::elf::{Elf, Layout};
use super::links;
use super::sections::Contents;
use super::store::Store;
use super::{generated, notes};
use crate::snapshot::{Module, hex};
use crate::sys::mapping::{FileMapping, open_regular};
use crate::sys::root::Root;

/// Files that are mapped at most. Real processes have some hundreds, browsers; every mapping of ours
/// counts against the kernel's limit for us.
const MAX_FILES: usize = 8192;
/// Bytes of files whose checksum is computed, all together.
const MAX_CHECKED: u64 = 2 << 30;

/// Opens files as the target sees them and checks that they are the right ones.
#[derive(Debug)]
pub(super) struct Finder<'s> {
    store: &'s Store,
    arch: Arch,
    access: FileAccess,
    /// The target's root directory, held so that it can be used after the target has ended.
    root: Option<Root>,
    debug_dirs: Vec<PathBuf>,
    /// Debug files that were fetched, by build ID.
    supplied: RefCell<HashMap<Vec<u8>, PathBuf>>,
    /// Files that are mapped already.
    mapped: RefCell<HashMap<FileKey, &'s FileMapping>>,
    /// Bytes whose checksum may still be computed.
    unchecked: Cell<u64>,
}

/// Device, inode, size, and time of the last change in seconds and nanoseconds.
type FileKey = (u64, u64, u64, i64, i64);

/// An opened file.
#[derive(Debug)]
pub(super) struct Opened<'s> {
    pub(super) contents: Contents<'s>,
    pub(super) mapping: &'s FileMapping,
}

/// A file that is at a path.
#[derive(Debug)]
pub(super) struct Found<'s> {
    pub(super) opened: Opened<'s>,
    pub(super) file: File,
    /// Whether the target would find it there, too.
    pub(super) is_inside: bool,
}

/// Why a file is not used.
enum Refusal {
    /// There is none, or it cannot be opened.
    Missing(String),
    /// It is another file than the one that is mapped.
    Other(String),
}

impl<'s> Finder<'s> {
    pub(super) fn arch(&self) -> Arch {
        self.arch
    }

    pub(super) fn new(store: &'s Store, arch: Arch, access: &FileAccess, debug_dirs: &[PathBuf]) -> Self {
        let root = match access {
            FileAccess::Live { root, .. } => Root::open(root).ok(),
            FileAccess::Chosen { root, .. } => root.as_deref().and_then(|root| Root::open(root).ok()),
            FileAccess::Host | FileAccess::Through(_) => None,
        };
        Finder {
            store,
            arch,
            access: access.clone(),
            root,
            debug_dirs: debug_dirs.to_vec(),
            supplied: RefCell::default(),
            mapped: RefCell::default(),
            unchecked: Cell::new(MAX_CHECKED),
        }
    }

    /// The file of a module.
    ///
    /// # Errors
    ///
    /// In words, why no file is used.
    pub(super) fn module(&self, module: &Module) -> Result<Opened<'s>, String> {
        let mut other = None;
        let mut missing = None;
        for file in self.candidates(module) {
            match file().and_then(|(file, exact)| self.check(&file, exact, module)) {
                Ok(opened) => return Ok(opened),
                Err(Refusal::Other(why)) => other = other.or(Some(why)),
                Err(Refusal::Missing(why)) => missing = missing.or(Some(why)),
            }
        }
        let why = other.or(missing).unwrap_or_else(|| "it has no path".to_owned());
        Err(match self.chosen(&module.path) {
            Some(chosen) => format!("{} does not fit: {why}", chosen.display()),
            None => why,
        })
    }

    /// Ways to the file; the flag says that it is the mapped one whatever its inode.
    #[allow(clippy::type_complexity)]
    fn candidates<'a>(
        &'a self,
        module: &'a Module,
    ) -> Vec<Box<dyn Fn() -> Result<(File, bool), Refusal> + 'a>> {
        let path = Path::new(OsStr::from_bytes(&module.path));
        let by_path = move || {
            if let Some(chosen) = self.chosen(&module.path) {
                let file = open_regular(chosen).map_err(|error| Refusal::Missing(error.to_string()));
                return file.map(|file| (file, true));
            }
            if !path.is_absolute() {
                return Err(Refusal::Missing("it has no path".to_owned()));
            }
            let exact = !matches!(self.access, FileAccess::Live { .. });
            self.open(path).map(|file| (file, exact)).map_err(|error| Refusal::Missing(error.to_string()))
        };
        if let FileAccess::Through(opener) = &self.access {
            let mapped = opener.as_ref();
            let by_mapping = move || match mapped.module(module) {
                Ok(file) => Ok((file, true)),
                Err(error) => Err(Refusal::Missing(error.to_string())),
            };
            return vec![Box::new(by_mapping)];
        }
        let FileAccess::Live { proc_dir, .. } = &self.access else { return vec![Box::new(by_path)] };
        let by_range = move || {
            let file = mapped_file(&proc_dir.join("map_files"), module.start);
            file.map(|file| (file, true)).map_err(|error| Refusal::Missing(error.to_string()))
        };
        let by_exe = move || {
            let file = open_regular(&proc_dir.join("exe"));
            file.map(|file| (file, false)).map_err(|error| Refusal::Missing(error.to_string()))
        };
        // The first reason given is the one about the path, which is what people can act on.
        vec![Box::new(by_path), Box::new(by_range), Box::new(by_exe)]
    }

    fn check(&self, file: &File, exact: bool, module: &Module) -> Result<Opened<'s>, Refusal> {
        let missing = |error: io::Error| Refusal::Missing(error.to_string());
        let meta = file.metadata().map_err(missing)?;
        let same_file = exact || is_mapped_file(&meta, module);
        if !same_file && module.build_id.is_none() {
            return Err(Refusal::Other(format!(
                "the file there is another one (inode {} instead of {})",
                meta.ino(),
                module.inode
            )));
        }
        let opened = self.map(file).map_err(Refusal::Missing)?;
        let Some(wanted) = &module.build_id else { return Ok(opened) };
        match notes::build_id(&opened.contents.elf) {
            Some(found) if found == wanted.as_slice() => Ok(opened),
            found => Err(Refusal::Other(format!(
                "its build ID is {}, but the one in memory is {}",
                found.map_or_else(|| "missing".to_owned(), hex),
                hex(wanted)
            ))),
        }
    }

    /// The file that was given for a module.
    fn chosen(&self, module: &[u8]) -> Option<&Path> {
        let FileAccess::Chosen { files, .. } = &self.access else { return None };
        files.iter().find(|(path, _)| path == module).map(|(_, file)| file.as_path())
    }

    /// Whether a replay on this machine would find the file of a module: not if it is in another root.
    pub(super) fn is_here(&self, module: &Module) -> bool {
        let file = open_regular(Path::new(OsStr::from_bytes(&module.path)));
        let Ok(file) = file else { return false };
        let mapped = file.metadata().is_ok_and(|meta| is_mapped_file(&meta, module));
        mapped || (module.build_id.is_some() && self.check(&file, true, module).is_ok())
    }

    fn map(&self, file: &File) -> Result<Opened<'s>, String> {
        let words = |error: io::Error| error.to_string();
        let meta = file.metadata().map_err(words)?;
        let key = (meta.dev(), meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec());
        let known = self.mapped.borrow().get(&key).copied();
        let mapping = match known {
            Some(known) => known,
            None if self.mapped.borrow().len() >= MAX_FILES => return Err("too many files".to_owned()),
            None => {
                let mapping = FileMapping::of(file).map_err(words)?;
                // Parsed before it is stored: what is not used is unmapped at once.
                Elf::parse(mapping.bytes(), Layout::File, self.arch)?;
                let mapping = self.store.keep_mapping(mapping);
                self.mapped.borrow_mut().insert(key, mapping);
                mapping
            }
        };
        let elf = Elf::parse(mapping.bytes(), Layout::File, self.arch)?;
        Ok(Opened { contents: Contents::new(elf, self.store), mapping })
    }

    /// An object whose bytes are in the snapshot.
    ///
    /// # Errors
    ///
    /// In words, if it is no ELF object.
    pub(super) fn copy(&self, bytes: &[u8], layout: Layout) -> Result<Contents<'s>, String> {
        let elf = Elf::parse(self.store.keep_bytes(bytes.to_vec()), layout, self.arch)?;
        Ok(Contents::new(elf, self.store))
    }

    /// An object inside of another.
    ///
    /// # Errors
    ///
    /// In words, if it is no ELF object.
    pub(super) fn inner(&self, bytes: &'s [u8]) -> Result<Contents<'s>, String> {
        Ok(Contents::new(Elf::parse(bytes, Layout::File, self.arch)?, self.store))
    }

    /// An ELF object about generated code, whose addresses are made process addresses.
    ///
    /// # Errors
    ///
    /// In words, if it is no ELF object.
    pub(super) fn generated(&self, bytes: &[u8]) -> Result<Contents<'s>, String> {
        let linked = self.store.keep_bytes(generated::link(bytes));
        let mut elf = Elf::parse(linked, Layout::File, self.arch)?;
        elf.fixed = true;
        // Where its sections are is what counts; nothing loaded it by its segments.
        elf.segments.clear();
        Ok(Contents::new(elf, self.store))
    }

    /// Opens a path as the target would: its symbolic links cannot leave its root.
    fn open(&self, path: &Path) -> io::Result<File> {
        match &self.root {
            Some(root) => root.regular(path),
            None => open_regular(path),
        }
    }

    pub(super) fn supply(&self, build_id: &[u8], path: PathBuf) {
        self.supplied.borrow_mut().insert(build_id.to_vec(), path);
    }

    pub(super) fn debug_dirs(&self) -> &[PathBuf] {
        &self.debug_dirs
    }

    /// The debug file that was fetched for a build ID.
    pub(super) fn supplied(&self, build_id: &[u8]) -> Option<PathBuf> {
        self.supplied.borrow().get(build_id).cloned()
    }

    /// The ELF files that a path leads to: in the target's root, and on this machine. Files that are not
    /// there are left out; errors are in words.
    pub(super) fn everywhere(&self, path: &Path) -> Vec<Result<Found<'s>, String>> {
        let files = match &self.access {
            FileAccess::Through(opener) => opener.everywhere(path),
            _ => {
                let inside = self.root.as_ref().map(|_| (self.open(path), true));
                inside.into_iter().chain([(open_regular(path), self.root.is_none())]).collect()
            }
        };
        let mut found: Vec<Result<Found<'s>, String>> = Vec::new();
        for (file, is_inside) in files {
            let file = match file {
                // What is not there is no reason for a word.
                Err(error) if matches!(error.kind(), NotFound | NotADirectory) => continue,
                file => file.map_err(|error| error.to_string()),
            };
            let opened = file.and_then(|file| Ok(Found { opened: self.map(&file)?, file, is_inside }));
            // Both are the same file, if the target has no root of its own.
            let same = |known: &Found<'s>| {
                opened.as_ref().is_ok_and(|new| std::ptr::eq(known.opened.mapping, new.opened.mapping))
            };
            if !found.iter().flatten().any(same) {
                found.push(opened);
            }
        }
        found
    }

    /// The checksum of a file, as long as there were not too many of them.
    pub(super) fn checksum(&self, file: &File) -> io::Result<u32> {
        links::checksum(file, &self.unchecked)
    }
}

/// Whether a file is the one a module was mapped from, by device and inode.
///
/// btrfs and overlayfs show another device in maps than in stat(2), both without a major number.
fn is_mapped_file(meta: &Metadata, module: &Module) -> bool {
    let device = (libc::major(meta.dev()), libc::minor(meta.dev()));
    let without_major = device.0 == 0 && module.device.0 == 0;
    meta.ino() == module.inode && module.inode != 0 && (device == module.device || without_major)
}

/// The file mapped at an address, through `/proc/PID/map_files` (needs CAP_CHECKPOINT_RESTORE).
fn mapped_file(dir: &Path, start: u64) -> io::Result<File> {
    let wanted = format!("{start:x}-");
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(wanted.as_bytes()) {
            return open_regular(&entry.path());
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
