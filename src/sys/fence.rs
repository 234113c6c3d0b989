//! Fences around a process that only computes. One of system calls (seccomp(2)): it reads and writes what is open,
//! uses memory, and starts threads of its own; everything else fails with EPERM. And one around it, which needs no
//! list of system calls and so is there on every processor (landlock(7), Linux 5.13): it opens, makes and removes no
//! file, and, with later kernels, connects to no port and signals nobody else.
use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope};

/// The latest rules that are asked for; a kernel that has not all of them enforces those that it has.
const RULES: ABI = ABI::V6;

/// What is around a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fences {
    /// Of system calls.
    pub calls: bool,
    /// Of files, ports and signals, as far as the kernel has them.
    pub reach: bool,
}

impl Fences {
    /// Whether there is none at all.
    pub const fn is_none(self) -> bool {
        !self.calls && !self.reach
    }
}

/// Puts both fences around the calling thread and those that it starts.
///
/// # Errors
/// If one that the kernel has could not be put up. That the kernel has none, or that there is no list of system calls
/// for this processor, is no error: what [`super::privileges::give_up`] does stands alone then.
pub fn raise() -> io::Result<Fences> {
    let reach = limit_reach()?;
    let calls = match limit_calls() {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => false,
        Err(error) => return Err(error),
    };
    Ok(Fences { calls, reach })
}

/// Puts the outer fence around the calling thread; `false` if the kernel has none.
///
/// # Errors
/// If the kernel has it and refused.
pub fn limit_reach() -> io::Result<bool> {
    let restrict = || -> Result<_, RulesetError> {
        let rules = Ruleset::default().handle_access(AccessFs::from_all(RULES))?;
        let rules = rules.handle_access(AccessNet::from_all(RULES))?.scope(Scope::from_all(RULES))?;
        // Without a rule nothing is allowed.
        rules.create()?.restrict_self()
    };
    let status = restrict().map_err(io::Error::other)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn limit_calls() -> io::Result<()> {
    filter::raise().map_err(io::Error::other)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn limit_calls() -> io::Result<()> {
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
