//! Kernel layouts: the register set of ptrace and core files, and the signal frame.
use super::table::{ORIG_RAX, R8, R9, R10, RAX, RDI, RDX, RIP, RSI, RSP};
use crate::{Arch, CoreLayout, RegisterId, Registers, SignalFrame};

/// `struct user_regs_struct`: 27 registers of 8 bytes.
const PRSTATUS_SIZE: usize = 27 * 8;

/// `struct elf_prstatus`: signal information, masks and ids before four times, then the registers.
pub const CORE_LAYOUT: CoreLayout = CoreLayout {
    signal: 12,
    tid: 32,
    user_time: 48,
    system_time: 64,
    registers: 112,
    registers_size: PRSTATUS_SIZE,
};

/// Place in `user_regs_struct` (in words) of each entry of the register table.
const PRSTATUS_WORDS: [usize; 24] =
    [10, 5, 11, 12, 14, 13, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16, 18, 17, 25, 26, 21, 22, 15];

/// Place in `ucontext_t` (in words) of each general register of the table, `rax` to `rflags`.
/// `uc_mcontext` begins at byte 40 with r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip,
/// eflags and one word of segment selectors.
const UCONTEXT_WORDS: [usize; 18] = [18, 16, 19, 17, 13, 14, 15, 20, 5, 6, 7, 8, 9, 10, 11, 12, 21, 22];
const SELECTORS_WORD: usize = 23;
const FPSTATE_WORD: usize = 28;

/// Bytes of `ucontext_t` up to and including the pointer to the floating point state.
pub const UCONTEXT_SIZE: usize = (FPSTATE_WORD + 1) * 8;

/// cs = 0x33 and ss = 0x2b, the selectors of 64-bit user code; gs and fs are 0 there.
const USER_SELECTORS: u64 = 0x002b_0000_0000_0033;

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    let piece = bytes.get(index * 8..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*piece))
}

/// Registers from `NT_PRSTATUS` bytes; `None` unless they are exactly this architecture's 216.
pub fn registers_from_prstatus(bytes: &[u8]) -> Option<Registers> {
    if bytes.len() != PRSTATUS_SIZE {
        return None;
    }
    let mut registers = Registers::new(Arch::X86_64);
    for (index, &place) in PRSTATUS_WORDS.iter().enumerate() {
        registers.set(RegisterId::new(index as u8), word(bytes, place)?);
    }
    Some(registers)
}

/// General registers, rip and rflags from a `ucontext_t`.
pub fn registers_from_ucontext(bytes: &[u8]) -> Option<Registers> {
    let mut registers = Registers::new(Arch::X86_64);
    for (index, &place) in UCONTEXT_WORDS.iter().enumerate() {
        registers.set(RegisterId::new(index as u8), word(bytes, place)?);
    }
    Some(registers)
}

/// Signal frames in a piece of stack, found by the word of segment selectors and confirmed by the
/// pointer to the floating point state, which the kernel puts above the frame on the same stack.
pub fn find_signal_frames(stack: &[u8], base: u64) -> impl Iterator<Item = SignalFrame> {
    let aligned = (base.wrapping_neg() & 7) as usize;
    let words = stack.get(aligned..).unwrap_or_default().chunks_exact(8);
    words.enumerate().filter_map(move |(index, piece)| {
        if piece != USER_SELECTORS.to_le_bytes() {
            return None;
        }
        let start = aligned + (index.checked_sub(SELECTORS_WORD)?) * 8;
        let bytes = stack.get(start..)?.get(..UCONTEXT_SIZE)?;
        let context = base.checked_add(start as u64)?;
        let fpstate = word(bytes, FPSTATE_WORD)?;
        let distance = fpstate.wrapping_sub(context);
        // The state is at most a few pages (AVX-512 2.7 KiB, AMX 11 KiB), or absent.
        if fpstate != 0 && distance > 0x1_0000 {
            return None;
        }
        let registers = registers_from_ucontext(bytes)?;
        (registers.get(RSP)? != 0).then_some(SignalFrame { context, registers })
    })
}

/// What `rax` holds while a thread is stopped inside a system call: -EINTR, -ERESTARTSYS,
/// -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK (seen on Linux 6.18; any other value is
/// the result of a call that has just ended).
const INTERRUPTED: [i64; 5] = [-4, -512, -513, -514, -516];

/// Arguments of a system call, in their order.
const ARGUMENTS: [RegisterId; 6] = [RDI, RSI, RDX, R10, R8, R9];

/// What is known of a thread that is blocked in the kernel, without its register set.
pub fn registers_of_blocked(call: Option<(i64, [u64; 6])>, sp: u64, pc: u64) -> Registers {
    let mut registers = Registers::new(Arch::X86_64);
    registers.set(RSP, sp);
    registers.set(RIP, pc);
    if let Some((number, arguments)) = call {
        registers.set(ORIG_RAX, number as u64);
        for (id, value) in ARGUMENTS.into_iter().zip(arguments) {
            registers.set(id, value);
        }
    }
    registers
}

/// The system call in progress. `orig_rax` holds its number, or is negative outside of one
/// (`arch/x86/entry/calling.h`).
pub fn system_call(registers: &Registers) -> Option<(i64, [u64; 6])> {
    let number = registers.get(ORIG_RAX)? as i64;
    if number < 0 || !INTERRUPTED.contains(&(registers.get(RAX)? as i64)) {
        return None;
    }
    let mut arguments = [0; 6];
    for (slot, id) in arguments.iter_mut().zip(ARGUMENTS) {
        *slot = registers.get(id)?;
    }
    Some((number, arguments))
}

/// Numbers of clone(2) and clone3(2).
const CLONES: [u64; 2] = [56, 435];

/// The kernel gives a new thread the registers of its maker, but 0 as the result of the call.
pub fn is_new_thread(registers: &Registers) -> bool {
    let called = registers.get(ORIG_RAX).is_some_and(|number| CLONES.contains(&number));
    called && registers.get(RAX) == Some(0)
}
