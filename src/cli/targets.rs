//! From names to process ids.
use std::collections::HashSet;

use jiff::Timestamp;

use super::Exit;
use super::values::Target;
use crate::collect::find::{self, Found};
use crate::error::{Failure, plain};
use crate::ids::Pid;
use crate::report::escape::readable;

/// Longer command lines are cut in lists.
const COMMAND: usize = 80;

/// The processes to dump, each once, in the order they were named.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) pids: Vec<Pid>,
    /// Names that nothing has.
    pub(super) failures: Vec<Failure>,
}

/// The only process that a command can take.
///
/// # Errors
/// If there is none, or a name is ambiguous.
pub(super) fn find_one(target: &Target) -> Result<Pid, Failure> {
    let one = |failure: Failure| match failure.exit() {
        Exit::Usage => failure.advise("give one process id"),
        _ => failure,
    };
    let mut found = find(std::slice::from_ref(target), false).map_err(one)?;
    let nothing = || found.failures.pop().unwrap_or_else(|| Failure::new("there is no such process"));
    found.pids.first().copied().ok_or_else(nothing)
}

/// # Errors
/// If a name is ambiguous, or processes cannot be listed.
pub(super) fn find(targets: &[Target], all: bool) -> Result<Targets, Failure> {
    let mut found = Targets { pids: Vec::new(), failures: Vec::new() };
    for target in targets {
        match target {
            Target::Pid(pid) => found.pids.push(*pid),
            Target::Name(name) => named(name, all, &mut found)?,
        }
    }
    let mut seen = HashSet::new();
    found.pids.retain(|pid| seen.insert(*pid));
    Ok(found)
}

fn named(name: &str, all: bool, found: &mut Targets) -> Result<(), Failure> {
    let matches = find::by_name(name)
        .map_err(|error| Failure::new(format!("cannot list the processes in /proc: {}", plain(&error))))?;
    match matches.as_slice() {
        [] => {
            let nothing = || Failure::new(format!("no process is named {name}"));
            let failure = find::why_none(name).map(Failure::from);
            found.failures.push(failure.unwrap_or_else(|| nothing().advise(next_step(name))));
        }
        [_, _, ..] if !all => return Err(ambiguous(name, &matches)),
        matches => found.pids.extend(matches.iter().map(|found| found.pid)),
    }
    Ok(())
}

fn next_step(name: &str) -> &'static str {
    // There is no command of this name, but many tools have one.
    if name == "help" { "see: threaddump --help, or man threaddump" } else { "list processes with: ps -e" }
}

fn ambiguous(name: &str, matches: &[Found]) -> Failure {
    let mut lines = vec![line("PID", "USER", "STARTED", "COMMAND")];
    lines.extend(matches.iter().map(|found| {
        let started = found.start_time_ns.and_then(started).unwrap_or_else(|| "?".to_owned());
        line(&found.pid.to_string(), found.user.as_deref().unwrap_or("?"), &started, &command(found))
    }));
    let count = matches.len();
    let failure = Failure::usage(format!("{count} processes are named {name}")).list(lines);
    failure.advise("give one process id, or --all for all of them")
}

fn line(pid: &str, user: &str, started: &str, command: &str) -> String {
    format!("{pid:>8}  {user:<12}  {started:<23}  {command}")
}

fn started(ns: i64) -> Option<String> {
    let seconds = Timestamp::from_second(ns.div_euclid(1_000_000_000)).ok()?;
    Some(seconds.to_string().replacen('T', " ", 1).replacen('Z', " UTC", 1))
}

fn command(found: &Found) -> String {
    let arguments = found.cmdline.iter().take(COMMAND).map(|argument| readable(argument));
    let text = arguments.collect::<Vec<String>>().join(" ");
    let text = if text.is_empty() { format!("[{}]", readable(&found.name)) } else { text };
    match text.char_indices().nth(COMMAND) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pid: i32, cmdline: &[&[u8]]) -> Found {
        Found {
            pid: Pid(pid),
            name: b"worker".to_vec(),
            user: Some("www-data".to_owned()),
            start_time_ns: Some(1_763_928_000_500_000_000),
            cmdline: cmdline.iter().map(|argument| argument.to_vec()).collect(),
        }
    }

    #[test]
    fn an_ambiguous_name_lists_all_that_have_it() {
        let matches = [found(7, &[b"worker", b"-x\n\xff"]), found(12, &[])];
        let text = ambiguous("worker", &matches).to_string();
        let expected = "\
threaddump: 2 processes are named worker
       PID  USER          STARTED                  COMMAND
         7  www-data      2025-11-23 20:00:00 UTC  worker -x\\n\\xff
        12  www-data      2025-11-23 20:00:00 UTC  [worker]
  give one process id, or --all for all of them";
        assert_eq!(text, expected);
    }
}
