//! Writing to the file of a dump, with a buffer, and never for longer than the dump may last.
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use crate::options::Path;
use crate::sys::calls::{
    self, AT_FDCWD, EAGAIN, EFBIG, EINTR, EPIPE, O_APPEND, O_CLOEXEC, O_CREAT, O_NOFOLLOW, O_NONBLOCK,
    O_WRONLY, now,
};
use crate::text::decimal;
use crate::threads::MILLISECOND;

const STDERR: i32 = 2;
const SIGPIPE: u32 = 13;
const SIGXFSZ: u32 = 25;
/// A pipe that has room has it for so many bytes.
const BUFFER: usize = 4096;
/// Longest expanded path, with its zero byte.
const EXPANDED: usize = 512;

/// The descriptor in use, for a dump that crashes.
static OPEN: AtomicI32 = AtomicI32::new(-1);
/// What standard error was at the start: device and inode, and whether it was open. A program that becomes a
/// daemon may have a data file or a connection there later.
static STDERR_THEN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static STDERR_IS_KNOWN: AtomicBool = AtomicBool::new(false);

/// Remembers what standard error is.
pub(crate) fn remember_stderr() {
    if let Some((device, inode)) = calls::identity(STDERR) {
        STDERR_THEN[0].store(device, Ordering::Release);
        STDERR_THEN[1].store(inode, Ordering::Release);
        STDERR_IS_KNOWN.store(true, Ordering::Release);
    }
}

/// Standard error, if it is still the file that it was.
fn stderr() -> Option<i32> {
    let then = (STDERR_THEN[0].load(Ordering::Acquire), STDERR_THEN[1].load(Ordering::Acquire));
    let is_same = STDERR_IS_KNOWN.load(Ordering::Acquire) && calls::identity(STDERR) == Some(then);
    is_same.then_some(STDERR)
}

const ENAMETOOLONG: i32 = 36;
const ETIMEDOUT: i32 = 110;
/// Why a file cannot be opened or written to.
const ERRORS: [(i32, &[u8]); 24] = [
    (1, b"EPERM"),
    (2, b"ENOENT"),
    (5, b"EIO"),
    (6, b"ENXIO"),
    (12, b"ENOMEM"),
    (13, b"EACCES"),
    (16, b"EBUSY"),
    (19, b"ENODEV"),
    (20, b"ENOTDIR"),
    (21, b"EISDIR"),
    (22, b"EINVAL"),
    (23, b"ENFILE"),
    (24, b"EMFILE"),
    (26, b"ETXTBSY"),
    (EFBIG, b"EFBIG"),
    (28, b"ENOSPC"),
    (30, b"EROFS"),
    (EPIPE, b"EPIPE"),
    (ENAMETOOLONG, b"ENAMETOOLONG"),
    (38, b"ENOSYS"),
    (40, b"ELOOP"),
    (75, b"EOVERFLOW"),
    (ETIMEDOUT, b"ETIMEDOUT"),
    (122, b"EDQUOT"),
];

/// Where a dump goes.
#[derive(Debug)]
pub(crate) struct Output {
    fd: i32,
    buffer: [u8; BUFFER],
    length: usize,
    deadline: u64,
    is_broken: bool,
    /// Its path; none for standard error.
    path: [u8; EXPANDED],
    path_length: usize,
}

impl Output {
    /// Opens the file, for appending and without following a link; standard error if there is none or it
    /// cannot be opened. `None` if that is not what it was at the start.
    pub(crate) fn open(path: Option<&Path>, pid: u32, deadline: u64) -> Option<Output> {
        let mut output = Output {
            fd: STDERR,
            buffer: [0; BUFFER],
            length: 0,
            deadline,
            is_broken: false,
            path: [0; EXPANDED],
            path_length: 0,
        };
        let mut opened = Ok(stderr());
        if let Some(path) = path {
            let expanded = expand(path.as_bytes(), pid, &mut output.path).ok_or(ENAMETOOLONG);
            let flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
            opened = expanded.and_then(|expanded| {
                output.path_length = expanded.len() - 1;
                calls::openat(AT_FDCWD, expanded, flags, 0o600).map(Some)
            });
        }
        match opened {
            Ok(fd) => output.fd = fd?,
            Err(error) => {
                output.fd = stderr()?;
                output.complain(b"open '", error);
                output.path_length = 0;
            }
        }
        OPEN.store(output.fd, Ordering::Release);
        Some(output)
    }

