//! Storing a crash: whole, or not at all.
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use nix::fcntl::{Flock, FlockArg};

use super::folder::{Folder, give};
use super::names::FileName;
use super::{Facts, Id, Kind, Store, StoreError};

/// Longest document, in bytes.
const MAX_DOCUMENT: u64 = 256 << 20;

/// A crash that is being written. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct NewCrash<'s> {
    store: &'s Store,
    owner: u32,
    place: Folder,
    json: Document,
    text: Document,
}

/// One of its documents, to be written to. A write beyond 256 MiB fails.
#[derive(Debug)]
pub struct Document {
    /// Locked, so that it is told from one whose writer was killed.
    file: Flock<File>,
    name: String,
    written: u64,
}

/// A crash that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What it is shown by.
    pub id: Id,
    /// How many there were that look like this one.
    pub count: u64,
    /// How many older ones had to go for it.
    pub removed: usize,
}

impl<'s> NewCrash<'s> {
    pub(super) fn begin(store: &'s Store, owner: u32, place: Folder) -> Result<NewCrash<'s>, StoreError> {
        let json = Document::create(&place, Kind::Json)?;
        let text = match Document::create(&place, Kind::Text) {
            Ok(text) => text,
            Err(error) => {
                let _ = place.remove(&json.name);
                return Err(error);
            }
        };
        Ok(NewCrash { store, owner, place, json, text })
    }

    /// The report as JSON.
    pub fn json(&mut self) -> &mut Document {
        &mut self.json
    }

    /// The report as text.
    pub fn text(&mut self) -> &mut Document {
        &mut self.text
    }

    /// Stores it. The store's owner and user, not the facts, say whose it is.
    ///
    /// # Errors
    ///
    /// If the facts cannot be right, the store was locked for too long, or something cannot be written. Then
    /// nothing of it is in the store.
    pub fn commit(self, facts: &Facts) -> Result<Stored, StoreError> {
        facts.check()?;
        let mut last = Document::create(&self.place, Kind::Facts)?;
        let stored = last
            .write_all(&facts.encode())
            .map_err(|error| StoreError::io("write", &self.place.path().join(&last.name), error))
            .and_then(|()| self.store_all(&last, Id::of(facts.fingerprint, self.owner)));
        if stored.is_err() {
            let _ = self.place.remove(&last.name);
        }
        stored
    }

    fn store_all(&self, facts: &Document, id: Id) -> Result<Stored, StoreError> {
        let documents = [(Kind::Text, &self.text), (Kind::Json, &self.json), (Kind::Facts, facts)];
        // The slow part, before the lock.
        for (_, document) in documents {
            let given = give(&document.file, self.owner, self.store.is_root()).map_err(io::Error::from);
            let synced = given.and_then(|()| document.file.sync_all());
            synced
                .map_err(|error| StoreError::io("write", &self.place.path().join(&document.name), error))?;
        }
        let _lock = self.store.lock()?;
        let bytes = documents.iter().fold(0, |sum, (_, document)| sum + document.written);
        let (folder, number, removed) = self.store.make_room(self.owner, id, bytes)?;
        let mut named = Vec::new();
        for (kind, document) in documents {
            let name = FileName { id, number, kind }.to_string();
            if let Err(error) = self.place.rename(&document.name, &folder, &name) {
                named.iter().rev().for_each(|name: &String| drop(folder.remove(name)));
                return Err(error);
            }
            named.push(name);
        }
        folder.sync()?;
        // What it replaces. If that fails, the next one does it.
        let _ = self.store.tidy(&folder);
        Ok(Stored { id, count: number, removed })
    }
}

impl Drop for NewCrash<'_> {
    fn drop(&mut self) {
        // After a commit they have other names.
        for document in [&self.json, &self.text] {
            let _ = self.place.remove(&document.name);
        }
    }
}

impl Document {
    fn create(place: &Folder, kind: Kind) -> Result<Document, StoreError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("{process}-{next}-{time}.{}", kind.ending());
        let file = place.create(&name)?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let file = file.map_err(|(_, error)| StoreError::io("lock", &place.path().join(&name), error))?;
        Ok(Document { file, name, written: 0 })
    }

    /// As if so much had been written.
    #[cfg(test)]
    pub(super) fn written_is(&mut self, bytes: u64) {
        self.written = bytes;
    }
}

impl Write for Document {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > MAX_DOCUMENT {
            return Err(io::Error::other(StoreError::TooLarge(MAX_DOCUMENT)));
        }
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
