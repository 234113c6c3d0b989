//! The list in which a JIT compiler registers what it made for debuggers (GDB manual, "JIT Compilation
//! Interface"): a descriptor at a known symbol, and a double list of entries, each of which names an
//! ELF object in memory.
//!
//! The list is followed before the stop. With the threads held the descriptor is read again, and only if
//! it changed some of the entries; everything else waits for the release.
use std::collections::{HashMap, HashSet};

use super::memory::ReadMemory;
use crate::ids::Tid;

/// Descriptors of one process: libraries may bring compilers of their own.
const MAX_DESCRIPTORS: usize = 8;
/// Entries of all lists together.
const MAX_ENTRIES: usize = 1 << 14;
/// New entries that are read with the threads held; each takes a microsecond or less.
const MAX_HELD: usize = 256;
/// Old entries that are read again with the threads held, if anything changed; all by one system call.
const MAX_AGAIN: usize = 512;
/// How often a list is followed that changes meanwhile.
const ATTEMPTS: usize = 3;
/// The version of the interface that is known.
const VERSION: u32 = 1;
/// Size of an entry, in bytes.
const ENTRY: usize = 32;
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
pub(super) struct Lists(Vec<List>);

#[derive(Clone, Debug)]
struct List {
    place: u64,
    descriptor: Descriptor,
    /// From the newest on.
    entries: Vec<Entry>,
    /// Their places in `entries`.
    known: HashMap<u64, usize>,
    /// What is wrong with it.
    problems: Vec<String>,
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
    Begins {
        descriptor: Descriptor,
        now: Vec<Entry>,
        rest: Option<usize>,
        unreadable: Option<u64>,
    },
    /// Too much is new.
    Everything(Descriptor),
}

impl Descriptor {
    fn read(memory: &dyn ReadMemory, via: Tid, place: u64) -> Option<Descriptor> {
        let mut bytes = [0; 24];
        if memory.read_by(via, place, &mut bytes) < bytes.len() {
            return None;
        }
        let [versions, relevant, first] = words(&bytes);
        Some(Descriptor { version: versions as u32, action: (versions >> 32) as u32, relevant, first })
    }
}

impl Entry {
    pub(super) fn read(memory: &dyn ReadMemory, via: Tid, address: u64) -> Option<Entry> {
        let mut bytes = [0; ENTRY];
        (memory.read_by(via, address, &mut bytes) == ENTRY).then(|| Entry::parse(address, &bytes))
    }

    /// The entries at these addresses, up to the first that cannot be read.
    fn read_all(memory: &dyn ReadMemory, via: Tid, addresses: &[u64]) -> Vec<Entry> {
        let mut bytes = vec![0; addresses.len() * ENTRY];
        let count = memory.read_pieces(via, addresses, &mut bytes, ENTRY);
        let pieces = addresses.iter().zip(bytes.chunks_exact(ENTRY)).take(count);
        pieces.map(|(&address, bytes)| Entry::parse(address, bytes)).collect()
    }

