//! The list in which a JIT compiler registers what it made for debuggers (GDB manual, "JIT Compilation
//! Interface"): a descriptor at a known symbol, and a double list of entries, each of which names an
//! ELF object in memory.
//!
//! The list is followed before the stop. With the threads held only the descriptor is read again, and
//! entries that came since; everything else waits for the release.
use std::collections::{HashMap, HashSet};

use super::memory::Memory;
use crate::ids::Tid;

/// Descriptors of one process: libraries may bring compilers of their own.
const MAX_DESCRIPTORS: usize = 8;
/// Entries of all lists together.
const MAX_ENTRIES: usize = 1 << 14;
/// Entries that are read with the threads held; each takes a microsecond.
const MAX_HELD: usize = 64;
/// The version of the interface that is known.
const VERSION: u32 = 1;
/// `JIT_UNREGISTER_FN`: the relevant entry was taken off the list.
const UNREGISTER: u32 = 2;

/// `struct jit_descriptor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: u64,
    first: u64,
}

/// `struct jit_code_entry` and where it is. All are process addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) address: u64,
    next: u64,
    previous: u64,
    /// First address of the ELF object.
    pub(super) object: u64,
    /// Its size, in bytes.
    pub(super) size: u64,
}

/// The lists of a process before the stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    lists: Vec<List>,
    problems: Vec<String>,
}

#[derive(Clone, Debug)]
struct List {
    place: u64,
    descriptor: Descriptor,
    /// From the newest on.
    entries: Vec<Entry>,
    /// Their places in `entries`.
    known: HashMap<u64, usize>,
}

/// How the lists were with the threads held.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Vec<Change>);

/// What became of one list.
#[derive(Clone, Debug)]
enum Change {
    /// It can no longer be read.
    Gone,
    Nothing,
    /// It begins with these entries and goes on with the old one at this place, if there is one.
    Begins(Descriptor, Vec<Entry>, Option<usize>),
    /// Too much is new.
    Everything(Descriptor),
}

impl Descriptor {
    fn read(memory: &Memory, via: Tid, place: u64) -> Option<Descriptor> {
        let mut bytes = [0; 24];
        if memory.read_by(via, place, &mut bytes) < bytes.len() {
            return None;
        }
        let [versions, relevant, first] = words(&bytes);
        Some(Descriptor { version: versions as u32, action: (versions >> 32) as u32, relevant, first })
    }
}

impl Entry {
    pub(super) fn read(memory: &Memory, via: Tid, address: u64) -> Option<Entry> {
        let mut bytes = [0; 32];
        if memory.read_by(via, address, &mut bytes) < bytes.len() {
            return None;
        }
        let [next, previous, object, size] = words(&bytes);
        Some(Entry { address, next, previous, object, size })
    }
}

fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    }
    words
}

impl Lists {
    /// Follows the lists of the descriptors at these process addresses.
    pub(super) fn read(memory: &Memory, places: &[u64]) -> Lists {
        let mut lists = Lists::default();
        let mut left = MAX_ENTRIES;
        let mut seen = HashSet::new();
        for &place in places.iter().take(MAX_DESCRIPTORS).filter(|&&place| seen.insert(place)) {
            let Some(descriptor) = Descriptor::read(memory, memory.via(), place) else { continue };
            let entries = lists.follow(memory, descriptor, left);
            left -= entries.len();
            let known = entries.iter().enumerate().map(|(index, entry)| (entry.address, index)).collect();
            lists.lists.push(List { place, descriptor, entries, known });
        }
        lists
    }

    fn follow(&mut self, memory: &Memory, descriptor: Descriptor, limit: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        if descriptor.version != VERSION {
            if descriptor.first != 0 {
                let version = descriptor.version;
                self.problems.push(format!("generated code is registered in an unknown version, {version}"));
            }
            return entries;
        }
        let mut seen = HashSet::new();
        let mut at = descriptor.first;
        while at != 0 {
            let Some(entry) = Entry::read(memory, memory.via(), at) else {
                self.problems.push(format!("cannot read the list of generated code at {at:#x}"));
                break;
            };
            if !seen.insert(at) {
                self.problems.push("the list of generated code goes in a circle".to_owned());
                break;
            }
            if entries.len() == limit {
                self.problems.push(format!("only {limit} entries of the list of generated code were read"));
                break;
            }
            entries.push(entry);
            at = entry.next;
        }
        entries
    }

    /// How the lists are now, with as little reading as that takes: none at all if there are none.
    pub(super) fn look(&self, memory: &Memory, via: Tid) -> Seen {
        let mut left = MAX_HELD;
        Seen(self.lists.iter().map(|list| list.look(memory, via, &mut left)).collect())
    }

    /// The entries that were seen, those of each list from the newest on, and what is wrong with the
    /// lists. What was too much to be read with the threads held is read here.
    pub(super) fn entries(&self, seen: &Seen, memory: &Memory) -> (Vec<Entry>, Vec<String>) {
        let mut all = Vec::new();
        let mut late = Lists::default();
        for (list, change) in self.lists.iter().zip(&seen.0) {
            match change {
                Change::Gone => {}
                Change::Nothing => all.extend(&list.entries),
                Change::Begins(descriptor, new, rest) => {
                    let rest = rest.and_then(|at| list.entries.get(at..)).unwrap_or_default();
                    let removed = |entry: &&Entry| {
                        descriptor.action == UNREGISTER && entry.address == descriptor.relevant
                    };
                    all.extend(new);
                    all.extend(rest.iter().filter(|entry| !removed(entry)));
                }
                Change::Everything(descriptor) => {
                    all.extend(late.follow(memory, *descriptor, MAX_ENTRIES));
                    if Descriptor::read(memory, memory.via(), list.place) != Some(*descriptor) {
                        let what = "the list of generated code changed while it was read";
                        late.problems.push(what.to_owned());
                    }
                }
            }
        }
        (all, late.problems)
    }

    /// What was wrong when the lists were followed first.
    pub(super) fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}

impl List {
    fn look(&self, memory: &Memory, via: Tid, left: &mut usize) -> Change {
        let Some(descriptor) = Descriptor::read(memory, via, self.place) else { return Change::Gone };
        if descriptor == self.descriptor {
            return Change::Nothing;
        }
        let mut new = Vec::new();
        let mut at = descriptor.first;
        while at != 0 && descriptor.version == VERSION {
            // The one of the last action may be another at the place of an old one.
            if at != descriptor.relevant
                && let Some(&index) = self.known.get(&at)
            {
                return Change::Begins(descriptor, new, Some(index));
            }
            if *left == 0 {
                return Change::Everything(descriptor);
            }
            *left -= 1;
            let Some(entry) = Entry::read(memory, via, at) else { break };
            new.push(entry);
            at = entry.next;
        }
        Change::Begins(descriptor, new, None)
    }
}

#[cfg(test)]
#[path = "jit_tests.rs"]
mod tests;
