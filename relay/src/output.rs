//! Writing to the file of a dump, with a buffer, and never for longer than the dump may last.
use core::sync::atomic::{AtomicI32, Ordering};

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

/// Where a dump goes.
#[derive(Debug)]
pub(crate) struct Output {
    fd: i32,
    buffer: [u8; BUFFER],
    length: usize,
    deadline: u64,
    is_broken: bool,
}

impl Output {
    /// Opens the file, for appending and without following a link; standard error if there is none or it
    /// cannot be opened.
    pub(crate) fn open(path: Option<&Path>, pid: u32, deadline: u64) -> Output {
        let opened = path.and_then(|path| {
            let mut expanded = [0; EXPANDED];
            let path = expand(path.as_bytes(), pid, &mut expanded)?;
            let flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
            calls::openat(AT_FDCWD, path, flags, 0o600).ok()
        });
        let fd = opened.unwrap_or(STDERR);
        OPEN.store(fd, Ordering::Release);
        let mut output = Output { fd, buffer: [0; BUFFER], length: 0, deadline, is_broken: false };
        if path.is_some() && opened.is_none() {
            output.push(b"threaddump relay: the file of out= cannot be opened\n");
        }
        output
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
        if !self.is_broken {
            self.is_broken = !write_all(self.fd, bytes, self.deadline);
        }
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

/// Writes as much as there is time for.
pub(crate) fn write_all(fd: i32, mut bytes: &[u8], deadline: u64) -> bool {
    while !bytes.is_empty() {
        // Regular files can always be written to.
        if now() >= deadline || !calls::poll(fd, true, deadline) {
            return false;
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
                return false;
            }
        }
    }
    true
}

/// After a crash in the dump: says so, and closes the file.
pub(crate) fn give_up() {
    let fd = OPEN.load(Ordering::Acquire);
    if fd >= 0 {
        write_all(fd, b"\nthreaddump relay: the dump has crashed\n", now() + 1000 * MILLISECOND);
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
