//! x86_64: numbers of system calls, how one is made, and the few functions that must not have a frame.
use core::arch::{asm, naked_asm};

/// Whether the relay works here.
pub(crate) const IS_SUPPORTED: bool = true;

/// Numbers of system calls (`arch/x86/entry/syscalls/syscall_64.tbl`).
pub(crate) mod number {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const FSTAT: usize = 5;
    pub(super) const POLL: usize = 7;
    pub(crate) const MMAP: usize = 9;
    pub(crate) const MPROTECT: usize = 10;
    pub(crate) const MUNMAP: usize = 11;
    pub(crate) const RT_SIGACTION: usize = 13;
    pub(crate) const RT_SIGPROCMASK: usize = 14;
    pub(crate) const MADVISE: usize = 28;
    pub(crate) const GETPID: usize = 39;
    pub(crate) const SOCKET: usize = 41;
    pub(crate) const BIND: usize = 49;
    pub(crate) const LISTEN: usize = 50;
    pub(crate) const GETSOCKOPT: usize = 55;
    pub(crate) const EXECVE: usize = 59;
    pub(crate) const EXIT: usize = 60;
    pub(crate) const WAIT4: usize = 61;
    pub(crate) const KILL: usize = 62;
    pub(crate) const FCNTL: usize = 72;
    pub(crate) const GETUID: usize = 102;
    pub(crate) const GETEUID: usize = 107;
    pub(crate) const SETSID: usize = 112;
    pub(crate) const RT_SIGTIMEDWAIT: usize = 128;
    pub(crate) const SIGALTSTACK: usize = 131;
    pub(crate) const PRCTL: usize = 157;
    pub(super) const ARCH_PRCTL: usize = 158;
    pub(crate) const GETTID: usize = 186;
    pub(crate) const FUTEX: usize = 202;
    pub(crate) const GETDENTS64: usize = 217;
    pub(crate) const CLOCK_GETTIME: usize = 228;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const TGKILL: usize = 234;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const FACCESSAT: usize = 269;
    pub(crate) const ACCEPT4: usize = 288;
    pub(crate) const DUP3: usize = 292;
    pub(crate) const PIPE2: usize = 293;
    pub(crate) const RT_TGSIGQUEUEINFO: usize = 297;
    pub(crate) const PRLIMIT64: usize = 302;
    pub(crate) const PROCESS_VM_READV: usize = 310;
    pub(crate) const CLOSE_RANGE: usize = 436;
}

/// Flags of open(2) that differ between processors (`include/uapi/asm-generic/fcntl.h`).
pub(crate) mod open {
    pub(crate) const DIRECTORY: usize = 0o200_000;
    pub(crate) const NOFOLLOW: usize = 0o400_000;
    /// Files may have any size.
    pub(crate) const LARGE: usize = 0;
}

/// The inode in `struct stat`, in words of 64 bits; the device is the first.
pub(crate) const INODE: usize = 1;

/// Bytes of `ucontext_t` with the general registers and the segment selectors.
pub(crate) const CONTEXT: usize = 192;

