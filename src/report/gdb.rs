//! What scripts parse that were written for `thread apply all bt` of gdb: threads from the last to the
//! first, numbered from 1, and frames in gdb's words. Arguments have no values, so they are left out.
use std::io::{self, Write};

use super::text::words;
use super::{Frame, Report, Style, Thread};

/// The register that holds the number pthread_self(3) gives, where there is one.
const THREAD_POINTERS: [&str; 1] = ["fs_base"];

/// Writes the report as gdb would.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let program = report.process.exe.as_deref();
    let mut threads: Vec<&Thread> = report.threads.iter().collect();
    threads.sort_by_key(|thread| std::cmp::Reverse(thread.index));
    for thread in threads {
        thread_lines(thread, program, style, out)?;
    }
    Ok(())
}

fn thread_lines(
    thread: &Thread,
    program: Option<&str>,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let number = thread.index.saturating_add(1);
    // A quote in a name would seem to end it.
    let name = thread.name.as_deref().unwrap_or_default().replace('"', "\\\"");
    let lwp = format!("LWP {}", thread.tid);
    let pointer =
        thread.registers.iter().find(|(name, value)| THREAD_POINTERS.contains(name) && value.0 != 0);
    let id = match pointer {
        Some((_, value)) => format!("Thread {:#x} ({lwp})", value.0),
        None => lwp,
    };
    writeln!(out, "\nThread {number} ({id} \"{}\"):", style.text(&name))?;
    let mut before: Option<&Frame> = None;
    for (place, frame) in thread.frames.iter().enumerate() {
        gap(thread, place, out)?;
        let is_first = before.is_none_or(|before| !before.inlined);
        if is_trampoline(&thread.frames[place..]) {
            writeln!(out, "#{:<3}<signal handler called>", frame.index)?;
        } else {
            frame_line(frame, is_first, program, style, out)?;
        }
        before = Some(frame);
    }
    gap(thread, thread.frames.len(), out)?;
    match words::end(thread) {
        Some(why) => writeln!(out, "Backtrace stopped: {}", style.text(&why)),
        None => Ok(()),
    }
}

/// Whether the first frame is where a signal handler returns to: the next one was interrupted.
fn is_trampoline(frames: &[Frame]) -> bool {
    matches!(frames, [first, next, ..] if !first.inlined && next.how == "signal")
}

fn gap(thread: &Thread, place: usize, out: &mut dyn Write) -> io::Result<()> {
    match thread.omitted.filter(|omitted| omitted.before == place) {
        Some(omitted) => writeln!(out, "(... {} frames left out ...)", omitted.count),
        None => Ok(()),
    }
}

/// Of frames that share a pc, as inlined ones do, only the innermost shows it.
fn frame_line(
    frame: &Frame,
    is_first: bool,
    program: Option<&str>,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "#{:<3}", frame.index)?;
    if is_first {
        write!(out, "{:#018x} in ", frame.pc.0)?;
    }
    let function = match (&frame.function, &frame.file) {
        // With debug information the parameters are shown as such, and ours have no values.
        (Some(function), Some(_)) => without_parameters(function),
        (Some(function), None) => function,
        (None, _) => "??",
    };
    write!(out, "{} ()", style.text(function))?;
    match (&frame.file, &frame.module) {
        (Some(file), _) => {
            write!(out, " at {}", style.text(file))?;
            if let Some(line) = frame.line {
                write!(out, ":{line}")?;
            }
        }
        (None, Some(module)) if Some(&**module) != program && module.starts_with('/') => {
            write!(out, " from {}", style.text(module))?;
        }
        _ => {}
    }
    writeln!(out)
}

/// `a::f` of `a::f(int, b<c>) const`; names without parameters stay as they are.
fn without_parameters(name: &str) -> &str {
    let mut bare = name;
    while let Some(rest) = [" const", " volatile", " &&", " &"].iter().find_map(|end| bare.strip_suffix(end))
    {
        bare = rest;
    }
    if !bare.ends_with(')') {
        return name;
    }
    let mut depth = 0_usize;
    for (at, byte) in bare.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            let before = &bare[..at];
            let is_name = before.is_empty() || before.ends_with("operator") || before.ends_with(':');
            return if is_name { name } else { before };
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_from_names() {
        for (name, expected) in [
            ("main", "main"),
            ("A::run(std::vector<int> const&, char const*)", "A::run"),
            ("a::get() const", "a::get"),
            ("x::operator()(int) const &", "x::operator()"),
            ("(anonymous namespace)::f(int)", "(anonymous namespace)::f"),
            ("ns::(anonymous class)::f(void (*)(int))", "ns::(anonymous class)::f"),
            ("<fn() as core::ops::FnOnce<()>>::call_once", "<fn() as core::ops::FnOnce<()>>::call_once"),
            ("operator()", "operator()"),
            (")", ")"),
            ("(x)", "(x)"),
        ] {
            assert_eq!(without_parameters(name), expected, "{name}");
        }
    }
}
