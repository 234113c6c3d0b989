//! Finding targets by name.
use std::collections::HashMap;
use std::io;

use super::{CollectError, denied, facts};
use crate::ids::Pid;
use crate::proc::ProcDir;

/// A process with the name that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub pid: Pid,
    /// Its name (`comm` of the leader).
    pub name: Vec<u8>,
    /// The user it belongs to; a number if there is no such user.
    pub user: Option<String>,
    /// Start, nanoseconds since the epoch.
    pub start_time_ns: Option<i64>,
    /// Arguments.
    pub cmdline: Vec<Vec<u8>>,
}

/// Processes whose `comm`, or the base name of whose first argument or executable, is `name`, by
/// ascending id; never this program itself, kernel threads, or processes that have ended.
///
/// # Errors
/// If `/proc` cannot be listed.
pub fn by_name(name: &str) -> io::Result<Vec<Found>> {
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let own = std::process::id() as i32;
    let mut users = HashMap::new();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        // An entry that is gone by now is no error.
        let Some(pid) = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse().ok()) else {
            continue;
        };
        if pid != own {
            found.extend(examine(Pid(pid), name.as_bytes(), &mut users));
        }
    }
    found.sort_by_key(|found| found.pid);
    Ok(found)
}

/// Why [`by_name`] found nothing, where there is more to say than that.
pub fn why_none(name: &str) -> Option<CollectError> {
    if std::fs::symlink_metadata("/proc/self").is_err() {
        return Some(CollectError::NoProc);
    }
    let entries = std::fs::read_dir("/proc").ok()?;
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find_map(|pid| {
        let stat = ProcDir::open(format!("/proc/{pid}")).ok()?.stat(None).ok()?;
        if stat.name != name.as_bytes() {
            return None;
        }
        let (pid, name) = (Pid(pid), name.to_owned());
        if stat.is_kernel_thread() {
            return Some(CollectError::KernelThread { pid, name });
        }
        let parent = denied::process_name(stat.ppid).map(|name| (stat.ppid, name));
        stat.has_ended().then_some(CollectError::Zombie { pid, name, parent })
    })
}

fn examine(pid: Pid, name: &[u8], users: &mut HashMap<u32, String>) -> Option<Found> {
    let dir = ProcDir::open(format!("/proc/{pid}")).ok()?;
    let stat = dir.stat(None).ok()?;
    if stat.is_kernel_thread() || (stat.has_ended() && stat.threads <= 1) {
        return None;
    }
    let cmdline = facts::cmdline(&dir.read("cmdline").unwrap_or_default());
    let named = |path: &[u8]| base_name(path) == name;
    let matches = stat.name == name
        || cmdline.first().is_some_and(|argument| named(argument))
        || dir.read_link("exe").is_ok_and(|path| named(path.strip_suffix(b" (deleted)").unwrap_or(&path)));
    if !matches {
        return None;
    }
    let uid = dir.status(None).ok().and_then(|status| status.uid).map(|[real, ..]| real);
    let user = uid.map(|uid| users.entry(uid).or_insert_with(|| user_name(uid)).clone());
    Some(Found { pid, name: stat.name.clone(), user, start_time_ns: facts::start_time_ns(&stat), cmdline })
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    user.ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    struct Killed(Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_child_is_found_by_its_name_and_described() {
        let child = Killed(Command::new("sleep").arg("31.25").spawn().expect("sleep is installed"));
        let pid = Pid(child.0.id() as i32);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let found = loop {
            // Between fork and the end of exec it has our name, then no arguments.
            let all = by_name("sleep").expect("/proc is mounted");
            assert!(all.windows(2).all(|pair| pair[0].pid < pair[1].pid));
            match all.into_iter().find(|found| found.pid == pid && !found.cmdline.is_empty()) {
                Some(found) => break found,
                None => assert!(std::time::Instant::now() < deadline),
            }
        };
        assert_eq!(found.cmdline, [&b"sleep"[..], b"31.25"]);
        assert!(found.user.is_some());
        assert!(found.start_time_ns.is_some_and(|time| time > 1_600_000_000_000_000_000));
    }

    #[test]
    fn this_process_and_kernel_threads_are_not_found() {
        let own = std::fs::read_to_string("/proc/self/comm").expect("/proc is mounted");
        let pids: Vec<Pid> = by_name(own.trim_end()).expect("listed").iter().map(|found| found.pid).collect();
        assert!(!pids.contains(&Pid(std::process::id() as i32)));
        assert_eq!(by_name("kthreadd").expect("listed"), []);
        assert_eq!(by_name("").expect("listed"), []);
    }

    #[test]
    fn a_process_that_has_ended_is_named_as_the_reason() {
        let name = "threaddumpzomb";
        assert!(why_none(name).is_none());
        let mut child = Command::new("sh");
        child.args(["-c", &format!("printf {name} > /proc/self/task/$$/comm")]);
        let child = Killed(child.spawn().expect("sh is installed"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while why_none(name).is_none() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(
            matches!(why_none(name), Some(CollectError::Zombie { pid: Pid(pid), .. }) if pid as u32 == child.0.id())
        );
        assert_eq!(by_name(name).expect("listed"), []);
    }

    #[test]
    fn base_names_end_at_the_last_slash() {
        assert_eq!(base_name(b"/usr/bin/x"), b"x");
        assert_eq!(base_name(b"x"), b"x");
        assert_eq!(base_name(b"x/"), b"");
    }
}
