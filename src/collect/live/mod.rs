//! Collecting by ptrace: everything that can be read before is read before, then all threads are
//! stopped, their registers and stacks copied, and the process released.
mod again;
mod assemble;
mod hold;
mod threads;
mod tracer;
mod watch;

pub use super::Prepared;
use super::{CollectError, Options, Via};
use crate::ids::Pid;

pub use again::start_over;
pub(super) use assemble::{Copying, capture, wait_for_end};
pub(super) use watch::attach;

/// Reads everything that can be read before the stop; [`Prepared::capture`] then makes all ptrace calls
/// on one OS thread, which has ended when it returns.
///
/// # Errors
/// If there is no such process, or it cannot be looked at; the cause is found out.
pub fn prepare(pid: Pid, options: &Options) -> Result<Prepared, CollectError> {
    super::prepare(pid, &Options { via: Via::Ptrace, ..options.clone() })
}
