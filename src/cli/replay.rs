//! Printing a saved snapshot.
use std::fs::File;
use std::io::BufReader;

use super::Exit;
use super::args::ReplayArgs;
use super::fetch::{Remark, debuginfod};
use super::output::spare;
use super::progress::Progress;
use super::render::{Printer, choose};
use crate::dump;
use crate::error::Failure;
use crate::report;
use crate::snapshot::file::load;

pub(super) fn run(arguments: &ReplayArgs) -> Result<Exit, Failure> {
    let path = &arguments.snapshot;
    spare(&[Some(path)], &[arguments.render.output.as_deref()])?;
    let file = File::open(path).map_err(|error| Failure::file("open", path, &error))?;
    let mut snapshot = load(&mut BufReader::new(file)).map_err(|error| Failure::snapshot(path, &error))?;
    choose(&mut snapshot, &arguments.render.threads)?;
    let mut printer = Printer::open(&arguments.render, false)?;
    let remark = Remark::default();
    let mut options = arguments.render.dump_options();
    options.debuginfod = debuginfod(&arguments.render, &remark);
    printer.begin(&report::outline(&snapshot, &options.report))?;
    let what = format!("reading {}", path.display());
    let progress = Progress::start(what, &remark, arguments.render.quiet || arguments.render.verbose);
    let report = dump::replay(&snapshot, &options);
    drop(progress);
    let exit = printer.print(&report)?;
    printer.finish()?;
    Ok(exit)
}
