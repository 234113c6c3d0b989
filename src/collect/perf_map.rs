//! Names that JIT compilers write for perf(1): lines of `START SIZE NAME` in `/tmp/perf-PID.map`, the
//! numbers in hexadecimal digits. Code is moved and its place used again, so the last line about an
//! address counts.
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::proc::ProcDir;
use crate::snapshot::{CodeName, ProcessFacts};
use crate::sys::root::Root;

/// Bytes of a file that are read, from its end: what was written last counts.
const MAX_FILE: u64 = 128 << 20;
/// Bytes of a line; the rest of a longer name is left out.
const MAX_LINE: usize = 4096;
/// Bytes of names that are kept.
const MAX_NAMES: usize = 32 << 20;
/// Names given to addresses, each of which a later line may give another.
const MAX_WORK: usize = 1 << 26;
/// Start times are known to a second or so.
const SLACK_NS: i128 = 2_000_000_000;

/// What a file said.
#[derive(Debug, Default)]
pub struct Names {
    /// By ascending address, without overlaps.
    pub names: Vec<CodeName>,
    /// Whether a limit was reached.
    pub cut: bool,
}

/// The names that the JIT compilers of a process gave to these addresses (ascending), and why a file
/// that is there was not used.
pub(super) fn of_process(
    dir: &ProcDir,
    facts: &ProcessFacts,
    wanted: &[u64],
) -> (Vec<CodeName>, Vec<String>) {
    let mut problems = Vec::new();
    let Ok(root) = Root::open(&dir.path().join("root")) else { return (Vec::new(), problems) };
    // Whoever lives still has its number, so the path led to this process.
    let Some(uids) = dir.status(None).ok().and_then(|status| status.uid) else {
        return (Vec::new(), problems);
    };
    let mut pids: Vec<i32> = facts.ns_pid.into_iter().chain([facts.pid.0]).collect();
    pids.dedup();
    for pid in pids {
        let path = format!("/tmp/perf-{pid}.map");
        let file = root.regular_itself(Path::new(&path));
        if let Some(names) = opened(&path, file, &uids, facts.start_time_ns, wanted, &mut problems) {
            return (names, problems);
        }
    }
    (Vec::new(), problems)
}

/// The names in a file, unless there is none or it may not be used. `uids` are those of the process.
pub(super) fn opened(
    path: &str,
    file: io::Result<File>,
    uids: &[u32],
    started_ns: Option<i64>,
    wanted: &[u64],
    problems: &mut Vec<String>,
) -> Option<Vec<CodeName>> {
    let names = match file {
        Ok(file) => checked(file, uids, started_ns, wanted),
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
    };
    match names {
        Ok(found) => {
            if found.cut {
                problems.push(format!("{path} is too large: names of generated code may be missing"));
            }
            Some(found.names)
        }
        Err(why) => {
            problems.push(format!("cannot use {path}: {why}"));
            None
        }
    }
}

fn checked(mut file: File, uids: &[u32], started_ns: Option<i64>, wanted: &[u64]) -> Result<Names, String> {
    let words = |error: io::Error| error.to_string();
    let meta = file.metadata().map_err(words)?;
    if meta.uid() != 0 && !uids.contains(&meta.uid()) {
        return Err(format!(
            "it belongs to user {}, the process to user {}",
            meta.uid(),
            uids.first().unwrap_or(&0)
        ));
    }
    let written_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    if started_ns.is_some_and(|started| written_ns + SLACK_NS < i128::from(started)) {
        return Err("it was last written before the process was started".to_owned());
    }
    let skipped = meta.len().saturating_sub(MAX_FILE);
    file.seek(SeekFrom::Start(skipped)).map_err(words)?;
    let mut input = BufReader::with_capacity(1 << 16, file.take(MAX_FILE));
    if skipped > 0 {
        skip_line(&mut input).map_err(words)?;
    }
    let names = read(&mut input, wanted).map_err(words)?;
    Ok(Names { cut: names.cut || skipped > 0, ..names })
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let part = input.fill_buf()?;
        let (length, end) = line_end(part);
        let done = end || part.is_empty();
        input.consume(length + usize::from(end));
        if done {
            return Ok(());
        }
    }
}

/// The names of these addresses, which ascend. A last line without an end is still being written, and
/// does not count.
///
/// # Errors
/// Those of the input.
pub fn read(input: &mut impl BufRead, wanted: &[u64]) -> io::Result<Names> {
    let mut search = Search::new(wanted);
    let mut line = Vec::new();
    while !search.cut {
        let part = match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            part => part?,
        };
        if part.is_empty() {
            break;
        }
        let (length, end) = line_end(part);
        line.extend_from_slice(&part[..length.min(MAX_LINE - line.len())]);
        if end {
            search.line(&line);
            line.clear();
        }
        input.consume(length + usize::from(end));
    }
    Ok(search.finish())
}

/// Bytes before the end of the line, and whether that is there.
fn line_end(part: &[u8]) -> (usize, bool) {
    memchr::memchr(b'\n', part).map_or((part.len(), false), |end| (end, true))
}

/// Start, address after the last, and name.
fn parse_line(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (start, rest) = number(line)?;
    let (size, rest) = number(rest)?;
    let name = rest.trim_ascii();
    let end = start.checked_add(size)?;
    (start < end && !name.is_empty()).then_some((start, end, name))
}

