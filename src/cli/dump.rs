//! Dumping running processes.
use std::path::Path;
use std::time::Instant;

use super::Exit;
use super::args::DumpArgs;
use super::fetch::{Remark, debuginfod};
use super::output::NewFile;
use super::progress::Progress;
use super::render::{Printer, choose};
use super::targets;
use crate::collect;
use crate::dump;
use crate::error::Failure;
use crate::ids::Pid;
use crate::report::{self, Report};
use crate::snapshot::Snapshot;
use crate::snapshot::file::save;

/// Only the owner may read a snapshot: it holds the memory of a process.
pub(super) const PRIVATE: u32 = 0o600;

pub(super) fn run(arguments: &DumpArgs) -> Result<Exit, Failure> {
    let found = targets::find(&arguments.targets, arguments.all)?;
    if arguments.save_snapshot.is_some() && found.pids.len() > 1 {
        let failure = Failure::usage("--save-snapshot is for one process, and several have the name");
        return Err(failure.advise("give one process id"));
    }
    let several = arguments.targets.len() > 1 || arguments.all;
    let mut printer = Printer::open(&arguments.render, several)?;
    let remark = Remark::default();
    let mut options = arguments.render.dump_options();
    options.debuginfod = debuginfod(&arguments.render, &remark);
    let mut exits = vec![Exit::Nothing; found.failures.len()];
    found.failures.iter().for_each(|failure| tell(failure, arguments));
    for pid in found.pids {
        let exit = match one(pid, arguments, &options, &remark, &mut printer) {
            Ok((report, Ok(()))) => printer.print(&report)?,
            Ok((report, Err(not_saved))) => {
                tell(&not_saved, arguments);
                printer.print(&report)?;
                Exit::Incomplete
            }
            Err(failure) => {
                tell(&failure, arguments);
                Exit::Nothing
            }
        };
        exits.push(exit);
        if printer.is_closed() {
            break;
        }
    }
    printer.finish()?;
    Ok(Exit::of_all(&exits))
}

fn tell(failure: &Failure, arguments: &DumpArgs) {
    if !arguments.render.quiet {
        failure.print();
    }
}

/// The report of one process, and whether its snapshot was saved.
fn one(
    pid: Pid,
    arguments: &DumpArgs,
    options: &dump::Options,
    remark: &Remark,
    printer: &mut Printer,
) -> Result<(Report, Result<(), Failure>), Failure> {
    let threads = &arguments.render.threads;
    let how = collect::Options {
        timeout: arguments.timeout,
        stack_bytes: arguments.stack_bytes,
        threads: threads.clone(),
        via: arguments.via.into(),
        kernel: arguments.kernel,
        interrupted: None,
    };
    let path = arguments.save_snapshot.as_deref();
    // Before the stop: a wrong path should cost the process nothing.
    let file = path.map(|path| NewFile::create(path, Some(PRIVATE))).transpose()?;
    let mut saved = Ok(());
    let mut clock = Instant::now();
    let silent = arguments.render.quiet || arguments.render.verbose;
    let _progress = Progress::start(format!("dumping process {pid}"), remark, silent);
    let report = dump::live(pid, &how, options, |snapshot, images| {
        arguments.render.say(|| {
            let held = match snapshot.pause_ns {
                Some(ns) => format!("held for {} µs", ns / 1000),
                None => "nothing was stopped".to_owned(),
            };
            let count = snapshot.threads.len();
            let plural = if count == 1 { "" } else { "s" };
            format!("process {pid}: copied {count} thread{plural} in {:?}, {held}", clock.elapsed())
        });
        clock = Instant::now();
        choose(snapshot, threads)?;
        if let (Some(file), Some(path)) = (file, path) {
            images.embed(snapshot);
            saved = store(snapshot, file, path);
        }
        printer.begin(&report::outline(snapshot, &options.report))
    })?;
    arguments.render.say(|| format!("process {pid}: unwound and named in {:?}", clock.elapsed()));
    Ok((report, saved))
}

pub(super) fn store(snapshot: &Snapshot, mut file: NewFile, path: &Path) -> Result<(), Failure> {
    save(snapshot, &mut file).map_err(|error| Failure::file("write", path, &error))?;
    file.keep()
}
