//! Giving up what a process may do, for good: ids, capabilities, limits, its root directory, and system
//! calls.
#![allow(unsafe_code)]
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, rlim_t, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chdir, chroot, setgroups, setresgid, setresuid};

/// An empty directory that nobody can put anything into: it lists the descriptors of the process that opened
/// it, and is bare once that process is another user's.
const NOWHERE: &str = "/proc/self/fdinfo";
/// `_LINUX_CAPABILITY_VERSION_3` (`include/uapi/linux/capability.h`).
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH`, with which root passes over the modes of files.
const OVER_MODES: u32 = 1 << 1 | 1 << 2;

/// Limits of a process that works on what a crashed one has left.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of memory that is its own, without files that it maps.
    pub memory: u64,
    /// Seconds of processor time.
    pub seconds: u64,
}

/// A limit as the C library has it: in 32 bits on 32-bit processors, where more is none.
#[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
pub(super) fn limit(value: u64) -> rlim_t {
    rlim_t::try_from(value).unwrap_or(RLIM_INFINITY)
}

/// Takes everything away from the calling process that it does not need to compute: it becomes this user,
/// without groups, capabilities, a way to gain any, a place in the file system, or files of its own. It ends
/// with its parent.
///
/// # Errors
/// If any of it cannot be done; the process must then end.
pub fn give_up(uid: u32, gid: u32, limits: Limits) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    setrlimit(Resource::RLIMIT_DATA, limit(limits.memory), limit(limits.memory))?;
    setrlimit(Resource::RLIMIT_CPU, limit(limits.seconds), limit(limits.seconds))?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    // Threads are counted against those of the user, who may have filled their number.
    let _ = setrlimit(Resource::RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY);
    chroot(NOWHERE)?;
    chdir("/")?;
    setgroups(&[])?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    drop_capabilities()?;
    prctl::set_no_new_privs()?;
    // Its memory is that of a program of root; a debugger of the same user has no business there.
    prctl::set_dumpable(false)?;
    // A change of ids has reset it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}

/// Lets the calling process end when its parent does (prctl(2)).
///
/// # Errors
/// As prctl(2).
pub fn end_with_parent() -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)
}

/// Whether a program file gives capabilities to who starts it (capabilities(7)).
pub fn has_capabilities(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let name = c"security.capability".as_ptr();
    // SAFETY: two C strings that outlive the call; it writes nothing, as there is no room.
    unsafe { libc::getxattr(path.as_ptr(), name, std::ptr::null_mut(), 0) > 0 }
}

/// Becomes one that only opens files for good, as [`AsUser`] says: root's other rights would open files of `/proc` to
/// it that the user cannot open, whatever their modes say. It ends with its parent.
///
/// # Errors
/// As [`AsUser::new`], capset(2) and prctl(2).
pub fn only_open_as(uid: u32, gid: u32) -> io::Result<AsUser> {
    let user = AsUser::new(uid, gid)?;
    set_capabilities(if uid == 0 { OVER_MODES } else { 0 })?;
    // A change of ids has reset it.
    end_with_parent()?;
    Ok(user)
}

fn drop_capabilities() -> io::Result<()> {
    set_capabilities(0)
}

/// capset(2) with nothing but these, of the first 32.
fn set_capabilities(kept: u32) -> io::Result<()> {
    let header = [CAPABILITY_VERSION, 0];
    // Effective, permitted and inheritable, and the same for the rest.
    let sets = [kept, kept, 0, 0, 0, 0];
    // SAFETY: both records have the layout of version 3 and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens files as this user from now on, and as root again when it is dropped: only of the calling thread
/// (setfsuid(2)). The kernel takes the capabilities that pass over file modes away for as long.
#[derive(Debug)]
pub struct AsUser(());

impl AsUser {
    /// # Errors
    /// If the kernel refused.
    pub fn new(uid: u32, gid: u32) -> io::Result<AsUser> {
        let guard = AsUser(());
        set_file_ids(uid, gid);
        // A second call tells what the first one did.
        if set_file_ids(uid, gid) == (uid, gid) {
            Ok(guard)
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

impl Drop for AsUser {
    fn drop(&mut self) {
        set_file_ids(0, 0);
    }
}

/// Gives those that were in force before.
fn set_file_ids(uid: u32, gid: u32) -> (u32, u32) {
    // SAFETY: takes a number only.
    let old_gid = unsafe { libc::setfsgid(gid) };
    // SAFETY: as above.
    let old_uid = unsafe { libc::setfsuid(uid) };
    (old_uid.cast_unsigned(), old_gid.cast_unsigned())
}
