//! The list of crashes.
use std::io::{self, IsTerminal};
use std::path::Path;

use jiff::Timestamp;
use nix::unistd::geteuid;
use serde::Serialize;

use super::stores::{Placed, Stores};
use crate::cli::Exit;
use crate::cli::args::{CrashesFormat, ListArgs};
use crate::cli::core_pattern::{crashes, skipped};
use crate::cli::output;
use crate::core_pattern;
use crate::crashes::{Crash, Facts, Fingerprint, Limits, Store};
use crate::error::Failure;
use crate::handler;
use crate::report::escape::{Escaping, escaped};
use crate::report::json;

/// Longer names are cut in the table.
const NAME: usize = 32;

pub(super) fn run(arguments: &ListArgs) -> Result<Exit, Failure> {
    let stores = Stores::open(&arguments.store, Limits::default())?;
    let mut found = stores.list()?;
    found.crashes.retain(|one| is_wanted(one, arguments));
    match arguments.format {
        CrashesFormat::Json => output::print(&lines(&found.crashes)?)?,
        CrashesFormat::Text if found.crashes.is_empty() => {
            if !arguments.store.quiet {
                Failure::new("no crashes").print();
            }
        }
        CrashesFormat::Text => output::print(table(&found.crashes, geteuid().is_root()).as_bytes())?,
    }
    if !arguments.store.quiet {
        stores.all().for_each(|store| tell_lost(store.path(), arguments.since));
    }
    if found.problems.is_empty() {
        return Ok(Exit::Complete);
    }
    if !arguments.store.quiet {
        found.problems.iter().for_each(Failure::print);
    }
    Ok(Exit::Incomplete)
}

/// Says what is not in the list, as far as the caller may know.
fn tell_lost(store: &Path, since: Option<Timestamp>) {
    handler::count_abandoned();
    let lost = handler::lost(store);
    if let Some(latest) = lost.latest.filter(|latest| since.is_none_or(|since| latest.time >= since)) {
        let list = store.join(handler::LIST_OF_LOST);
        let count = crashes(lost.count);
        let (time, sentence) = (latest.time.strftime("%Y-%m-%d %H:%M:%S"), latest.sentence());
        let what = format!("{count} not stored, see {}; the latest at {time}: {sentence}", list.display());
        Failure::new(what).print();
    }
    // The handler's store is root's.
    if store == Store::system_path()
        && let Some(what) = core_pattern::skipped().as_ref().and_then(skipped)
    {
        Failure::new(format!("{what} not stored")).print();
    }
}

fn is_wanted(one: &Placed<'_>, arguments: &ListArgs) -> bool {
    let facts = &one.crash.latest.facts;
    arguments.program.as_ref().is_none_or(|program| facts.is_of(program))
        && arguments.signal.is_none_or(|signal| facts.signal == signal)
        && arguments.since.is_none_or(|since| facts.time >= since)
}

/// A table with a line for each crash.
fn table(crashes: &[Placed<'_>], with_user: bool) -> String {
    let escaping = if io::stdout().is_terminal() { Escaping::Terminal } else { Escaping::Lines };
    let mut rows =
        vec![["ID", "LATEST (UTC)", "COUNT", "USER", "PID", "SIGNAL", "PROGRAM", "IN"].map(str::to_owned)];
    for Placed { crash, .. } in crashes {
        let facts = &crash.latest.facts;
        let name = |text: &str| escaped(&cut(text), escaping).to_string();
        rows.push([
            crash.id.to_string(),
            facts.time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            crash.count.to_string(),
            user(crash).to_string(),
            facts.pid.to_string(),
            name(&facts.signal_name),
            program(facts, escaping),
            escaped(facts.function.as_deref().unwrap_or("?"), escaping).to_string(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate().filter(|&(column, _)| with_user || column != 3) {
            let gap = " ".repeat(widths[column] - cell.chars().count());
            // Numbers stand to the right.
            line +=
                &if (2..=4).contains(&column) { format!("{gap}{cell}  ") } else { format!("{cell}{gap}  ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The executable, and before it what it was started as, if that is another name.
fn program(facts: &Facts, escaping: Escaping) -> String {
    let name = |text: &str| escaped(&cut(text), escaping).to_string();
    match facts.started_as() {
        Some(started) => format!("{} ({})", name(started), name(facts.program())),
        None => name(facts.program()),
    }
}

/// Whose it is. What root has may be of a program that a user started; what a user has is his, whatever he wrote.
fn user(crash: &Crash) -> u32 {
    if crash.owner == 0 { crash.latest.facts.uid } else { crash.owner }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A crash as JSON.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    id: &'a str,
    fingerprint: Fingerprint,
    count: u64,
    first_at: String,
    latest_at: String,
    owner: u32,
    pid: i32,
    tid: Option<i32>,
    uid: u32,
    gid: Option<u32>,
    signal: i32,
    signal_name: &'a str,
    name: &'a str,
    exe: Option<&'a str>,
    cmdline: &'a [String],
    cgroup: Option<&'a str>,
    thread: Option<&'a str>,
    function: Option<&'a str>,
    threads: usize,
    complete: bool,
    bytes: u64,
    store: String,
}

/// A line for each crash.
fn lines(crashes: &[Placed<'_>]) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    for Placed { store, crash } in crashes {
        let facts = &crash.latest.facts;
        let line = Line {
            schema: "threaddump/1",
            id: crash.id.as_str(),
            fingerprint: facts.fingerprint,
            count: crash.count,
            first_at: crash.first.facts.time.to_string(),
            latest_at: facts.time.to_string(),
            owner: crash.owner,
            pid: facts.pid,
            tid: facts.tid,
            uid: facts.uid,
            gid: facts.gid,
            signal: facts.signal,
            signal_name: &facts.signal_name,
            name: &facts.name,
            exe: facts.exe.as_deref(),
            cmdline: &facts.cmdline,
            cgroup: facts.cgroup.as_deref(),
            thread: facts.thread.as_deref(),
            function: facts.function.as_deref(),
            threads: facts.threads,
            complete: facts.complete,
            bytes: crash.bytes,
            store: store.path().display().to_string(),
        };
        let written = json::write_value(&line, &mut text);
        written.map_err(|error| Failure::new(format!("cannot write the list: {error}")))?;
    }
    Ok(text)
}
