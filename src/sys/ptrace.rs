//! ptrace(2): what nix cannot express, and thin names for what it can.
#![allow(unsafe_code)]
use std::io;

use nix::sys::ptrace::Options;
use nix::unistd::Pid;

use crate::ids::Tid;

/// Register set of general registers (`include/uapi/linux/elf.h`).
const NT_PRSTATUS: u32 = 1;

/// Bytes that [`general_registers`] can give: more than any architecture has.
pub const MAX_REGISTER_SET: usize = 1024;

/// Makes the calling thread the tracer of a thread, without stopping it and without options, above all
/// without the one that kills it when the tracer ends.
///
/// # Errors
/// EPERM (not allowed, traced already, or ended), ESRCH (no such thread).
pub fn seize(tid: Tid) -> nix::Result<()> {
    nix::sys::ptrace::seize(Pid::from_raw(tid.0), Options::empty())
}

/// Asks a seized thread to stop; it does so as soon as it can be interrupted.
///
/// # Errors
/// ESRCH (not traced by the calling thread).
pub fn interrupt(tid: Tid) -> nix::Result<()> {
    nix::sys::ptrace::interrupt(Pid::from_raw(tid.0))
}

/// Lets a stopped thread run on. `signal` is the signal whose delivery was the stop, real-time signals
/// included, or 0; it is lost if it is not given here.
///
/// # Errors
/// ESRCH (not stopped, or not traced by the calling thread).
pub fn detach(tid: Tid, signal: i32) -> io::Result<()> {
    let signal = signal as libc::c_ulong;
    // SAFETY: PTRACE_DETACH takes numbers only; no memory of ours is read or written.
    let result = unsafe { libc::ptrace(libc::PTRACE_DETACH, tid.0, 0_usize, signal) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The general registers of a stopped thread as the kernel lays them out. The length tells the mode
/// the thread runs in.
///
/// # Errors
/// ESRCH (not stopped, or not traced by the calling thread).
pub fn general_registers(tid: Tid, buffer: &mut [u8; MAX_REGISTER_SET]) -> io::Result<usize> {
    register_set(tid, NT_PRSTATUS, buffer)
}

/// The register set with this note type (`NT_*`) of a stopped thread; the number of its bytes.
///
/// # Errors
/// ESRCH (not stopped, or not traced by the calling thread), EINVAL and ENODEV (the processor has no such
/// registers).
pub fn register_set(tid: Tid, note: u32, buffer: &mut [u8; MAX_REGISTER_SET]) -> io::Result<usize> {
    let note = note as usize;
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `vector` is a valid iovec that outlives the call, and names `buffer`, which is ours alone
    // for as long; the kernel writes at most `iov_len` bytes there and the length into `vector`.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, tid.0, note, &raw mut vector) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(vector.iov_len.min(buffer.len())) }
}
