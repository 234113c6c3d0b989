//! A folder that is held: names in it are used through its descriptor, and no link is followed.
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::StoreError;

/// A folder, held by its descriptor.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    /// For messages.
    path: PathBuf,
}

/// Names in a folder.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) names: Vec<String>,
    /// There are more than were asked for.
    pub(super) more: bool,
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

impl Folder {
    /// Opens a folder by its path, the last part of which may be no link.
    pub(super) fn open(path: &Path) -> Result<Folder, StoreError> {
        let fd = open(path, FOLDER | OFlag::O_NOFOLLOW, Mode::empty());
        let fd = fd.map_err(|error| StoreError::io("open", path, error))?;
        Ok(Folder { fd, path: path.to_owned() })
    }

    /// Opens a folder in this one. `None` if there is no such thing.
    pub(super) fn inner(&self, name: &str) -> Result<Option<Folder>, StoreError> {
        let path = self.path.join(name);
        match openat(&self.fd, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Folder { fd, path })),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(StoreError::io("open", &path, error)),
        }
    }

    /// The same, made if it is not there, for nobody but this owner.
    pub(super) fn make_inner(&self, name: &str, owner: u32) -> Result<Folder, StoreError> {
        let path = self.path.join(name);
        match mkdirat(&self.fd, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(StoreError::io("create", &path, error)),
        }
        let inner = self.inner(name)?;
        let inner = inner.ok_or_else(|| StoreError::io("open", &path, Errno::ENOENT))?;
        // Whoever made it may have been killed before it was given away.
        if inner.stat()?.st_uid != owner {
            inner.wrong("change the owner of", fchown(&inner.fd, Some(Uid::from_raw(owner)), None))?;
        }
        Ok(inner)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn stat(&self) -> Result<FileStat, StoreError> {
        self.wrong("look at", fstat(&self.fd))
    }

    /// What a file in it is; not what a link leads to.
    pub(super) fn stat_of(&self, name: &str) -> nix::Result<FileStat> {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Free bytes of its file system, and all of them.
    pub(super) fn space(&self) -> Result<(u64, u64), StoreError> {
        let facts = self.wrong("look at", nix::sys::statvfs::fstatvfs(&self.fd))?;
        // Their types differ between architectures.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        let (unit, free, all) =
            (facts.fragment_size() as u64, facts.blocks_available() as u64, facts.blocks() as u64);
        Ok((free.saturating_mul(unit), all.saturating_mul(unit)))
    }

    /// Makes a new file, which only its owner may read.
    pub(super) fn create(&self, name: &str) -> Result<File, StoreError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
        fd.map(File::from).map_err(|error| StoreError::io("create", &self.path.join(name), error))
    }

    /// Opens a file that stays there, such as the one that is locked.
    pub(super) fn open_or_create(&self, name: &str) -> Result<File, StoreError> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
        fd.map(File::from).map_err(|error| StoreError::io("open", &self.path.join(name), error))
    }

    /// Opens a regular file of the folder's owner for reading.
    pub(super) fn read(&self, name: &str) -> Result<File, StoreError> {
        let file = self.open_regular(name)?;
        let facts = fstat(&file).map_err(|error| StoreError::io("look at", &self.path.join(name), error))?;
        // A link to a file of somebody else is none of its maker's.
        if facts.st_uid != self.stat()?.st_uid {
            let error = io::Error::other("it belongs to somebody else");
            return Err(StoreError::io("open", &self.path.join(name), error));
        }
        Ok(file)
    }

    /// Opens a regular file for reading. Nothing else is waited for, and nothing else is given.
    pub(super) fn open_regular(&self, name: &str) -> Result<File, StoreError> {
        let wrong = |error: io::Error| StoreError::io("open", &self.path.join(name), error);
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty()).map_err(|error| wrong(error.into()))?;
        let facts = fstat(&fd).map_err(|error| wrong(error.into()))?;
        if SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(wrong(io::Error::other("it is no regular file")));
        }
        Ok(File::from(fd))
    }

    pub(super) fn rename(&self, from: &str, to: &Folder, name: &str) -> Result<(), StoreError> {
        let renamed = renameat(&self.fd, from, &to.fd, name);
        renamed.map_err(|error| StoreError::io("create", &to.path.join(name), error))
    }

    /// Removes a file. One that is not there is as good as removed.
    pub(super) fn remove(&self, name: &str) -> Result<(), StoreError> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(StoreError::io("remove", &self.path.join(name), error)),
        }
    }

    /// Removes a folder that is empty.
    pub(super) fn remove_empty(&self, name: &str) -> bool {
        unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir).is_ok()
    }

    /// Makes what was done to names in it last.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.wrong("write", nix::unistd::fsync(&self.fd))
    }

    /// Names in it that are texts, at most so many.
    pub(super) fn names(&self, limit: usize) -> Result<Names, StoreError> {
        let dir = self.wrong("read", Dir::openat(&self.fd, ".", FOLDER, Mode::empty()))?;
        let mut names = Names::default();
        for (count, entry) in dir.into_iter().enumerate() {
            if count == limit {
                names.more = true;
                break;
            }
            let entry = self.wrong("read", entry)?;
            let name = entry.file_name().to_str().unwrap_or_default();
            if !matches!(name, "" | "." | "..") {
                names.names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn wrong<T>(&self, what: &str, result: nix::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| StoreError::io(what, &self.path, error))
    }
}

/// Gives a file away, to be read by this owner alone.
pub(super) fn give(file: &File, owner: u32, is_root: bool) -> nix::Result<()> {
    if is_root {
        fchown(file, Some(Uid::from_raw(owner)), Some(Gid::from_raw(0)))?;
    }
    fchmod(file, Mode::S_IRUSR)
}
