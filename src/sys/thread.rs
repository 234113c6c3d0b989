//! The calling thread itself: its id and how it is scheduled.
#![allow(unsafe_code)]

use crate::ids::Tid;

/// Id of the calling thread (gettid(2)).
pub fn own_id() -> Tid {
    Tid(nix::unistd::gettid().as_raw())
}

/// Asks for the highest ordinary priority and exact timers for the calling thread, for the short time
/// in which a target is held. Without the right to do so nothing changes (setpriority(2), prctl(2)).
pub fn hurry() {
    // SAFETY: takes numbers only; on Linux, who 0 is the calling thread alone.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
    let _ = nix::sys::prctl::set_timerslack(1);
}
