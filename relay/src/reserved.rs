//! Descriptors kept for the time of need: the process's directory in `/proc`, which also works after a
//! change of the root directory, and some that are given up so that files can be opened when no more can be.
//!
//! Programs close or overwrite descriptors that they do not know. So each is compared with what it was.
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::sys::calls::{self, AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_RDONLY};

/// Out of the way of programs that expect the next number.
pub(crate) const LOWEST: usize = 200;
/// For the output, the list of threads, and a file of one of them.
const SPARES: usize = 3;

static DIRECTORY: AtomicI32 = AtomicI32::new(-1);
static SPARE: [AtomicI32; SPARES] = [const { AtomicI32::new(-1) }; SPARES];
static IDENTITY: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn open() -> Result<i32, i32> {
    calls::openat(AT_FDCWD, b"/proc/self\0", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
}

fn is_ours(fd: i32) -> bool {
    let known = (IDENTITY[0].load(Ordering::Acquire), IDENTITY[1].load(Ordering::Acquire));
    fd >= 0 && calls::identity(fd) == Some(known)
}

/// Reserves them; what cannot be had is done without.
pub(crate) fn reserve() {
    let Ok(fd) = open() else { return };
    if let (Some((device, inode)), Ok(high)) = (calls::identity(fd), calls::duplicate_above(fd, LOWEST)) {
        IDENTITY[0].store(device, Ordering::Release);
        IDENTITY[1].store(inode, Ordering::Release);
        DIRECTORY.store(high, Ordering::Release);
    }
    calls::close(fd);
    reserve_spares();
}

/// In a child of fork, whose descriptors are of its parent's directory.
pub(crate) fn renew() {
    give_spares();
    let old = DIRECTORY.swap(-1, Ordering::AcqRel);
    if is_ours(old) {
        calls::close(old);
    }
    reserve();
}

/// Gives the spare ones up for a while.
pub(crate) fn give_spares() {
    for spare in &SPARE {
        let fd = spare.swap(-1, Ordering::AcqRel);
        if is_ours(fd) {
            calls::close(fd);
        }
    }
}

/// Takes spare ones again.
pub(crate) fn reserve_spares() {
    let directory = DIRECTORY.load(Ordering::Acquire);
    if !is_ours(directory) {
        return;
    }
    for spare in &SPARE {
        if let Ok(fd) = calls::duplicate_above(directory, LOWEST) {
            spare.store(fd, Ordering::Release);
        }
    }
}

/// The process's directory in `/proc`, and whether it was opened for this and has to be closed.
pub(crate) fn directory() -> Option<(i32, bool)> {
    let kept = DIRECTORY.load(Ordering::Acquire);
    if is_ours(kept) { Some((kept, false)) } else { open().ok().map(|fd| (fd, true)) }
}
