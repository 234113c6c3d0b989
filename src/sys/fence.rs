//! A fence of system calls (seccomp(2)) around a process that only computes: it reads and writes what is open,
//! uses memory, and starts threads of its own. Everything else fails with EPERM.
use std::io;

/// Puts the fence around the calling thread and those that it starts.
///
/// # Errors
/// If the kernel has no such filters, or, on processors for which there is none here, `Unsupported`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub fn raise() -> io::Result<()> {
    filter::raise().map_err(io::Error::other)
}

/// There is none for this processor: what [`super::privileges::give_up`] does is all.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub fn raise() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod filter {
    use std::collections::BTreeMap;

    use seccompiler::{
        BackendError, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, apply_filter,
    };

    /// What needs no look at its arguments.
    const PLAIN: &[i64] = &[
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_pread64,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_sendmsg,
        libc::SYS_recvmsg,
        libc::SYS_sendto,
        libc::SYS_recvfrom,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_lseek,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_clone3,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_getrandom,
        libc::SYS_ppoll,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    #[cfg(target_arch = "x86_64")]
    const OLD: &[i64] = &[libc::SYS_poll, libc::SYS_time];
    #[cfg(not(target_arch = "x86_64"))]
    const OLD: &[i64] = &[];

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    pub(super) fn raise() -> Result<(), Error> {
        // The C library falls back from it to clone(2), whose flags can be looked at.
        let mut newer = Rules::new();
        newer.insert(libc::SYS_clone3, Vec::new());
        install(newer, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
        install(rules()?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
    }

    fn install(rules: Rules, otherwise: SeccompAction, matching: SeccompAction) -> Result<(), Error> {
        let arch = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(rules, otherwise, matching, arch)?;
        let program: Vec<_> = filter.try_into()?;
        apply_filter(&program)
    }

    fn rules() -> Result<Rules, BackendError> {
        let mut rules: Rules = PLAIN.iter().chain(OLD).map(|&number| (number, Vec::new())).collect();
        let has = |argument, mask, value| (argument, SeccompCmpOp::MaskedEq(mask), value);
        let executable = libc::PROT_EXEC as u64;
        let own = u64::from(std::process::id());
        let thread = libc::CLONE_THREAD as u64;
        let checked = [
            (libc::SYS_mmap, vec![has(2, executable, 0)]),
            (libc::SYS_mprotect, vec![has(2, executable, 0)]),
            (libc::SYS_clone, vec![has(0, thread, thread)]),
            // abort(3) sends itself a signal.
            (libc::SYS_tgkill, vec![(0, SeccompCmpOp::Eq, own)]),
            (libc::SYS_fcntl, vec![(1, SeccompCmpOp::Eq, libc::F_GETFD as u64)]),
            (libc::SYS_prctl, vec![(0, SeccompCmpOp::Eq, libc::PR_SET_NAME as u64)]),
            // Reads limits of its own.
            (libc::SYS_prlimit64, vec![(0, SeccompCmpOp::Eq, 0), (2, SeccompCmpOp::Eq, 0)]),
        ];
        for (number, conditions) in checked {
            let conditions: Result<Vec<_>, _> = conditions
                .into_iter()
                .map(|(argument, test, value)| {
                    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, test, value)
                })
                .collect();
            rules.insert(number, vec![SeccompRule::new(conditions?)?]);
        }
        Ok(rules)
    }
}
