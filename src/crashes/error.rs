//! What can go wrong with a store.
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::plain;

/// Why something could not be done with a store.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// A system call failed.
    Io {
        /// What was tried, with its object.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A folder may not be trusted.
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Others held the lock for too long.
    Busy {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The file system has to keep some space free. Both in bytes.
    NoSpace {
        /// What is free.
        free: u64,
        /// What has to be.
        keep: u64,
    },
    /// A document is longer than one may be, in bytes.
    TooLarge(u64),
    /// The facts of a crash contradict themselves.
    Facts(&'static str),
}

impl StoreError {
    pub(super) fn io(what: &str, path: &Path, source: impl Into<io::Error>) -> StoreError {
        StoreError::Io { what: format!("{what} {}", path.display()), source: source.into() }
    }

    /// The next step the user can take, on one line.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            StoreError::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some("there is none until a crash was stored; check the path"),
                io::ErrorKind::PermissionDenied => Some("run it as root, or as the user whose store it is"),
                io::ErrorKind::StorageFull => Some("free some space, or: threaddump crashes clean"),
                _ => None,
            },
            StoreError::Foreign { .. } => {
                Some("a store belongs to root or to you, and nobody else may write to it")
            }
            StoreError::Busy { .. } => Some("try again"),
            StoreError::NoSpace { .. } => Some("free some space, or: threaddump crashes clean"),
            StoreError::TooLarge(_) | StoreError::Facts(_) => None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io { what, source } => write!(f, "cannot {what}: {}", plain(source)),
            StoreError::Foreign { path, why } => write!(f, "cannot use {}: {why}", path.display()),
            StoreError::Busy { waited } => {
                write!(f, "cannot lock the store: others held it for {} ms", waited.as_millis())
            }
            StoreError::NoSpace { free, keep } => {
                let mib = |bytes: &u64| bytes >> 20;
                write!(f, "no space for a crash: {} MiB are free, {} MiB have to be", mib(free), mib(keep))
            }
            StoreError::TooLarge(limit) => write!(f, "report of a crash is longer than {} MiB", limit >> 20),
            StoreError::Facts(what) => write!(f, "facts of a crash are damaged: {what}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
