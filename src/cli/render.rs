//! What live dumps and replayed ones have in common: choosing threads, and printing.
use std::io::{self, Write};
use std::path::PathBuf;

use super::Exit;
use super::args::{ColorChoice, Format, RenderArgs};
use super::output::Output;
use crate::collect::CollectError;
use crate::dump;
use crate::error::Failure;
use crate::ids::Tid;
use crate::report::{Report, ReportOptions, Style, gdb, go, json, text};
use crate::snapshot::{Problem, Snapshot};
use crate::source::SourceOptions;
use crate::symbolize::SymbolOptions;
use crate::unwind::UnwindOptions;

/// Prints reports one after the other.
#[derive(Debug)]
pub(super) struct Printer {
    output: Output,
    format: Format,
    style: Style,
    /// One JSON object per line.
    lines: bool,
    printed: bool,
    /// The first lines of the next report are out already.
    begun: bool,
    warns: bool,
}

impl RenderArgs {
    /// What to do between the snapshot and the report.
    pub(super) fn dump_options(&self) -> dump::Options {
        let mut options = dump::Options::with_debug_dirs(self.debug_dirs.iter().map(PathBuf::clone));
        options.unwind = UnwindOptions { max_frames: self.max_frames, scan: self.scan };
        options.symbols = SymbolOptions { inlines: !self.no_inline, lines: !self.no_lines };
        options.source = SourceOptions { lines: self.source.unwrap_or(0), maps: self.source_maps.clone() };
        options.report = ReportOptions { registers: !self.no_registers, signed: self.verbose };
        options
    }

    /// Says on standard error what was done.
    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            Failure::new(what()).print();
        }
    }
}

/// Leaves only the threads that were asked for, and names those that are not there.
///
/// # Errors
/// If none is there.
pub(super) fn choose(snapshot: &mut Snapshot, wanted: &[Tid]) -> Result<(), CollectError> {
    let Some(&first) = wanted.first() else { return Ok(()) };
    let pid = snapshot.process.pid;
    snapshot.threads.retain(|thread| wanted.contains(&thread.tid));
    if snapshot.threads.is_empty() {
        return Err(CollectError::NoSuchThread { pid, tid: first });
    }
    let there = |tid: &Tid| snapshot.threads.iter().any(|thread| thread.tid == *tid);
    let missing: Vec<Tid> = wanted.iter().copied().filter(|tid| !there(tid)).collect();
    let problems = missing
        .into_iter()
        .map(|tid| Problem::of_thread("attach", tid, CollectError::NoSuchThread { pid, tid }.to_string()));
    snapshot.problems.extend(problems);
    Ok(())
}

impl Printer {
    /// Opens the output. `several`: there may be more than one report.
    pub(super) fn open(arguments: &RenderArgs, several: bool) -> Result<Printer, Failure> {
        let output = Output::open(arguments.output.as_deref())?;
        let terminal = output.is_terminal();
        let style = style(arguments.color, terminal);
        let seen = terminal && arguments.format == Format::Text;
        let format = arguments.format;
        Ok(Printer {
            output,
            format,
            style,
            lines: several,
            printed: false,
            begun: false,
            warns: !seen && !arguments.quiet,
        })
    }

    /// Prints what can be said of a report before names are looked up, which may take long; only text can
    /// be begun in this way.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn begin(&mut self, outline: &Report) -> Result<(), Failure> {
        if self.format == Format::Text {
            let (style, first) = (self.style, !self.printed);
            self.output.write(|out| {
                if !first {
                    writeln!(out)?;
                }
                text::write_head(outline, &style, out)
            })?;
            (self.printed, self.begun) = (true, true);
        }
        Ok(())
    }

    /// Prints one report, or the rest of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn print(&mut self, report: &Report) -> Result<Exit, Failure> {
        let (form, first) =
            (Form { format: self.format, style: self.style, lines: self.lines }, !self.printed);
        let begun = std::mem::take(&mut self.begun);
        self.output.write(|out| match begun {
            true => text::write_rest(report, &form.style, out),
            false => form.write(report, first, out),
        })?;
        self.printed = true;
        if report.complete {
            return Ok(Exit::Complete);
        }
        if self.warns {
            warn(report);
        }
        Ok(Exit::Incomplete)
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.output.is_closed()
    }

    /// Completes the output, if there is anything in it.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if self.printed { self.output.finish() } else { Ok(()) }
    }
}

/// How reports are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) format: Format,
    pub(super) style: Style,
    /// One JSON object per line.
    pub(super) lines: bool,
}

impl Form {
    /// Writes one report. `first`: nothing is before it.
    pub(super) fn write(self, report: &Report, first: bool, out: &mut dyn Write) -> io::Result<()> {
        if !first && self.format != Format::Json {
            writeln!(out)?;
        }
        match self.format {
            Format::Text => text::write(report, &self.style, out),
            Format::Gdb => gdb::write(report, &self.style, out),
            Format::Go => go::write(report, &self.style, out),
            Format::Json if self.lines => json::write_line(report, out),
            Format::Json => json::write(report, out),
        }
    }
}

/// The style for an output that is a terminal, or is not.
pub(super) fn style(choice: ColorChoice, terminal: bool) -> Style {
    let color = match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && environment_allows_color(),
    };
    if terminal || color { Style::terminal(color) } else { Style::PLAIN }
}

/// For those who do not see the output, where every missing thread is named.
pub(super) fn warn(report: &Report) {
    let (pid, all) = (report.process.pid, report.threads.len());
    let message = match report.incomplete_threads().count() {
        0 => format!("threads of process {pid} are missing"),
        missing => {
            let (noun, verb) =
                (if all == 1 { "thread" } else { "threads" }, if missing == 1 { "is" } else { "are" });
            format!("{missing} of {all} {noun} of process {pid} {verb} incomplete")
        }
    };
    Failure::new(message).advise("the output says why").print();
}

/// <https://no-color.org>: any value but an empty one switches colours off.
fn environment_allows_color() -> bool {
    let unset = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    unset && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
