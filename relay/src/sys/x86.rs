//! 32-bit x86: numbers of system calls, how one is made, and the few functions that must not have a frame.
use core::arch::{asm, naked_asm};

/// Whether the relay works here.
pub(crate) const IS_SUPPORTED: bool = true;

/// Numbers of system calls (`arch/x86/entry/syscalls/syscall_32.tbl`). Those for sockets came with Linux 4.3;
/// without them the relay has no socket.
pub(crate) mod number {
    pub(crate) const EXIT: usize = 1;
    pub(crate) const READ: usize = 3;
    pub(crate) const WRITE: usize = 4;
    pub(crate) const CLOSE: usize = 6;
    pub(crate) const EXECVE: usize = 11;
    pub(crate) const GETPID: usize = 20;
    pub(crate) const KILL: usize = 37;
    pub(crate) const SETSID: usize = 66;
    pub(crate) const MUNMAP: usize = 91;
    pub(crate) const WAIT4: usize = 114;
    pub(crate) const MPROTECT: usize = 125;
    pub(super) const POLL: usize = 168;
    pub(crate) const PRCTL: usize = 172;
    pub(crate) const RT_SIGACTION: usize = 174;
    pub(crate) const RT_SIGPROCMASK: usize = 175;
    pub(crate) const RT_SIGTIMEDWAIT: usize = 177;
    pub(crate) const SIGALTSTACK: usize = 186;
    /// `mmap2`, whose offset is in pages; ours is 0.
    pub(crate) const MMAP: usize = 192;
    /// `fstat64`
    pub(crate) const FSTAT: usize = 197;
    /// `getuid32`
    pub(crate) const GETUID: usize = 199;
    /// `geteuid32`
    pub(crate) const GETEUID: usize = 201;
    pub(crate) const MADVISE: usize = 219;
    pub(crate) const GETDENTS64: usize = 220;
    /// `fcntl64`
    pub(crate) const FCNTL: usize = 221;
    pub(crate) const GETTID: usize = 224;
    pub(crate) const FUTEX: usize = 240;
    pub(crate) const EXIT_GROUP: usize = 252;
    /// With seconds of 32 bits, which old kernels have, too.
    pub(crate) const CLOCK_GETTIME: usize = 265;
    pub(crate) const TGKILL: usize = 270;
    pub(crate) const OPENAT: usize = 295;
    pub(crate) const FACCESSAT: usize = 307;
    pub(crate) const DUP3: usize = 330;
    pub(crate) const PIPE2: usize = 331;
    pub(crate) const RT_TGSIGQUEUEINFO: usize = 335;
    pub(crate) const PRLIMIT64: usize = 340;
    pub(crate) const PROCESS_VM_READV: usize = 347;
    pub(crate) const SOCKET: usize = 359;
    pub(crate) const BIND: usize = 361;
    pub(crate) const LISTEN: usize = 363;
    pub(crate) const ACCEPT4: usize = 364;
    pub(crate) const GETSOCKOPT: usize = 365;
    pub(crate) const CLOSE_RANGE: usize = 436;
}

/// Flags of open(2) that differ between processors (`include/uapi/asm-generic/fcntl.h`).
pub(crate) mod open {
    pub(crate) const DIRECTORY: usize = 0o200_000;
    pub(crate) const NOFOLLOW: usize = 0o400_000;
    /// Files may have any size, which 64-bit kernels take for granted of 64-bit programs.
    pub(crate) const LARGE: usize = 0o100_000;
}

/// The inode in `struct stat64`, in words of 64 bits; the device is the first.
pub(crate) const INODE: usize = 11;

/// Bytes of `ucontext_t` with the general registers and the segment selectors.
pub(crate) const CONTEXT: usize = 108;

/// Makes a system call; the answer is negative for an error (syscall(2)).
///
/// # Safety
/// What the kernel does with the arguments must be sound: pointers it writes to, mappings it takes away.
pub(crate) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    // SAFETY: the caller answers for what the kernel does.
    unsafe { interrupt(number, &arguments) }
}

