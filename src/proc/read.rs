//! Thin readers: a `/proc` directory that is held open, and the two numbers that times need.
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::Mode;

use super::{Stat, Status, parse_stat, parse_status};
use crate::ids::Tid;

/// No file of `/proc` is read beyond this many bytes (maps of a million lines fit).
pub const MAX_FILE: u64 = 256 << 20;

/// A `/proc/PID` or `/proc/PID/task/TID` directory, held open: it stays bound to that process or
/// thread, and gives ESRCH once it is gone, even if the number is used again.
#[derive(Debug)]
pub struct ProcDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl ProcDir {
    /// Opens a directory by path.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: impl Into<PathBuf>) -> io::Result<ProcDir> {
        let path = path.into();
        let fd = open(&path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(ProcDir { fd, path })
    }

    /// Opens a directory inside.
    ///
    /// # Errors
    /// As openat(2).
    pub fn open_dir(&self, name: &str) -> io::Result<ProcDir> {
        let fd = openat(&self.fd, name, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(ProcDir { fd, path: self.path.join(name) })
    }

    /// A second handle on the same directory.
    ///
    /// # Errors
    /// As dup(2).
    pub fn try_clone(&self) -> io::Result<ProcDir> {
        Ok(ProcDir { fd: self.fd.try_clone()?, path: self.path.clone() })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file inside for reading.
    ///
    /// # Errors
    /// As openat(2).
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        // A target decides what `exe` and `root` lead to: a pipe there must not block us.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        Ok(File::from(openat(&self.fd, name, flags, Mode::empty())?))
    }

    /// The bytes of a file inside, up to [`MAX_FILE`].
    ///
    /// # Errors
    /// As openat(2) and read(2); ESRCH if the process is gone.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(1024);
        self.open_file(name)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The text of a symbolic link inside.
    ///
    /// # Errors
    /// As readlinkat(2).
    pub fn read_link(&self, name: &str) -> io::Result<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        Ok(readlinkat(&self.fd, name)?.into_vec())
    }

    /// Names of the entries that are numbers, in ascending order: the threads in `task`.
    ///
    /// # Errors
    /// As open(2) and readdir(3); ENOENT if the process is gone.
    pub fn list_tasks(&self) -> io::Result<Vec<Tid>> {
        // By way of the held descriptor: the path may belong to another process by now.
        let entries = std::fs::read_dir(format!("/proc/self/fd/{}/task", self.fd.as_raw_fd()))?;
        let mut tids = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            tids.extend(name.to_str().and_then(|name| name.parse().ok()).map(Tid));
        }
        tids.sort_unstable();
        Ok(tids)
    }

    /// The fields of `stat` of this process, or of one of its threads.
    ///
    /// # Errors
    /// As [`ProcDir::read`]; `InvalidData` if the kernel's line is not understood.
    pub fn stat(&self, thread: Option<Tid>) -> io::Result<Stat> {
        let mut text = [0; 1024];
        let mut file = match thread {
            Some(tid) => self.open_file(&format!("task/{tid}/stat"))?,
            None => self.open_file("stat")?,
        };
        let length = file.read(&mut text)?;
        parse_stat(&text[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The fields of `status` of this process, or of one of its threads.
    ///
    /// # Errors
    /// As [`ProcDir::read`].
    pub fn status(&self, thread: Option<Tid>) -> io::Result<Status> {
        let text = match thread {
            Some(tid) => self.read(&format!("task/{tid}/status"))?,
            None => self.read("status")?,
        };
        Ok(parse_status(&text))
    }
}

/// When the machine started, seconds since the epoch (`btime` of proc_stat(5)).
pub fn boot_time() -> Option<i64> {
    let text = std::fs::read("/proc/stat").ok()?;
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"btime "))?;
    super::decimal(line.trim_ascii())
}

/// Clock ticks of one second, the unit of [`Stat::start_ticks`].
pub fn ticks_per_second() -> u64 {
    use nix::unistd::{SysconfVar, sysconf};
    sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100)
}