    fn parse(address: u64, bytes: &[u8]) -> Entry {
        let [next, previous, object, size] = words(bytes);
        Entry { address, next, previous, object, size }
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
    pub(super) fn read(memory: &dyn ReadMemory, places: &[u64]) -> Lists {
        let mut left = MAX_ENTRIES;
        let mut seen = HashSet::new();
        let places = places.iter().take(MAX_DESCRIPTORS).filter(|&&place| seen.insert(place));
        let lists = places.filter_map(|&place| {
            let descriptor = Descriptor::read(memory, memory.via(), place)?;
            let list = List::settle(memory, place, descriptor, left);
            left -= list.entries.len();
            Some(list)
        });
        Lists(lists.collect())
    }

    /// How the lists are now, with as little reading as that takes: none at all if there are none.
    pub(super) fn look(&self, memory: &dyn ReadMemory, via: Tid) -> Seen {
        let mut left = MAX_HELD;
        Seen(self.0.iter().map(|list| list.look(memory, via, &mut left)).collect())
    }

    /// The entries that were seen, those of each list from the newest on, and what is wrong with the
    /// lists. What was too much to be read with the threads held is read here.
    pub(super) fn entries(&self, seen: &Seen, memory: &dyn ReadMemory) -> (Vec<Entry>, Vec<String>) {
        let mut all = Vec::new();
        let mut problems = Vec::new();
        for (list, change) in self.0.iter().zip(&seen.0) {
            match change {
                Change::Gone => {}
                Change::Nothing => {
                    all.extend(&list.entries);
                    problems.extend(list.problems.clone());
                }
                Change::Begins { descriptor, now, rest, unreadable } => {
                    let rest = rest.and_then(|at| list.entries.get(at..)).unwrap_or_default();
                    let removed = |entry: &&Entry| {
                        descriptor.action == UNREGISTER && entry.address == descriptor.relevant
                    };
                    all.extend(now);
                    all.extend(rest.iter().filter(|entry| !removed(entry)));
                    problems.extend(unreadable.map(cannot_read));
                }
                Change::Everything(descriptor) => {
                    let late = List::settle(memory, list.place, *descriptor, MAX_ENTRIES);
                    all.extend(late.entries);
                    problems.extend(late.problems);
                    if late.descriptor != *descriptor {
                        problems.push("the list of generated code changed while it was read".to_owned());
                    }
                }
            }
        }
        (all, problems)
    }
}

fn cannot_read(address: u64) -> String {
    format!("cannot read the list of generated code at {address:#x}")
}

impl List {
    /// Follows a list, again if it changed meanwhile.
    fn settle(memory: &dyn ReadMemory, place: u64, descriptor: Descriptor, limit: usize) -> List {
        let mut list = List::follow(memory, place, descriptor, limit);
        for _ in 1..ATTEMPTS {
            match Descriptor::read(memory, memory.via(), place) {
                Some(now) if now != list.descriptor => list = List::follow(memory, place, now, limit),
                _ => break,
            }
        }
        list
    }

    fn follow(memory: &dyn ReadMemory, place: u64, descriptor: Descriptor, limit: usize) -> List {
        let (mut entries, mut known, mut problems) = (Vec::new(), HashMap::new(), Vec::new());
        let mut at = descriptor.first;
        if descriptor.version != VERSION && at != 0 {
            let version = descriptor.version;
            problems.push(format!("generated code is registered in an unknown version, {version}"));
            at = 0;
        }
        while at != 0 {
            let Some(entry) = Entry::read(memory, memory.via(), at) else {
                problems.push(cannot_read(at));
                break;
            };
            if known.insert(at, entries.len()).is_some() {
                problems.push("the list of generated code goes in a circle".to_owned());
                break;
            }
            if entries.len() == limit {
                problems.push(format!("only {limit} entries of the list of generated code were read"));
                break;
            }
            entries.push(entry);
            at = entry.next;
        }
        List { place, descriptor, entries, known, problems }
    }

    fn look(&self, memory: &dyn ReadMemory, via: Tid, left: &mut usize) -> Change {
        let Some(descriptor) = Descriptor::read(memory, via, self.place) else { return Change::Gone };
        if descriptor == self.descriptor {
            return Change::Nothing;
        }
        // An old place may have another entry by now, and an old entry another neighbour.
        let old: Vec<u64> = self.entries.iter().take(MAX_AGAIN).map(|entry| entry.address).collect();
        let again = Entry::read_all(memory, via, &old);
        let mut now = Vec::new();
        let mut unreadable = None;
        let mut at = descriptor.first;
        while at != 0 && descriptor.version == VERSION && now.len() <= MAX_AGAIN + MAX_HELD {
            let known = self.known.get(&at).copied();
            let entry = match known {
                Some(index) if index >= MAX_AGAIN => {
                    return Change::Begins { descriptor, now, rest: Some(index), unreadable: None };
                }
                Some(index) => again.get(index).copied(),
                None => None,
            };
            let entry = match entry {
                Some(entry) => entry,
                None if *left == 0 => return Change::Everything(descriptor),
                None => {
                    *left -= 1;
                    let Some(entry) = Entry::read(memory, via, at) else {
                        unreadable = Some(at);
                        break;
                    };
                    entry
                }
            };
            now.push(entry);
            at = entry.next;
        }
        Change::Begins { descriptor, now, rest: None, unreadable }
    }
}

#[cfg(test)]
#[path = "jit_tests.rs"]
mod tests;
