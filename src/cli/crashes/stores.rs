//! The stores of whoever asks, and what is in them.
use std::io;
use std::path::Path;

use nix::unistd::geteuid;

use crate::cli::args::StoreArgs;
use crate::crashes::{Crash, Limits, Store, StoreError};
use crate::error::Failure;

/// Fewer characters fit too many.
const SHORTEST: usize = 4;

/// Stores that are there.
#[derive(Debug)]
pub(super) struct Stores {
    stores: Vec<Store>,
    /// What could not be used.
    problems: Vec<Failure>,
}

/// What is in them, the latest first.
#[derive(Debug)]
pub(super) struct Found<'s> {
    pub(super) crashes: Vec<Placed<'s>>,
    pub(super) problems: Vec<Failure>,
}

/// A crash, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Placed<'s> {
    pub(super) store: &'s Store,
    pub(super) crash: Crash,
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Failure {
        let failure = Failure::new(error.to_string());
        match error.advice() {
            Some(advice) => failure.advise(advice),
            None => failure,
        }
    }
}

impl Stores {
    /// Opens the one that was asked for, or all that may have crashes of the user. There need not be any.
    pub(super) fn open(arguments: &StoreArgs, limits: Limits) -> Result<Stores, Failure> {
        if let Some(path) = &arguments.dir {
            let store = Store::open(path, limits).map_err(|error| Failure::from(&error))?;
            return Ok(Stores { stores: vec![store], problems: Vec::new() });
        }
        let mut stores = Stores { stores: Vec::new(), problems: Vec::new() };
        stores.add(Store::system_path(), limits);
        if let Some(path) = Store::user_path().filter(|_| !geteuid().is_root()) {
            stores.add(&path, limits);
        }
        match stores.problems.pop() {
            // Nothing at all can be looked at.
            Some(failure) if stores.stores.is_empty() => Err(failure),
            failure => {
                stores.problems.extend(failure);
                Ok(stores)
            }
        }
    }

    fn add(&mut self, path: &Path, limits: Limits) {
        match Store::open(path, limits) {
            Ok(store) => self.stores.push(store),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.problems.push(Failure::from(&error)),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Store> {
        self.stores.iter()
    }

    pub(super) fn list(&self) -> Result<Found<'_>, Failure> {
        let mut found = Found { crashes: Vec::new(), problems: self.problems.clone() };
        for store in &self.stores {
            let listing = store.list().map_err(|error| Failure::from(&error))?;
            found.crashes.extend(listing.crashes.into_iter().map(|crash| Placed { store, crash }));
            found.problems.extend(listing.problems.into_iter().map(Failure::new));
        }
        found.crashes.sort_by_key(|one| std::cmp::Reverse(one.crash.latest.facts.time));
        Ok(found)
    }
}

impl<'s> Found<'s> {
    /// The crashes that are meant: of one id, the latest first. The same one may be in two stores.
    pub(super) fn choose(&self, id: &str) -> Result<Vec<Placed<'s>>, Failure> {
        let begins = |one: &&Placed<'_>| one.crash.id.as_str().starts_with(id);
        let chosen: Vec<Placed<'s>> = match id {
            "latest" => self.crashes.first().into_iter().cloned().collect(),
            _ if id.len() < SHORTEST => {
                let what = format!("cannot tell which crash {id} is: it is too short");
                return Err(Failure::usage(what).advise("give four characters at least"));
            }
            _ => self.crashes.iter().filter(begins).cloned().collect(),
        };
        let Some(first) = chosen.first() else {
            let what =
                if id == "latest" { "there are no crashes".to_owned() } else { format!("no crash {id}") };
            return Err(Failure::new(what).advise("list them with: threaddump crashes list"));
        };
        if chosen.iter().any(|one| one.crash.id != first.crash.id) {
            let all = chosen.iter().map(|one| one.crash.id.to_string()).collect();
            let failure = Failure::usage(format!("several crashes begin with {id}:"));
            return Err(failure.list(all).advise("give more of it"));
        }
        Ok(chosen)
    }
}

impl Placed<'_> {
    pub(super) fn key(&self) -> (String, u32, crate::crashes::Id) {
        (self.store.path().display().to_string(), self.crash.owner, self.crash.id)
    }

    pub(super) fn remove(&self) -> Result<(), Failure> {
        let removed = self.store.remove(self.crash.owner, self.crash.id);
        removed.map_err(|error| Failure::from(&error))
    }
}
