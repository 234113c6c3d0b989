//! Storing what is known about a crash.
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

use super::Options;
use super::supervise::Outcome;
use crate::collect::crash::Event;
use crate::crashes::{Document, Facts, Known, Store, StoreError, Stored};

/// What became of a crash.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where it is in the store.
    pub stored: Stored,
    /// What it is listed by.
    pub facts: Facts,
    /// Why it is less than it could be.
    pub trouble: Option<String>,
}

/// What the kernel has said.
pub(super) fn known(event: &Event) -> Known {
    let time = Timestamp::from_second(event.time).unwrap_or_else(|_| Timestamp::now());
    let (pid, tid) = (event.pid.0, event.tid.0);
    Known { pid, tid, uid: event.uid, gid: event.gid, signal: event.signal, time }
}

/// Stores it whole, or not at all.
pub(super) fn deliver(event: &Event, outcome: Outcome, options: &Options) -> Result<Delivery, StoreError> {
    let path = options.store();
    let facts = outcome.facts.ok_or(StoreError::Facts("there are none"))?.with(known(event));
    let store = Store::create(path, options.limits)?;
    let mut new = store.begin(event.reader())?;
    write(new.json(), &outcome.output.json, path)?;
    write(new.text(), &outcome.output.text, path)?;
    let stored = new.commit(&facts)?;
    Ok(Delivery { stored, facts, trouble: outcome.trouble })
}

fn write(document: &mut Document, bytes: &[u8], path: &Path) -> Result<(), StoreError> {
    let what = || format!("write a crash into {}", path.display());
    document.write_all(bytes).map_err(|source| StoreError::Io { what: what(), source })
}
