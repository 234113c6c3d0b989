//! The frames of a thread.
use std::io::{self, Write};

use super::words;
use crate::report::style::Role;
use crate::report::{Frame, SourceLine, Style, Thread};

/// `0x` and sixteen digits.
const ADDRESS: usize = 18;

pub(super) fn write(thread: &Thread, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let digits = thread.frames.last().map_or(1, |frame| frame.index.to_string().len());
    for (place, frame) in thread.frames.iter().enumerate() {
        gap(thread, place, style, out)?;
        line(frame, digits, style, out)?;
        source(frame, style, out)?;
    }
    gap(thread, thread.frames.len(), style, out)
}

fn gap(thread: &Thread, place: usize, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let Some(omitted) = thread.omitted.filter(|omitted| omitted.before == place) else { return Ok(()) };
    let count = words::count(omitted.count, "frame");
    let text = format!("… {count} left out (--max-frames 0 shows all) …");
    writeln!(out, "     {}", style.paint(Role::Warning, text.as_str()))
}

fn line(frame: &Frame, digits: usize, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let index = format!("#{}", frame.index);
    let place = place(frame);
    write!(
        out,
        "  {index:<digits$}  {}",
        style.paint(Role::Quiet, format_args!("{place:<ADDRESS$}")),
        digits = digits + 1
    )?;
    write!(out, " ")?;
    name(frame, style, out)?;
    if let Some(file) = &frame.file {
        let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
        write!(out, "  at {}", style.name(Role::Source, &format!("{file}{line}")))?;
    }
    if let (Some(_), Some(module), false) = (&frame.function, &frame.module, frame.inlined) {
        write!(out, "  in {}", style.text(words::base_name(module)))?;
    } else if frame.function_from == Some("perf_map") {
        write!(out, "  in {}", style.paint(Role::Quiet, "[perf map]"))?;
    }
    if let Some(signed) = frame.signed_pc.filter(|_| !frame.inlined) {
        write!(out, "  {}", style.paint(Role::Quiet, format_args!("(signed {:#018x})", signed.0)))?;
    }
    if let Some(how) = words::how(frame.how).filter(|_| !frame.inlined) {
        write!(out, "  {}", style.paint(Role::Warning, format_args!("[{how}]")))?;
    }
    writeln!(out)
}

/// Lines of the source file, the frame's own marked.
fn source(frame: &Frame, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let lines = frame.source.as_deref().unwrap_or_default();
    let digits = lines.last().map_or(1, |line| line.line.to_string().len());
    for SourceLine { line, text } in lines {
        let is_own = frame.line == Some(*line);
        let role = if is_own { Role::Source } else { Role::Quiet };
        let mark = if is_own { '>' } else { ' ' };
        write!(out, "     {}", style.paint(role, format_args!("{mark} {line:digits$} |")))?;
        let text = words::without_tabs(text);
        match text.trim_end() {
            "" => writeln!(out)?,
            text => writeln!(out, " {}", style.text(text))?,
        }
    }
    Ok(())
}

/// The pc, or for an inlined function the frame it is part of.
fn place(frame: &Frame) -> String {
    if frame.inlined {
        format!("inlined into #{}", frame.index.saturating_add(1))
    } else {
        format!("{:#018x}", frame.pc.0)
    }
}

fn name(frame: &Frame, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if let Some(function) = &frame.function {
        write!(out, "{}", style.name(Role::Function, function))?;
        return match frame.function_offset {
            Some(offset) => write!(out, "+{offset:#x}"),
            None => Ok(()),
        };
    }
    let Some(module) = &frame.module else { return write!(out, "?? (no module)") };
    let module = style.text(words::base_name(module));
    match frame.module_offset {
        Some(offset) => write!(out, "{module}+{:#x}", offset.0)?,
        None => write!(out, "?? in {module}")?,
    }
    match &frame.build_id {
        Some(id) => write!(out, "  {}", style.paint(Role::Quiet, format_args!("(build ID {id})"))),
        None => Ok(()),
    }
}
