//! Who handles crashes.
use std::fmt::Write;
use std::path::PathBuf;

use super::args::{CorePatternAction, InstallArgs};
use super::output::print;
use super::{Exit, values};
use crate::core_pattern::{self, Owner, PatternError, Places, Plan, Status};
use crate::crashes::Store;
use crate::error::{Failure, plain};
use crate::handler::{self, Via};
use crate::report::escape::{Escaping, escaped};

pub(super) fn run(action: &CorePatternAction) -> Result<Exit, Failure> {
    let places = Places::default();
    match action {
        CorePatternAction::Status => status(&places),
        CorePatternAction::Install(arguments) => install(arguments, &places),
        CorePatternAction::Uninstall => {
            let removed = core_pattern::uninstall(&places).map_err(failure)?;
            say(&format!("crashes now belong to {}\n", Owner::of(&removed.pattern)))?;
            Ok(Exit::Complete)
        }
    }
}

fn install(arguments: &InstallArgs, places: &Places) -> Result<Exit, Failure> {
    let program = std::env::current_exe();
    let program =
        program.map_err(|error| Failure::new(format!("cannot find this program: {}", plain(&error))))?;
    let mut options = Vec::new();
    match arguments.via.into() {
        Via::Auto => {}
        Via::Notes => options.push("--via=notes".to_owned()),
        Via::Ptrace => options.push("--via=ptrace".to_owned()),
    }
    options.extend(arguments.hold.map(|hold| format!("--hold={}", values::milliseconds(hold))));
    if let Some(store) = &arguments.store {
        let store: PathBuf =
            std::path::absolute(store).map_err(|error| Failure::file("use", store, &error))?;
        let text = store.to_str().ok_or_else(|| Failure::usage("the path of the store is no UTF-8"))?;
        options.push(format!("--store={text}"));
    }
    let plan = Plan { program, options, chain: arguments.chain };
    let installed = core_pattern::install(&plan, places).map_err(failure)?;
    let before = Owner::of(&installed.before.pattern);
    let mut text = format!("crashes now belong to threaddump: {}\n", installed.pattern);
    if arguments.chain {
        let _ = writeln!(text, "each core is passed on to {before}");
    } else {
        let _ = writeln!(
            text,
            "before, they belonged to {before}; threaddump core-pattern uninstall puts that back"
        );
    }
    say(&text)?;
    Ok(Exit::Complete)
}

fn status(places: &Places) -> Result<Exit, Failure> {
    let status = core_pattern::status(places).map_err(failure)?;
    say(&describe(&status))?;
    let works = status.owner == Owner::Threaddump && status.faults.is_empty();
    Ok(if works { Exit::Complete } else { Exit::Incomplete })
}

fn describe(status: &Status) -> String {
    let number = |value: Option<u32>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<16} {value}");
    };
    line("crashes go to", status.owner.to_string());
    line("core_pattern", status.pattern.clone());
    line("core_pipe_limit", number(status.pipe_limit));
    line("suid_dumpable", number(status.suid_dumpable));
    if let Some((file, _)) = &status.at_start {
        line("set at start by", file.display().to_string());
    }
    if let Some(before) = status.before.as_ref().filter(|_| status.owner == Owner::Threaddump) {
        let what = if before.chain { "passed on to" } else { "before, to" };
        line(what, Owner::of(&before.pattern).to_string());
    }
    if status.suid_dumpable == Some(2) {
        line("note", "reports of set-user-ID programs are for root only (fs.suid_dumpable is 2)".to_owned());
    }
    if let Some(skipped) = core_pattern::skipped().filter(|&skipped| skipped > 0) {
        let what =
            format!("{skipped} crashes, since too many were handled at the time (in the log of the kernel)");
        line("skipped", what);
    }
    let lost = handler::lost(&store(status));
    if lost > 0 {
        line(
            "lost",
            format!("{lost} crashes, listed in {}", store(status).join(handler::LIST_OF_LOST).display()),
        );
    }
    for fault in &status.faults {
        line("wrong", fault.clone());
    }
    let _ = writeln!(text, "what never arrives:");
    for never in status.never() {
        let _ = writeln!(text, "  {never}");
    }
    text
}

/// The store that the pattern names.
fn store(status: &Status) -> PathBuf {
    let named = status.pattern.split_ascii_whitespace().find_map(|word| word.strip_prefix("--store="));
    named.map_or_else(|| Store::system_path().to_owned(), PathBuf::from)
}

fn say(text: &str) -> Result<(), Failure> {
    let lines: String = text.lines().map(|line| format!("{}\n", escaped(line, Escaping::Terminal))).collect();
    print(lines.as_bytes())
}

fn failure(error: PatternError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        PatternError::Refused { advice, .. } => failure.advise(advice),
        PatternError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            failure.advise("run it as root (sudo)")
        }
        PatternError::Io { source, .. } if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
            failure.advise("/proc/sys is read-only here, as in containers; run it on the machine itself")
        }
        PatternError::Io { .. } => failure,
    }
}
