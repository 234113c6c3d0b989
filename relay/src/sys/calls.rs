//! System calls with safe arguments. Errors are negative error numbers, as the kernel gives them.
use super::machine::{self, INODE, number, open, syscall};

pub(crate) const EINTR: i32 = 4;
pub(crate) const EFBIG: i32 = 27;
pub(crate) const EPIPE: i32 = 32;
pub(crate) const EFAULT: i32 = 14;
pub(crate) const EAGAIN: i32 = 11;

/// Result of a system call: its answer, or the error number.
pub(crate) type Answer = Result<usize, i32>;

pub(super) fn check(result: isize) -> Answer {
    // Addresses may have the highest bit set, errors are the last numbers of all (`include/linux/err.h`).
    const LAST_ERROR: isize = -4095;
    match result {
        LAST_ERROR..=-1 => Err(result.wrapping_neg() as i32),
        _ => Ok(result as usize),
    }
}

/// A system call that touches no memory of ours.
fn plain(number: usize, arguments: [usize; 6]) -> Answer {
    // SAFETY: only called below, with numbers of calls that write nothing to memory through these arguments.
    check(unsafe { syscall(number, arguments) })
}

/// getpid(2): from the kernel each time, since libraries keep it.
pub(crate) fn getpid() -> u32 {
    plain(number::GETPID, [0; 6]).map_or(0, |pid| pid as u32)
}

/// gettid(2)
pub(crate) fn gettid() -> u32 {
    plain(number::GETTID, [0; 6]).map_or(0, |tid| tid as u32)
}

