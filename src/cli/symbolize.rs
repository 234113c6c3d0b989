//! Naming the frames of a text afterwards.
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::Exit;
use super::args::SymbolizeArgs;
use super::output::Output;
use crate::error::{Failure, plain};
use crate::images::ImageOptions;
use crate::naming::{NamingError, Options, Summary, name};
use crate::report::Style;
use crate::symbolize::SymbolOptions;

pub(super) fn run(arguments: &SymbolizeArgs) -> Result<Exit, Failure> {
    let path = arguments.file.as_deref().filter(|path| path.as_os_str() != "-");
    let mut input: Box<dyn BufRead> = match path {
        None => Box::new(io::stdin().lock()),
        Some(path) => {
            let file = File::open(path).map_err(|error| Failure::file("open", path, &error))?;
            Box::new(BufReader::new(file))
        }
    };
    let mut output = Output::open(arguments.output.as_deref())?;
    let style = if output.is_terminal() { Style::terminal(false) } else { Style::PLAIN };
    let mut images = ImageOptions::default();
    images.debug_dirs.splice(0..0, arguments.debug_dirs.iter().cloned());
    let symbols = SymbolOptions { inlines: !arguments.no_inline, lines: !arguments.no_lines };
    let options = Options { symbols, images };
    let mut summary = Ok(Summary::default());
    output.write(|out| match name(&mut *input, out, &options, &style) {
        Err(NamingError::Output(error)) => Err(error),
        Err(NamingError::Input(error)) => {
            summary = Err(cannot_read(path, &error));
            Ok(())
        }
        Ok(done) => {
            summary = Ok(done);
            Ok(())
        }
    })?;
    let summary = summary?;
    output.finish()?;
    if summary.named == summary.frames {
        return Ok(Exit::Complete);
    }
    if !arguments.quiet {
        let (frames, without) = (summary.frames, summary.frames - summary.named);
        let failure = Failure::new(format!("{without} of {frames} frames have no names"));
        failure.advise("give the files of their build IDs with --debug-dir").print();
    }
    Ok(Exit::Incomplete)
}

fn cannot_read(path: Option<&Path>, error: &io::Error) -> Failure {
    match path {
        Some(path) => Failure::file("read", path, error),
        None => Failure::new(format!("cannot read standard input: {}", plain(error))),
    }
}
