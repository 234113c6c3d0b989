//! Names of capabilities (capabilities(7)), by their bit.

const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Names listed before the rest is only counted.
const LISTED: usize = 3;

/// The capabilities of a mask in words.
pub(super) fn names(mask: u64) -> String {
    let set: Vec<usize> = (0..64).filter(|bit| mask & (1 << bit) != 0).collect();
    let name = |&bit: &usize| NAMES.get(bit).map_or_else(|| bit.to_string(), |name| format!("CAP_{name}"));
    let listed: Vec<String> = set.iter().take(LISTED).map(name).collect();
    let text = listed.join(", ");
    match set.len().saturating_sub(LISTED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_the_rest_is_counted() {
        assert_eq!(names(1 << 10), "CAP_NET_BIND_SERVICE");
        assert_eq!(names(1 << 19 | 1 << 40), "CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE");
        assert_eq!(names(1 << 63), "63");
        assert_eq!(names(u64::MAX), "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and 61 more");
        assert_eq!(names(0), "");
    }
}
