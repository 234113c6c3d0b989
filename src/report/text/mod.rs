//! Text for people: a header that says what, how and what is missing, then thread by thread. Read
//! without a manual, so everything unusual is said in words.
mod frames;
mod header;
mod registers;
mod thread;
mod words;

use std::io::{self, Write};

use super::{Report, Style};

/// Writes the report as text.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    header::write(report, style, out)?;
    for thread in &report.threads {
        writeln!(out)?;
        thread::write(thread, report.signal.as_ref(), style, out)?;
    }
    Ok(())
}
