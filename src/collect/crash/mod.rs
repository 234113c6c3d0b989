//! A process that the kernel is about to remove, looked at by the program in `kernel.core_pattern` (core(5)).
//! The kernel waits until that has read, or closed, its standard input.
//!
//! What is read here by whoever has the right to do so is what the kernel has written, and not parsed beyond
//! the lines of `/proc`: see [`Held`]. What the process itself has written is read and parsed in
//! [`Held::snapshot`], which works without any right but that of reading what is open.

mod event;
mod exit_stop;
mod generated;
mod held;
mod identity;
mod snapshot;
mod stream;

use std::time::Instant;

use threaddump_arch::Registers;

pub use event::{Dumpable, Event};
pub use exit_stop::{ExitStops, stop_at_exit};
pub use held::{FileId, Held, PinnedFile};
pub use identity::executable;
pub use stream::{has_ended, read_notes};

use crate::ids::Tid;

/// Registers of a thread at its end.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Its id: in core files, the one that the process itself sees.
    pub tid: Tid,
    /// Its registers.
    pub registers: Registers,
    /// Processor time it has used, in nanoseconds.
    pub cpu_ns: Option<u64>,
}

/// Where the registers of a crash come from.
#[derive(Debug)]
pub enum Origin {
    /// The beginning of the core file, as far as it could be read.
    Notes(Vec<u8>),
    /// Stops of the threads on their way out.
    ExitStops(Vec<Caught>),
}

/// Whether the beginning of a core has the registers of at least one thread.
pub fn has_registers(beginning: &[u8]) -> bool {
    super::corefile::beginning::read(beginning).is_ok()
}

/// How to copy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When the process is let go, whatever is missing by then.
    pub deadline: Instant,
    /// Bytes of stack to copy of each thread, see [`super::Options::stack_bytes`].
    pub stack_bytes: Option<u64>,
}
