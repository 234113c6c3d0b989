//! Why a signal was sent (`si_code` of sigaction(2)), by name and in words.
use libc::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

/// For all signals; the signal is 0 here.
const ANY: [(i32, i32, &str, &str); 9] = [
    (0, 0x80, "SI_KERNEL", "sent by the kernel"),
    (0, 0, "SI_USER", "sent by kill"),
    (0, -1, "SI_QUEUE", "sent by sigqueue"),
    (0, -2, "SI_TIMER", "sent by a timer"),
    (0, -3, "SI_MESGQ", "sent by a message queue"),
    (0, -4, "SI_ASYNCIO", "sent by asynchronous input or output"),
    (0, -5, "SI_SIGIO", "sent by SIGIO"),
    (0, -6, "SI_TKILL", "sent by a thread, as raise and abort do"),
    (0, -60, "SI_ASYNCNL", "sent by a name lookup"),
];

/// For one signal each: `include/uapi/asm-generic/siginfo.h` of Linux 6.18.
const ONE: [(i32, i32, &str, &str); 38] = [
    (SIGILL, 1, "ILL_ILLOPC", "illegal opcode"),
    (SIGILL, 2, "ILL_ILLOPN", "illegal operand"),
    (SIGILL, 3, "ILL_ILLADR", "illegal addressing mode"),
    (SIGILL, 4, "ILL_ILLTRP", "illegal trap"),
    (SIGILL, 5, "ILL_PRVOPC", "privileged opcode"),
    (SIGILL, 6, "ILL_PRVREG", "privileged register"),
    (SIGILL, 7, "ILL_COPROC", "coprocessor error"),
    (SIGILL, 8, "ILL_BADSTK", "internal stack error"),
    (SIGFPE, 1, "FPE_INTDIV", "integer division by zero"),
    (SIGFPE, 2, "FPE_INTOVF", "integer overflow"),
    (SIGFPE, 3, "FPE_FLTDIV", "floating point division by zero"),
    (SIGFPE, 4, "FPE_FLTOVF", "floating point overflow"),
    (SIGFPE, 5, "FPE_FLTUND", "floating point underflow"),
    (SIGFPE, 6, "FPE_FLTRES", "inexact floating point result"),
    (SIGFPE, 7, "FPE_FLTINV", "invalid floating point operation"),
    (SIGFPE, 8, "FPE_FLTSUB", "subscript out of range"),
    (SIGFPE, 14, "FPE_FLTUNK", "unknown floating point exception"),
    (SIGSEGV, 1, "SEGV_MAPERR", "nothing is mapped there"),
    (SIGSEGV, 2, "SEGV_ACCERR", "what is mapped there does not allow it"),
    (SIGSEGV, 3, "SEGV_BNDERR", "out of bounds"),
    (SIGSEGV, 4, "SEGV_PKUERR", "denied by a protection key"),
    (SIGSEGV, 5, "SEGV_ACCADI", "tags are not enabled there"),
    (SIGSEGV, 6, "SEGV_ADIDERR", "tag mismatch"),
    (SIGSEGV, 7, "SEGV_ADIPERR", "tag mismatch"),
    (SIGSEGV, 8, "SEGV_MTEAERR", "tag mismatch, some time ago"),
    (SIGSEGV, 9, "SEGV_MTESERR", "tag mismatch"),
    (SIGSEGV, 10, "SEGV_CPERR", "the return address is not that of the call"),
    (SIGBUS, 1, "BUS_ADRALN", "wrong alignment"),
    (SIGBUS, 2, "BUS_ADRERR", "the file is shorter than its mapping"),
    (SIGBUS, 3, "BUS_OBJERR", "hardware error of that object"),
    (SIGBUS, 4, "BUS_MCEERR_AR", "memory is broken, and was needed"),
    (SIGBUS, 5, "BUS_MCEERR_AO", "memory is broken"),
    (SIGTRAP, 1, "TRAP_BRKPT", "breakpoint"),
    (SIGTRAP, 2, "TRAP_TRACE", "single step"),
    (SIGTRAP, 3, "TRAP_BRANCH", "branch taken"),
    (SIGTRAP, 4, "TRAP_HWBKPT", "hardware breakpoint or watchpoint"),
    (SIGSYS, 1, "SYS_SECCOMP", "a seccomp filter does not allow the system call"),
    (SIGSYS, 2, "SYS_USER_DISPATCH", "the program has system calls handed to itself"),
];

fn find(signal: i32, code: i32) -> Option<(&'static str, &'static str)> {
    let one = ONE.iter().filter(|(of, ..)| *of == signal);
    let mut all = one.chain(&ANY);
    all.find(|(_, known, ..)| *known == code).map(|(.., name, words)| (*name, *words))
}

/// The name of a code, as C programs have it.
pub(super) fn name(signal: i32, code: i32) -> Option<&'static str> {
    find(signal, code).map(|(name, _)| name)
}

/// What it means.
pub(super) fn meaning(signal: i32, code: i32) -> Option<&'static str> {
    find(signal, code).map(|(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_means_another_thing_for_another_signal() {
        assert_eq!(name(SIGSEGV, 1), Some("SEGV_MAPERR"));
        assert_eq!(name(SIGBUS, 1), Some("BUS_ADRALN"));
        assert_eq!(name(libc::SIGABRT, 1), None);
        assert_eq!(name(libc::SIGABRT, -6), Some("SI_TKILL"));
        assert_eq!(meaning(SIGSEGV, 0x80), Some("sent by the kernel"));
    }
}
