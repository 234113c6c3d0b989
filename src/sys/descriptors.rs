//! Descriptors of this process: the three that every program expects to have, and passing others on.
#![allow(unsafe_code)]
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::privileges::limit;

/// Descriptors passed with one message.
pub const MAX_PASSED: usize = 4;

/// Opens `/dev/null` in place of standard output and standard error where they are closed, as the kernel leaves
/// them for its helpers: otherwise the first files opened would get what is printed.
///
/// # Errors
/// As open(2).
pub fn fill_standard() -> io::Result<()> {
    loop {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        // It stays open under its number for the rest of the run.
        std::mem::forget(null);
    }
}

/// Takes what standard input is, and puts `/dev/null` in its place: so its number cannot pass to another file
/// when it is closed. Nothing may have been read from it before.
///
/// # Errors
/// As fcntl(2), open(2) and dup2(2).
pub fn take_stdin() -> io::Result<File> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let null = File::options().read(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(null)?;
    Ok(input)
}

/// A descriptor that whoever started this program left open under this number, if it is open. May be called
/// once for a number.
pub fn take_inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: asks about a number, and changes nothing.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return None;
    }
    // SAFETY: it is open, and the caller makes it its own.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes everything but what is listed, and the three standard ones (close_range(2)). For a child that is
/// about to give up everything else; what of it is still in use in Rust values must not be dropped there.
///
/// # Errors
/// As close_range(2).
pub fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept.iter().filter_map(|&fd| u32::try_from(fd).ok()).collect();
    kept.extend([0, 1, 2]);
    kept.sort_unstable();
    kept.dedup();
    let mut first = 0;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > first {
            let last = if fd == u32::MAX { fd } else { fd - 1 };
            // SAFETY: numbers only; the caller has given these descriptors up.
            let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) };
            if result == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        first = fd.saturating_add(1);
    }
    Ok(())
}

/// Allows as many open files as the hard limit does, up to `most`.
pub fn allow_files(most: u64) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(limit(most)).max(soft), hard);
    }
}

/// Sends one message with descriptors (`SCM_RIGHTS` of unix(7)).
///
/// # Errors
/// As sendmsg(2).
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], passed: &[RawFd]) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(passed)];
    let control = if passed.is_empty() { &[][..] } else { &rights };
    let parts = [IoSlice::new(bytes)];
    sendmsg::<()>(socket.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Receives one message with its descriptors; no bytes at the end.
///
/// # Errors
/// As recvmsg(2).
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; MAX_PASSED]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut passed = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just opened these for us, and nobody else knows of them.
            passed.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    Ok((message.bytes, passed))
}
