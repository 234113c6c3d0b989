//! The store of what crashed: for each crash its report as JSON and as text, and a few facts to list it by.
//!
//! A store is a folder that belongs to root, or to one user. In it each user has a folder, which is his and
//! which he alone may read; so root treats all that is in it as hostile. Files are named `ID-NUMBER.KIND`:
//! the id stands for crashes that look alike ([`Fingerprint`]), the number counts them. Of those that look
//! alike the first and the latest are kept. Files are written and synced under other names in a folder of the
//! store's owner, and renamed under a lock, the facts last: a crash is there when its facts are.
//!
//! ```text
//! /var/lib/threaddump/crashes/.lock                   root, 0600
//!                             .new/4711-0.json        root, 0700: being written
//!                             1000/5d3e…-1.facts      user 1000, 0700 and 0400: the first
//!                             1000/5d3e…-1.json
//!                             1000/5d3e…-1.txt
//!                             1000/5d3e…-17.facts …   the latest, and how many there were
//! ```
//!
//! ```no_run
//! use std::io::Write;
//! use threaddump::crashes::{Facts, Limits, Store};
//! # fn example(wire: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::create(Store::system_path(), Limits::default())?;
//! let mut new = store.begin(1000)?;
//! new.json().write_all(b"{}\n")?;
//! new.text().write_all(b"thread 0\n")?;
//! let facts = Facts::decode(wire)?;
//! println!("stored as {}", new.commit(&facts)?.id);
//! # Ok(())
//! # }
//! ```
mod error;
mod facts;
mod fingerprint;
mod folder;
pub mod journal;
mod limits;
mod lock;
mod names;
mod read;
mod scan;
mod store;
#[cfg(test)]
mod tests;
mod units;
mod write;

pub use error::StoreError;
pub use facts::{Facts, Known};
pub use fingerprint::Fingerprint;
pub use limits::Limits;
pub use names::{Id, Kind};
pub use read::{Crash, Listing, Seen};
pub use store::{Cleaned, Store};
pub use write::{Document, NewCrash, Stored};
