//! Comparing two dumps.
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use super::Exit;
use super::args::{CompareArgs, CompareFormat};
use super::output::{Output, spare};
use super::render::style;
use super::{targets, values};
use crate::collect::{self, CollectError, Via};
use crate::compare::read::{ReadError, read};
use crate::compare::text::Options;
use crate::compare::{Comparison, Dump, Question, compare, json, text};
use crate::dump;
use crate::error::Failure;

/// For what one look has changed for the other.
const ROUNDS: usize = 3;

pub(super) fn run(arguments: &CompareArgs) -> Result<Exit, Failure> {
    let comparison = match arguments.what.as_slice() {
        [target] => ways(target, arguments)?,
        files => {
            let paths: Vec<&Path> = files.iter().map(Path::new).collect();
            let read: Vec<Option<&Path>> = paths.iter().copied().map(Some).collect();
            spare(&read, &[arguments.output.as_deref()])?;
            let mut dumps = paths.into_iter().map(load);
            let (Some(left), Some(right)) = (dumps.next(), dumps.next()) else {
                return Err(Failure::usage("two files are needed"));
            };
            moments(left?, right?)?
        }
    };
    print(&comparison, arguments)
}

/// One process by ptrace and by the relay inside of it.
fn ways(target: &OsStr, arguments: &CompareArgs) -> Result<Comparison, Failure> {
    let text = target.to_str().ok_or_else(|| Failure::usage("a name of a process is text"))?;
    let target = values::target(text).map_err(|error| Failure::usage(error.to_string()))?;
    let pid = targets::find_one(&target)?;
    let options = dump::Options::with_debug_dirs(arguments.debug_dirs.iter().cloned());
    let look = |via| {
        let how = collect::Options { timeout: arguments.timeout, via, ..collect::Options::default() };
        let report = dump::live::<CollectError>(pid, &how, &options, |_, _| Ok(()));
        report.map(|report| Dump::from(&report)).map_err(Failure::from)
    };
    Comparison::best_of(ROUNDS, || {
        let mut comparison = compare(Question::Ways, look(Via::Ptrace)?, look(Via::Relay)?);
        if !comparison.is_same() {
            comparison.settle(&look(Via::Ptrace)?);
        }
        Ok(comparison)
    })
}

/// # Errors
/// If they are not of one process.
fn moments(left: Dump, right: Dump) -> Result<Comparison, Failure> {
    let started = left.start_time.as_ref().zip(right.start_time.as_ref());
    if left.pid != right.pid || started.is_some_and(|(one, other)| one != other) {
        let of = |dump: &Dump| format!("{} (pid {})", dump.name, dump.pid);
        let what = format!("cannot compare dumps of two processes: {} and {}", of(&left), of(&right));
        return Err(Failure::new(what).advise("give two dumps of one process, the earlier one first"));
    }
    Ok(compare(Question::Moments, left, right))
}

fn load(path: &Path) -> Result<Dump, Failure> {
    let dump = if path.as_os_str() == "-" {
        read(io::stdin().lock())
    } else {
        File::open(path).map_err(ReadError::Io).and_then(read)
    };
    dump.map_err(|error| {
        let name = if path.as_os_str() == "-" { "standard input".into() } else { path.to_string_lossy() };
        match error {
            ReadError::Io(error) => Failure::file("read", path, &error),
            ReadError::Several => Failure::new(format!("cannot compare {name}: {error}"))
                .advise("give files with one dump each, as those of one process are"),
            error => Failure::new(format!("cannot compare {name}: {error}"))
                .advise("give dumps that were made with --format json"),
        }
    })
}

fn print(comparison: &Comparison, arguments: &CompareArgs) -> Result<Exit, Failure> {
    let mut output = Output::open(arguments.output.as_deref())?;
    let terminal = output.is_terminal();
    let options = Options {
        style: style(arguments.color, terminal),
        width: terminal.then(columns).flatten(),
        only_different: arguments.only_different,
    };
    output.write(|out| match arguments.format {
        CompareFormat::Text => text::write(comparison, &options, out),
        CompareFormat::Json => json::write(comparison, out),
    })?;
    output.finish()?;
    if !comparison.is_of_use() {
        let failure = Failure::new("no thread can be compared");
        return Err(failure.advise("the output says why"));
    }
    Ok(if comparison.is_same() { Exit::Complete } else { Exit::Incomplete })
}

/// Columns of the terminal that is standard output.
fn columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(width.0)).filter(|&width| width > 0)
}
