//! The report of a crash, as it was stored.
use std::io::{self, BufWriter, IsTerminal, Read, Write};

use super::stores::Stores;
use crate::cli::Exit;
use crate::cli::args::{CrashesFormat, ShowArgs};
use crate::crashes::{Kind, Limits};
use crate::error::{Failure, plain};
use crate::report::escape::{Escaping, escaped, readable};

/// No report is longer, in bytes; what is may have been put there to fill a terminal or a disk.
const LONGEST: u64 = 256 << 20;
const PIECE: usize = 1 << 16;

/// Why a document was not copied.
enum Trouble {
    Read(io::Error),
    Write(io::Error),
}

pub(super) fn run(arguments: &ShowArgs) -> Result<Exit, Failure> {
    let stores = Stores::open(&arguments.store, Limits::default())?;
    let found = stores.list()?;
    let chosen = found.choose(&arguments.id)?;
    let one = chosen.first().ok_or_else(|| Failure::new(format!("no crash {}", arguments.id)))?;
    let seen = if arguments.first { &one.crash.first } else { &one.crash.latest };
    let kind = match arguments.format {
        CrashesFormat::Text => Kind::Text,
        CrashesFormat::Json => Kind::Json,
    };
    let file = one.store.document(&one.crash, seen, kind).map_err(|error| Failure::from(&error))?;
    let stdout = io::stdout();
    let escaping = if stdout.is_terminal() { Escaping::Terminal } else { Escaping::Lines };
    let mut out = BufWriter::with_capacity(PIECE, stdout.lock());
    match copy(&mut file.take(LONGEST), escaping, &mut out) {
        Ok(()) => {}
        Err(Trouble::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(Trouble::Write(error)) => {
            return Err(Failure::new(format!("cannot write to standard output: {}", plain(&error))));
        }
        Err(Trouble::Read(error)) => {
            return Err(Failure::new(format!("cannot read crash {}: {}", one.crash.id, plain(&error))));
        }
    }
    Ok(if seen.facts.complete { Exit::Complete } else { Exit::Incomplete })
}

/// Copies a text, but nothing of it that a terminal would obey: the user whose crash it is may have written it.
fn copy(input: &mut dyn Read, escaping: Escaping, out: &mut dyn Write) -> Result<(), Trouble> {
    let mut buffer = vec![0; PIECE];
    // Bytes of a character that goes on in the next piece.
    let mut kept = 0;
    loop {
        let count = match input.read(&mut buffer[kept..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count.map_err(Trouble::Read)?,
        };
        let held = kept + count;
        let end = if count == 0 { held } else { whole(&buffer[..held]) };
        write(&readable(&buffer[..end]), escaping, out).map_err(Trouble::Write)?;
        if count == 0 {
            return out.flush().map_err(Trouble::Write);
        }
        buffer.copy_within(end..held, 0);
        kept = held - end;
    }
}

/// How many bytes do not end within a character.
fn whole(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) => bytes.len(),
        // What is wrong is told as it is; its end may be within a character all the same.
        Err(_) => {
            let start = bytes.len() - bytes.len().min(3);
            let last = (start..bytes.len()).rev().find(|&at| bytes[at] >= 0xc0);
            last.filter(|&at| {
                std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none())
            })
            .unwrap_or(bytes.len())
        }
    }
}

fn write(text: &str, escaping: Escaping, out: &mut dyn Write) -> io::Result<()> {
    for piece in text.split_inclusive(['\n', '\t']) {
        match piece.as_bytes().last() {
            Some(&last @ (b'\n' | b'\t')) => {
                write!(out, "{}", escaped(&piece[..piece.len() - 1], escaping))?;
                out.write_all(&[last])?;
            }
            _ => write!(out, "{}", escaped(piece, escaping))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((&first, rest)) = self.0.split_first() else { return Ok(0) };
            self.0 = rest;
            buffer[0] = first;
            Ok(1)
        }
    }

    fn copied(mut input: impl Read) -> String {
        let mut out = Vec::new();
        assert!(copy(&mut input, Escaping::Terminal, &mut out).is_ok(), "memory takes everything");
        String::from_utf8(out).expect("it is text")
    }

    #[test]
    fn a_report_comes_out_as_it_is() {
        let text = "thread 1 \"größe\"\n\t#0  日本  at x.c:3\n";
        assert_eq!(copied(text.as_bytes()), text);
        assert_eq!(copied(Slow(text.as_bytes())), text);
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(copied(&b"a\x1b[2J\xff\r\n"[..]), "a\\e[2J\\xff\\r\n");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in ".{0,20}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let whole = copied(bytes);
                let hidden = |character| !matches!(character, '\n' | '\t') && Escaping::Terminal.hides(character);
                prop_assert!(!whole.chars().any(hidden));
                if std::str::from_utf8(bytes).is_ok() {
                    prop_assert_eq!(&copied(Slow(bytes)), &whole);
                }
            }
        }
    }
}
