//! How SIGPIPE was handled when this program was started: Rust's runtime ignores it before `main`, and a
//! program that is started is to inherit what we did. systemd starts services with SIGPIPE ignored.
#![allow(unsafe_code)]
use std::sync::atomic::{AtomicBool, Ordering};

static IGNORED: AtomicBool = AtomicBool::new(false);

#[used]
// SAFETY: the loader calls functions of this section once, before the runtime starts; `look` needs no runtime.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: changes nothing, and fills in a structure of ours.
    let answer = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action) };
    IGNORED.store(answer == 0 && action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
}

/// Whether SIGPIPE was ignored before the runtime did so itself.
pub(super) fn were_ignored() -> bool {
    IGNORED.load(Ordering::Relaxed)
}
