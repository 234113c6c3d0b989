//! Naming a text afterwards: frames that are only places in modules get their functions, inlined callers and
//! source lines. Every other line passes through as it is.
mod frames;
mod modules;
mod parse;

use std::io::{self, BufRead, Read, Write};

use typed_arena::Arena;

use crate::images::{ImageOptions, Images, Store};
use crate::report::Style;
use crate::symbolize::SymbolOptions;
use frames::{Counts, Line, Namer};
use modules::Modules;

/// A longer line is no frame, in bytes. Paths have up to 4,096.
const MAX_LINE: u64 = 16 << 10;
/// So much of a text is looked at together, in bytes: symbols are found faster for many places at once.
const CHUNK: usize = 1 << 20;

/// How to name.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which names to look up.
    pub symbols: SymbolOptions,
    /// Where debug files are.
    pub images: ImageOptions,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames that were places in modules.
    pub frames: usize,
    /// Those of them that have a function now.
    pub named: usize,
}

/// What could not be gone on with.
#[derive(Debug)]
pub enum NamingError {
    /// The text cannot be read.
    Input(io::Error),
    /// It cannot be written.
    Output(io::Error),
}

/// Copies a text, and names its frames.
///
/// # Errors
/// Those of `input` and `out`.
pub fn name(
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    options: &Options,
    style: &Style,
) -> Result<Summary, NamingError> {
    let store = Store::new();
    let arena: Arena<Images<'_>> = Arena::new();
    let mut namer = Namer::new(Modules::new(&store, &arena, options), *style);
    let mut counts = Counts::default();
    let mut last: Option<Line> = None;
    loop {
        let (mut lines, is_end) = chunk(input, last.take()).map_err(NamingError::Input)?;
        if !is_end {
            // It may belong to the one that comes next.
            last = lines.pop();
        }
        namer.write(lines, &mut counts, out).map_err(NamingError::Output)?;
        if is_end {
            out.flush().map_err(NamingError::Output)?;
            return Ok(Summary { frames: counts.frames, named: counts.named });
        }
    }
}

/// Lines up to the size of a chunk, and whether they are the last.
fn chunk(input: &mut dyn BufRead, first: Option<Line>) -> io::Result<(Vec<Line>, bool)> {
    let mut lines: Vec<Line> = first.into_iter().collect();
    let mut size = 0;
    while size < CHUNK {
        let mut bytes = Vec::new();
        let mut part = input.take(MAX_LINE);
        if part.read_until(b'\n', &mut bytes)? == 0 {
            return Ok((lines, true));
        }
        size += bytes.len() + size_of::<Line>();
        // The rest of a long line is not taken for a line.
        let continues = lines.last().is_some_and(|line| !line.is_ended());
        lines.push(Line::new(bytes, continues));
    }
    Ok((lines, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let summary = name(&mut &text[..], &mut out, &Options::default(), &Style::PLAIN).expect("memory");
        assert_eq!(summary.named, 0);
        out
    }

    #[test]
    fn what_is_no_frame_passes_byte_for_byte() {
        let long = [b"\t/x+0x1 (00) pc=0x1".repeat(3000), b"\n\xff\xfe\0\r\n\n".to_vec()].concat();
        for text in [&b""[..], b"\n", b"no newline at the end", b"a\r\n\tb\n", &long] {
            assert_eq!(passed(text), text);
        }
        let large: Vec<u8> =
            (0..200_000).flat_map(|n| format!("f{n}(...)\n\t? pc=0x{n:x}\n").into_bytes()).collect();
        assert_eq!(passed(&large), large);
    }

    #[test]
    fn frames_of_files_that_are_not_there_pass_too() {
        let text =
            b"f(...)\n\t/nonexistent+0x12 (0011) +0x2 sp=0x1 pc=0x2\n  #0  0x1 x+0x1  (build ID 0011)\n";
        assert_eq!(passed(text), text);
    }
}
