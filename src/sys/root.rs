//! Files as a process sees them: below its root directory, which symbolic links cannot leave.
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::mapping::{open_regular, reopen_regular};

/// The root directory of a process, held so that it can be used after the process has ended.
#[derive(Debug)]
pub struct Root {
    handle: File,
    path: PathBuf,
}

impl Root {
    /// Opens `/proc/PID/root` or another directory.
    ///
    /// # Errors
    ///
    /// As open(2).
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let handle = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        Ok(Root { handle, path: path.to_owned() })
    }

    /// Opens a regular file for reading, by the path it has for the process.
    ///
    /// # Errors
    ///
    /// As openat2(2); `InvalidInput` if it is not a regular file.
    pub fn regular(&self, path: &Path) -> io::Result<File> {
        match self.place(path, OFlag::empty()) {
            Ok(place) => reopen_regular(&place),
            Err(Errno::ENOSYS | Errno::EPERM) => open_regular(&self.outside(path)),
            Err(error) => Err(error.into()),
        }
    }

    /// The same, or not at all: never by a path of ours, which may lead elsewhere by now.
    ///
    /// # Errors
    ///
    /// As openat2(2); `InvalidInput` if it is not a regular file.
    pub fn regular_below(&self, path: &Path) -> io::Result<File> {
        reopen_regular(&self.place(path, OFlag::empty())?)
    }

    /// The same for a path whose last part must not be a symbolic link: in a folder that everybody may
    /// write to, a link can lead to what its maker does not own.
    ///
    /// # Errors
    ///
    /// As openat2(2); `InvalidInput` if it is not a regular file.
    pub fn regular_itself(&self, path: &Path) -> io::Result<File> {
        match self.place(path, OFlag::O_NOFOLLOW) {
            Ok(place) => reopen_regular(&place),
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
                let place = OpenOptions::new().read(true).custom_flags(flags).open(self.outside(path));
                reopen_regular(&place?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The same, or not at all.
    ///
    /// # Errors
    ///
    /// As openat2(2); `InvalidInput` if it is not a regular file.
    pub fn regular_itself_below(&self, path: &Path) -> io::Result<File> {
        reopen_regular(&self.place(path, OFlag::O_NOFOLLOW)?)
    }

    /// The directory itself.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    fn place(&self, path: &Path, more: OFlag) -> nix::Result<File> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | more)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.handle, path, how).map(File::from)
    }

    /// The path as it is for us. Before Linux 5.6 and under older container filters there is no
    /// openat2(2).
    fn outside(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }
}
