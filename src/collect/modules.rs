//! Which ELF objects are among the mappings, and where their contents can be had.
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use super::memory::Memory;
use super::{elf, facts};
use crate::proc::ProcDir;
use crate::snapshot::{Mapping, Module, ModuleImage, Problem};

/// Longest file that is copied because its path no longer leads to it.
const MAX_FILE_COPY: u64 = 256 << 20;
/// Longest memory image of a module without a file.
const MAX_MEMORY_IMAGE: u64 = 64 << 20;
/// More mappings are not looked at for one module; a program header table can claim any size.
const MAX_MEMBERS: usize = 4096;
/// All copies of one process together.
const MAX_COPIES: u64 = 1 << 30;

/// The process whose mappings are looked at.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    memory: &'a Memory,
    dir: &'a ProcDir,
    root: Vec<u8>,
    copies_left: u64,
    /// What could not be copied.
    pub(super) problems: Vec<Problem>,
}

/// A module on the way: where its first byte is and what its headers say.
struct Candidate<'m> {
    mapping: &'m Mapping,
    members: Vec<&'m Mapping>,
    segments: Vec<elf::Segment>,
    bias: u64,
}

impl<'a> Finder<'a> {
    pub(super) fn new(memory: &'a Memory, dir: &'a ProcDir) -> Finder<'a> {
        let root = dir.read_link("root").unwrap_or_default();
        Finder { memory, dir, root, copies_left: MAX_COPIES, problems: Vec::new() }
    }

    /// The modules, by ascending address; those in `known` are left out.
    pub(super) fn find(&mut self, mappings: &[Mapping], known: &[Module]) -> Vec<Module> {
        let mut modules: Vec<Module> = Vec::new();
        for (index, mapping) in mappings.iter().enumerate() {
            let is_file = mapping.inode != 0 && mapping.offset == 0 && mapping.permissions.read;
            let is_vdso = mapping.path == b"[vdso]";
            let holds = |module: &Module| {
                (module.start..module.end).contains(&mapping.start) && module.inode == mapping.inode
            };
            if !(is_file || is_vdso) || known.iter().chain(modules.last()).any(holds) {
                continue;
            }
            if is_vdso {
                modules.push(self.vdso(mapping));
            } else if let Some(candidate) = self.candidate(mappings, index) {
                modules.push(self.module(&candidate));
            }
        }
        modules
    }

    /// Whether an ELF file begins here and some of it can be executed; data files are none.
    fn candidate<'m>(&self, mappings: &'m [Mapping], index: usize) -> Option<Candidate<'m>> {
        let mapping = &mappings[index];
        let in_memory = |offset: u64, buffer: &mut [u8]| {
            let Some(address) = mapping.start.checked_add(offset) else { return 0 };
            self.memory.read(address, buffer)
        };
        let mut bytes = [0; elf::HEADER_SIZE];
        let length = in_memory(0, &mut bytes);
        let header = elf::parse_header(&bytes[..length]).filter(|header| header.class_64)?;
        let segments = elf::segments(&header, &in_memory);
        let (bias, start, end) = elf::load_range(&segments, mapping.start)?;
        let first = mappings[..index].partition_point(|other| other.end <= start);
        let inside = mappings[first..].iter().take_while(|other| other.start < end).take(MAX_MEMBERS);
        // Code may have been moved to anonymous memory (huge pages): it still is this module's.
        let members: Vec<&Mapping> = inside
            .filter(|other| {
                (same_file(other, mapping) && elf::is_loaded_at(&segments, bias, other.start, other.offset))
                    || (other.inode == 0 && other.permissions.execute)
            })
            .collect();
        let is_code = members.iter().any(|member| member.permissions.execute);
        is_code.then_some(Candidate { mapping, members, segments, bias })
    }

    fn module(&mut self, candidate: &Candidate<'_>) -> Module {
        let mapping = candidate.mapping;
        let build_id = elf::build_id(&candidate.segments, &|_, address, buffer| {
            self.memory.read(candidate.bias.wrapping_add(address), buffer)
        });
        let ends = candidate.members.iter().map(|member| member.end);
        let starts = candidate.members.iter().map(|member| member.start);
        let mut module = Module {
            path: facts::in_root(&mapping.path, &self.root).to_vec(),
            start: starts.min().unwrap_or(mapping.start),
            end: ends.max().unwrap_or(mapping.end),
            device: mapping.device,
            inode: mapping.inode,
            deleted: mapping.deleted,
            build_id,
            image: ModuleImage::File,
        };
        if self.is_replaced(&mut module) {
            module.deleted = true;
            module.image = self.copy(&module, candidate);
        } else if self.is_unreadable(&module) {
            module.image = self.memory_image(module.start, module.end, &candidate.members);
        }
        module
    }

    fn vdso(&mut self, mapping: &Mapping) -> Module {
        let image = self.memory_image(mapping.start, mapping.end, &[mapping]);
        let segments = match &image {
            ModuleImage::Memory(bytes) => elf::parse_header(bytes)
                .map(|header| elf::segments(&header, &|offset, buffer| copy_from(bytes, offset, buffer))),
            _ => None,
        };
        let build_id = segments.and_then(|segments| match &image {
            ModuleImage::Memory(bytes) => {
                elf::build_id(&segments, &|offset, _, buffer| copy_from(bytes, offset, buffer))
            }
            _ => None,
        });
        Module {
            path: mapping.path.clone(),
            start: mapping.start,
            end: mapping.end,
            device: mapping.device,
            inode: mapping.inode,
            deleted: false,
            build_id,
            image,
        }
    }

    /// Whether the path no longer leads to the file that is mapped. Device and inode alone do not tell:
    /// on overlay and btrfs file systems maps and stat differ about one and the same file.
    fn is_replaced(&self, module: &mut Module) -> bool {
        if module.path.starts_with(b"/memfd:") {
            return true;
        }
        if module.deleted {
            // A name that ends in " (deleted)" looks like the kernel's mark.
            let name = [&module.path[..], b" (deleted)"].concat();
            if self.open_in_root(&name).is_ok_and(|file| is_file(&file, module)) {
                module.path = name;
                module.deleted = false;
                return false;
            }
            return true;
        }
        match self.open_in_root(&module.path) {
            Ok(file) => !is_file(&file, module) && file_build_id(&file) != module.build_id,
            Err(error) => super::denied::is_gone(&error),
        }
    }

    /// Whether it may be run, but not read: its memory can be copied all the same.
    fn is_unreadable(&self, module: &Module) -> bool {
        self.open_in_root(&module.path).is_err_and(|error| super::denied::is_refusal(&error))
    }

    fn open_in_root(&self, path: &[u8]) -> std::io::Result<File> {
        let mut full = self.dir.path().join("root").into_os_string();
        full.push(std::ffi::OsStr::from_bytes(path));
        // Whatever is there by now: a pipe must not block us.
        let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
        File::options().read(true).custom_flags(flags).open(PathBuf::from(full))
    }

    /// The contents of a module whose path does not lead to them.
    fn copy(&mut self, module: &Module, candidate: &Candidate<'_>) -> ModuleImage {
        let mapping = candidate.mapping;
        let names = ["exe".to_owned(), format!("map_files/{:x}-{:x}", mapping.start, mapping.end)];
        for name in names {
            let Ok(file) = self.dir.open_file(&name) else { continue };
            if is_file(&file, module)
                && let Some(bytes) = self.read_whole(file)
            {
                return ModuleImage::FileCopy(bytes);
            }
        }
        self.memory_image(module.start, module.end, &candidate.members)
    }

    fn read_whole(&mut self, file: File) -> Option<Vec<u8>> {
        let limit = MAX_FILE_COPY.min(self.copies_left);
        let metadata = file.metadata().ok().filter(|data| data.is_file() && data.len() <= limit)?;
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
        file.take(limit).read_to_end(&mut bytes).ok()?;
        self.copies_left -= bytes.len() as u64;
        Some(bytes)
    }

    /// The readable memory of a module, zeros between.
    fn memory_image(&mut self, start: u64, end: u64, members: &[&Mapping]) -> ModuleImage {
        let limit = MAX_MEMORY_IMAGE.min(self.copies_left);
        let size = (end - start).min(limit);
        if size < end - start {
            let what = format!("only the first {size} bytes of a module at {start:#x} were copied");
            self.problems.push(Problem::new("file", what));
        }
        let mut bytes = vec![0; size as usize];
        let mut any = 0;
        for member in members.iter().filter(|member| member.permissions.read && member.start - start < size) {
            let range = (member.start - start) as usize..(member.end - start).min(size) as usize;
            any += self.memory.read(member.start, &mut bytes[range]);
        }
        self.copies_left -= size;
        if any == 0 { ModuleImage::None } else { ModuleImage::Memory(bytes) }
    }
}

