//! JSON, schema `threaddump/1`.
use std::io::{self, Write};

use super::Report;

/// Writes one report as one object, on one line.
///
/// # Errors
/// What `out` gives.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    out.write_all(b"\n")
}