/// By the interrupt, as seccomp(2) knows it: two of the registers that take arguments are the compiler's.
#[unsafe(naked)]
unsafe extern "C" fn interrupt(number: usize, arguments: &[usize; 6]) -> isize {
    naked_asm!(
        ".cfi_startproc",
        "push ebp",
        ".cfi_def_cfa_offset 8",
        ".cfi_offset ebp, -8",
        "push ebx",
        ".cfi_def_cfa_offset 12",
        ".cfi_offset ebx, -12",
        "push esi",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset esi, -16",
        "push edi",
        ".cfi_def_cfa_offset 20",
        ".cfi_offset edi, -20",
        "mov eax, [esp + 20]",
        "mov edi, [esp + 24]",
        "mov ebx, [edi]",
        "mov ecx, [edi + 4]",
        "mov edx, [edi + 8]",
        "mov esi, [edi + 12]",
        "mov ebp, [edi + 20]",
        "mov edi, [edi + 16]",
        "int 0x80",
        "pop edi",
        ".cfi_def_cfa_offset 16",
        ".cfi_restore edi",
        "pop esi",
        ".cfi_def_cfa_offset 12",
        ".cfi_restore esi",
        "pop ebx",
        ".cfi_def_cfa_offset 8",
        ".cfi_restore ebx",
        "pop ebp",
        ".cfi_def_cfa_offset 4",
        ".cfi_restore ebp",
        "ret",
        ".cfi_endproc"
    );
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

/// Not told: the selector in gs, which the context has, stands for it.
pub(crate) fn thread_pointer() -> u64 {
    0
}

/// What a signal handler returns to (rt_sigreturn(2)). Unwinders know it by its instructions.
#[unsafe(naked)]
unsafe extern "C" fn restorer() {
    naked_asm!("mov eax, 173", "int 0x80", "ud2");
}

/// What an action needs of ours to be returned from: there may be no vDSO.
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
        "push ebp",
        "push ebx",
        "push esi",
        "push edi",
        "mov eax, [esp + 20]",
        "mov ecx, [esp + 24]",
        "mov edx, [esp + 28]",
        "mov edi, [esp + 32]",
        "mov [edi], esp",
        "mov ebx, esp",
        "mov esp, eax",
        // At a call the stack pointer is aligned.
        "sub esp, 16",
        "mov [esp], edx",
        "call ecx",
        "mov esp, ebx",
        "xor eax, eax",
        "pop edi",
        "pop esi",
        "pop ebx",
        "pop ebp",
        "ret"
    );
}

/// The end of [`call_on_stack`] when its work was given up. Only ever jumped to.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!("cld", "mov eax, 1", "pop edi", "pop esi", "pop ebx", "pop ebp", "ret");
}

/// Words of `ucontext_t`: 5 come before `uc_mcontext`, and 22 are in it.
const ESP: usize = 5 + 7;
const TRAP: usize = 5 + 12;
const EIP: usize = 5 + 14;
const FAULT_ADDRESS: usize = 5 + 21;
const MASK: usize = 5 + 22;

fn word(context: usize, index: usize) -> u32 {
    // SAFETY: the context is the one the kernel passed to the handler that runs, and has as many words.
    unsafe { ((context + 4 * index) as *const u32).read() }
}

fn set_word(context: usize, index: usize, value: u32) {
    // SAFETY: the context is the one the kernel passed to the handler that runs, and has as many words.
    unsafe { ((context + 4 * index) as *mut u32).write(value) };
}

/// Makes an interrupted context go on at the end of the [`call_on_stack`] that saved this stack pointer.
pub(crate) fn jump(context: usize, saved: usize) {
    set_word(context, ESP, saved as u32);
    set_word(context, EIP, leave as *const () as u32);
}

/// Signals that are blocked when the handler has returned to this context.
pub(crate) fn set_mask(context: usize, mask: u64) {
    set_word(context, MASK, mask as u32);
    set_word(context, MASK + 1, (mask >> 32) as u32);
}

/// Makes a context go on where the same signal comes again, in the same way; `false` if it does not come from
/// an instruction. See [`super::trap`].
pub(crate) fn rewind(signal: u32, code: i32, address: u64, context: usize) -> bool {
    let saved = super::trap::Saved {
        pc: u64::from(word(context, EIP)),
        trap: u64::from(word(context, TRAP)),
        fault_address: u64::from(word(context, FAULT_ADDRESS)),
    };
    let Some(back) = super::trap::distance(signal, code, address, saved) else { return false };
    set_word(context, EIP, (saved.pc - back) as u32);
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
        "push ebx",
        "push esi",
        "push edi",
        "mov ebx, [esp + 16]",
        "mov ecx, [esp + 20]",
        "mov edx, [esp + 24]",
        "mov esi, [esp + 28]",
        // At a call the stack pointer is aligned, and the argument is there.
        "sub ecx, 16",
        "mov [ecx], esi",
        "mov [ecx + 4], edx",
        "xor edx, edx",
        "xor esi, esi",
        "xor edi, edi",
        "mov eax, 120",
        "int 0x80",
        "test eax, eax",
        "jnz 2f",
        "xor ebp, ebp",
        "call dword ptr [esp + 4]",
        "ud2",
        "2:",
        "pop edi",
        "pop esi",
        "pop ebx",
        "ret"
    );
}
