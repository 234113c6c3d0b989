//! Read-only file mappings that survive a file shrinking under them.
//!
//! Reading a mapped page that lies behind the end of its file raises SIGBUS (mmap(2)). Target
//! files are replaced and truncated by package managers and compilers at any time, and none of
//! that may end this program: the handler puts a page of zeros there and marks the mapping.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;

use super::sigbus;

/// A whole regular file, mapped privately and read-only.
///
/// A program that writes into the file is seen to do so; nothing may rely on two reads giving the
/// same bytes.
#[derive(Debug)]
pub struct FileMapping {
    start: NonNull<u8>,
    len: usize,
    guard: Option<sigbus::Guard>,
}

impl FileMapping {
    /// Opens and maps a file.
    ///
    /// # Errors
    ///
    /// The errors of open(2) and mmap(2); `InvalidInput` if it is not a regular file.
    pub fn open(path: &Path) -> io::Result<FileMapping> {
        FileMapping::of(&open_regular(path)?)
    }

    /// Maps an open file, which may be closed afterwards.
    ///
    /// # Errors
    ///
    /// The errors of mmap(2); `InvalidInput` if it is not a regular file.
    pub fn of(file: &File) -> io::Result<FileMapping> {
        let size = regular_size(file)?;
        let len = usize::try_from(size).ok().filter(|&len| isize::try_from(len).is_ok());
        let len = len.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if len == 0 {
            return Ok(FileMapping { start: NonNull::dangling(), len: 0, guard: None });
        }
        // SAFETY: a new private mapping at an address the kernel chooses; no memory of ours changes.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        // From here on the value owns the mapping, also if the guard cannot be had.
        let mut mapping = FileMapping { start, len, guard: None };
        mapping.guard = Some(sigbus::protect(start.as_ptr() as usize, len)?);
        Ok(mapping)
    }

    /// The bytes of the file. Where the file has shrunk they are zeros.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start..start+len` is one readable mapping (or empty) until drop, below
        // isize::MAX; we never write to it, and a page that is gone is replaced by zeros.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Whether a page could not be read and was replaced by zeros.
    pub fn damaged(&self) -> bool {
        self.guard.as_ref().is_some_and(sigbus::Guard::damaged)
    }
}

impl Drop for FileMapping {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // The range leaves the table before the address can belong to someone else.
        self.guard = None;
        // SAFETY: exactly the range mapped in `of`, and no borrow of it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Opens a regular file for reading; what is something else is not opened at all, since opening a
/// device can start what it drives and opening a pipe can wait, or wake who waits at its other end.
///
/// # Errors
///
/// The errors of open(2); `InvalidInput` if it is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    reopen_regular(&OpenOptions::new().read(true).custom_flags(flags).open(path)?)
}

/// Opens what a descriptor made with `O_PATH` stands for, if it is a regular file.
///
/// # Errors
///
/// The errors of open(2); `InvalidInput` if it is not a regular file.
pub fn reopen_regular(place: &File) -> io::Result<File> {
    regular_size(place)?;
    // A lease on the file must not hold us up.
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn regular_size(file: &File) -> io::Result<u64> {
    let meta = file.metadata()?;
    if meta.is_file() {
        return Ok(meta.len());
    }
    let kind = meta.file_type();
    let what = match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () => "not a regular file",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn scratch(name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("threaddump-{}-{name}", std::process::id()));
        File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    }

    #[test]
    fn a_truncated_file_reads_as_zeros_and_is_marked() {
        let path = scratch("shrinks", &[7; 20_000]);
        let whole = scratch("stays", &[9; 5_000]);
        let mapping = FileMapping::open(&path).unwrap();
        let other = FileMapping::open(&whole).unwrap();
        assert_eq!(mapping.bytes()[19_999], 7);
        assert!(!mapping.damaged());
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert!(mapping.bytes().iter().all(|&byte| byte == 0));
        assert!(mapping.damaged());
        assert!(other.bytes().iter().all(|&byte| byte == 9));
        assert!(!other.damaged());
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(whole).unwrap();
    }

    #[test]
    fn shrinking_by_a_page_keeps_the_others() {
        let path = scratch("by-a-page", &[7; 3 * 4096]);
        let mapping = FileMapping::open(&path).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(4096).unwrap();
        assert_eq!(mapping.bytes()[2 * 4096], 0);
        assert_eq!(mapping.bytes()[0], 7);
        assert!(mapping.damaged());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn many_threads_may_fault_at_once() {
        let paths: Vec<_> = (0..8).map(|i| scratch(&format!("many-{i}"), &[1; 100_000])).collect();
        std::thread::scope(|scope| {
            for path in &paths {
                scope.spawn(move || {
                    for _ in 0..20 {
                        std::fs::write(path, [1; 100_000]).unwrap();
                        let mapping = FileMapping::open(path).unwrap();
                        OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
                        assert_eq!(mapping.bytes().iter().map(|&byte| u64::from(byte)).sum::<u64>(), 0);
                        assert!(mapping.damaged());
                    }
                });
            }
        });
        for path in paths {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let path = scratch("empty", b"");
        assert!(FileMapping::open(&path).unwrap().bytes().is_empty());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn only_regular_files_are_opened() {
        for (path, what) in [("/", "a directory"), ("/dev/null", "a device")] {
            assert_eq!(FileMapping::open(Path::new(path)).unwrap_err().to_string(), what);
        }
    }

    #[test]
    fn a_sparse_file_of_a_terabyte_costs_nothing() {
        let path = scratch("sparse", b"head");
        OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let mapping = FileMapping::open(&path).unwrap();
        assert_eq!(&mapping.bytes()[..4], b"head");
        assert_eq!(mapping.bytes()[(1 << 40) - 1], 0);
        assert!(!mapping.damaged());
        std::fs::remove_file(path).unwrap();
    }
}
