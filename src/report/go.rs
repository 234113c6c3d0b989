//! The shape of what a Go program prints when it crashes under GOTRACEBACK=crash: a block for each
//! thread, the one at fault first, with its frames and its registers one to a line.
//!
//! Threads that received no signal are shown as Go shows those that were asked by another thread: with
//! SIGQUIT and the code 0.
use std::io::{self, Write};

use threaddump_arch::SIGNALS;

use super::text::words;
use super::{END_NOT_STOPPED, END_RUNNING, Frame, Report, Signal, Style, Thread};

/// What is between two blocks.
const BETWEEN: &str = "\n-----\n\n";

/// Signals that have an address.
const WITH_ADDRESS: [i32; 2] = [nix::libc::SIGSEGV, nix::libc::SIGBUS];

/// Writes the report in Go's shape.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let culprit = report.signal.as_ref().and_then(|signal| signal.tid);
    let mut threads: Vec<&Thread> = report.threads.iter().collect();
    threads.sort_by_key(|thread| (Some(thread.tid) != culprit, thread.index));
    for (place, thread) in threads.into_iter().enumerate() {
        if place > 0 {
            out.write_all(BETWEEN.as_bytes())?;
        }
        let signal = report.signal.as_ref().filter(|_| culprit == Some(thread.tid));
        block(thread, signal, style, out)?;
    }
    Ok(())
}

fn block(thread: &Thread, signal: Option<&Signal>, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let name = thread.name.as_deref().unwrap_or_default().replace('\\', "\\\\").replace('"', "\\\"");
    let label = format!("thread {} [tid {}, \"{name}\"]:", thread.index, thread.tid);
    let label = style.text(&label);
    match thread.frames.iter().find(|frame| !frame.inlined) {
        Some(innermost) => {
            let (number, code, address) = signal.map_or((nix::libc::SIGQUIT, Some(0), None), |signal| {
                (signal.number, signal.code, signal.address)
            });
            signal_line(number, out)?;
            write!(out, "PC={:#x} m={}", innermost.pc.0, thread.index)?;
            if let Some(code) = code {
                write!(out, " sigcode={code}")?;
            }
            if let Some(address) = address.filter(|_| WITH_ADDRESS.contains(&number)) {
                write!(out, " addr={:#x}", address.0)?;
            }
            writeln!(out, "\n\n{label}")?;
        }
        None => writeln!(out, "{label} not reached: {}", style.text(&not_reached(thread)))?,
    }
    for (place, frame) in thread.frames.iter().enumerate() {
        gap(thread, place, out)?;
        frame_lines(frame, style, out)?;
    }
    gap(thread, thread.frames.len(), out)?;
    if let Some(why) = words::end(thread).filter(|_| !thread.frames.is_empty()) {
        writeln!(out, "...the walk ends here: {}...", style.text(&why))?;
    }
    for (name, value) in &thread.registers {
        writeln!(out, "{name:<6} {:#x}", value.0)?;
    }
    Ok(())
}

fn signal_line(number: i32, out: &mut dyn Write) -> io::Result<()> {
    let known = usize::try_from(number).ok().and_then(|number| SIGNALS.get(number.checked_sub(1)?));
    match known {
        Some((name, description)) => writeln!(out, "{name}: {description}"),
        None => writeln!(out, "SIG{number}: signal {number}"),
    }
}

fn not_reached(thread: &Thread) -> String {
    let why = match thread.end.as_str() {
        END_NOT_STOPPED => "it was not stopped",
        END_RUNNING => "it was running",
        other => other,
    };
    let mut text = format!("{why}; state {}", thread.state.unwrap_or('?'));
    if let Some(channel) = &thread.wait_channel {
        text += &format!(", waits in {channel}");
    }
    text
}

fn gap(thread: &Thread, place: usize, out: &mut dyn Write) -> io::Result<()> {
    match thread.omitted.filter(|omitted| omitted.before == place) {
        Some(omitted) => writeln!(out, "...{} frames elided...", omitted.count),
        None => Ok(()),
    }
}

/// The function, and on a line of its own where it is. Of an inlined one that is the source line only.
fn frame_lines(frame: &Frame, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let function = frame.function.as_deref().unwrap_or("??");
    writeln!(out, "{}(...)", style.text(function))?;
    out.write_all(b"\t")?;
    match (&frame.file, &frame.module) {
        (Some(file), _) => {
            write!(out, "{}", style.text(file))?;
            if let Some(line) = frame.line {
                write!(out, ":{line}")?;
            }
        }
        (None, Some(module)) if !frame.inlined => {
            write!(out, "{}", style.text(module))?;
            if let Some(offset) = frame.module_offset {
                write!(out, "+{:#x}", offset.0)?;
            }
            if let Some(id) = &frame.build_id {
                write!(out, " ({id})")?;
            }
        }
        _ => out.write_all(b"?")?,
    }
    if frame.inlined {
        return writeln!(out);
    }
    if let Some(offset) = frame.function_offset {
        write!(out, " +{offset:#x}")?;
    }
    writeln!(out, " pc={:#x}", frame.pc.0)
}
