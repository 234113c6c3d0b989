//! Code that a JIT compiler made, as far as registers and stacks point to it: its bytes, and what the
//! compiler tells others about it. Read after the release, with the process known to be the same.
use super::code::{self, Pointers};
use super::jit::{Entry, Lists, Seen};
use super::later::Later;
use super::memory::ReadMemory;
use super::{jit_object, perf_map};
use threaddump_arch::Arch;

use crate::proc::ProcDir;
use crate::snapshot::{
    CodeName, JIT_PATH, MemoryPiece, Module, ModuleImage, Problem, ProcessFacts, Snapshot, ThreadSnapshot,
};

/// Longest ELF object that is copied, in bytes.
const MAX_OBJECT: u64 = 32 << 20;
/// All copied objects together, in bytes.
const MAX_OBJECTS: u64 = 128 << 20;
/// Objects whose headers are looked at; each costs two reads.
const MAX_LOOKED_AT: usize = 1 << 14;
/// Modules made of them.
const MAX_MODULES: usize = 4096;

/// What belongs to no one thread.
#[derive(Debug, Default)]
pub(super) struct Generated {
    pub(super) memory: Vec<MemoryPiece>,
    pub(super) names: Vec<CodeName>,
}

/// Copies what there is; modules and problems are added to those in `later`.
pub(super) fn copy(
    memory: &dyn ReadMemory,
    dir: &ProcDir,
    facts: &ProcessFacts,
    (lists, seen): (&Lists, &Seen),
    later: &mut Later,
    threads: &[ThreadSnapshot],
) -> Generated {
    let pointers = Pointers::of(&later.mappings, &later.modules, threads);
    if pointers.addresses.is_empty() {
        return Generated::default();
    }
    let bytes = code::copy(memory, &pointers);
    let mut objects = Objects::new(memory, facts.arch, &pointers);
    let mut problems = objects.copy(lists, seen);
    later.modules.append(&mut objects.modules);
    later.modules.sort_by_key(|module| module.start);
    let (names, refused) = perf_map::of_process(dir, facts, &pointers.lookups());
    problems.extend(refused);
    later.problems.extend(problems.into_iter().map(|what| Problem::new("jit", what)));
    Generated { memory: bytes, names }
}

/// Copies what is registered at these descriptors (process addresses) of a process that does nothing any more: adds
/// modules, and what went wrong. Before that, the code that is pointed to is in the snapshot.
pub(super) fn copy_at_rest(memory: &dyn ReadMemory, places: &[u64], snapshot: &mut Snapshot) {
    let arch = snapshot.process.arch;
    // Of others the layout is not known.
    if places.is_empty() || arch.pointer_size() != 8 || arch.is_big_endian() {
        return;
    }
    let pointers = Pointers::of(&snapshot.mappings, &snapshot.modules, &snapshot.threads);
    let lists = Lists::read(memory, places);
    let mut objects = Objects::new(memory, arch, &pointers);
    let problems = objects.copy(&lists, &lists.look(memory, memory.via()));
    snapshot.modules.append(&mut objects.modules);
    snapshot.modules.sort_by_key(|module| module.start);
    snapshot.problems.extend(problems.into_iter().map(|what| Problem::new("jit", what)));
}

/// Registered objects on their way to be modules.
struct Objects<'a> {
    memory: &'a dyn ReadMemory,
    arch: Arch,
    pointers: &'a Pointers,
    /// Bytes that may still be copied.
    left: u64,
    modules: Vec<Module>,
}

impl<'a> Objects<'a> {
    fn new(memory: &'a dyn ReadMemory, arch: Arch, pointers: &'a Pointers) -> Objects<'a> {
        Objects { memory, arch, pointers, left: MAX_OBJECTS, modules: Vec::new() }
    }

    /// Copies the objects that are needed; gives what went wrong.
    fn copy(&mut self, lists: &Lists, seen: &Seen) -> Vec<String> {
        let (entries, mut problems) = lists.entries(seen, self.memory);
        let mut refused = Vec::new();
        for entry in entries.iter().take(MAX_LOOKED_AT) {
            refused.extend(self.one(entry).err());
        }
        // Of what was freed, another may be there by now.
        refused.retain(|(piece, _)| self.is_wanted(*piece));
        problems.extend(refused.into_iter().map(|(_, why)| why));
        problems.dedup();
        problems
    }

    /// Copies one object, if it is needed. A failure comes with one of the pieces that are missed.
    fn one(&mut self, entry: &Entry) -> Result<(), ((u64, u64), String)> {
        let Entry { object, size, .. } = *entry;
        let read = |offset: u64, buffer: &mut [u8]| {
            let place = object.checked_add(offset);
            place.is_some_and(|place| self.memory.read(place, buffer) == buffer.len())
        };
        let pieces = jit_object::code(size, self.arch, read);
        let wanted: Vec<(u64, u64)> = pieces.iter().copied().filter(|piece| self.is_wanted(*piece)).collect();
        let Some(&first) = wanted.first() else { return Ok(()) };
        let refused =
            |why: &str| (first, format!("cannot use the object about generated code at {object:#x}: {why}"));
        let copies = size.saturating_mul(wanted.len() as u64);
        if size > MAX_OBJECT || copies > self.left || self.modules.len() + wanted.len() > MAX_MODULES {
            return Err(refused("it is too large"));
        }
        let (mut bytes, mut again) = (vec![0; size as usize], vec![0; size as usize]);
        if !read(0, &mut bytes) || !read(0, &mut again) {
            return Err(refused("it cannot be read"));
        }
        // What was freed meanwhile may be anything by now, or about to be another object.
        let now = Entry::read(self.memory, self.memory.via(), entry.address);
        let is_same = now.is_some_and(|now| (now.object, now.size) == (object, size));
        if !is_same || bytes != again || jit_object::code_of(&bytes, self.arch) != pieces {
            return Err(refused("it changed before it could be copied"));
        }
        self.left -= copies;
        self.modules.extend(wanted.into_iter().map(|piece| module(piece, bytes.clone())));
        Ok(())
    }

    /// Whether something points into a piece of code that may be one: outside of files, and not said
    /// to be another object's, which was registered later.
    fn is_wanted(&self, (start, end): (u64, u64)) -> bool {
        let addresses = &self.pointers.addresses;
        let first = addresses.partition_point(|&address| address < start);
        let is_code = |range: &(u64, u64)| range.0 <= start && end <= range.1;
        addresses.get(first).is_some_and(|&address| address <= end)
            && self.pointers.ranges.iter().any(is_code)
            && !self.modules.iter().any(|known| start < known.end && known.start < end)
    }
}

fn module((start, end): (u64, u64), bytes: Vec<u8>) -> Module {
    Module {
        path: JIT_PATH.as_bytes().to_vec(),
        start,
        end,
        device: (0, 0),
        inode: 0,
        deleted: false,
        build_id: None,
        image: ModuleImage::Generated(bytes),
    }
}
