//! How things were when this program was started. Rust's runtime ignores SIGPIPE and opens `/dev/null` for
//! closed standard descriptors before `main`, and a program that is started is to inherit what we did. systemd
//! starts services with SIGPIPE ignored.
#![allow(unsafe_code)]
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

static IGNORED_PIPES: AtomicBool = AtomicBool::new(false);
static IGNORED_FILE_SIZES: AtomicBool = AtomicBool::new(false);
/// A bit for each of the descriptors 0, 1 and 2.
static CLOSED: AtomicU8 = AtomicU8::new(0);

#[used]
// SAFETY: the loader calls functions of this section once, before the runtime starts; `look` needs no runtime.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    IGNORED_PIPES.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    IGNORED_FILE_SIZES.store(is_ignored(libc::SIGXFSZ), Ordering::Relaxed);
    for fd in 0..3 {
        // SAFETY: takes and gives numbers; it fails for a descriptor that is closed.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: changes nothing, and fills in a structure of ours.
    let answer = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    answer == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Whether SIGPIPE was ignored before the runtime did so itself.
pub(super) fn ignored_pipes() -> bool {
    IGNORED_PIPES.load(Ordering::Relaxed)
}

/// Whether SIGXFSZ was ignored before we did so ourselves.
pub(super) fn ignored_file_sizes() -> bool {
    IGNORED_FILE_SIZES.load(Ordering::Relaxed)
}

/// Which of the descriptors 0, 1 and 2 were closed.
pub fn closed() -> [bool; 3] {
    let bits = CLOSED.load(Ordering::Relaxed);
    [0, 1, 2].map(|fd| bits & (1 << fd) != 0)
}
