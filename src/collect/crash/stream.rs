//! The beginning of the core that the kernel writes into our standard input.
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::corefile::beginning;
use crate::collect::corefile::CoreError;

/// Bytes read at most: notes have 3.4 KB for a thread on most machines, 11 where there are AMX registers.
const MAX_NOTES: u64 = 256 << 20;
/// Bytes for which room is made at once, before any of them was seen.
const EXPECTED: usize = 16 << 20;
/// Read at once, at most.
const CHUNK: usize = 1 << 20;

/// Reads headers and notes, and nothing of the memory that comes after them: the kernel waits for as long as
/// that is not read. Gives what was read, and why it is not all.
pub fn read_notes(input: &mut File, deadline: Instant) -> (Vec<u8>, Option<String>) {
    let mut bytes = Vec::new();
    let result = fill(input, &mut bytes, beginning::HEAD as u64, deadline).and_then(|()| {
        let length = beginning::length(&bytes).map_err(Trouble::Core)?;
        let wanted = length.min(MAX_NOTES);
        bytes.reserve_exact(usize::try_from(wanted).unwrap_or(0).min(EXPECTED));
        fill(input, &mut bytes, wanted, deadline)?;
        if wanted < length { Err(Trouble::Long { length }) } else { Ok(()) }
    });
    (bytes, result.err().map(|trouble| format!("cannot read the notes of the core: {trouble}")))
}

/// Whether nobody writes into it any more. While the kernel does, the process is there, and its number is that of no
/// other.
pub fn has_ended(input: &File) -> bool {
    let mut files = [PollFd::new(input.as_fd(), PollFlags::empty())];
    match poll(&mut files, PollTimeout::ZERO) {
        Ok(0) => false,
        Ok(_) | Err(_) => true,
    }
}

enum Trouble {
    Late,
    Ended,
    Long { length: u64 },
    Core(CoreError),
    Io(io::Error),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Late => f.write_str("the time in which the process may be held has passed"),
            Trouble::Ended => f.write_str("the kernel wrote no more of it (the process was killed)"),
            Trouble::Long { length } => write!(f, "they have {length} bytes, and {MAX_NOTES} were read"),
            Trouble::Core(error) => write!(f, "{error}"),
            Trouble::Io(error) => write!(f, "{error}"),
        }
    }
}

/// Reads until there are so many bytes, and not one more.
fn fill(input: &mut File, bytes: &mut Vec<u8>, wanted: u64, deadline: Instant) -> Result<(), Trouble> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    while bytes.len() < wanted {
        if !is_ready(input, deadline).map_err(Trouble::Io)? {
            return Err(Trouble::Late);
        }
        let (old, step) = (bytes.len(), CHUNK.min(wanted - bytes.len()));
        bytes.resize(old + step, 0);
        let result = input.read(&mut bytes[old..]);
        bytes.truncate(old + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => return Err(Trouble::Ended),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(Trouble::Io(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Waits until something can be read, up to the deadline.
fn is_ready(input: &File, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut files = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        match poll(&mut files, timeout) {
            Ok(0) | Err(Errno::EINTR) if !left.is_zero() => {}
            Ok(count) => return Ok(count > 0),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_has_ended_when_nobody_writes_it_any_more() {
        let (read, write) = nix::unistd::pipe().expect("a pipe");
        let read = File::from(read);
        assert!(!has_ended(&read));
        nix::unistd::write(&write, b"core").expect("there is room");
        assert!(!has_ended(&read), "there is more to come");
        drop(write);
        assert!(has_ended(&read), "whatever is left in it");
        assert!(!has_ended(&File::open("/dev/null").expect("it is there")));
    }
}
