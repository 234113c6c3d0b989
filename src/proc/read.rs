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

    /// Holds what is inside without opening it (`O_PATH`); a link there is followed.
    ///
    /// # Errors
    /// As openat(2).
    pub fn open_place(&self, name: &str) -> io::Result<File> {
        Ok(File::from(openat(&self.fd, name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    /// The bytes of a file inside, up to [`MAX_FILE`].
    ///
    /// # Errors
    /// As openat(2) and read(2); ESRCH if the process is gone.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        // Enough for most files, so that one call reads them and one sees the end.
        let mut bytes = Vec::with_capacity(8 << 10);
        self.open_file(name)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// User id of the owner of a file inside, whether or not it may be read.
    ///
    /// # Errors
    /// As fstatat(2).
    pub fn owner(&self, name: &str) -> io::Result<u32> {
        use nix::fcntl::AtFlags;
        Ok(nix::sys::stat::fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_uid)
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

    /// Opens the directory of threads, for [`count_tasks`].
    ///
    /// # Errors
    /// As openat(2).
    pub fn open_tasks(&self) -> io::Result<File> {
        self.open_file("task")
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

    /// The name of a thread, of an open `task` directory: a third of the time of its `stat`.
    ///
    /// # Errors
    /// As openat(2) and read(2).
    pub fn name_of(&self, thread: Tid) -> io::Result<Vec<u8>> {
        // 15 bytes and a line end; those of workers in the kernel have up to 63.
        let mut text = [0; 128];
        let length = self.open_file(&format!("{thread}/comm"))?.read(&mut text)?;
        let text = &text[..length];
        Ok(text.strip_suffix(b"\n").unwrap_or(text).to_vec())
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

/// The number of threads of a process, from the link count of its open `task` directory: two, and one
/// for each thread (`proc_task_getattr` in `fs/proc/base.c`). Takes 1 µs where `status` takes 30.
pub fn count_tasks(tasks: &File) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    tasks.metadata().ok()?.nlink().checked_sub(2)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_as_they_are_listed() {
        let pause = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (pause.wait(), pause.wait()));
            }
            pause.wait();
            let dir = ProcDir::open("/proc/self").expect("/proc is mounted");
            // Other tests start and end threads meanwhile.
            let same = (0..1000).any(|_| {
                let count = count_tasks(&dir.open_tasks().expect("our own"));
                let listed = dir.list_tasks().expect("our own");
                assert!(listed.len() >= 4);
                count == Some(listed.len() as u64)
            });
            pause.wait();
            assert!(same);
        });
    }

    #[test]
    fn a_held_directory_does_not_pass_to_another_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is installed");
        let dir = ProcDir::open(format!("/proc/{}", child.id())).expect("it lives");
        assert_eq!(dir.stat(None).expect("it lives").id as u32, child.id());
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        let error = dir.stat(None).expect_err("it is gone");
        assert!(matches!(error.raw_os_error(), Some(2 | 3)), "{error}");
        assert!(dir.list_tasks().is_err());
    }
}
