//! The ELF objects of a core file: from its table of mapped files, or from the list of the dynamic linker.
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use threaddump_arch::Arch;

use super::super::elf::{self, HEADER_SIZE, Segment};
use super::super::memory::ReadMemory;
use super::super::modules::{
    MAX_COPIES, MAX_MEMBERS, MAX_MEMORY_IMAGE, MAX_MODULES, copy_image, file_build_id, vdso,
};
use super::links::Loaded;
use super::memory::CoreMemory;
use super::{CoreError, Options};
use crate::snapshot::{Mapping, Module, ModuleImage, Problem};
use crate::sys::mapping::open_regular;
use crate::sys::root::Root;

/// Files that are named in one problem.
const NAMED: usize = 5;

/// Where files are on this machine.
#[derive(Debug)]
pub(super) struct Disk {
    root: Option<Root>,
    exe: Option<PathBuf>,
}

impl Disk {
    /// # Errors
    /// If a file or directory that was named cannot be opened.
    pub(super) fn new(options: &Options) -> Result<Disk, CoreError> {
        let cannot = |path: &Path, source| CoreError::Io { what: format!("open {}", path.display()), source };
        let open = |path: &PathBuf| Root::open(path).map_err(|error| cannot(path, error));
        let root = options.sysroot.as_ref().map(open).transpose()?;
        if let Some(exe) = &options.exe {
            open_regular(exe).map_err(|error| cannot(exe, error))?;
        }
        Ok(Disk { root, exe: options.exe.clone() })
    }