/// Makes a system call; the answer is negative for an error (syscall(2)).
///
/// # Safety
/// What the kernel does with the arguments must be sound: pointers it writes to, mappings it takes away.
pub(crate) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11; the caller answers for the rest.
    unsafe {
        asm!("syscall", inlateout("rax") number => result,
            in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2],
            in("r10") arguments[3], in("r8") arguments[4], in("r9") arguments[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// poll(2)
///
/// # Safety
/// `entries` must be so many `struct pollfd`.
pub(crate) unsafe fn poll(entries: *mut u64, count: usize, milliseconds: usize) -> isize {
    // SAFETY: the caller answers for it.
    unsafe { syscall(number::POLL, [entries as usize, count, milliseconds, 0, 0, 0]) }
}

/// Ends the program by a signal.
pub(crate) fn end_here() -> ! {
    // SAFETY: traps.
    unsafe { asm!("ud2", options(noreturn)) }
}

/// The thread pointer of the calling thread (arch_prctl(2)), 0 if it is not told.
pub(crate) fn thread_pointer() -> u64 {
    const ARCH_GET_FS: usize = 0x1003;
    let mut pointer = 0_u64;
    // SAFETY: the kernel writes one word.
    let _ = unsafe { syscall(number::ARCH_PRCTL, [ARCH_GET_FS, &raw mut pointer as usize, 0, 0, 0, 0]) };
    pointer
}

/// What a signal handler returns to (rt_sigreturn(2)). Unwinders know it by its instructions.
#[unsafe(naked)]
unsafe extern "C" fn restorer() {
    naked_asm!("mov rax, 15", "syscall", "ud2");
}

/// What an action needs of ours to be returned from: flags, and the code that handlers return to.
pub(crate) fn return_path() -> (u64, usize) {
    (super::trap::SA_RESTORER, restorer as *const () as usize)
}

/// Calls `work(argument)` on the stack that ends at `top` and answers 0; or 1, if [`leave`] was made to run
/// with the stack pointer that is put into `saved`.
///
/// # Safety
/// `top` must be aligned to 16 and end a stack that nothing else uses; `saved` must be writable.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_on_stack(
    top: usize,
    work: extern "C" fn(usize),
    argument: usize,
    saved: *mut usize,
) -> usize {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rcx], rsp",
        "mov rbx, rsp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        "mov rsp, rbx",
        "xor eax, eax",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret"
    );
}

/// The end of [`call_on_stack`] when its work was given up. Only ever jumped to.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!("cld", "mov eax, 1", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp", "ret");
}

/// Words of `ucontext_t`: 5 come before `uc_mcontext`, and 32 are in it.
const RSP: usize = 5 + 15;
const RIP: usize = 5 + 16;
const TRAP: usize = 5 + 20;
const FAULT_ADDRESS: usize = 5 + 22;
const MASK: usize = 5 + 32;

fn word(context: usize, index: usize) -> u64 {
    // SAFETY: the context is the one the kernel passed to the handler that runs, and has as many words.
    unsafe { ((context + 8 * index) as *const u64).read() }
}

fn set_word(context: usize, index: usize, value: u64) {
    // SAFETY: the context is the one the kernel passed to the handler that runs, and has as many words.
    unsafe { ((context + 8 * index) as *mut u64).write(value) };
}

/// Makes an interrupted context go on at the end of the [`call_on_stack`] that saved this stack pointer.
pub(crate) fn jump(context: usize, saved: usize) {
    set_word(context, RSP, saved as u64);
    set_word(context, RIP, leave as *const () as u64);
}

/// Signals that are blocked when the handler has returned to this context.
pub(crate) fn set_mask(context: usize, mask: u64) {
    set_word(context, MASK, mask);
}

/// Makes a context go on where the same signal comes again, in the same way; `false` if it does not come from
/// an instruction. See [`super::trap`].
pub(crate) fn rewind(signal: u32, code: i32, address: u64, context: usize) -> bool {
    let saved = super::trap::Saved {
        pc: word(context, RIP),
        trap: word(context, TRAP),
        fault_address: word(context, FAULT_ADDRESS),
    };
    let Some(back) = super::trap::distance(signal, code, address, saved) else { return false };
    set_word(context, RIP, saved.pc - back);
    true
}

/// clone(2) with a stack of its own for the child, which runs `work(argument)` there.
///
/// # Safety
/// `top` must be aligned to 16 and end an unused stack; without `CLONE_VFORK` it must stay unused by others.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn clone(
    flags: usize,
    top: usize,
    work: extern "C" fn(usize),
    argument: usize,
) -> isize {
    naked_asm!(
        "sub rsi, 16",
        "mov [rsi], rdx",
        "mov [rsi + 8], rcx",
        "xor edx, edx",
        "xor r10d, r10d",
        "xor r8d, r8d",
        "mov eax, 56",
        "syscall",
        "test rax, rax",
        "jnz 2f",
        "xor ebp, ebp",
        "pop rax",
        "pop rdi",
        "call rax",
        "ud2",
        "2:",
        "ret"
    );
}
