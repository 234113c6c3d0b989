//! Text for people: a header that says what, how and what is missing, then thread by thread. Read
//! without a manual, so everything unusual is said in words.
mod frames;
mod header;
mod registers;
mod thread;
pub(crate) mod words;

use std::io::{self, Write};

use super::{Report, Style};

/// Writes the report as text.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    write_head(report, style, out)?;
    write_rest(report, style, out)
}

/// Writes the first lines, for which an [`outline`](super::outline) is enough.
///
/// # Errors
/// Those of `out`.
pub fn write_head(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    header::write(report, style, out)
}

/// Writes what follows [`write_head`].
///
/// # Errors
/// Those of `out`.
pub fn write_rest(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    header::write_problems(report, style, out)?;
    for thread in &report.threads {
        writeln!(out)?;
        thread::write(thread, report.signal.as_ref(), style, out)?;
    }
    Ok(())
}
