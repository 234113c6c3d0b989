//! One thread: what it is doing, its frames, its registers.
use std::io::{self, Write};

use super::{frames, header, registers, words};
use crate::report::style::Role;
use crate::report::{Signal, Style, Thread};

pub(super) fn write(
    thread: &Thread,
    signal: Option<&Signal>,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    // A quote in a name would seem to end it.
    let name = match &thread.name {
        None => "name unknown".to_owned(),
        Some(known) => format!("\"{}\"", known.replace('"', "\\\"")),
    };
    let inner = thread.ns_tid.filter(|&inner| inner != thread.tid.0);
    let inner = inner.map(|inner| format!(", {inner} in its namespace")).unwrap_or_default();
    let title = format!("thread {} (tid {}{inner}) {name}:", thread.index, thread.tid);
    write!(out, "{} ", style.name(Role::Title, &title))?;
    match signal.filter(|signal| signal.tid == Some(thread.tid)) {
        Some(signal) => write!(out, "{}", style.paint(Role::Warning, format_args!("got {}", signal.name)))?,
        None => write!(out, "{}", words::doing(thread))?,
    }
    let facts = words::facts(thread);
    let comma = if facts.is_empty() { "" } else { ", " };
    writeln!(out, "{comma}{}", style.text(&facts))?;
    for function in thread.kernel_stack.iter().flatten() {
        writeln!(out, "  {} {}", style.paint(Role::Quiet, "kernel"), style.text(function))?;
    }
    frames::write(thread, style, out)?;
    if let Some(why) = words::end(thread) {
        let label = if thread.frames.is_empty() { "no stack:" } else { "stack incomplete:" };
        writeln!(out, "  {} {}", style.paint(Role::Warning, label), style.text(&why))?;
    }
    for problem in &thread.problems {
        header::problem_line(problem, style, out)?;
    }
    registers::write(&thread.registers, style, out)
}
