//! Processors that the relay has not been brought to: nothing is ever done here, since it is not installed
//! ([`crate::InstallError::Unsupported`]). What the rest of the crate takes for granted of the others: the byte
//! order is little-endian.

/// Whether the relay works here.
pub(crate) const IS_SUPPORTED: bool = false;

const ENOSYS: isize = 38;

/// System calls: none is made.
pub(crate) mod number {
    macro_rules! none {
        ($($name:ident)*) => { $(pub(crate) const $name: usize = usize::MAX;)* };
    }
    none! {
        ACCEPT4 BIND CLOCK_GETTIME CLOSE CLOSE_RANGE DUP3 EXECVE EXIT EXIT_GROUP FACCESSAT FCNTL FSTAT FUTEX
        GETDENTS64 GETEUID GETPID GETSOCKOPT GETTID GETUID KILL LISTEN MADVISE MMAP MPROTECT MUNMAP OPENAT PIPE2
        PRCTL PRLIMIT64 PROCESS_VM_READV READ RT_SIGACTION RT_SIGPROCMASK RT_SIGTIMEDWAIT RT_TGSIGQUEUEINFO
        SETSID SIGALTSTACK SOCKET TGKILL WAIT4 WRITE
    }
}

/// Flags of open(2).
pub(crate) mod open {
    pub(crate) const DIRECTORY: usize = 0;
    pub(crate) const NOFOLLOW: usize = 0;
    pub(crate) const LARGE: usize = 0;
}

/// The inode in what fstat(2) gives.
pub(crate) const INODE: usize = 1;

/// Bytes of a saved context.
pub(crate) const CONTEXT: usize = 0;

/// Fails.
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn syscall(_number: usize, _arguments: [usize; 6]) -> isize {
    -ENOSYS
}

/// Fails.
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn poll(_entries: *mut u64, _count: usize, _milliseconds: usize) -> isize {
    -ENOSYS
}

/// Never ends.
pub(crate) fn end_here() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// The thread pointer of the calling thread, 0 if it is not told.
pub(crate) fn thread_pointer() -> u64 {
    0
}

/// What an action needs of ours to be returned from.
pub(crate) fn return_path() -> (u64, usize) {
    (0, 0)
}

/// Does not call it.
///
/// # Safety
/// None is needed.
pub(crate) unsafe extern "C" fn call_on_stack(
    _top: usize,
    _work: extern "C" fn(usize),
    _argument: usize,
    _saved: *mut usize,
) -> usize {
    1
}

/// Leaves the context as it is.
pub(crate) fn jump(_context: usize, _saved: usize) {}

/// Leaves the context as it is.
pub(crate) fn set_mask(_context: usize, _mask: u64) {}

/// No signal is known to come again.
pub(crate) fn rewind(_signal: u32, _code: i32, _address: u64, _context: usize) -> bool {
    false
}

/// Fails.
///
/// # Safety
/// None is needed.
pub(crate) unsafe extern "C" fn clone(
    _flags: usize,
    _top: usize,
    _work: extern "C" fn(usize),
    _argument: usize,
) -> isize {
    -ENOSYS
}
