//! Finding out why the kernel said no: it has one errno for a dozen causes.
use std::io;

use super::{CollectError, PermissionReason};
use crate::ids::{Pid, Tid};
use crate::proc::{ProcDir, Status, parse_status};

const CAP_SYS_PTRACE: u64 = 1 << 19;

/// Whether an error means "not allowed" rather than "gone" or "broken".
pub(super) fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether an error means that the process or thread is gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

/// Id and name of whoever traces a thread of the process, if anyone does.
pub(super) fn tracer(dir: &ProcDir, thread: Option<Tid>) -> Option<(i32, String)> {
    let id = dir.status(thread).ok()?.tracer.filter(|&id| id != 0)?;
    Some((id, process_name(id).unwrap_or_else(|| "?".to_owned())))
}

/// The name of a process, for messages.
pub(super) fn process_name(pid: i32) -> Option<String> {
    let stat = ProcDir::open(format!("/proc/{pid}")).ok()?.stat(None).ok()?;
    Some(String::from_utf8_lossy(&stat.name).into_owned())
}

/// The error for a process that may not be traced.
pub(super) fn refused(pid: Pid, dir: &ProcDir) -> CollectError {
    if let Some(tracer) = tracer(dir, None) {
        return CollectError::AlreadyTraced { pid, tracer: Some(tracer) };
    }
    let target = dir.status(None).unwrap_or_default();
    let own = std::fs::read("/proc/thread-self/status").map(|text| parse_status(&text)).unwrap_or_default();
    let evidence = Evidence {
        maps_open: dir.read("maps").is_ok(),
        memory_opens: dir.open_file("mem").is_ok(),
        yama: yama_level(),
    };
    let reason = reason(&target, &own, &evidence);
    CollectError::Permission { pid, reason: for_root(reason, &own) }
}

/// Root in a container often lacks the one capability, and is not helped by "run it as root".
fn for_root(reason: PermissionReason, own: &Status) -> PermissionReason {
    let without = own.cap_effective.is_some_and(|capabilities| capabilities & CAP_SYS_PTRACE == 0);
    let is_root = own.uid.is_some_and(|[_, effective, ..]| effective == 0);
    match reason {
        PermissionReason::OtherUser { .. }
        | PermissionReason::OtherGroup { .. }
        | PermissionReason::MoreCapabilities
        | PermissionReason::NotDumpable
            if is_root && without =>
        {
            PermissionReason::NoCapability(Box::new(reason))
        }
        reason => reason,
    }
}

/// What opening files of the target showed.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    maps_open: bool,
    memory_opens: bool,
    yama: u32,
}

fn yama_level() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// The rules of ptrace(2), "Ptrace access mode checking", in their order.
fn reason(target: &Status, own: &Status, evidence: &Evidence) -> PermissionReason {
    // With the right to read its memory in the same way, only a filter on our side says no.
    if own.seccomp == Some(2) && evidence.memory_opens {
        return PermissionReason::Seccomp;
    }
    if evidence.yama >= 3 {
        return PermissionReason::Yama { level: evidence.yama };
    }
    if own.cap_effective.unwrap_or(0) & CAP_SYS_PTRACE != 0 {
        return if own.seccomp == Some(2) { PermissionReason::Seccomp } else { PermissionReason::Unknown };
    }
    if let (Some([uid, effective, saved, _]), Some([me, ..])) = (target.uid, own.uid)
        && [uid, effective, saved] != [me; 3]
    {
        let other = [uid, effective, saved].into_iter().find(|&id| id != me).unwrap_or(uid);
        return PermissionReason::OtherUser { uid: other, own: me };
    }
    if let (Some([gid, effective, saved, _]), Some([me, ..])) = (target.gid, own.gid)
        && [gid, effective, saved] != [me; 3]
    {
        let other = [gid, effective, saved].into_iter().find(|&id| id != me).unwrap_or(gid);
        return PermissionReason::OtherGroup { gid: other, own: me };
    }
    let (theirs, ours) = (target.cap_permitted.unwrap_or(0), own.cap_permitted.unwrap_or(0));
    if theirs & !ours != 0 {
        return PermissionReason::MoreCapabilities;
    }
    if !evidence.maps_open {
        return PermissionReason::NotDumpable;
    }
    // Yama stands in the way of attaching only, not of reading maps.
    if evidence.yama > 0 {
        return PermissionReason::Yama { level: evidence.yama };
    }
    if own.seccomp == Some(2) { PermissionReason::Seccomp } else { PermissionReason::Unknown }
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

    const ALL_OPEN: Evidence = Evidence { maps_open: true, memory_opens: true, yama: 0 };
    const NO_MEMORY: Evidence = Evidence { maps_open: true, memory_opens: false, yama: 0 };
    const CLOSED: Evidence = Evidence { maps_open: false, memory_opens: false, yama: 0 };

    #[test]
    fn each_cause_is_told_from_the_others() {
        let own = user(1000);
        let root = user(0);
        assert_eq!(reason(&root, &own, &CLOSED), PermissionReason::OtherUser { uid: 0, own: 1000 });
        let set_uid = Status { uid: Some([1000, 0, 0, 0]), ..user(1000) };
        assert_eq!(reason(&set_uid, &own, &CLOSED), PermissionReason::OtherUser { uid: 0, own: 1000 });
        let group = Status { gid: Some([5; 4]), ..user(1000) };
        assert_eq!(reason(&group, &own, &CLOSED), PermissionReason::OtherGroup { gid: 5, own: 1000 });
        let capable = Status { cap_permitted: Some(1 << 10), ..user(1000) };
        assert_eq!(reason(&capable, &own, &CLOSED), PermissionReason::MoreCapabilities);
        assert_eq!(reason(&own, &own, &CLOSED), PermissionReason::NotDumpable);
        assert_eq!(reason(&own, &own, &NO_MEMORY), PermissionReason::Unknown);
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
