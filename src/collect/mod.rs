//! Filling a [`Snapshot`](crate::snapshot::Snapshot) from a process. The target is held only in here,
//! and nothing in here knows DWARF.

mod denied;
mod elf;
mod error;
mod facts;
pub mod find;
pub mod live;
mod modules;

use std::time::Duration;

pub use error::{CollectError, PermissionReason};

use crate::ids::Tid;

/// How to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The longest time in which a target may be held.
    pub timeout: Duration,
    /// Bytes of stack to copy of each thread, whatever the stack is; `None` is 16 MiB of a thread's own
    /// stack and 256 KiB where that cannot be told from other memory.
    pub stack_bytes: Option<u64>,
    /// The threads to stop and copy; empty for all.
    pub threads: Vec<Tid>,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_secs(5), stack_bytes: None, threads: Vec::new() }
    }
}
