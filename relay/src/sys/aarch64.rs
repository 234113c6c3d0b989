//! AArch64: numbers of system calls, how one is made, and the few functions that must not have a frame.
use core::arch::{asm, naked_asm};

/// Whether the relay works here.
pub(crate) const IS_SUPPORTED: bool = true;

/// Numbers of system calls (`include/uapi/asm-generic/unistd.h`).
pub(crate) mod number {
    pub(crate) const DUP3: usize = 24;
    pub(crate) const FCNTL: usize = 25;
    pub(crate) const FACCESSAT: usize = 48;
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const PIPE2: usize = 59;
    pub(crate) const GETDENTS64: usize = 61;
    pub(crate) const READ: usize = 63;
    pub(crate) const WRITE: usize = 64;
    pub(super) const PPOLL: usize = 73;
    pub(crate) const FSTAT: usize = 80;
    pub(crate) const EXIT: usize = 93;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const FUTEX: usize = 98;
    pub(crate) const CLOCK_GETTIME: usize = 113;
    pub(crate) const KILL: usize = 129;
    pub(crate) const TGKILL: usize = 131;
    pub(crate) const SIGALTSTACK: usize = 132;
    pub(crate) const RT_SIGACTION: usize = 134;
    pub(crate) const RT_SIGPROCMASK: usize = 135;
    pub(crate) const RT_SIGTIMEDWAIT: usize = 137;
    pub(crate) const SETSID: usize = 157;
    pub(crate) const PRCTL: usize = 167;
    pub(crate) const GETPID: usize = 172;
    pub(crate) const GETUID: usize = 174;
    pub(crate) const GETEUID: usize = 175;
    pub(crate) const GETTID: usize = 178;
    pub(crate) const SOCKET: usize = 198;
    pub(crate) const BIND: usize = 200;
    pub(crate) const LISTEN: usize = 201;
    pub(crate) const GETSOCKOPT: usize = 209;
    pub(crate) const MUNMAP: usize = 215;
    pub(crate) const EXECVE: usize = 221;
    pub(crate) const MMAP: usize = 222;
    pub(crate) const MPROTECT: usize = 226;
    pub(crate) const MADVISE: usize = 233;
    pub(crate) const RT_TGSIGQUEUEINFO: usize = 240;
    pub(crate) const ACCEPT4: usize = 242;
    pub(crate) const WAIT4: usize = 260;
    pub(crate) const PRLIMIT64: usize = 261;
    pub(crate) const PROCESS_VM_READV: usize = 270;
    pub(crate) const CLOSE_RANGE: usize = 436;
}

/// Flags of open(2) that differ between processors (`arch/arm64/include/uapi/asm/fcntl.h`).
pub(crate) mod open {
    pub(crate) const DIRECTORY: usize = 0o40_000;
    pub(crate) const NOFOLLOW: usize = 0o100_000;
    /// Files may have any size.
    pub(crate) const LARGE: usize = 0;
}

/// The inode in `struct stat`, in words of 64 bits; the device is the first.
pub(crate) const INODE: usize = 1;

/// Bytes of `ucontext_t` with the general registers.
pub(crate) const CONTEXT: usize = 456;

/// Makes a system call; the answer is negative for an error (syscall(2)).
///
/// # Safety
/// What the kernel does with the arguments must be sound: pointers it writes to, mappings it takes away.
pub(crate) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel keeps all registers but x0; the caller answers for the rest.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") arguments[0] => result,
            in("x1") arguments[1], in("x2") arguments[2], in("x3") arguments[3],
            in("x4") arguments[4], in("x5") arguments[5], options(nostack));
    }
    result
}

/// poll(2), which the kernel has as ppoll(2) only.
///
/// # Safety
/// `entries` must be so many `struct pollfd`.
pub(crate) unsafe fn poll(entries: *mut u64, count: usize, milliseconds: usize) -> isize {
    let mut time = [milliseconds / 1000, milliseconds % 1000 * 1_000_000];
    let arguments = [entries as usize, count, time.as_mut_ptr() as usize, 0, 0, 0];
    // SAFETY: the caller answers for the entries; the kernel may write the time that is left.
    unsafe { syscall(number::PPOLL, arguments) }
}

/// Ends the program by a signal.
pub(crate) fn end_here() -> ! {
    // SAFETY: traps.
    unsafe { asm!("udf #0", options(noreturn)) }
}

/// The thread pointer of the calling thread, which the general registers do not have.
pub(crate) fn thread_pointer() -> u64 {
    let pointer;
    // SAFETY: reads a register that programs may read.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// What an action needs of ours to be returned from: nothing, handlers return to the code in the vDSO, which
/// unwinders know.
pub(crate) fn return_path() -> (u64, usize) {
    (0, 0)
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
        "stp x29, x30, [sp, #-160]!",
        "mov x29, sp",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mov x19, sp",
        "str x19, [x3]",
        "mov sp, x0",
        "mov x0, x2",
        "blr x1",
        "mov sp, x19",
        "mov x0, #0",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp x29, x30, [sp], #160",
        "ret"
    );
}

