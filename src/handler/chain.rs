//! Passing the core on to the handler that was there before: byte for byte, what we have read of it first.
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::queue::{FOLDER, Kind, Slot, Slots};
use crate::sys::{descriptors, fork};

/// The longest time for it: a core of a large process takes minutes to be written.
const LIMIT: Duration = Duration::from_secs(600);

/// The handler that was there before, and what the kernel would give to it.
#[derive(Debug)]
pub struct Chain {
    /// Its path and arguments.
    pub command: Vec<OsString>,
    /// How many cores are passed on at the same time; others are not passed on, as the kernel does it. `None`: any
    /// number.
    pub parallel: Option<usize>,
}

/// Starts a process that passes the core on, and keeps the crashed process until the other handler has ended, as
/// the kernel does. `read` is the part of the core that was read.
///
/// # Errors
/// As fork(2).
pub(super) fn start(
    chain: &Chain,
    read: &[u8],
    input: &File,
    pidfd: Option<&OwnedFd>,
    until: Instant,
) -> io::Result<()> {
    let turn = turn(chain, until)?;
    let work = || {
        let mut kept: Vec<RawFd> = pidfd.iter().map(|fd| fd.as_raw_fd()).collect();
        kept.push(input.as_raw_fd());
        kept.extend(turn.as_ref().map(|(slots, _)| slots.file().as_raw_fd()));
        let done = descriptors::close_all_but(&kept).and_then(|()| pass_on(chain, read, input));
        i32::from(done.is_err())
    };
    fork::child(work)?;
    // The child has a copy, which it keeps until it ends.
    if let Some((_, slot)) = turn {
        slot.leave();
    }
    Ok(())
}

/// Waits for a place among those that pass cores on. It is in a file of its own, so that it can be left to a child.
fn turn(chain: &Chain, until: Instant) -> io::Result<Option<(Slots, Slot)>> {
    let (Some(most), Ok(slots)) = (chain.parallel, Slots::open(Path::new(FOLDER))) else { return Ok(None) };
    match slots.take(Kind::Chain, most, until, |_| true) {
        Ok(Some(slot)) => Ok(Some((slots, slot))),
        Ok(None) => Err(io::Error::other(format!("{most} others are being passed on"))),
        // Locks that do not work are as bad as none.
        Err(_) => Ok(None),
    }
}

fn pass_on(chain: &Chain, read: &[u8], mut input: &File) -> io::Result<()> {
    let (program, arguments) = chain.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // As the kernel starts it, but for its outputs: those it leaves closed.
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // It need not read all.
        let _ = pipe.write_all(read).and_then(|()| io::copy(&mut input, &mut pipe));
    }
    wait(&mut child)
}

fn wait(child: &mut Child) -> io::Result<()> {
    let end = Instant::now() + LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() >= end {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
