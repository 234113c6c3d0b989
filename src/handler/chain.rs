//! Passing the core on to the handler that was there before: byte for byte, what we have read of it first.
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sys::{descriptors, fork};

/// The longest time for it: a core of a large process takes minutes to be written.
const LIMIT: Duration = Duration::from_secs(600);

/// The handler that was there before, and what the kernel would give to it.
#[derive(Debug)]
pub struct Chain {
    /// Its path and arguments.
    pub command: Vec<OsString>,
}

/// Starts a process that passes the core on, and keeps the crashed process until the other handler has ended, as
/// the kernel does. `read` is the part of the core that was read.
///
/// # Errors
/// As fork(2).
pub(super) fn start(chain: &Chain, read: &[u8], input: &File, pidfd: Option<&OwnedFd>) -> io::Result<()> {
    let work = || {
        let mut kept: Vec<RawFd> = pidfd.iter().map(|fd| fd.as_raw_fd()).collect();
        kept.push(input.as_raw_fd());
        let done = descriptors::close_all_but(&kept).and_then(|()| pass_on(chain, read, input));
        i32::from(done.is_err())
    };
    fork::child(work).map(drop)
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
