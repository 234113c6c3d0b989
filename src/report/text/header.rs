//! What was dumped, how, and what is missing.
use std::io::{self, Write};

use super::words;
use crate::report::style::Role;
use crate::report::{Process, Report, Style};
use crate::snapshot::{Problem, Source};

/// Longer command lines are cut.
const COMMAND: usize = 300;
/// Threads that are listed as incomplete, and problems that are listed in the header.
const LISTED: usize = 20;

pub(super) fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    title(report, style, out)?;
    let process = &report.process;
    if let Some(exe) = &process.exe {
        line("program", style.text(exe), style, out)?;
    }
    let command = command_line(&process.cmdline);
    if process.exe.as_ref() != Some(&command) && !command.is_empty() {
        line("command", style.text(&command), style, out)?;
    }
    let identity = identity(process);
    if !identity.is_empty() {
        line("process", style.text(&identity), style, out)?;
    }
    line("system", style.text(&system(process)), style, out)?;
    line("captured", style.text(&capture(report)), style, out)?;
    if let Some(reason) = report.fallback_reason.as_ref().filter(|_| report.source != Source::Relay) {
        line("because", style.text(reason), style, out)?;
    }
    if let Some(advice) = &report.fallback_advice {
        line("advice", style.text(advice), style, out)?;
    }
    if let Some(signal) = &report.signal {
        line("signal", style.text(&words::signal(signal)), style, out)?;
    }
    Ok(())
}

/// What is missing, which is known when everything was looked up.
pub(super) fn write_problems(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    missing(report, style, out)?;
    problems(&report.problems, style, out)
}

fn title(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let process = &report.process;
    let threads = words::count(report.threads.len(), "thread");
    let title = format!("{} (pid {}): {threads}", process.name, process.pid);
    writeln!(out, "{}", style.name(Role::Title, &title))
}

fn line(label: &str, text: impl std::fmt::Display, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {} {text}", style.paint(Role::Quiet, format_args!("{label:<8}")))
}

/// Arguments as one would type them, nearly: quotes show where one ends.
fn command_line(arguments: &[String]) -> String {
    // A program that writes a title over its arguments leaves many empty ones behind.
    let used = arguments.iter().rposition(|argument| !argument.is_empty()).map_or(0, |last| last + 1);
    let arguments = if arguments.len() - used > 1 { &arguments[..used] } else { arguments };
    let quoted = arguments.iter().map(|argument| {
        let plain = !argument.is_empty() && !argument.contains([' ', '\'', '"']);
        if plain || arguments.len() == 1 {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    });
    // Processes may have megabytes of arguments.
    let mut text = String::new();
    for argument in quoted {
        if !text.is_empty() {
            text.push(' ');
        }
        text += &words::limited(&argument, COMMAND);
        if text.chars().count() > COMMAND {
            break;
        }
    }
    words::limited(&text, COMMAND)
}

fn identity(process: &Process) -> String {
    let mut parts = Vec::new();
    if let Some(time) = &process.start_time {
        parts.push(format!("started {}", words::seconds(time)));
    }
    parts.extend(process.uid.map(|uid| format!("user {uid}")));
    parts.extend(process.ppid.map(|ppid| format!("parent {ppid}")));
    let inner = process.ns_pid.filter(|&inner| inner != process.pid.0);
    parts.extend(inner.map(|inner| format!("pid {inner} in its namespace")));
    parts.extend(process.tracer.as_ref().map(|tracer| format!("traced by {} ({})", tracer.pid, tracer.name)));
    parts.join(", ")
}

fn system(process: &Process) -> String {
    let mut parts = vec![process.arch.to_owned()];
    parts.extend(process.kernel.as_ref().map(|kernel| format!("Linux {kernel}")));
    let group = process.cgroup.as_deref().filter(|group| *group != "/");
    parts.extend(group.map(|group| format!("cgroup {group}")));
    parts.join(", ")
}

fn capture(report: &Report) -> String {
    let how = match report.source {
        Source::Ptrace => "by ptrace",
        Source::Proc => "from /proc",
        Source::Relay => "via relay",
        Source::Core => return format!("{} in a core file", words::time(&report.captured_at)),
    };
    let held = match report.pause_ns {
        Some(ns) => format!("held for {}", words::duration(ns)),
        None => "nothing was stopped".to_owned(),
    };
    let why = report.fallback_reason.as_ref().filter(|_| report.source == Source::Relay);
    let why = why.map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{} {how}{why}, {held}", words::time(&report.captured_at))
}

fn missing(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let threads: Vec<String> = report.incomplete_threads().map(|thread| thread.tid.to_string()).collect();
    if threads.is_empty() {
        let text = "incomplete: threads are missing";
        return if report.complete {
            Ok(())
        } else {
            writeln!(out, "  {}", style.paint(Role::Warning, text))
        };
    }
    let listed = threads[..threads.len().min(LISTED)].join(", ");
    let more = threads.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {} more", words::grouped(more)) } else { String::new() };
    let of = words::count(report.threads.len(), "thread");
    let text = format!("incomplete: {} of {of}: {listed}{more}", words::grouped(threads.len()));
    writeln!(out, "  {}", style.paint(Role::Warning, text.as_str()))
}

fn problems(problems: &[Problem], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    for problem in problems.iter().take(LISTED) {
        problem_line(problem, style, out)?;
    }
    let more = problems.len().saturating_sub(LISTED);
    if more > 0 {
        writeln!(out, "  note: {} more are in the JSON output", words::count(more, "problem"))?;
    }
    Ok(())
}

/// One problem, as it is shown for a process and for a thread.
pub(super) fn problem_line(problem: &Problem, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {} {}", style.paint(Role::Warning, "note:"), style.text(&problem.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str]) -> String {
        command_line(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<String>>())
    }

    #[test]
    fn arguments_are_quoted_where_that_tells_them_apart() {
        assert_eq!(line(&["sh", "-c", "a b", "", "it's"]), "sh -c 'a b' '' 'it'\\''s'");
        assert_eq!(line(&["nginx: worker process"]), "nginx: worker process");
        assert_eq!(line(&["redis-server *:6379", "", "", ""]), "redis-server *:6379");
        assert_eq!(line(&[]), "");
    }

    #[test]
    fn a_long_command_line_is_cut() {
        let long = "x".repeat(1 << 20);
        assert_eq!(line(&[&long, &long]).chars().count(), COMMAND + 1);
        assert_eq!(line(&["y"; 10_000]).chars().count(), COMMAND + 1);
    }
}
