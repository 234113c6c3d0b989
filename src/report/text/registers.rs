//! Registers, four to a line, in columns.
use std::io::{self, Write};

use crate::report::style::Role;
use crate::report::{Hex, Style};

const COLUMNS: usize = 4;
/// `0x` and sixteen digits.
const VALUE: usize = 18;

type Named = (&'static str, Hex);

pub(super) fn write(registers: &[Named], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let names = registers.iter().skip(column).step_by(COLUMNS).map(|(name, _)| name.len());
        names.max().unwrap_or(0)
    });
    for row in registers.chunks(COLUMNS) {
        write!(out, " ")?;
        for (column, (&(name, value), width)) in row.iter().zip(widths).enumerate() {
            let last = column + 1 == row.len();
            // No blanks at the end of a line.
            let padding = if last { 0 } else { VALUE };
            let name = format!("{name:<width$}");
            let value = format!("{:#x}", value.0);
            write!(out, " {} {value:<padding$}", style.paint(Role::Quiet, name.as_str()))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