/// Nanoseconds of CLOCK_MONOTONIC or CLOCK_REALTIME (clock_gettime(2)).
pub(crate) fn clock(id: usize) -> u64 {
    // A word of 32 bits has room for the seconds up to the year 2106.
    let mut time = [0_usize; 2];
    // SAFETY: the kernel writes one timespec of two words.
    let result = unsafe { syscall(number::CLOCK_GETTIME, [id, time.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    let [seconds, rest] = time.map(|word| word as u64);
    if result < 0 { 0 } else { seconds.wrapping_mul(1_000_000_000).wrapping_add(rest) }
}

/// Nanoseconds since some moment.
pub(crate) fn now() -> u64 {
    clock(1)
}

/// openat(2) relative to a directory, or to nothing. The path must end with a zero byte.
pub(crate) fn openat(directory: i32, path: &[u8], flags: usize, mode: usize) -> Result<i32, i32> {
    if path.last() != Some(&0) {
        return Err(EFAULT);
    }
    let flags = flags | open::LARGE;
    plain(number::OPENAT, [directory as usize, path.as_ptr() as usize, flags, mode, 0, 0]).map(|fd| fd as i32)
}

/// The current directory in the place of a directory's descriptor.
pub(crate) const AT_FDCWD: i32 = -100;
pub(crate) const O_WRONLY: usize = 1;
pub(crate) const O_RDONLY: usize = 0;
pub(crate) const O_CREAT: usize = 0o100;
pub(crate) const O_APPEND: usize = 0o2000;
pub(crate) const O_NONBLOCK: usize = 0o4000;
pub(crate) const O_DIRECTORY: usize = open::DIRECTORY;
pub(crate) const O_NOFOLLOW: usize = open::NOFOLLOW;
pub(crate) const O_CLOEXEC: usize = 0o2_000_000;

/// close(2)
pub(crate) fn close(fd: i32) {
    // The descriptor is gone whatever the answer.
    let _ = plain(number::CLOSE, [fd as usize, 0, 0, 0, 0, 0]);
}

/// read(2), again if a signal came.
pub(crate) fn read(fd: i32, bytes: &mut [u8]) -> Answer {
    loop {
        // SAFETY: the kernel writes into the slice only.
        let result = unsafe {
            syscall(number::READ, [fd as usize, bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0])
        };
        match check(result) {
            Err(EINTR) => {}
            answer => return answer,
        }
    }
}

/// write(2)
pub(crate) fn write(fd: i32, bytes: &[u8]) -> Answer {
    plain(number::WRITE, [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0])
}

/// getdents64(2)
pub(crate) fn getdents(fd: i32, bytes: &mut [u8]) -> Answer {
    // SAFETY: the kernel writes into the slice only.
    check(unsafe {
        syscall(number::GETDENTS64, [fd as usize, bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0])
    })
}

/// Device and inode of an open file (fstat(2)).
pub(crate) fn identity(fd: i32) -> Option<(u64, u64)> {
    let mut stat = [0_u64; 18];
    // SAFETY: the kernel writes 144 bytes at most.
    let result = unsafe { syscall(number::FSTAT, [fd as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    (result >= 0).then_some((stat[0], stat[INODE]))
}

/// Duplicates a descriptor to one that is at least `lowest`, closed on exec (fcntl(2)).
pub(crate) fn duplicate_above(fd: i32, lowest: usize) -> Result<i32, i32> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    plain(number::FCNTL, [fd as usize, F_DUPFD_CLOEXEC, lowest, 0, 0, 0]).map(|fd| fd as i32)
}

/// One more than the highest descriptor there may be (prlimit64(2)).
pub(crate) fn descriptor_limit() -> usize {
    const RLIMIT_NOFILE: usize = 7;
    let mut limit = [0_u64; 2];
    // SAFETY: the kernel writes two numbers.
    let result =
        unsafe { syscall(number::PRLIMIT64, [0, RLIMIT_NOFILE, 0, limit.as_mut_ptr() as usize, 0, 0]) };
    if result < 0 { 0 } else { usize::try_from(limit[0]).unwrap_or(usize::MAX) }
}

/// Waits until a descriptor can be read or written, up to a moment of [`now`] (poll(2)).
pub(crate) fn poll(fd: i32, write: bool, deadline: u64) -> bool {
    let events: u64 = if write { 4 } else { 1 };
    loop {
        let left = deadline.saturating_sub(now()).div_ceil(1_000_000);
        // struct pollfd: fd, events, revents; little-endian.
        let mut entry = u64::from(fd as u32) | events << 32;
        let timeout = usize::try_from(left.min(3_600_000)).unwrap_or(0);
        // SAFETY: the kernel writes the answer into the one entry.
        let result = unsafe { machine::poll(&raw mut entry, 1, timeout) };
        match check(result) {
            Err(EINTR) if left > 0 => {}
            answer => return answer.is_ok_and(|ready| ready > 0),
        }
    }
}

/// Takes a signal that waits for this thread away (rt_sigtimedwait(2)).
pub(crate) fn consume(signal: u32) {
    let (set, time) = (1_u64 << (signal - 1), [0_usize; 2]);
    let arguments = [&raw const set as usize, 0, time.as_ptr() as usize, 8, 0, 0];
    // There may be none.
    let _ = plain(number::RT_SIGTIMEDWAIT, arguments);
}

/// pipe2(2), closed on exec: the end to read, the end to write.
pub(crate) fn pipe() -> Result<(i32, i32), i32> {
    let mut ends = [0_i32; 2];
    // SAFETY: the kernel writes two numbers.
    let result = unsafe { syscall(number::PIPE2, [ends.as_mut_ptr() as usize, O_CLOEXEC, 0, 0, 0, 0]) };
    check(result).map(|_| (ends[0], ends[1]))
}

/// Whether a file may be executed (faccessat(2)). The path must end with a zero byte.
pub(crate) fn is_executable(path: &[u8]) -> bool {
    const X_OK: usize = 1;
    path.last() == Some(&0)
        && plain(number::FACCESSAT, [AT_FDCWD as usize, path.as_ptr() as usize, X_OK, 0, 0, 0]).is_ok()
}

/// prctl(2) with one argument, for operations that take a number.
pub(crate) fn prctl(operation: usize, argument: usize) -> Answer {
    plain(number::PRCTL, [operation, argument, 0, 0, 0, 0])
}

/// prctl(2): names the process that may trace this one.
pub(crate) const PR_SET_PTRACER: usize = 0x5961_6d61;
pub(crate) const PR_GET_DUMPABLE: usize = 3;
pub(crate) const PR_SET_DUMPABLE: usize = 4;

/// kill(2)
pub(crate) fn kill(pid: u32, signal: u32) {
    // The process may be gone, which is as good.
    let _ = plain(number::KILL, [pid as usize, signal as usize, 0, 0, 0, 0]);
}

/// tgkill(2)
pub(crate) fn tgkill(pid: u32, tid: u32, signal: u32) -> Answer {
    plain(number::TGKILL, [pid as usize, tid as usize, signal as usize, 0, 0, 0])
}

/// wait4(2) for a child, of whatever kind.
pub(crate) fn wait_for(pid: u32) {
    const WALL: usize = 0x4000_0000;
    while plain(number::WAIT4, [pid as usize, 0, WALL, 0, 0, 0]) == Err(EINTR) {}
}

/// Whether a child that sends no signal when it ends has not done so (wait4(2)).
pub(crate) fn is_clone_alive(pid: u32) -> bool {
    const WCLONE: usize = 0x8000_0000;
    const WNOHANG: usize = 1;
    plain(number::WAIT4, [pid as usize, 0, WCLONE | WNOHANG, 0, 0, 0]) == Ok(0)
}

/// exit_group(2)
pub(crate) fn exit_group(status: usize) -> ! {
    loop {
        // Cannot fail.
        let _ = plain(number::EXIT_GROUP, [status, 0, 0, 0, 0, 0]);
    }
}

/// exit(2): of this thread alone.
pub(crate) fn exit(status: usize) -> ! {
    loop {
        // Cannot fail.
        let _ = plain(number::EXIT, [status, 0, 0, 0, 0, 0]);
    }
}

pub(crate) fn setsid() {
    // Only fails for what leads a group already.
    let _ = plain(number::SETSID, [0; 6]);
}

pub(crate) fn dup3(from: i32, to: i32) -> bool {
    plain(number::DUP3, [from as usize, to as usize, 0, 0, 0, 0]).is_ok()
}

/// close_range(2)
pub(crate) fn close_from(first: usize) -> bool {
    plain(number::CLOSE_RANGE, [first, u32::MAX as usize, 0, 0, 0, 0]).is_ok()
}

/// execve(2) with an empty environment; only returns if it failed. Everything ends with a zero byte.
pub(crate) fn execute(path: &[u8], arguments: &[*const u8]) -> i32 {
    let environment = [core::ptr::null::<u8>()];
    if path.last() != Some(&0) || arguments.last() != Some(&core::ptr::null()) {
        return EFAULT;
    }
    let pointers = [path.as_ptr() as usize, arguments.as_ptr() as usize, environment.as_ptr() as usize];
    plain(number::EXECVE, [pointers[0], pointers[1], pointers[2], 0, 0, 0]).err().unwrap_or(0)
}

const FUTEX_WAIT_PRIVATE: usize = 128;
const FUTEX_WAKE_PRIVATE: usize = 129;

/// Sleeps until woken, at most so many nanoseconds, if the word has this value (futex(2)).
pub(crate) fn futex_wait(word: &core::sync::atomic::AtomicU32, value: u32, nanoseconds: u64) {
    // No wait is as long as a word of 32 bits has room for seconds.
    let time = [nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000].map(|part| part as usize);
    let arguments = [
        core::ptr::from_ref(word) as usize,
        FUTEX_WAIT_PRIVATE,
        value as usize,
        time.as_ptr() as usize,
        0,
        0,
    ];
    // Callers look at the word again, whatever the reason for the end.
    let _ = plain(number::FUTEX, arguments);
}

/// Wakes all that sleep on the word.
pub(crate) fn futex_wake(word: &core::sync::atomic::AtomicU32) {
    let arguments = [core::ptr::from_ref(word) as usize, FUTEX_WAKE_PRIVATE, i32::MAX as usize, 0, 0, 0];
    // Fails only for an address that is none.
    let _ = plain(number::FUTEX, arguments);
}
