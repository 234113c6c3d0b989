//! Crashes that the kernel has skipped, by its log.
//!
//! It says ten of them within five seconds, and how many it did not say before the first one it says after that
//! (`coredump_pipe: 29 callbacks suppressed`, `printk_ratelimited`, Linux 6.18). So nobody knows how many there were
//! after the tenth until there is another one.
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

/// Where the log is read (`Documentation/ABI/testing/dev-kmsg`).
const LOG: &str = "/dev/kmsg";
/// Records that are looked at.
const MAX_RECORDS: usize = 1 << 20;
/// No record is longer, in bytes.
const MAX_RECORD: usize = 8192;
/// What the kernel says in a time, and that time, in microseconds.
const BURST: u32 = 10;
const INTERVAL: u64 = 5_000_000;

/// Crashes that the kernel has skipped because too many were handled at the time, as far as its log goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many are known.
    pub count: u64,
    /// There may be more: the kernel has said as many as it does, and has not yet said how many it did not.
    pub more: bool,
}

/// Reads the log of the kernel; `None` if it cannot be read.
pub fn skipped() -> Option<Skipped> {
    Some(skipped_in(&mut open_log().ok()?))
}

/// Opens the log of the kernel at its beginning, as [`skipped_in`] reads it.
///
/// # Errors
/// As open(2).
pub fn open_log() -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(LOG)
}

/// The same of what is in a log from its position on.
pub fn skipped_in(log: &mut File) -> Skipped {
    let (mut record, mut counter) = ([0; MAX_RECORD], Counter::default());
    for _ in 0..MAX_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => counter.add(&record[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Records were overwritten meanwhile; the next call gives the oldest that is left.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => break,
        }
    }
    counter.skipped()
}

#[derive(Debug, Default)]
struct Counter {
    count: u64,
    /// What was suppressed, until the message that it belongs to comes.
    pending: u64,
    /// When the interval began, and how many were said in it.
    window: Option<(u64, u32)>,
}

impl Counter {
    /// Takes a record: numbers with commas, the third being microseconds; a semicolon; the text.
    fn add(&mut self, record: &[u8]) {
        let text = String::from_utf8_lossy(record);
        let Some((head, text)) = text.split_once(';') else { return };
        let text = text.lines().next().unwrap_or_default();
        if let Some((name, number)) = text.split_once(": ")
            && let Some(number) = number.strip_suffix(" callbacks suppressed")
        {
            // Of which message is told by the one that follows.
            if name.contains("coredump") {
                self.pending = number.parse().unwrap_or(0);
            }
            return;
        }
        // The program's name is in it, and may be anything.
        if !(text.starts_with("coredump: ") || text.starts_with("Pid ")) {
            return;
        }
        let suppressed = std::mem::take(&mut self.pending);
        if !is_over_limit(text) {
            return;
        }
        self.count = self.count.saturating_add(1).saturating_add(suppressed);
        let time = head.split(',').nth(2).and_then(|time| time.parse().ok()).unwrap_or(0);
        self.window = match self.window {
            Some((began, said)) if time < began.saturating_add(INTERVAL) => Some((began, said + 1)),
            _ => Some((time, 1)),
        };
    }

    fn skipped(&self) -> Skipped {
        Skipped { count: self.count, more: self.window.is_some_and(|(_, said)| said >= BURST) }
    }
}

/// What stands after the name, which is in parentheses.
fn is_over_limit(text: &str) -> bool {
    let said = text.rsplit_once(')').map_or("", |(_, said)| said);
    said.trim_start_matches([':', ' ']).starts_with("over core_pipe_limit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[(u64, &str)]) -> Skipped {
        let mut counter = Counter::default();
        for (number, (time, text)) in lines.iter().enumerate() {
            counter.add(format!("4,{number},{time},-;{text}\n SUBSYSTEM=x\n").as_bytes());
        }
        counter.skipped()
    }

    const OVER: &str = "coredump: 29395(sh): over core_pipe_limit, skipping core dump";
    const MORE: &str = "coredump_pipe: 29 callbacks suppressed";

    #[test]
    fn each_is_counted_and_those_that_were_not_said() {
        assert_eq!(count(&[]), Skipped::default());
        assert_eq!(count(&[(1, OVER), (2, "other")]), Skipped { count: 1, more: false });
        let mut lines = vec![(0, OVER); 10];
        assert_eq!(count(&lines), Skipped { count: 10, more: true });
        lines.extend([(7_000_000, MORE), (7_000_001, OVER)]);
        assert_eq!(count(&lines), Skipped { count: 40, more: false });
        let older = "Pid 42(a b) over core_pipe_limit";
        assert_eq!(count(&[(1, older)]).count, 1);
    }

    #[test]
    fn what_was_suppressed_of_other_messages_is_not_counted() {
        let other = "coredump: 7(x): RLIMIT_CORE is set to 1, aborting core";
        assert_eq!(count(&[(1, MORE), (2, other), (3, OVER)]).count, 1);
        assert_eq!(count(&[(1, "net_ratelimit: 9 callbacks suppressed"), (3, OVER)]).count, 1);
    }

    #[test]
    fn a_name_says_nothing() {
        let forged = [
            "coredump: 7(over core_pipe_limit): pipe failed",
            "x[7]: (y): over core_pipe_limit, skipping core dump",
            "threaddump: lost: process 7 (a): over core_pipe_limit",
            "coredump: 7(coredump_pipe: 99 callbacks suppressed): pipe failed",
        ];
        for text in forged {
            assert_eq!(count(&[(1, text)]).count, 0, "{text}");
        }
        assert_eq!(count(&[(1, "coredump: 7(a) b): over core_pipe_limit, skipping core dump")]).count, 1);
    }

    #[test]
    fn junk_is_no_record() {
        let mut counter = Counter::default();
        for junk in [
            &b""[..],
            b";",
            b"4,5",
            b"\xff\xff;coredump: \xff",
            b"4,1,99999999999999999999999,-;coredump: 1(x): over core_pipe_limit",
        ] {
            counter.add(junk);
        }
        counter.add(format!("4,1,{},-;{OVER}", u64::MAX).as_bytes());
        counter.add(format!("4,1,{},-;{OVER}", u64::MAX).as_bytes());
        assert_eq!(counter.skipped().count, 3);
    }
}
