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

/// The same, and with it every thread that this one starts from now on; also the child processes if that
/// is asked for. Each of these begins with a stop.
///
/// # Errors
/// As [`seize`].
pub fn seize_and_follow(tid: Tid, children: bool) -> nix::Result<()> {
    let mut options = Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEEXEC;
    if children {
        options |= Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK;
    }
    nix::sys::ptrace::seize(Pid::from_raw(tid.0), options)
}

/// Makes the calling thread the tracer of a thread that will stop at its end, and not before.
///
/// # Errors
/// As [`seize`].
pub fn seize_for_exit(tid: Tid) -> nix::Result<()> {
    nix::sys::ptrace::seize(Pid::from_raw(tid.0), Options::PTRACE_O_TRACEEXIT)
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
    resume(libc::PTRACE_DETACH, tid, signal)
}

/// Lets a stopped thread run on, and remains its tracer. `signal` as for [`detach`].
///
/// # Errors
/// ESRCH (not stopped, or not traced by the calling thread).
pub fn cont(tid: Tid, signal: i32) -> io::Result<()> {
    resume(libc::PTRACE_CONT, tid, signal)
}

/// Leaves a thread in its group stop, and hears of the end of it.
///
/// # Errors
/// ESRCH (not stopped, or not traced by the calling thread), EIO (not in a group stop).
pub fn listen(tid: Tid) -> io::Result<()> {
    resume(libc::PTRACE_LISTEN, tid, 0)
}

fn resume(request: libc::c_uint, tid: Tid, signal: i32) -> io::Result<()> {
    let signal = signal as libc::c_ulong;
    // SAFETY: these requests take numbers only; no memory of ours is read or written.
    let result = unsafe { libc::ptrace(request, tid.0, 0_usize, signal) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The number that goes with the event a thread is stopped for: the id of a new thread or process, or the
/// id that a thread had before it called exec.
///
/// # Errors
/// ESRCH (not stopped, or not traced by the calling thread).
pub fn event_id(tid: Tid) -> nix::Result<Tid> {
    let id = nix::sys::ptrace::getevent(Pid::from_raw(tid.0))?;
    i32::try_from(id).map(Tid).map_err(|_| nix::errno::Errno::ERANGE)
}

/// Where the signal comes from whose delivery a thread is stopped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `si_code`.
    pub code: i32,
    /// The process that sent it, if one did.
    pub sender: Option<i32>,
    /// The address that was at fault (process address), if it has one.
    pub address: Option<u64>,
}

/// `si_code` of signals that the kernel sends without saying more.
const SI_KERNEL: i32 = 0x80;

/// Whether a `si_code` says that a process sent the signal: by kill, sigqueue or tgkill. The kernel gives
/// other negative codes to timers and the like.
pub fn is_sent(code: i32) -> bool {
    matches!(code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL)
}

/// Reads where a signal comes from (`PTRACE_GETSIGINFO`).
///
/// # Errors
/// ESRCH (not stopped, or not traced by the calling thread), EINVAL (a group stop).
pub fn origin(tid: Tid) -> nix::Result<Origin> {
    let info = nix::sys::ptrace::getsiginfo(Pid::from_raw(tid.0))?;
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];
    let sent = is_sent(info.si_code);
    let at_fault = info.si_code > 0 && info.si_code != SI_KERNEL && faults.contains(&info.si_signo);
    // SAFETY: the code says that a process sent it, and then the record names the process.
    let sender = sent.then(|| unsafe { info.si_pid() });
    // SAFETY: the kernel reports these signals with an address unless the code is one of those above.
    let address = at_fault.then(|| unsafe { info.si_addr() } as u64);
    Ok(Origin { code: info.si_code, sender, address })
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