    /// Says what could not be done with the file.
    fn complain(&mut self, what: &[u8], error: i32) {
        self.push(b"threaddump relay: cannot ");
        self.push(what);
        for index in 0..self.path_length {
            let byte = self.path.get(index).copied();
            self.push(&[byte.unwrap_or_default()]);
        }
        self.push(b"': ");
        match ERRORS.iter().find(|(number, _)| *number == error) {
            Some((_, name)) => self.push(name),
            None => {
                self.push(b"error ");
                self.push(decimal(u64::from(error.unsigned_abs())).as_bytes());
            }
        }
        self.push(b"\n");
    }

    pub(crate) fn fd(&self) -> i32 {
        self.fd
    }

    /// Adds bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.length == BUFFER {
                self.flush();
            }
            if let Some(place) = self.buffer.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
    }

    /// Writes what was added.
    pub(crate) fn flush(&mut self) {
        let bytes = self.buffer.get(..self.length).unwrap_or_default();
        let result = if self.is_broken { Ok(()) } else { write_all(self.fd, bytes, self.deadline) };
        self.length = 0;
        if let Err(error) = result {
            self.is_broken = true;
            self.say_broken(error);
        }
    }
}

impl Output {
    /// Says on standard error that the file could not be written to.
    fn say_broken(&mut self, error: i32) {
        let Some(other) = stderr().filter(|_| self.path_length > 0) else { return };
        self.complain(b"write to '", error);
        let line = self.buffer.get(..self.length).unwrap_or_default();
        // There is nowhere else to say it.
        let _ = write_all(other, line, self.deadline);
        self.length = 0;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.flush();
        close(self.fd);
    }
}

fn close(fd: i32) {
    OPEN.store(-1, Ordering::Release);
    if fd != STDERR {
        calls::close(fd);
    }
}

/// Writes as much as there is time for; gives the error number that has ended it.
pub(crate) fn write_all(fd: i32, mut bytes: &[u8], deadline: u64) -> Result<(), i32> {
    while !bytes.is_empty() {
        // Regular files can always be written to.
        if now() >= deadline || !calls::poll(fd, true, deadline) {
            return Err(ETIMEDOUT);
        }
        match calls::write(fd, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(EINTR | EAGAIN) => {}
            Err(error) => {
                // The program must not die of what it has not written.
                match error {
                    EPIPE => calls::consume(SIGPIPE),
                    EFBIG => calls::consume(SIGXFSZ),
                    _ => {}
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// After a crash in the dump: says so, and closes the file.
pub(crate) fn give_up() {
    let fd = OPEN.load(Ordering::Acquire);
    if fd >= 0 {
        // There is nowhere else to say it.
        let _ = write_all(fd, b"\nthreaddump relay: the dump has crashed\n", now() + 1000 * MILLISECOND);
        close(fd);
    }
}

/// Puts process id and time into a path; `None` if that gets too long.
fn expand<'b>(path: &[u8], pid: u32, expanded: &'b mut [u8; EXPANDED]) -> Option<&'b [u8]> {
    const REALTIME: usize = 0;
    let mut length = 0;
    let mut push = |bytes: &[u8]| -> Option<()> {
        expanded.get_mut(length..length + bytes.len())?.copy_from_slice(bytes);
        length += bytes.len();
        Some(())
    };
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'%', Some(b'p')) => push(decimal(u64::from(pid)).as_bytes())?,
            (b'%', Some(b't')) => push(decimal(calls::clock(REALTIME) / 1_000_000_000).as_bytes())?,
            (b'%', Some(b'%')) => push(b"%")?,
            _ => {
                push(&[byte])?;
                continue;
            }
        }
        bytes.next();
    }
    push(&[0])?;
    expanded.get(..length)
}

/// A path as it would be for some process.
pub(crate) fn try_expand(path: &[u8]) {
    let mut room = [0; EXPANDED];
    if let Some(path) = expand(path, u32::MAX, &mut room) {
        assert_eq!(path.last(), Some(&0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_expanded() {
        let mut room = [0; EXPANDED];
        assert_eq!(expand(b"/tmp/%p.%%t%x%", 42, &mut room), Some(&b"/tmp/42.%t%x%\0"[..]));
        assert_eq!(expand(&[b'x'; EXPANDED], 42, &mut room), None);
    }
}
