//! Finding out why the kernel said no: it has one errno for a dozen causes.
use std::io;

use super::{CollectError, PermissionReason};
use crate::ids::{Pid, Tid};
use crate::proc::{ProcDir, Status, parse_status};

const CAP_DAC_OVERRIDE: u64 = 1 << 1;
const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// Whether an error means "not allowed" rather than "gone" or "broken".
pub(super) fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether an error means that the process or thread is gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

/// Id and name of whoever else traces a thread of the process, if anyone does.
pub(super) fn tracer(dir: &ProcDir, thread: Option<Tid>) -> Option<(i32, String)> {
    let is_own = |id| std::fs::symlink_metadata(format!("/proc/self/task/{id}")).is_ok();
    let id = dir.status(thread).ok()?.tracer.filter(|&id| id != 0 && !is_own(id))?;
    Some((id, process_name(id).unwrap_or_else(|| "?".to_owned())))
}

/// The name of a process, for messages.
pub(super) fn process_name(pid: i32) -> Option<String> {
    let stat = ProcDir::open(format!("/proc/{pid}")).ok()?.stat(None).ok()?;
    Some(String::from_utf8_lossy(&stat.name).into_owned())
}

/// The error for a process that may not be traced. `dir` is a directory that works (of a live thread).
pub(super) fn refused(pid: Pid, dir: &ProcDir) -> CollectError {
    match tracer(dir, None) {
        Some(tracer) => CollectError::AlreadyTraced { pid, tracer: Some(tracer) },
        None => permission(pid, dir),
    }
}

/// The same, whoever else traces it.
pub(super) fn permission(pid: Pid, dir: &ProcDir) -> CollectError {
    let own = own();
    let reason = reason(&target(dir), &own, &Evidence::of(dir));
    CollectError::Permission { pid, reason: for_root(reason, &own) }
}

/// Root in a container often lacks the one capability, and is not helped by "run it as root".
fn for_root(reason: PermissionReason, own: &Status) -> PermissionReason {
    let without = own.cap_effective.is_some_and(|capabilities| capabilities & CAP_SYS_PTRACE == 0);
    let is_root = own.uid.is_some_and(|[_, effective, ..]| effective == 0);
    match reason {
        PermissionReason::OtherUser { .. }
        | PermissionReason::OtherGroup { .. }
        | PermissionReason::SetUser { .. }
        | PermissionReason::MoreCapabilities { .. }
        | PermissionReason::NotDumpable
            if is_root && without =>
        {
            PermissionReason::NoCapability(Box::new(reason))
        }
        reason => reason,
    }
}

/// Why the files of a process cannot be read that tell pc, sp and memory.
pub(super) fn file_reason(dir: &ProcDir) -> PermissionReason {
    let (own, evidence) = (own(), Evidence::of(dir));
    let reads_all = own.cap_effective.unwrap_or(0) & (CAP_DAC_OVERRIDE | CAP_DAC_READ_SEARCH) != 0;
    match (evidence.owner, own.uid) {
        // The right to trace is one thing, that to open the files another.
        (Some(owner), Some([_, me, ..]))
            if owner != me && !reads_all && own.cap_effective.unwrap_or(0) & CAP_SYS_PTRACE != 0 =>
        {
            PermissionReason::FileMode { owner, own: me }
        }
        _ => for_root(reason(&target(dir), &own, &evidence), &own),
    }
}

fn target(dir: &ProcDir) -> Status {
    dir.status(None).unwrap_or_default()
}

fn own() -> Status {
    std::fs::read("/proc/thread-self/status").map(|text| parse_status(&text)).unwrap_or_default()
}

/// What the surroundings showed.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    maps_open: bool,
    memory_opens: bool,
    /// Owner of the files in the directory: root if the process is non-dumpable, else its user.
    owner: Option<u32>,
    yama: u32,
    /// Whether we are in a user namespace, where capabilities count for less.
    in_user_namespace: bool,
}

