//! Who handles crashes.
use std::fmt::Write;
use std::path::PathBuf;

use super::args::{CorePatternAction, InstallArgs};
use super::output::print;
use super::{Exit, settings, values};
use crate::core_pattern::{self, Owner, PatternError, Places, Plan, Skipped, Status};
use crate::crashes::Store;
use crate::error::{Failure, plain};
use crate::handler::{self, Via};
use crate::report::escape::{Escaping, escaped};

/// How the pattern names them; it has little room.
const STORE: &str = "-s";
const CONFIG: &str = "-c";

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
    options.extend(arguments.hold.map(|hold| format!("-t{}", values::briefly(hold))));
    options.extend(arguments.parallel.map(|parallel| format!("-p{parallel}")));
    for (name, path) in [(STORE, &arguments.store), (CONFIG, &arguments.config)] {
        let Some(path) = path else { continue };
        let path = std::path::absolute(path).map_err(|error| Failure::file("use", path, &error))?;
        let text = path
            .to_str()
            .ok_or_else(|| Failure::usage(format!("the path {} is no UTF-8", path.display())))?;
        options.push(format!("{name}{text}"));
    }
    let (_, problems) = settings::read(arguments.config.as_ref());
    if !problems.is_empty() {
        let failure = Failure::new("cannot install with settings that are wrong:").list(problems);
        return Err(failure.advise("mend them, and try again"));
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
    let mut status = core_pattern::status(places).map_err(failure)?;
    if status.owner == Owner::Threaddump {
        let (_, problems) = settings::read(named(&status.pattern, CONFIG).as_ref());
        status.faults.extend(problems);
    }
    handler::count_abandoned();
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
    if let Some(file) = named(&status.pattern, CONFIG) {
        line("settings", file.display().to_string());
    }
    let lost = handler::lost(&store(status));
    if let Some(latest) = &lost.latest {
        let list = store(status).join(handler::LIST_OF_LOST);
        let count = crashes(lost.count);
        line("lost", format!("{count}, listed in {}; the latest: {}", list.display(), latest.sentence()));
    }
    if let Some(skipped) = core_pattern::skipped().as_ref().and_then(skipped) {
        line("skipped", skipped);
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
    named(&status.pattern, STORE).unwrap_or_else(|| Store::system_path().to_owned())
}

/// A path that the pattern names.
fn named(pattern: &str, option: &str) -> Option<PathBuf> {
    let mut words = pattern.split_ascii_whitespace().skip_while(|&word| word != "handle-core");
    words.find_map(|word| word.strip_prefix(option)).map(PathBuf::from)
}

/// What the kernel has skipped, in words.
pub(super) fn skipped(skipped: &Skipped) -> Option<String> {
    let more = if skipped.more { " or more (the kernel tells with the next one)" } else { "" };
    let count = crashes(skipped.count);
    (skipped.count > 0)
        .then(|| format!("{count}{more} over kernel.core_pipe_limit, by the log of the kernel"))
}

pub(super) fn crashes(count: u64) -> String {
    format!("{count} {}", if count == 1 { "crash" } else { "crashes" })
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