    pub(super) fn open(&self, path: &[u8], is_exe: bool) -> io::Result<File> {
        let path = Path::new(OsStr::from_bytes(path));
        match (&self.exe, &self.root) {
            (Some(exe), _) if is_exe => open_regular(exe),
            (_, Some(root)) => root.regular(path),
            _ if path.is_absolute() => open_regular(path),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Finds the modules of one core file.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    memory: &'a CoreMemory<'a>,
    disk: &'a Disk,
    /// Where the executable starts (process address), or 0.
    entry: u64,
    copies_left: u64,
    /// Files of which nothing tells whether they are the right ones.
    unchecked: Vec<String>,
    /// Files that are not there.
    replaced: Vec<String>,
}

/// A module on the way.
struct Candidate {
    /// Process address at which the file begins.
    first: u64,
    path: Vec<u8>,
    deleted: bool,
    segments: Vec<Segment>,
    bias: u64,
    /// Where it is loaded.
    start: u64,
    end: u64,
    is_exe: bool,
}

impl<'a> Finder<'a> {
    pub(super) fn new(memory: &'a CoreMemory<'a>, disk: &'a Disk, entry: u64) -> Finder<'a> {
        Finder { memory, disk, entry, copies_left: MAX_COPIES, unchecked: Vec::new(), replaced: Vec::new() }
    }

    /// The modules among mapped files, by ascending address. Learns of mappings that are not in the core
    /// which of them are code.
    pub(super) fn mapped(&mut self, mappings: &mut [Mapping]) -> Vec<Module> {
        let mut modules: Vec<Module> = Vec::new();
        for index in 0..mappings.len() {
            let mapping = &mappings[index];
            if modules.len() == MAX_MODULES {
                break;
            }
            let inside =
                modules.last().is_some_and(|last| mapping.start < last.end && last.path == mapping.path);
            if mapping.path == b"[vdso]" {
                modules.push(self.vdso(mapping));
            } else if mapping.has_file()
                && mapping.offset == 0
                && !inside
                && let Some(candidate) = self.candidate(mapping.start, &mapping.path, mapping.deleted)
            {
                mark_code(&candidate, mappings);
                modules.extend(self.module(&candidate, mappings));
            }
        }
        modules.sort_by_key(|module| module.start);
        modules
    }

    /// The modules that the dynamic linker has named, and the vdso.
    pub(super) fn linked(&mut self, mappings: &[Mapping], loaded: &[Loaded]) -> Vec<Module> {
        let mut modules: Vec<Module> = loaded
            .iter()
            .filter_map(|loaded| {
                let candidate = self.candidate(loaded.start, &loaded.path, false)?;
                self.module(&candidate, mappings)
            })
            .collect();
        let kernels = mappings.iter().filter(|mapping| mapping.path == b"[vdso]");
        modules.extend(kernels.map(|mapping| self.vdso(mapping)).collect::<Vec<Module>>());
        modules.sort_by_key(|module| module.start);
        modules
    }

    /// An ELF file that begins at an address: as it is in the core, else as it is on this machine.
    fn candidate(&self, first: u64, path: &[u8], deleted: bool) -> Option<Candidate> {
        let in_memory = |offset: u64, buffer: &mut [u8]| {
            first.checked_add(offset).map_or(0, |address| self.memory.read(address, buffer))
        };
        let new = |segments: Vec<Segment>| {
            let (bias, start, end) = elf::load_range(&segments, first)?;
            let is_exe = (start..end).contains(&self.entry);
            Some(Candidate { first, path: path.to_vec(), deleted, segments, bias, start, end, is_exe })
        };
        let arch = self.memory.arch();
        if let Some(segments) = parse(arch, &in_memory) {
            return new(segments);
        }
        if deleted || self.memory.read(first, &mut [0; 4]) > 0 {
            return None;
        }
        // Without the first page nobody knows whether it is the executable; the name of it decides.
        let from = |is_exe| {
            let file = self.disk.open(path, is_exe).ok()?;
            new(parse(arch, &|offset, buffer: &mut [u8]| file.read_at(buffer, offset).unwrap_or(0))?)
        };
        let exe = self.disk.exe.is_some().then(|| from(true)).flatten().filter(|found| found.is_exe);
        exe.or_else(|| from(false))
    }

    fn module(&mut self, candidate: &Candidate, mappings: &[Mapping]) -> Option<Module> {
        let members = members(candidate, mappings);
        if !members.iter().any(|member| member.permissions.execute) {
            return None;
        }
        let build_id = elf::build_id(&candidate.segments, &|_, address, buffer| {
            self.memory.read(candidate.bias.wrapping_add(address), buffer)
        });
        let mut module = Module {
            path: candidate.path.clone(),
            start: members.iter().map(|member| member.start).min()?,
            end: members.iter().map(|member| member.end).max()?,
            device: (0, 0),
            inode: 0,
            deleted: candidate.deleted,
            build_id,
            image: ModuleImage::File,
        };
        if !self.is_on_disk(&module, candidate.is_exe)
            && let image @ ModuleImage::Memory(_) = self.memory_image(&module, &members)
        {
            module.image = image;
            let hint =
                if candidate.is_exe && self.disk.exe.is_none() { " (--exe names its file)" } else { "" };
            self.replaced.push(format!("{}{hint}", String::from_utf8_lossy(&module.path)));
        }
        Some(module)
    }

    /// Whether the file can be had. Whether it will be used is decided by those who open it, too.
    fn is_on_disk(&mut self, module: &Module, is_exe: bool) -> bool {
        let Ok(file) = self.disk.open(&module.path, is_exe) else { return false };
        if module.build_id.is_some() {
            return file_build_id(&file) == module.build_id;
        }
        self.unchecked.push(String::from_utf8_lossy(&module.path).into_owned());
        !module.deleted
    }

    fn vdso(&mut self, mapping: &Mapping) -> Module {
        let size = (mapping.end - mapping.start).min(MAX_MEMORY_IMAGE);
        vdso(mapping, copy_image(self.memory, mapping.start, size, &[mapping]))
    }

    /// What the core has of a module, if its code is among that.
    fn memory_image(&mut self, module: &Module, members: &[&Mapping]) -> ModuleImage {
        let size = (module.end - module.start).min(MAX_MEMORY_IMAGE).min(self.copies_left);
        let is_there = |member: &&&Mapping| {
            member.permissions.execute && self.memory.read(member.start, &mut [0; 8]) == 8
        };
        if !members.iter().any(|member| is_there(&member)) {
            return ModuleImage::None;
        }
        self.copies_left -= size;
        copy_image(self.memory, module.start, size, members)
    }

    /// What is to be said about files.
    pub(super) fn problems(self) -> impl Iterator<Item = Problem> {
        let unchecked = list(&self.unchecked).map(|names| {
            format!("the core has no build ID of {names}: whether the files on this machine are the right ones is unknown")
        });
        let replaced = list(&self.replaced)
            .map(|names| format!("the memory in the core is used instead of {names}, with fewer names"));
        unchecked.into_iter().chain(replaced).map(|what| Problem::new("file", what))
    }
}

fn parse(arch: Arch, read: &dyn Fn(u64, &mut [u8]) -> usize) -> Option<Vec<Segment>> {
    let mut bytes = [0; HEADER_SIZE];
    let length = read(0, &mut bytes);
    let header = elf::parse_header(&bytes[..length]).filter(|header| header.arch() == Some(arch))?;
    Some(elf::segments(&header, read))
}

/// The mappings of a module. Code may have been moved to anonymous memory.
fn members<'m>(candidate: &Candidate, mappings: &'m [Mapping]) -> Vec<&'m Mapping> {
    let first = mappings.partition_point(|other| other.end <= candidate.start);
    let inside = mappings[first..].iter().take_while(|other| other.start < candidate.end).take(MAX_MEMBERS);
    let named = mappings[first..].iter().take(1).any(|mapping| mapping.has_file());
    inside
        .filter(|other| match other.has_file() {
            true => {
                let (start, offset) = (other.start, other.offset);
                other.path == candidate.path
                    && elf::is_loaded_at(&candidate.segments, candidate.bias, start, offset)
            }
            false => other.permissions.execute || !named,
        })
        .collect()
}

/// Files that are mapped but not in the core have no permissions there.
fn mark_code(candidate: &Candidate, mappings: &mut [Mapping]) {
    let first = mappings.partition_point(|other| other.end <= candidate.first);
    let inside =
        mappings[first..].iter_mut().take_while(|other| other.start < candidate.end).take(MAX_MEMBERS);
    for mapping in inside.filter(|mapping| mapping.path == candidate.path) {
        let (start, offset) = (mapping.start, mapping.offset);
        mapping.permissions.execute |= elf::is_code_at(&candidate.segments, candidate.bias, start, offset);
    }
}

/// Some names, and how many more there are.
fn list(names: &[String]) -> Option<String> {
    let first = names.get(..names.len().min(NAMED)).filter(|first| !first.is_empty())?.join(", ");
    let more = names.len().saturating_sub(NAMED);
    Some(if more > 0 { format!("{first} and {more} more files") } else { first })
}
