//! Which libraries a process had loaded, by the list that its dynamic linker kept for debuggers. Cores
//! without a table of mapped files (qemu writes such) have nothing else that names them.
use super::super::elf::{self, Segment};
use super::super::memory::ReadMemory;
use super::memory::CoreMemory;
use super::notes::Auxv;

const DT_DEBUG: u64 = 21;
/// Entries of the dynamic section that are looked at; real ones have some dozens.
const MAX_DYNAMIC: u64 = 512;
/// Libraries of one process; a damaged list may be a circle.
const MAX_LINKS: usize = 10_000;
/// Longest path (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// An object that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    /// Process address at which its file begins.
    pub(super) start: u64,
    pub(super) path: Vec<u8>,
}

/// The executable, the dynamic linker, and what that has loaded.
pub(super) fn loaded(memory: &CoreMemory<'_>, auxv: Auxv<'_>) -> Vec<Loaded> {
    let name = auxv.get(Auxv::EXECFN).and_then(|address| memory.text(address, MAX_PATH));
    let mut all = Vec::new();
    let Some(exe) = Exe::find(memory, auxv) else { return all };
    all.push(Loaded { start: exe.start, path: name.unwrap_or_default().to_vec() });
    for (bias, path) in exe.links(memory) {
        // The first entry is the executable, without a name.
        if !path.is_empty() && bias != exe.bias && all.iter().all(|known| known.start != bias) {
            all.push(Loaded { start: bias, path: path.to_vec() });
        }
    }
    all
}

/// The executable in memory.
struct Exe {
    start: u64,
    bias: u64,
    segments: Vec<Segment>,
}

impl Exe {
    fn find(memory: &CoreMemory<'_>, auxv: Auxv<'_>) -> Option<Exe> {
        let (headers, count) = (auxv.get(Auxv::PHDR)?, auxv.get(Auxv::PHNUM)?);
        let read = |at: u64, buffer: &mut [u8]| memory.read(at, buffer);
        let segments = elf::segments_at(memory.arch(), headers, count, &read);
        // Linkers put the program headers right behind the file header.
        let start = headers.checked_sub(elf::header_size(memory.arch()))?;
        let bias = match elf::headers_address(&segments) {
            Some(address) => headers.wrapping_sub(address),
            None => elf::load_range(&segments, start)?.0,
        };
        Some(Exe { start, bias, segments })
    }

    /// Load bias and path of each object in the list of the dynamic linker.
    fn links<'m>(&self, memory: &CoreMemory<'m>) -> Vec<(u64, &'m [u8])> {
        let mut links = Vec::new();
        let size = u64::from(memory.arch().pointer_size());
        let mut next = self.first_link(memory).unwrap_or(0);
        while next != 0 && links.len() < MAX_LINKS {
            // struct link_map: bias, name, dynamic section, next.
            let word = |index: u64| memory.word(next.checked_add(index * size)?);
            let (Some(bias), Some(name)) = (word(0), word(1)) else { break };
            links.push((bias, memory.text(name, MAX_PATH).unwrap_or_default()));
            next = word(3).unwrap_or(0);
        }
        links
    }

    fn first_link(&self, memory: &CoreMemory<'_>) -> Option<u64> {
        let (address, size) = elf::dynamic(&self.segments)?;
        let table = self.bias.wrapping_add(address);
        let word = u64::from(memory.arch().pointer_size());
        let entry = (0..(size / (2 * word)).min(MAX_DYNAMIC)).find_map(|index| {
            let at = table.checked_add(index * 2 * word)?;
            (memory.word(at)? == DT_DEBUG).then(|| memory.word(at.checked_add(word)?)).flatten()
        })?;
        // struct r_debug: version, then the list.
        memory.word(entry.checked_add(word)?)
    }
}
