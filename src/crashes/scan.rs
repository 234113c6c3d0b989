//! What is in a store, by the names of its files: nothing is opened, let alone read.
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use nix::sys::stat::SFlag;

use super::folder::Folder;
use super::limits::Held;
use super::names::FileName;
use super::{Id, Kind, StoreError};

/// Most files of one user that are looked at. A store has 1000 crashes with 6 files each.
const MAX_FILES: usize = 50_000;
/// Most users.
const MAX_OWNERS: usize = 100_000;

/// Files of one crash, each with its length in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) sizes: BTreeMap<Kind, u64>,
    /// When its facts were written.
    pub(super) time: Option<SystemTime>,
}

/// What a user has, by id and number.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) crashes: BTreeMap<Id, BTreeMap<u64, Files>>,
    /// There are more files than were looked at.
    pub(super) more: bool,
}

impl Files {
    pub(super) fn is_whole(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.sizes.contains_key(kind))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.sizes.values().fold(0, |sum, &size| sum.saturating_add(size))
    }
}

impl Scan {
    pub(super) fn of(folder: &Folder) -> Result<Scan, StoreError> {
        let names = folder.names(MAX_FILES)?;
        let mut scan = Scan { more: names.more, ..Scan::default() };
        for name in names.names.iter().filter_map(|name| FileName::parse(name)) {
            // It may just have been removed.
            let Ok(facts) = folder.stat_of(&name.to_string()) else { continue };
            if SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
                continue;
            }
            let files = scan.crashes.entry(name.id).or_default().entry(name.number).or_default();
            // What is there may be more than what it says to be.
            let length = u64::try_from(facts.st_size).unwrap_or(0);
            let blocks = u64::try_from(facts.st_blocks).unwrap_or(0);
            files.sizes.insert(name.kind, length.max(blocks.saturating_mul(512)));
            if name.kind == Kind::Facts {
                let seconds = u64::try_from(facts.st_mtime).unwrap_or(0);
                files.time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            }
        }
        Ok(scan)
    }

    /// First and latest number of whole crashes. The latest is how many there were.
    pub(super) fn ends(&self, id: Id) -> Option<(u64, u64)> {
        let mut whole = self.crashes.get(&id)?.iter().filter(|(_, files)| files.is_whole());
        let (&first, _) = whole.next()?;
        Some((first, whole.next_back().map_or(first, |(&number, _)| number)))
    }

    /// Files that belong to no crash that is shown: overtaken ones, and those of which parts are missing.
    pub(super) fn leftovers(&self) -> Vec<FileName> {
        let mut names = Vec::new();
        for (&id, numbers) in &self.crashes {
            let ends = self.ends(id);
            let stays = |number| ends.is_some_and(|(first, latest)| number == first || number == latest);
            for (&number, files) in numbers.iter().filter(|&(&number, _)| !stays(number)) {
                names.extend(files.sizes.keys().map(|&kind| FileName { id, number, kind }));
            }
        }
        // The facts first: without them the rest does not count.
        names.sort_by_key(|name| name.kind);
        names
    }

    /// All files of one id, the facts first.
    pub(super) fn files(&self, id: Id) -> Vec<FileName> {
        let mut names: Vec<FileName> = self
            .crashes
            .get(&id)
            .into_iter()
            .flatten()
            .flat_map(|(&number, files)| files.sizes.keys().map(move |&kind| FileName { id, number, kind }))
            .collect();
        names.sort_by_key(|name| name.kind);
        names
    }

    /// Removes all files of one id.
    pub(super) fn remove(&self, folder: &Folder, id: Id) -> Result<(), StoreError> {
        self.files(id).iter().try_for_each(|name| folder.remove(&name.to_string()))
    }

    /// Bytes of all files of one id.
    pub(super) fn bytes(&self, id: Id) -> u64 {
        let numbers = self.crashes.get(&id).into_iter().flat_map(BTreeMap::values);
        numbers.fold(0, |sum, files| sum.saturating_add(files.bytes()))
    }

    /// For the limits.
    pub(super) fn held(&self, owner: u32) -> impl Iterator<Item = Held> {
        self.crashes.iter().map(move |(&id, numbers)| {
            let bytes = self.bytes(id);
            let latest = numbers.values().filter_map(|files| files.time).max();
            Held { owner, id, bytes, latest: latest.unwrap_or(SystemTime::UNIX_EPOCH) }
        })
    }
}

/// Users that have a folder in a store.
pub(super) fn owners(top: &Folder) -> Result<Vec<u32>, StoreError> {
    let names = top.names(MAX_OWNERS)?;
    let owner = |name: &String| name.parse().ok().filter(|owner: &u32| owner.to_string() == *name);
    let mut owners: Vec<u32> = names.names.iter().filter_map(owner).collect();
    owners.sort_unstable();
    Ok(owners)
}