impl Evidence {
    fn of(dir: &ProcDir) -> Evidence {
        Evidence {
            maps_open: dir.read("maps").is_ok(),
            memory_opens: dir.open_file("mem").is_ok(),
            owner: dir.owner("maps").ok(),
            yama: yama_level(&std::fs::read("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default()),
            in_user_namespace: !is_whole_map(&std::fs::read("/proc/self/uid_map").unwrap_or_default()),
        }
    }
}

/// The contents of `ptrace_scope`; kernels without Yama have no such file.
fn yama_level(text: &[u8]) -> u32 {
    std::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether a `uid_map` is that of the initial user namespace.
fn is_whole_map(text: &[u8]) -> bool {
    let mut fields = text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let whole: [&[u8]; 3] = [b"0", b"0", b"4294967295"];
    text.is_empty() || (fields.by_ref().take(3).eq(whole) && fields.next().is_none())
}

/// The rules of ptrace(2), "Ptrace access mode checking", in their order.
fn reason(target: &Status, own: &Status, evidence: &Evidence) -> PermissionReason {
    let filtered = own.seccomp == Some(2);
    // With the right to read its memory in the same way, only a filter on our side says no.
    if filtered && evidence.memory_opens {
        return PermissionReason::Seccomp;
    }
    if evidence.yama >= 3 {
        return PermissionReason::Yama { level: evidence.yama };
    }
    if own.cap_effective.unwrap_or(0) & CAP_SYS_PTRACE != 0 {
        return match (filtered, evidence.in_user_namespace) {
            (true, _) => PermissionReason::Seccomp,
            (_, true) => PermissionReason::UserNamespace,
            _ => PermissionReason::Unknown,
        };
    }
    if let Some(reason) = other_ids(target, own) {
        return reason;
    }
    let missing = target.cap_permitted.unwrap_or(0) & !own.cap_permitted.unwrap_or(0);
    if missing != 0 {
        return PermissionReason::MoreCapabilities { missing };
    }
    if !evidence.maps_open {
        let user = target.uid.map(|[_, effective, ..]| effective);
        // Of a process of root the owner tells nothing.
        let is_dumpable = evidence.owner.is_some() && evidence.owner == user && user != Some(0);
        return match (is_dumpable, evidence.in_user_namespace) {
            (false, _) => PermissionReason::NotDumpable,
            (true, true) => PermissionReason::UserNamespace,
            (true, false) => PermissionReason::Unknown,
        };
    }
    // Yama stands in the way of attaching only, not of reading maps.
    if evidence.yama > 0 {
        return PermissionReason::Yama { level: evidence.yama };
    }
    if filtered { PermissionReason::Seccomp } else { PermissionReason::Unknown }
}

/// The real, effective and saved ids of the target all have to be our real one.
fn other_ids(target: &Status, own: &Status) -> Option<PermissionReason> {
    let differs = |target: Option<[u32; 4]>, own: Option<[u32; 4]>| {
        let ([real, effective, saved, _], [me, ..]) = (target?, own?);
        let other = [real, effective, saved].into_iter().find(|&id| id != me)?;
        Some((real, other, me))
    };
    if let Some((real, other, own)) = differs(target.uid, own.uid) {
        // We started it, and it runs with the rights of another.
        let reason = PermissionReason::SetUser { uid: other, own };
        return Some(if real == own { reason } else { PermissionReason::OtherUser { uid: other, own } });
    }
    let (_, gid, own) = differs(target.gid, own.gid)?;
    Some(PermissionReason::OtherGroup { gid, own })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u32) -> Status {
        Status {
            uid: Some([id; 4]),
            gid: Some([id; 4]),
            cap_permitted: Some(0),
            cap_effective: Some(0),
            seccomp: Some(0),
            ..Status::default()
        }
    }

    const ALL_OPEN: Evidence = Evidence {
        maps_open: true,
        memory_opens: true,
        owner: Some(1000),
        yama: 0,
        in_user_namespace: false,
    };
    const NO_MEMORY: Evidence = Evidence { memory_opens: false, ..ALL_OPEN };
    const CLOSED: Evidence = Evidence { maps_open: false, owner: Some(0), ..NO_MEMORY };

    #[test]
    fn each_cause_is_told_from_the_others() {
        let own = user(1000);
        let root = user(0);
        assert_eq!(reason(&root, &own, &CLOSED), PermissionReason::OtherUser { uid: 0, own: 1000 });
        let set_uid = Status { uid: Some([1000, 0, 0, 0]), ..user(1000) };
        assert_eq!(reason(&set_uid, &own, &CLOSED), PermissionReason::SetUser { uid: 0, own: 1000 });
        let group = Status { gid: Some([5; 4]), ..user(1000) };
        assert_eq!(reason(&group, &own, &CLOSED), PermissionReason::OtherGroup { gid: 5, own: 1000 });
        let capable = Status { cap_permitted: Some(1 << 10), ..user(1000) };
        let more = PermissionReason::MoreCapabilities { missing: 1 << 10 };
        assert_eq!(reason(&capable, &own, &CLOSED), more);
        assert_eq!(reason(&own, &own, &CLOSED), PermissionReason::NotDumpable);
        assert_eq!(reason(&own, &own, &NO_MEMORY), PermissionReason::Unknown);
    }

    #[test]
    fn a_dumpable_process_is_told_by_the_owner_of_its_files() {
        let own = user(1000);
        let dumpable = Evidence { owner: Some(1000), ..CLOSED };
        assert_eq!(reason(&own, &own, &dumpable), PermissionReason::Unknown);
        let inside = Evidence { in_user_namespace: true, ..dumpable };
        assert_eq!(reason(&own, &own, &inside), PermissionReason::UserNamespace);
        let hidden = Evidence { owner: Some(65534), ..inside };
        assert_eq!(reason(&own, &own, &hidden), PermissionReason::NotDumpable);
        let root = Evidence { owner: Some(0), ..inside };
        assert_eq!(reason(&user(0), &user(0), &root), PermissionReason::NotDumpable, "nothing else is left");
    }

    #[test]
    fn capabilities_of_a_user_namespace_do_not_count_outside() {
        let own = Status { cap_effective: Some(u64::MAX), ..user(0) };
        let inside = Evidence { in_user_namespace: true, ..CLOSED };
        assert_eq!(reason(&user(0), &own, &inside), PermissionReason::UserNamespace);
        assert_eq!(reason(&user(0), &own, &CLOSED), PermissionReason::Unknown);
    }

    #[test]
    fn texts_of_the_surroundings_are_read() {
        assert_eq!([&b"2\n"[..], b"", b"x"].map(yama_level), [2, 0, 0]);
        assert!(is_whole_map(b"         0          0 4294967295\n") && is_whole_map(b""));
        for map in [&b"         0       1000          1\n"[..], b"0 0 4294967295\n1 1 1\n", b"junk"] {
            assert!(!is_whole_map(map));
        }
    }

    #[test]
    fn root_without_the_capability_is_told_so() {
        let cause = PermissionReason::OtherUser { uid: 1000, own: 0 };
        let wrapped = PermissionReason::NoCapability(Box::new(cause.clone()));
        assert_eq!(for_root(cause.clone(), &user(0)), wrapped);
        assert_eq!(for_root(cause.clone(), &user(5)), cause, "not root");
        assert_eq!(for_root(PermissionReason::Seccomp, &user(0)), PermissionReason::Seccomp);
    }

    #[test]
    fn yama_is_named_with_its_level() {
        let own = user(1000);
        for level in 1..=3 {
            let evidence = Evidence { yama: level, ..NO_MEMORY };
            assert_eq!(reason(&own, &own, &evidence), PermissionReason::Yama { level });
        }
    }

    #[test]
    fn a_filter_on_our_side_is_told_by_the_memory_that_still_opens() {
        let filtered = Status { seccomp: Some(2), ..user(1000) };
        assert_eq!(reason(&user(1000), &filtered, &ALL_OPEN), PermissionReason::Seccomp);
        assert_eq!(
            reason(&user(0), &filtered, &CLOSED),
            PermissionReason::OtherUser { uid: 0, own: 1000 },
            "the filter is not the cause"
        );
        let root = Status { cap_effective: Some(u64::MAX), ..filtered };
        assert_eq!(reason(&user(0), &root, &ALL_OPEN), PermissionReason::Seccomp);
    }
}
