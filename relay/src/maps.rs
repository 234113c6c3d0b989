//! The memory map of the process, from `/proc/self/maps`, in a fixed table.
use crate::proc::hexadecimal;
use crate::sys::calls;
use crate::sys::memory::Mapped;

const MAX_MAPPINGS: usize = 65_536;
const MAX_MODULES: usize = 4096;
const PATH_BYTES: usize = 1 << 20;
/// Longest line of the map: a path has at most 4096 bytes, each escaped as four.
const LINE: usize = 20_000;

/// A mapping that belongs to no file.
const NO_MODULE: u32 = u32::MAX;

/// One line of the map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Place of its file in the table of modules.
    module: u32,
    executable: u32,
}

/// A file that is mapped from its first byte on; where code of it is asked for, it is an ELF object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Module {
    pub(crate) start: u64,
    inode: u64,
    path: u32,
    path_length: u32,
}

/// The tables, in memory of their own.
#[derive(Debug)]
pub(crate) struct Arena {
    mappings: [Mapping; MAX_MAPPINGS],
    modules: [Module; MAX_MODULES],
    paths: [u8; PATH_BYTES],
}

pub(crate) static ARENA: Mapped<Arena> = Mapped::new();

/// Calls `found` with each line of an open map.
pub(crate) fn each_line(fd: i32, mut found: impl FnMut(&[u8])) {
    let mut buffer = [0; LINE];
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty())
        && let Ok(length @ 1..) = calls::read(fd, room)
    {
        filled += length;
        let mut taken = 0;
        while let Some(rest) = buffer.get(taken..filled)
            && let Some(end) = rest.iter().position(|&byte| byte == b'\n')
        {
            found(&rest[..end]);
            taken += end + 1;
        }
        buffer.copy_within(taken..filled, 0);
        filled -= taken;
    }
}

/// First address, address after the last, and path of a line (proc_pid_maps(5)).
pub(crate) fn bounds(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (start, rest) = hexadecimal(line)?;
    let (end, rest) = hexadecimal(rest.strip_prefix(b"-")?)?;
    let path = rest.get(rest.iter().position(|&byte| byte == b'/')?..)?;
    Some((start, end, path))
}

/// The map, read.
#[derive(Debug)]
pub(crate) struct Maps<'a> {
    arena: &'a mut Arena,
    mappings: usize,
    modules: usize,
    paths: usize,
}

impl<'a> Maps<'a> {
    /// Reads the map from an open file. What has no room is left out.
    pub(crate) fn read(arena: &'a mut Arena, fd: i32) -> Maps<'a> {
        let mut maps = Maps { arena, mappings: 0, modules: 0, paths: 0 };
        each_line(fd, |line| {
            // A line that is cut or has no room is left out.
            let _ = maps.add(line);
        });
        maps
    }

    /// Adds one line (proc_pid_maps(5)).
    fn add(&mut self, line: &[u8]) -> Option<()> {
        let (start, rest) = hexadecimal(line)?;
        let (end, rest) = hexadecimal(rest.strip_prefix(b"-")?)?;
        let executable = rest.get(3) == Some(&b'x');
        let (offset, rest) = hexadecimal(rest.get(6..)?)?;
        let mut words = rest.get(1..)?.splitn(3, |&byte| byte == b' ');
        let _device = words.next()?;
        let inode: u64 = core::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        let path = words.next().unwrap_or_default().trim_ascii_start();
        let module = self.module(start, offset, inode, path);
        let slot = self.arena.mappings.get_mut(self.mappings)?;
        *slot = Mapping { start, end, module, executable: u32::from(executable) };
        self.mappings += 1;
        Some(())
    }

    fn module(&mut self, start: u64, offset: u64, inode: u64, path: &[u8]) -> u32 {
        if inode == 0 && path != b"[vdso]" {
            return NO_MODULE;
        }
        if offset != 0 {
            // The kernel lists a file's mappings one after the other.
            let last = self.modules.checked_sub(1).and_then(|last| self.arena.modules.get(last));
            return match last {
                Some(module) if module.inode == inode => self.modules as u32 - 1,
                _ => NO_MODULE,
            };
        }
        let Some(slot) = self.arena.modules.get_mut(self.modules) else { return NO_MODULE };
        let place = self.arena.paths.get_mut(self.paths..self.paths + path.len());
        let path_length = match place {
            Some(place) => {
                place.copy_from_slice(path);
                path.len()
            }
            None => 0,
        };
        *slot = Module { start, inode, path: self.paths as u32, path_length: path_length as u32 };
        self.paths += path_length;
        self.modules += 1;
        self.modules as u32 - 1
    }

    /// The mapping that holds an address.
    pub(crate) fn at(&self, address: u64) -> Option<&Mapping> {
        let mappings = self.arena.mappings.get(..self.mappings)?;
        let after = mappings.partition_point(|mapping| mapping.start <= address);
        mappings.get(..after)?.last().filter(|mapping| address < mapping.end)
    }

    pub(crate) fn is_executable(&self, address: u64) -> bool {
        self.at(address).is_some_and(|mapping| mapping.executable != 0)
    }

    /// Whether the address is in code that is in no file.
    pub(crate) fn is_generated(&self, address: u64) -> bool {
        self.at(address).is_some_and(|mapping| mapping.executable != 0 && mapping.module == NO_MODULE)
    }

    /// The file that is mapped at an address.
    pub(crate) fn module_at(&self, address: u64) -> Option<&Module> {
        let mapping = self.at(address)?;
        self.arena.modules.get(..self.modules)?.get(mapping.module as usize)
    }

    /// Path of a module, escaped as the kernel does.
    pub(crate) fn path(&self, module: &Module) -> &[u8] {
        let start = module.path as usize;
        self.arena.paths.get(start..start + module.path_length as usize).unwrap_or_default()
    }
}