fn same_file(one: &Mapping, other: &Mapping) -> bool {
    one.inode == other.inode && one.device == other.device && one.path == other.path
}

fn is_file(file: &File, module: &Module) -> bool {
    file.metadata().is_ok_and(|data| {
        let device = (nix::sys::stat::major(data.dev()) as u32, nix::sys::stat::minor(data.dev()) as u32);
        data.ino() == module.inode && device == module.device
    })
}

fn file_build_id(file: &File) -> Option<Vec<u8>> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let read = |offset: u64, buffer: &mut [u8]| file.read_at(buffer, offset).unwrap_or(0);
    let mut bytes = [0; elf::HEADER_SIZE];
    let length = read(0, &mut bytes);
    let header = elf::parse_header(&bytes[..length])?;
    let segments = elf::segments(&header, &read);
    elf::build_id(&segments, &|offset, _, buffer| read(offset, buffer))
}

fn copy_from(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let length = rest.len().min(buffer.len());
    buffer[..length].copy_from_slice(&rest[..length]);
    length
}

/// The first bytes of a file, for its header.
pub(super) fn file_header(file: &File) -> Option<elf::Header> {
    let mut bytes = [0; elf::HEADER_SIZE];
    let length = file.read_at(&mut bytes, 0).ok()?;
    elf::parse_header(&bytes[..length])
}
