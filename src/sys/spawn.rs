//! Starting a program that waits at a gate until it is traced: fork(2), then execvp(3).
#![allow(unsafe_code)]
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::fcntl::OFlag;
use nix::sys::signal::SigSet;
use nix::unistd::pipe2;

use crate::ids::Pid;

/// A process that waits at its gate, before it becomes the program.
#[derive(Debug)]
pub struct Gated {
    /// Its id.
    pub pid: Pid,
    gate: Option<File>,
    failure: File,
}

/// What the program is to inherit although we changed it for ourselves.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    /// The blocked signals.
    pub mask: SigSet,
    /// Whether SIGCHLD is ignored.
    pub ignores_children: bool,
    /// Whether SIGPIPE was ignored when this program was started.
    pub ignores_pipes: bool,
    /// Whether SIGXFSZ was.
    pub ignores_file_sizes: bool,
    /// Which of the descriptors 0, 1 and 2 were closed; we have something else there.
    pub closed: [bool; 3],
}

/// Starts a process that will become the program. `arguments` begin with its name, which is looked for in
/// `PATH`. If this process ends before the gate is opened, the program is started all the same.
///
/// # Errors
/// As pipe2(2) and fork(2); `InvalidInput` for an argument that holds a NUL byte, or none at all.
pub fn gated(arguments: &[OsString], inherited: Inherited) -> io::Result<Gated> {
    let arguments = c_strings(arguments)?;
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|text| text.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let (gate_read, gate_write) = pipe2(OFlag::O_CLOEXEC)?;
    let (failure_read, failure_write) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: the child calls nothing but async-signal-safe functions until it becomes another program
    // or ends, and touches no lock or allocator, so it does not matter what other threads were doing.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let others = [gate_write.as_raw_fd(), failure_read.as_raw_fd()];
            become_program(&pointers, &inherited, gate_read.as_raw_fd(), failure_write.as_raw_fd(), others)
        }
        pid => {
            let (gate, failure) = (Some(File::from(gate_write)), File::from(failure_read));
            drop::<[OwnedFd; 2]>([gate_read, failure_write]);
            Ok(Gated { pid: Pid(pid), gate, failure })
        }
    }
}

/// Makes this process the program, with these variables in its environment; returns only if that fails.
pub fn replace(arguments: &[OsString], environment: &[(&str, OsString)], inherited: &Inherited) -> io::Error {
    let arguments = match c_strings(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return error,
    };
    for (name, value) in environment {
        // SAFETY: the caller has no other threads that could look at the environment.
        unsafe { std::env::set_var(name, value) };
    }
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|text| text.as_ptr()).collect();
    pointers.push(std::ptr::null());
    io::Error::from_raw_os_error(execute(&pointers, inherited))
}

fn c_strings(arguments: &[OsString]) -> io::Result<Vec<CString>> {
    if arguments.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(arguments
        .iter()
        .map(|argument| CString::new(argument.clone().into_vec()))
        .collect::<Result<_, _>>()?)
}

impl Gated {
    /// Lets the process become the program.
    pub fn open(&mut self) {
        if let Some(mut gate) = self.gate.take() {
            // It also goes on if nothing can be read any more.
            let _ = gate.write_all(b"g");
        }
    }

    /// Why it did not become the program. Only for a process that has ended: it waits otherwise.
    pub fn failure(&mut self) -> Option<io::Error> {
        let mut bytes = [0; 4];
        self.failure.read_exact(&mut bytes).ok()?;
        Some(io::Error::from_raw_os_error(i32::from_ne_bytes(bytes)))
    }
}

/// What the child does. `others` are its copies of our ends of the pipes, without which it hears of our end.
fn become_program(
    arguments: &[*const libc::c_char],
    inherited: &Inherited,
    gate: i32,
    failure: i32,
    others: [i32; 2],
) -> ! {
    for fd in others {
        // SAFETY: a descriptor of this process, which nobody uses from here on.
        unsafe { libc::close(fd) };
    }
    let mut byte = 0_u8;
    // SAFETY: one byte that is ours; all signals of ours are blocked, so nothing interrupts it for long.
    unsafe { libc::read(gate, (&raw mut byte).cast(), 1) };
    let error = execute(arguments, inherited).to_ne_bytes();
    // SAFETY: four bytes that are ours.
    unsafe { libc::write(failure, error.as_ptr().cast(), error.len()) };
    // SAFETY: ends this process without running anything of the one it was forked from.
    unsafe { libc::_exit(127) }
}

/// Becomes the program, as far as it exists. Returns the error number.
fn execute(arguments: &[*const libc::c_char], inherited: &Inherited) -> i32 {
    for (signal, ignored) in
        [(libc::SIGPIPE, inherited.ignores_pipes), (libc::SIGXFSZ, inherited.ignores_file_sizes)]
    {
        // SAFETY: sets a disposition to one of the two fixed ones. We ignore these for ourselves.
        unsafe { libc::signal(signal, if ignored { libc::SIG_IGN } else { libc::SIG_DFL }) };
    }
    for fd in (0..3).filter(|&fd| inherited.closed[fd as usize]) {
        // SAFETY: the runtime has opened it, nobody uses it, and the pipes are not among these.
        unsafe { libc::close(fd) };
    }
    if inherited.ignores_children {
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    }
    let mask: *const libc::sigset_t = inherited.mask.as_ref();
    // SAFETY: `mask` is a valid set that outlives the call.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
    // SAFETY: the array ends with a null pointer, and each other points to a C string; all outlive the call.
    unsafe { libc::execvp(arguments[0], arguments.as_ptr()) };
    nix::errno::Errno::last_raw()
}
