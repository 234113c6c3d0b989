//! `/proc/PID/stat` and `/proc/PID/task/TID/stat` (proc_pid_stat(5)).
use super::decimal;

/// Flag of threads that run in the kernel only (`include/linux/sched.h`).
pub const PF_KTHREAD: u64 = 0x0020_0000;

/// Flag of threads that the kernel started inside the process for io_uring.
const PF_IO_WORKER: u64 = 0x10;
/// Flag of those it started for virtual machines (vhost).
const PF_USER_WORKER: u64 = 0x4000;

/// Fields of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Thread id (process id for the leader) in the pid namespace of the `/proc` mount.
    pub id: i32,
    /// Thread name: any bytes but NUL.
    pub name: Vec<u8>,
    /// State letter.
    pub state: char,
    /// Parent process id.
    pub ppid: i32,
    /// Kernel flags (`PF_…`).
    pub flags: u64,
    /// Clock ticks it has run, in user code and in the kernel.
    pub cpu_ticks: u64,
    /// Threads of the process.
    pub threads: u64,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    /// Whether it runs in the kernel only.
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether the kernel started it inside the process: it has no stack of its own outside of the
    /// kernel. Older kernels used these flags otherwise, so its name has to agree.
    pub fn is_kernel_worker(&self) -> bool {
        (self.flags & PF_IO_WORKER != 0 && self.name.starts_with(b"iou-"))
            || (self.flags & PF_USER_WORKER != 0 && self.name.starts_with(b"vhost-"))
    }

    /// Whether a thread of this name may be one that the kernel started.
    pub fn may_be_kernel_worker(name: &[u8]) -> bool {
        name.starts_with(b"iou-") || name.starts_with(b"vhost-")
    }

    /// Whether it has ended and waits to be collected.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Whether it has ended as the last thread of its process. A leader that has ended while the kernel
    /// counts others, or none (it is being replaced this moment), can be followed by a thread that called
    /// exec: Linux 6.18 shows both for about a millisecond of an exec among 500 threads.
    pub fn is_last_zombie(&self) -> bool {
        self.has_ended() && self.threads == 1
    }
}

/// The fields, or `None` if the text is no such line. The name stands in parentheses and may hold
/// blanks and parentheses itself; what follows the last one is numbers only.
pub fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let id = decimal(text.get(..open)?.trim_ascii())?;
    let name = text.get(open + 1..close)?.to_vec();
    let rest: Vec<&[u8]> =
        text[close + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).take(24).collect();
    let &[state] = *rest.first()? else { return None };
    Some(Stat {
        id,
        name,
        state: char::from(state),
        ppid: decimal(rest.get(1)?)?,
        flags: decimal(rest.get(6)?)?,
        cpu_ticks: decimal::<u64>(rest.get(11)?)?.saturating_add(decimal(rest.get(12)?)?),
        threads: decimal(rest.get(17)?)?,
        start_ticks: decimal(rest.get(19)?)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAIL: &[u8] = b" S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12 0 98765 11 12 13 14 15 16\n";

    #[test]
    fn names_may_hold_blanks_and_parentheses() {
        for name in [&b"sh"[..], b"", b"a b", b"x) R 1 2 3", b"((", b"))", b"\xff\n"] {
            let text = [b"77 (", name, b")", TAIL].concat();
            let stat = parse_stat(&text).expect("a stat line");
            assert_eq!(stat.name, name);
            assert_eq!((stat.id, stat.state, stat.ppid), (77, 'S', 1));
            assert_eq!((stat.flags, stat.threads, stat.start_ticks), (4_194_560, 12, 98765));
            assert_eq!(stat.cpu_ticks, 5 + 6);
            assert!(!stat.is_kernel_thread() && !stat.has_ended());
        }
    }

    #[test]
    fn workers_are_told_by_flag_and_name() {
        let worker = |name: &str, flags: u64| {
            let text = format!("7 ({name}) S 1 77 77 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 12 0 98765");
            parse_stat(text.as_bytes()).expect("a stat line").is_kernel_worker()
        };
        assert!(worker("iou-sqp-77", 0x50) && worker("iou-wrk-77", 0x10) && worker("vhost-77", 0x4000));
        assert!(!worker("iou-sqp-77", 0x40) && !worker("CPU 0/KVM", 0x10) && !worker("aio", 0x4010));
    }

    #[test]
    fn every_cut_is_refused_or_read() {
        let text = [b"77 (sh)", TAIL].concat();
        for length in 0..text.len() {
            parse_stat(&text[..length]);
        }
        assert_eq!(parse_stat(b")(77 S 1"), None);
        assert_eq!(parse_stat(b"77 (sh) SS 1 77 77 0 -1 0 1 2 3 4 5 6 7 8 20 0 12 0 98765"), None);
    }

    #[test]
    fn our_own_stat_is_read() {
        let text = std::fs::read("/proc/self/stat").expect("/proc is mounted");
        let stat = parse_stat(&text).expect("a stat line");
        assert_eq!(stat.id as u32, std::process::id());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse_stat(&text);
        }
    }
}
