//! From lines to frames, and from frames with their names to lines.
use std::io::{self, Write};

use super::modules::{Found, Modules};
use super::parse::{self, Location, Place, TextFrame};
use crate::report::Style;
use crate::symbolize::Named;

/// What a function line of Go's shape ends with.
const ARGUMENTS: &[u8] = b"(...)";
/// Functions that return from a signal handler.
const TRAMPOLINES: [&[u8]; 3] = [b"__restore_rt(...)", b"__restore(...)", b"__kernel_rt_sigreturn(...)"];

/// A line of the text.
#[derive(Debug)]
pub(super) struct Line {
    bytes: Vec<u8>,
    /// Whether it is the rest of a line that was too long.
    continues: bool,
}

/// How many frames there were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) frames: usize,
    pub(super) named: usize,
}

impl Line {
    pub(super) fn new(bytes: Vec<u8>, continues: bool) -> Line {
        Line { bytes, continues }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.bytes.ends_with(b"\n")
    }

    /// Its text, if it can be a frame.
    fn text(&self) -> Option<&[u8]> {
        if self.continues {
            return None;
        }
        Some(self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes))
    }

    fn end(&self) -> &[u8] {
        if self.is_ended() { b"\n" } else { b"" }
    }
}

/// A part of the text.
enum Part {
    Line(Line),
    /// The two lines of a frame in Go's shape.
    Go {
        function: Line,
        second: Line,
        location: Location,
        exact: bool,
    },
    Text {
        line: Line,
        frame: TextFrame,
    },
}

/// Names the frames of a text, one chunk after the other.
pub(super) struct Namer<'i, 's> {
    modules: Modules<'i, 's>,
    style: Style,
    /// Whether the next frame in Go's shape is called from nowhere: it is the first, or was interrupted.
    next_is_exact: bool,
}

impl<'i, 's> Namer<'i, 's> {
    pub(super) fn new(modules: Modules<'i, 's>, style: Style) -> Namer<'i, 's> {
        Namer { modules, style, next_is_exact: true }
    }

    /// Writes lines, with names.
    pub(super) fn write(
        &mut self,
        lines: Vec<Line>,
        counts: &mut Counts,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let parts = self.parts(lines);
        let places = parts.iter().filter_map(|part| match part {
            Part::Line(_) => None,
            Part::Go { location, exact, .. } => Some((&location.place, lookup(&location.place, *exact))),
            Part::Text { frame, .. } => Some((&frame.place, lookup(&frame.place, frame.exact))),
        });
        self.modules.prepare(places);
        for part in parts {
            let written = match &part {
                Part::Line(line) => {
                    out.write_all(&line.bytes)?;
                    continue;
                }
                Part::Go { second, location, exact, .. } => {
                    match self.modules.find(&location.place, lookup(&location.place, *exact)) {
                        Some(found) => self.go(location, &found, second, out)?,
                        None => false,
                    }
                }
                Part::Text { line, frame } => {
                    match self.modules.find(&frame.place, lookup(&frame.place, frame.exact)) {
                        Some(found) => self.text(frame, &found, line, out)?,
                        None => false,
                    }
                }
            };
            counts.frames += 1;
            match (&part, written) {
                (_, true) => counts.named += 1,
                (Part::Go { function, second, .. }, false) => {
                    out.write_all(&function.bytes)?;
                    out.write_all(&second.bytes)?;
                }
                (Part::Text { line, .. } | Part::Line(line), false) => out.write_all(&line.bytes)?,
            }
        }
        Ok(())
    }

