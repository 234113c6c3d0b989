//! Facts about the process as a whole.
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use threaddump_arch::Arch;

use crate::ids::{Pid, Tid};
use crate::proc::{ProcDir, Stat, Status, boot_time, ticks_per_second};
use crate::snapshot::{ProcessFacts, ThreadSnapshot};

/// Everything `/proc` says about a process; what cannot be read stays unknown. `dir` is a directory
/// that works (of a live thread), `stat` and `status` are the leader's.
pub(super) fn read(pid: Pid, dir: &ProcDir, stat: &Stat, status: &Status, arch: Arch) -> ProcessFacts {
    let root = dir.read_link("root").unwrap_or_default();
    ProcessFacts {
        pid,
        ns_pid: status.ns_pid.last().copied(),
        ppid: Some(stat.ppid),
        uid: status.uid.map(|[real, ..]| real),
        name: stat.name.clone(),
        exe: dir.read_link("exe").ok().map(|path| exe_path(dir, &path, &root)),
        cmdline: cmdline(&dir.read("cmdline").unwrap_or_default()),
        arch,
        start_time_ns: start_time_ns(stat),
        cgroup: cgroup(&dir.read("cgroup").unwrap_or_default()),
        kernel: nix::sys::utsname::uname().ok().map(|name| name.release().to_string_lossy().into_owned()),
        tracer: None,
    }
}

/// A thread as far as its `stat` tells.
pub(super) fn thread(tid: Tid, stat: Stat) -> ThreadSnapshot {
    let ns = u128::from(stat.cpu_ticks) * 1_000_000_000 / u128::from(ticks_per_second().max(1));
    ThreadSnapshot {
        state: Some(stat.state),
        kernel_worker: stat.is_kernel_worker(),
        cpu_ns: u64::try_from(ns).ok(),
        name: stat.name,
        ..ThreadSnapshot::unknown(tid)
    }
}

/// Adds the ids of threads in the innermost pid namespace. Where that is another than ours, it costs a
/// file for each thread.
pub(super) fn add_inner_ids(dir: &ProcDir, facts: &ProcessFacts, threads: &mut [ThreadSnapshot]) {
    let Some(inner) = facts.ns_pid else { return };
    for thread in threads {
        thread.ns_tid = if inner == facts.pid.0 {
            Some(thread.tid.0)
        } else {
            dir.status(Some(thread.tid)).ok().and_then(|status| status.ns_pid.last().copied())
        };
    }
}

/// Start of a process, nanoseconds since the epoch.
pub(super) fn start_time_ns(stat: &Stat) -> Option<i64> {
    let ticks = u128::from(stat.start_ticks) * 1_000_000_000 / u128::from(ticks_per_second().max(1));
    boot_time()?.checked_mul(1_000_000_000)?.checked_add(i64::try_from(ticks).ok()?)
}

/// Arguments: NUL-terminated strings, one after the other.
pub(super) fn cmdline(text: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

fn exe_path(dir: &ProcDir, link: &[u8], root: &[u8]) -> Vec<u8> {
    let path = in_root(link, root);
    match path.strip_suffix(b" (deleted)") {
        Some(before) if !is_exe(dir, path) => before.to_vec(),
        _ => path.to_vec(),
    }
}

/// Whether a path of the target leads to what it runs: a name may end like the mark of a deleted one.
fn is_exe(dir: &ProcDir, path: &[u8]) -> bool {
    let place = |path: &Path| std::fs::metadata(path).map(|data| (data.dev(), data.ino()));
    let mut full = dir.path().join("root").into_os_string();
    full.push(OsStr::from_bytes(path));
    let exe = place(&dir.path().join("exe"));
    place(Path::new(&full)).is_ok_and(|found| exe.is_ok_and(|exe| exe == found))
}

/// A path as the target sees it: `/proc` names files as we see them, and a target that changed its
/// root directory (without a mount namespace of its own) does not.
pub(super) fn in_root<'a>(path: &'a [u8], root: &[u8]) -> &'a [u8] {
    if root.len() < 2 {
        return path;
    }
    path.strip_prefix(root).filter(|rest| rest.starts_with(b"/")).unwrap_or(path)
}

/// The path of version 2 (`0::/path`), else that of the first line.
pub(super) fn cgroup(text: &[u8]) -> Option<String> {
    let lines = || text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let line = lines().find(|line| line.starts_with(b"0::")).or_else(|| lines().next())?;
    let path = line.splitn(3, |&byte| byte == b':').nth(2)?;
    Some(String::from_utf8_lossy(path).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_at_nul() {
        assert_eq!(cmdline(b""), Vec::<Vec<u8>>::new());
        assert_eq!(cmdline(b"a\0\0b c\0"), [&b"a"[..], b"", b"b c"]);
        assert_eq!(cmdline(b"title set by the program"), [b"title set by the program"]);
    }

    #[test]
    fn version_two_of_the_control_groups_wins() {
        assert_eq!(cgroup(b"1:cpu:/a\n0::/b:c\n").as_deref(), Some("/b:c"));
        assert_eq!(cgroup(b"1:cpu:/a\n2:mem:/b\n").as_deref(), Some("/a"));
        assert_eq!(cgroup(b""), None);
        assert_eq!(cgroup(b"junk"), None);
    }

    #[test]
    fn paths_lose_the_root_of_the_target() {
        assert_eq!(in_root(b"/jail/bin/x", b"/jail"), b"/bin/x");
        assert_eq!(in_root(b"/jailed/x", b"/jail"), b"/jailed/x");
        assert_eq!(in_root(b"/bin/x", b"/"), b"/bin/x");
        let dir = ProcDir::open("/proc/self").expect("/proc is mounted");
        assert_eq!(exe_path(&dir, b"/jail/x (deleted)", b"/jail"), b"/x");
    }
}
