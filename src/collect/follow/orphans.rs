//! The first process of a container becomes the parent of all processes there whose own has ended, and they
//! stay until it collects them.
use std::time::Duration;

use nix::sys::prctl::get_child_subreaper;

use crate::ids::Tid;
use crate::sys::wait::{self, Event};

/// How long one that has ended may stay.
pub(super) const OFTEN: Duration = Duration::from_millis(200);
/// Collected at once.
const MOST: usize = 10_000;

/// Whether this program gets such children.
pub(super) fn are_ours() -> bool {
    std::process::id() == 1 || get_child_subreaper().unwrap_or(false)
}

/// Collects children of the calling thread that have ended, but not this one. Those of which the kernel makes
/// us the parent become children of the first thread; what is traced, and a program that was started, is the
/// business of the thread that traces.
pub(super) fn collect(but: Option<Tid>) {
    for _ in 0..MOST {
        match wait::peek_any() {
            Ok(Some((tid, Event::Ended(_)))) if Some(tid) != but => drop(wait::reap(tid)),
            _ => return,
        }
    }
}