    fn parts(&mut self, lines: Vec<Line>) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::with_capacity(lines.len());
        for line in lines {
            let Some(text) = line.text() else {
                parts.push(Part::Line(line));
                continue;
            };
            let location = parse::location(text);
            if let (Some(location), Some(Part::Line(before))) = (location, parts.last())
                && before.text().is_some_and(|text| text.ends_with(ARGUMENTS))
                && let Some(Part::Line(function)) = parts.pop()
            {
                let is_trampoline = is_trampoline(&function) || self.modules.is_trampoline(&location.place);
                let exact = self.next_is_exact || is_trampoline;
                self.next_is_exact = is_trampoline;
                parts.push(Part::Go { function, second: line, location, exact });
            } else if let Some(frame) = parse::text_frame(text) {
                parts.push(Part::Text { line, frame });
            } else {
                self.next_is_exact = self.is_exact_after(text, parts.last());
                parts.push(Part::Line(line));
            }
        }
        parts
    }

    /// Whether the next frame is called from nowhere, after a line that is no frame without names.
    fn is_exact_after(&self, text: &[u8], before: Option<&Part>) -> bool {
        match (text.first(), before) {
            // The place of a frame that has its names already; inlined ones are no frames of their own.
            (Some(b'\t'), Some(Part::Line(function))) if !is_inlined(text) => is_trampoline(function),
            // A function, whose place comes next, or frames that are left out.
            (Some(b'\t' | b'.'), _) => self.next_is_exact,
            _ if text.ends_with(ARGUMENTS) => self.next_is_exact,
            _ => true,
        }
    }

    /// Whether there was a function to write.
    fn go(&self, location: &Location, found: &Found, second: &Line, out: &mut dyn Write) -> io::Result<bool> {
        let Some((outer, inlined)) = split(&found.named) else { return Ok(false) };
        for named in inlined {
            let function = named.function.as_deref().unwrap_or("??");
            writeln!(
                out,
                "{}(...)\n\t{}",
                self.style.text(function),
                self.source(named).as_deref().unwrap_or("?")
            )?;
        }
        let Some(function) = &outer.function else { return Ok(false) };
        write!(out, "{}(...)\n\t", self.style.text(function))?;
        match self.source(outer) {
            Some(source) => out.write_all(source.as_bytes())?,
            None => out.write_all(&location.head)?,
        }
        match offset_in(outer, found, &location.place) {
            Some(after) => write!(out, " +{after:#x}")?,
            None => out.write_all(location.after.as_deref().unwrap_or_default())?,
        }
        out.write_all(&location.tail)?;
        out.write_all(second.end())?;
        Ok(true)
    }

    fn text(&self, frame: &TextFrame, found: &Found, line: &Line, out: &mut dyn Write) -> io::Result<bool> {
        let Some((outer, inlined)) = split(&found.named) else { return Ok(false) };
        for named in inlined {
            // Without a number: those of the other frames stay as they are.
            let function = named.function.as_deref().unwrap_or("??");
            write!(out, "      inlined into the next  {}", self.style.text(function))?;
            if let Some(source) = self.source(named) {
                write!(out, "  at {source}")?;
            }
            writeln!(out)?;
        }
        let Some(function) = &outer.function else { return Ok(false) };
        out.write_all(&frame.head)?;
        write!(out, "{}", self.style.text(function))?;
        if let Some(after) = offset_in(outer, found, &frame.place) {
            write!(out, "+{after:#x}")?;
        }
        if let Some(source) = self.source(outer) {
            write!(out, "  at {source}")?;
        }
        out.write_all(b"  in ")?;
        out.write_all(&frame.place.path)?;
        out.write_all(&frame.tail)?;
        out.write_all(line.end())?;
        Ok(true)
    }

    /// `FILE:LINE`, made harmless.
    fn source(&self, named: &Named) -> Option<String> {
        let file = named.file.as_deref()?;
        let line = named.line.map_or(String::new(), |line| format!(":{line}"));
        Some(format!("{}{line}", self.style.text(file)))
    }
}

/// The function that was compiled, and those that were inlined into it; `None` without a name of the first.
fn split(named: &[Named]) -> Option<(&Named, &[Named])> {
    let (outer, inlined) = named.split_last()?;
    (outer.function.is_some() && !outer.inlined).then_some((outer, inlined))
}

fn offset_in(named: &Named, found: &Found, place: &Place) -> Option<u64> {
    place.offset.wrapping_add(found.bias).checked_sub(named.function_start?)
}

/// Names of a caller are those of its call, which is before the address it returns to.
fn lookup(place: &Place, exact: bool) -> u64 {
    place.offset.wrapping_sub(u64::from(!exact))
}

fn is_trampoline(function: &Line) -> bool {
    function.text().is_some_and(|text| TRAMPOLINES.contains(&text))
}

/// Whether the place of a frame with names is a source line alone.
fn is_inlined(text: &[u8]) -> bool {
    !text.windows(4).any(|window| window == b" pc=")
}
