//! Looking at what was stored. Its owner may have put anything there.
use std::fs::File;
use std::io::Read;

use super::folder::Folder;
use super::names::FileName;
use super::scan::Scan;
use super::{Facts, Id, Kind, Store, StoreError};

/// Longest facts, in bytes; longer ones are damaged.
const MAX_FACTS: u64 = (64 << 10) + 1;

/// What is in a store.
#[derive(Debug, Default)]
pub struct Listing {
    /// The latest first.
    pub crashes: Vec<Crash>,
    /// What could not be shown, in words.
    pub problems: Vec<String>,
}

/// Crashes that look alike.
#[derive(Clone, Debug)]
pub struct Crash {
    /// What they are shown by.
    pub id: Id,
    /// User id of whom they belong to.
    pub owner: u32,
    /// How many there were.
    pub count: u64,
    /// The first of them.
    pub first: Seen,
    /// The latest of them; there may be only one.
    pub latest: Seen,
    /// Bytes of their files.
    pub bytes: u64,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counts from 1.
    pub number: u64,
    /// What it is listed by.
    pub facts: Facts,
}

impl Store {
    /// Lists all crashes that may be looked at.
    ///
    /// # Errors
    ///
    /// If the store cannot be read at all.
    pub fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for owner in self.owners()? {
            if let Err(error) = self.list_of(owner, &mut listing) {
                listing.problems.push(error.to_string());
            }
        }
        listing.crashes.sort_by_key(|crash| (std::cmp::Reverse(crash.latest.facts.time), crash.id));
        Ok(listing)
    }

    fn list_of(&self, owner: u32, listing: &mut Listing) -> Result<(), StoreError> {
        let Some(folder) = self.folder(owner)? else { return Ok(()) };
        let scan = Scan::of(&folder)?;
        if scan.more {
            listing
                .problems
                .push(format!("cannot list all of {}: it has too many files", folder.path().display()));
        }
        for (&id, numbers) in &scan.crashes {
            let Some((first, latest)) = scan.ends(id) else { continue };
            let bytes = numbers.values().fold(0_u64, |sum, files| sum.saturating_add(files.bytes()));
            let both =
                seen(&folder, owner, id, first).and_then(|one| Ok((one, seen(&folder, owner, id, latest)?)));
            match both {
                Ok((first, latest)) => {
                    listing.crashes.push(Crash { id, owner, count: latest.number, first, latest, bytes });
                }
                // It was removed meanwhile.
                Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => listing.problems.push(format!("cannot list crash {id}: {error}")),
            }
        }
        Ok(())
    }

    /// Opens a document of a crash. Its owner may have written anything into it.
    ///
    /// # Errors
    ///
    /// As open(2), or if it is no regular file of its owner.
    pub fn document(&self, crash: &Crash, seen: &Seen, kind: Kind) -> Result<File, StoreError> {
        let folder = self.folder(crash.owner)?;
        let name = FileName { id: crash.id, number: seen.number, kind }.to_string();
        match folder {
            Some(folder) => folder.read(&name),
            None => Err(StoreError::io("open", &self.path().join(&name), nix::errno::Errno::ENOENT)),
        }
    }
}

fn seen(folder: &Folder, owner: u32, id: Id, number: u64) -> Result<Seen, StoreError> {
    let name = FileName { id, number, kind: Kind::Facts }.to_string();
    let mut bytes = Vec::new();
    let read = folder.read(&name)?.take(MAX_FACTS).read_to_end(&mut bytes);
    read.map_err(|error| StoreError::io("read", &folder.path().join(&name), error))?;
    let facts = Facts::decode(&bytes)?;
    if Id::of(facts.fingerprint, owner) != id {
        return Err(StoreError::Facts("they are those of another one"));
    }
    Ok(Seen { number, facts })
}
