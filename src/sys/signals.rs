//! The signals that are sent to this program itself, read from a descriptor (signalfd(2)) instead of
//! interrupting it.
#![allow(unsafe_code)]
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::spawn::Inherited;
use super::start;

/// Signals that were blocked for this program, and where they are read.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

/// One signal that was sent to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub number: i32,
    /// The process that sent it; `None` if it came from the kernel, as those of the terminal do, which
    /// go to all processes of its foreground group.
    pub sender: Option<i32>,
}

/// Takes the signals over: from now on they have no effect, and are read. For the calling thread and those
/// that it starts later, so it is called before any is started. Ignored ones stay ignored, but for SIGCHLD
/// and SIGQUIT.
/// Gives also what a program that is started is to have.
///
/// # Errors
/// As signalfd(2) and sigprocmask(2).
pub fn take_over(wanted: &[Signal], ignored: u64) -> io::Result<(Signals, Inherited)> {
    let is_ignored = |signal: Signal| ignored & (1 << (signal as i32 - 1)) != 0;
    // A shell without job control ignores SIGQUIT for what it starts in the background; it is still a request.
    let takes = |signal: &Signal| *signal == Signal::SIGQUIT || !is_ignored(*signal);
    let mut set: SigSet = wanted.iter().copied().filter(takes).collect();
    set.add(Signal::SIGCHLD);
    let ignores_children = is_ignored(Signal::SIGCHLD);
    if ignores_children {
        // Ignored, it would be sent for nothing that happens to those we trace.
        // SAFETY: sets a disposition to one of the two fixed ones.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    }
    let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mask = SigSet::thread_get_mask()?;
    set.thread_block()?;
    let inherited = Inherited {
        mask,
        ignores_children,
        ignores_pipes: start::ignored_pipes(),
        ignores_file_sizes: start::ignored_file_sizes(),
        closed: start::closed(),
    };
    Ok((Signals { fd }, inherited))
}

impl Signals {
    /// All that have come since.
    pub fn read(&self) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Ok(Some(info)) = self.fd.read_signal() {
            let Ok(number) = i32::try_from(info.ssi_signo) else { continue };
            let sender = super::ptrace::is_sent(info.ssi_code).then_some(info.ssi_pid.cast_signed());
            all.push(Sent { number, sender });
        }
        all
    }

    /// The descriptor, to wait for.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A file that may not become larger (RLIMIT_FSIZE) is then an error of write(2), not the end of this program.
pub fn ignore_file_sizes() {
    // SAFETY: sets a disposition to one of the two fixed ones.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Stops this whole program as the signal does by default, until it is continued. Nothing happens if the
/// signal is ignored, or the kernel lets nobody stop who could not be continued.
pub fn stop_self(signal: Signal) {
    let set: SigSet = [signal].into_iter().collect();
    let _ = set.thread_unblock();
    let _ = raise(signal);
    let _ = set.thread_block();
}