/// A hexadecimal number and what follows the white space after it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    let end = text.iter().position(|byte| !byte.is_ascii_hexdigit())?;
    let digits = std::str::from_utf8(&text[..end]).ok()?;
    let rest = text[end..].strip_prefix(b" ").or_else(|| text[end..].strip_prefix(b"\t"))?;
    Some((u64::from_str_radix(digits, 16).ok()?, rest))
}

/// Which line was the last about each address.
struct Search<'w> {
    wanted: &'w [u64],
    /// The place in `lines` for each wanted address.
    winners: Vec<Option<usize>>,
    lines: Vec<Line>,
    bytes: usize,
    work: usize,
    cut: bool,
}

struct Line {
    start: u64,
    name: Vec<u8>,
}

impl<'w> Search<'w> {
    fn new(wanted: &'w [u64]) -> Search<'w> {
        let winners = vec![None; wanted.len()];
        Search { wanted, winners, lines: Vec::new(), bytes: 0, work: 0, cut: false }
    }

    fn line(&mut self, text: &[u8]) {
        let Some((start, end, name)) = parse_line(text) else { return };
        let first = self.wanted.partition_point(|&address| address < start);
        let count = self.wanted[first..].partition_point(|&address| address < end);
        if count == 0 {
            return;
        }
        self.work += count;
        self.bytes += name.len();
        if self.bytes > MAX_NAMES || self.lines.len() > 2 * self.wanted.len() + 1024 {
            self.forget_losers();
            self.work += self.wanted.len();
        }
        if self.work > MAX_WORK || self.bytes > MAX_NAMES {
            self.cut = true;
            return;
        }
        self.winners[first..first + count].fill(Some(self.lines.len()));
        self.lines.push(Line { start, name: name.to_vec() });
    }

    /// Drops lines that later ones have replaced everywhere.
    fn forget_losers(&mut self) {
        let mut places = vec![None; self.lines.len()];
        let mut kept = Vec::new();
        for winner in self.winners.iter_mut().flatten() {
            let line = &mut self.lines[*winner];
            *winner = *places[*winner].get_or_insert_with(|| {
                kept.push(Line { start: line.start, name: std::mem::take(&mut line.name) });
                kept.len() - 1
            });
        }
        self.lines = kept;
        self.bytes = self.lines.iter().map(|line| line.name.len()).sum();
    }

    fn finish(self) -> Names {
        let mut found = Names { names: Vec::new(), cut: self.cut };
        let mut bytes = 0;
        let mut last = None;
        for (&address, &winner) in self.wanted.iter().zip(&self.winners) {
            let to = address.saturating_add(1);
            match (winner, found.names.last_mut()) {
                (Some(_), Some(name)) if last == winner => name.to = to,
                (Some(index), _) if to > address => {
                    let line = &self.lines[index];
                    bytes += line.name.len();
                    if bytes > MAX_NAMES {
                        found.cut = true;
                        break;
                    }
                    let (start, name) = (line.start, line.name.clone());
                    found.names.push(CodeName { from: address, to, start, name });
                }
                _ => {}
            }
            last = winner;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &[u8], wanted: &[u64]) -> Vec<(u64, u64, u64, String)> {
        let found = read(&mut &*text, wanted).expect("memory can be read");
        let text = |name: &CodeName| String::from_utf8_lossy(&name.name).into_owned();
        found.names.iter().map(|name| (name.from, name.to, name.start, text(name))).collect()
    }

    fn one(from: u64, to: u64, start: u64, name: &str) -> (u64, u64, u64, String) {
        (from, to, start, name.to_owned())
    }

    #[test]
    fn the_last_line_about_an_address_counts() {
        let text = b"1000 100 old\n2000 10 other\n1040 20 new one\n0x3000 0x10 java\n";
        let found = names(text, &[0xfff, 0x1000, 0x103f, 0x1040, 0x1050, 0x10ff, 0x1100, 0x3001]);
        let expected = [
            one(0x1000, 0x1040, 0x1000, "old"),
            one(0x1040, 0x1051, 0x1040, "new one"),
            one(0x10ff, 0x1100, 0x1000, "old"),
            one(0x3001, 0x3002, 0x3000, "java"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_line_is_passed_over() {
        let text = b"\n1000\n1000 10\nxyz 10 a\n1000 0 b\n1000 -1 c\nffffffffffffffff 10 d\n\
                     11111111111111111 1 e\n1000 10 f \r\n1000 1 unfinished";
        assert_eq!(names(text, &[0x1000]), [one(0x1000, 0x1001, 0x1000, "f")]);
        assert_eq!(names(b"0 ffffffffffffffff all\n", &[0, u64::MAX]).len(), 1);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let long = [b"1000 10 ".as_slice(), &vec![b'x'; 10_000_000], b"\n2000 10 y\n"].concat();
        let found = names(&long, &[0x1000, 0x2000]);
        assert_eq!(found[0].3.len(), MAX_LINE - "1000 10 ".len());
        assert_eq!(found[1].3, "y");
    }

    #[test]
    fn lines_that_replace_each_other_are_forgotten_or_end_the_work() {
        let wanted: Vec<u64> = (0..100_000).collect();
        let text = b"0 fffff name\n".repeat(100_000);
        let found = read(&mut text.as_slice(), &wanted).expect("memory can be read");
        assert!(found.cut);
        assert_eq!(found.names.len(), 1);
        let mut search = Search::new(&wanted[..2]);
        (0..100_000).for_each(|_| search.line(b"0 2 replaced"));
        assert!(!search.cut && search.lines.len() < 2000, "{}", search.lines.len());
    }
}
