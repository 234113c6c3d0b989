//! Whether a directory of `/proc` is that of the process that has crashed. Between the crash and our first look
//! the process may have been killed, and its number may have passed to another: what is read then would be
//! given to the wrong user.
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::super::facts;
use super::Event;
use crate::proc::{ProcDir, Stat, Status};

/// Seconds by which the start of a process may seem to be after its end: both are rounded, and the time of the
/// machine's start is corrected while it runs.
const SLACK: i64 = 2;

/// Why a process is another one than the one that crashed, as far as `/proc` tells. `start` is when it started,
/// in nanoseconds since the epoch.
pub(super) fn differs(event: &Event, stat: &Stat, status: &Status, start: Option<i64>) -> Option<String> {
    let (pid, tid) = (event.pid, event.tid);
    if status.tgid != Some(pid.0) || stat.id != tid.0 {
        return Some(format!("thread {tid} is none of process {pid}"));
    }
    if status.core_dumping == Some(false) {
        return Some(format!("process {pid} is not the one that crashed: it is not dumping core"));
    }
    if start.is_some_and(|start| start / 1_000_000_000 > event.time.saturating_add(SLACK)) {
        return Some(format!("process {pid} is not the one that crashed: it started later"));
    }
    match status.uid {
        Some([real, ..]) if real != event.uid => {
            Some(format!("process {pid} is not the one that crashed: it belongs to user {real}"))
        }
        _ => None,
    }
}

/// The executable of the process that crashed, in its root directory, as far as it is certain that it is that of no
/// other. For a crash of which nothing else is looked at.
pub fn executable(event: &Event, pidfd: Option<BorrowedFd<'_>>) -> Option<Vec<u8>> {
    let dir = ProcDir::open(format!("/proc/{}", event.tid)).ok()?;
    let exe = dir.read_link("exe").ok()?;
    let root = dir.read_link("root").unwrap_or_default();
    let is_same = match pidfd {
        Some(pidfd) => process_of(pidfd).ok()? == Some(event.pid.0),
        None => {
            let (stat, status) = (dir.stat(None).ok()?, dir.status(None).ok()?);
            differs(event, &stat, &status, facts::start_time_ns(&stat)).is_none()
        }
    };
    let exe = exe.strip_suffix(b" (deleted)").unwrap_or(&exe);
    is_same.then(|| facts::in_root(exe, &root).to_vec())
}

/// The process that a pidfd stands for; `None` if it is gone.
///
/// # Errors
/// As open(2); `InvalidData` if it is something else.
pub(super) fn process_of(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let text = std::fs::read(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Pid:"));
    let number = line.and_then(|line| std::str::from_utf8(line.trim_ascii()).ok()?.parse().ok());
    let number: i32 = number.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some(number).filter(|&number| number > 0))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn event() -> Event {
        Event::parse(["P=10", "I=12", "s=11", "t=1000", "u=1000", "g=100", "d=1"].map(OsStr::new))
            .expect("complete")
    }

    fn stat(id: i32) -> Stat {
        let (name, state) = (b"x".to_vec(), 'S');
        Stat { id, name, state, ppid: 1, flags: 0, cpu_ticks: 0, threads: 2, start_ticks: 5 }
    }

    fn status(dumping: Option<bool>, uid: u32) -> Status {
        Status { tgid: Some(10), core_dumping: dumping, uid: Some([uid; 4]), ..Status::default() }
    }

    #[test]
    fn the_process_that_crashed_is_taken() {
        let seconds = 1_000_000_000;
        for start in [None, Some(0), Some(999 * seconds), Some(1002 * seconds)] {
            assert_eq!(differs(&event(), &stat(12), &status(Some(true), 1000), start), None, "{start:?}");
        }
        // Before Linux 4.15 the file does not tell.
        assert_eq!(differs(&event(), &stat(12), &status(None, 1000), None), None);
    }

    #[test]
    fn a_process_that_took_the_number_over_is_not() {
        let later = Some(1003 * 1_000_000_000);
        let others = [
            differs(&event(), &stat(12), &status(Some(false), 1000), None),
            differs(&event(), &stat(12), &status(Some(true), 0), None),
            differs(&event(), &stat(12), &status(Some(true), 1000), later),
            differs(&event(), &stat(13), &status(Some(true), 1000), None),
            differs(&event(), &stat(12), &Status { tgid: Some(12), ..status(Some(true), 1000) }, None),
        ];
        for other in others {
            assert!(other.is_some_and(|why| why.contains("10")));
        }
    }
}
