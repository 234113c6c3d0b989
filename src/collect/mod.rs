//! Filling a [`Snapshot`](crate::snapshot::Snapshot) from a process. The target is held only in here,
//! and nothing in here knows DWARF.

mod arena;
mod capabilities;
mod code;
pub mod corefile;
mod denied;
mod elf;
mod error;
mod facts;
pub mod find;
mod fingerprint;
pub mod follow;
mod generated;
mod interrupted;
mod jit;
pub mod jit_object;
mod kernel;
mod later;
pub mod live;
mod memory;
mod modules;
pub mod perf_map;
mod prepare;
mod proc;
pub mod relay;
mod stacks;

use std::time::Duration;

pub use error::{CollectError, PermissionReason};
pub use prepare::{Prepared, prepare};
pub use relay::RelayRefusal;

use crate::ids::Tid;

/// By what means to look at a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// The best that is allowed: by ptrace, else by the relay if the process has it, else without a stop, else
    /// with facts only.
    #[default]
    Auto,
    /// By ptrace or not at all.
    Ptrace,
    /// By the relay inside the process or not at all.
    Relay,
    /// From `/proc`, so that nothing is stopped.
    Proc,
}

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
    /// By what means.
    pub via: Via,
    /// Read the stacks in the kernel of all threads, not only of those that would not stop.
    pub kernel: bool,
    /// The signal handler that one thread is in, and asks from.
    pub interrupted: Option<Interrupted>,
}

/// A thread that waits in a signal handler, for which it shows what the signal interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// The thread.
    pub tid: Tid,
    /// Process address of the `ucontext_t` the kernel gave the handler.
    pub context: u64,
    /// Process address of the `siginfo_t`.
    pub info: u64,
}

impl Default for Options {
    fn default() -> Options {
        let timeout = Duration::from_secs(5);
        let (stack_bytes, interrupted) = (None, None);
        Options { timeout, stack_bytes, threads: Vec::new(), via: Via::Auto, kernel: false, interrupted }
    }
}