/// The end of [`call_on_stack`] when its work was given up. Only ever jumped to.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!(
        "mov x0, #1",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret"
    );
}

/// Words of `ucontext_t`: the set of signals is the 6th, and `uc_mcontext` begins at the 23rd with the fault
/// address (`arch/arm64/include/uapi/asm/sigcontext.h`).
const MASK: usize = 5;
const FAULT_ADDRESS: usize = 22;
const SP: usize = 54;
const PC: usize = 55;
/// Records of what else there is; each has its kind, its size in bytes, and then what it is about.
const RECORDS: usize = 58;
const RECORDS_END: usize = RECORDS + 4096 / 8;
const ESR: u32 = 0x4553_5201;

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
    set_word(context, SP, saved as u64);
    set_word(context, PC, leave as *const () as u64);
}

/// Signals that are blocked when the handler has returned to this context.
pub(crate) fn set_mask(context: usize, mask: u64) {
    set_word(context, MASK, mask);
}

/// The class of the last fault of the thread (`ESR_ELx.EC`), if the kernel tells it.
fn fault_class(context: usize) -> Option<u64> {
    let mut at = RECORDS;
    while at + 1 < RECORDS_END {
        let head = word(context, at);
        let (kind, size) = (head as u32, (head >> 32) as usize / 8);
        match kind {
            ESR => return Some(word(context, at + 1) >> 26 & 0x3f),
            // The last record is empty.
            0 => return None,
            _ if size == 0 => return None,
            _ => at += size,
        }
    }
    None
}

/// The 4 bytes of an instruction.
fn instruction(place: u64) -> Option<u32> {
    let mut bytes = [0; 4];
    let is_aligned = place.is_multiple_of(4);
    (is_aligned && super::memory::read_by_probe(place, &mut bytes)).then(|| u32::from_le_bytes(bytes))
}

/// Makes a context go on where the same signal comes again, in the same way; `false` if it does not come from
/// an instruction. The class is that of the last fault: a signal that the kernel forces on a thread for another
/// reason, as when there is no room for a signal frame, is told by what does not fit.
pub(crate) fn rewind(signal: u32, code: i32, address: u64, context: usize) -> bool {
    const KERNEL: i32 = 0x80;
    /// Not at once, so not by the instruction.
    const ASYNCHRONOUS_TAG: i32 = 8;
    const ACTION_OPTIONAL: i32 = 5;
    /// The top byte is a tag, which is told in one place only.
    const ADDRESS: u64 = (1 << 56) - 1;
    let (pc, class) = (word(context, PC), fault_class(context));
    let is_address = address & ADDRESS == word(context, FAULT_ADDRESS) & ADDRESS;
    // Of instructions, or of data.
    let is_abort = matches!(class, Some(0x20 | 0x24)) && is_address;
    match (signal, code) {
        (_, ..1 | KERNEL) => false,
        // ILL: not known, not allowed here, a jump or a signature that is wrong. Of the first there is no class.
        (4, _) => address == pc && matches!(class, None | Some(0 | 0x0d | 0x18 | 0x1c)),
        (11, _) => is_abort && code != ASYNCHRONOUS_TAG,
        // A pc or a stack pointer that is not aligned has no fault address.
        (7, _) => {
            let is_misaligned = matches!(class, Some(0x22 | 0x26)) && word(context, FAULT_ADDRESS) == 0;
            (is_abort && code != ACTION_OPTIONAL) || is_misaligned
        }
        // TRAP: `brk` is not passed by.
        (5, _) => address == pc && instruction(pc).is_some_and(|code| code & 0xffe0_001f == 0xd420_0000),
        // SYS: after the `svc`, whose number and arguments are in their registers again.
        (31, _) if address == pc => {
            let place = pc.wrapping_sub(4);
            let is_call = instruction(place).is_some_and(|code| code & 0xffe0_001f == 0xd400_0001);
            if is_call {
                set_word(context, PC, place);
            }
            is_call
        }
        _ => false,
    }
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
        "stp x2, x3, [x1, #-16]!",
        "mov x2, #0",
        "mov x3, #0",
        "mov x4, #0",
        "mov x8, #220",
        "svc #0",
        "cbnz x0, 2f",
        "mov x29, #0",
        "mov x30, #0",
        "ldp x9, x0, [sp], #16",
        "blr x9",
        "udf #0",
        "2:",
        "ret"
    );
}
