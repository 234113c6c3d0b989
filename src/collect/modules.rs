//! Which ELF objects are among the mappings, and where their contents can be had.
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::memory::{Memory, ReadMemory};
use super::{elf, facts};
use crate::proc::ProcDir;
use crate::snapshot::{Mapping, Module, ModuleImage, Problem};
use crate::sys::mapping::open_regular;
use crate::sys::root::Root;

/// Longest file that is copied because its path no longer leads to it.
const MAX_FILE_COPY: u64 = 256 << 20;
/// Longest memory image of a module without a file.
pub(super) const MAX_MEMORY_IMAGE: u64 = 64 << 20;
/// More mappings are not looked at for one module; a program header table can claim any size.
pub(super) const MAX_MEMBERS: usize = 4096;
/// Modules of one process; browsers have some hundreds.
pub(super) const MAX_MODULES: usize = 10_000;
/// Modules that are the same file; loaders map one once, or once for each name space of theirs.
const MAX_SAME: usize = 64;
/// Modules that can hold one address: one in the holes of another.
const MAX_NESTED: usize = 8;
/// All copies of one process together.
pub(super) const MAX_COPIES: u64 = 1 << 30;

/// Device and inode.
type FileId = ((u32, u32), u64);

/// The process whose mappings are looked at.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    memory: &'a Memory,
    dir: &'a ProcDir,
    root: Vec<u8>,
    files: Option<Root>,
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
        let files = Root::open(&dir.path().join("root"));
        // Who may only ask the relay sees no root of the process; most have ours, and a file proves itself.
        let files =
            if memory.relay().is_some() { files.or_else(|_| Root::open(Path::new("/"))) } else { files };
        let files = files.ok();
        Finder { memory, dir, root, files, copies_left: MAX_COPIES, problems: Vec::new() }
    }

    /// The modules, by ascending address; those in `known` are left out.
    pub(super) fn find(&mut self, mappings: &[Mapping], known: &[Module]) -> Vec<Module> {
        let mut modules: Vec<Module> = Vec::new();
        let mut files: HashMap<FileId, usize> = HashMap::new();
        for (index, mapping) in mappings.iter().enumerate() {
            let is_file = mapping.inode != 0 && mapping.offset == 0 && mapping.permissions.read;
            let is_vdso = mapping.path == b"[vdso]";
            let holds = |module: &Module| {
                (module.start..module.end).contains(&mapping.start) && module.inode == mapping.inode
            };
            let before = known.partition_point(|module| module.start <= mapping.start);
            let near = known[..before].iter().rev().take(MAX_NESTED);
            if !(is_file || is_vdso) || near.chain(modules.last()).any(holds) {
                continue;
            }
            if modules.len() == MAX_MODULES {
                let what = format!("only the first {MAX_MODULES} files of code were looked at");
                self.problems.push(Problem::new("file", what));
                break;
            }
            if is_vdso {
                modules.push(self.vdso(mapping));
            } else if let Some(candidate) = self.candidate(mappings, index)
                && self.is_new(&mut files, mapping)
            {
                modules.push(self.module(&candidate));
            }
        }
        modules
    }

    /// Whether a file was not met too often.
    fn is_new(&mut self, files: &mut HashMap<FileId, usize>, mapping: &Mapping) -> bool {
        let times = files.entry((mapping.device, mapping.inode)).or_default();
        *times += 1;
        if *times == MAX_SAME + 1 {
            let path = String::from_utf8_lossy(&mapping.path);
            let what = format!("only {MAX_SAME} of the places where {path} is mapped were looked at");
            self.problems.push(Problem::new("file", what));
        }
        *times <= MAX_SAME
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
        let header = elf::parse_header(&bytes[..length])?;
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
        vdso(mapping, self.memory_image(mapping.start, mapping.end, &[mapping]))
    }

    /// Whether the path no longer leads to the file that is mapped. Where device and inode do
    /// not tell, the build ID does.
    fn is_replaced(&self, module: &mut Module) -> bool {
        if module.path.starts_with(b"/memfd:") {
            return true;
        }
        let opened = self.open_in_root(&module.path);
        let is_there = !module.deleted && opened.as_ref().is_ok_and(|file| is_file(file, module));
        if !is_there && let Some(name) = self.other_spelling(module) {
            module.path = name;
            module.deleted = false;
            return false;
        }
        match opened {
            _ if module.deleted => true,
            Ok(_) if is_there => false,
            Ok(file) => module.build_id.is_none() || file_build_id(&file) != module.build_id,
            // Nothing is there, or something else by now: a pipe, a folder, a link in a circle.
            Err(error) => !super::denied::is_refusal(&error),
        }
    }

    /// The name of the file if it only looks like what the kernel makes of another: with its mark for
    /// deleted files at the end, or with what it writes for a line end.
    fn other_spelling(&self, module: &Module) -> Option<Vec<u8>> {
        let mut name = module.path.clone();
        if module.deleted {
            name.extend(b" (deleted)");
        }
        let escaped: Vec<u8> = name
            .iter()
            .flat_map(|byte| if *byte == b'\n' { br"\012" } else { std::slice::from_ref(byte) })
            .copied()
            .collect();
        let is_it = |name: &Vec<u8>| self.open_in_root(name).is_ok_and(|file| is_file(&file, module));
        [name, escaped].into_iter().filter(|name| *name != module.path).find(is_it)
    }

    /// Whether it may be run, but not read: its memory can be copied all the same.
    fn is_unreadable(&self, module: &Module) -> bool {
        self.open_in_root(&module.path).is_err_and(|error| super::denied::is_refusal(&error))
    }

    fn open_in_root(&self, path: &[u8]) -> std::io::Result<File> {
        match &self.files {
            Some(root) => root.regular(Path::new(OsStr::from_bytes(path))),
            None => Err(std::io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// The contents of a module whose path does not lead to them.
    fn copy(&mut self, module: &Module, candidate: &Candidate<'_>) -> ModuleImage {
        let mapping = candidate.mapping;
        let names = ["exe".to_owned(), format!("map_files/{:x}-{:x}", mapping.start, mapping.end)];
        for name in names {
            let Ok(file) = open_regular(&self.dir.path().join(name)) else { continue };
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
        self.copies_left -= size;
        copy_image(self.memory, start, size, members)
    }
}

/// The first `size` bytes of a module's memory as far as they can be read, zeros between.
pub(super) fn copy_image(
    memory: &dyn ReadMemory,
    start: u64,
    size: u64,
    members: &[&Mapping],
) -> ModuleImage {
    let mut bytes = vec![0; size as usize];
    let mut any = 0;
    let inside = |member: &&&Mapping| member.permissions.read && member.start - start < size;
    for member in members.iter().filter(inside) {
        let range = (member.start - start) as usize..(member.end - start).min(size) as usize;
        any += memory.read(member.start, &mut bytes[range]);
    }
    if any == 0 { ModuleImage::None } else { ModuleImage::Memory(bytes) }
}

/// The module that the kernel maps into every process.
pub(super) fn vdso(mapping: &Mapping, image: ModuleImage) -> Module {
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

fn same_file(one: &Mapping, other: &Mapping) -> bool {
    one.inode == other.inode && one.device == other.device && one.path == other.path
}

fn is_file(file: &File, module: &Module) -> bool {
    file.metadata().is_ok_and(|data| {
        let device = (nix::sys::stat::major(data.dev()) as u32, nix::sys::stat::minor(data.dev()) as u32);
        // btrfs and overlayfs show another device in maps than in stat(2), both without a major number.
        data.ino() == module.inode && (device == module.device || (device.0 == 0 && module.device.0 == 0))
    })
}

pub(super) fn file_build_id(file: &File) -> Option<Vec<u8>> {
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

pub(super) fn copy_from(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
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
