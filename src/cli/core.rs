//! Dumping from a core file.
use std::time::Instant;

use super::Exit;
use super::args::CoreArgs;
use super::dump::{PRIVATE, store};
use super::fetch::{Remark, debuginfod};
use super::output::{NewFile, spare};
use super::progress::Progress;
use super::render::{Printer, choose};
use crate::collect::CollectError;
use crate::collect::corefile::{CoreError, CoreFile, Options};
use crate::dump;
use crate::error::Failure;

/// Why there is no report.
enum Trouble {
    Core(CoreError),
    Other(Failure),
}

impl From<CoreError> for Trouble {
    fn from(error: CoreError) -> Trouble {
        Trouble::Core(error)
    }
}

impl From<CollectError> for Trouble {
    fn from(error: CollectError) -> Trouble {
        Trouble::Other(error.into())
    }
}

pub(super) fn run(arguments: &CoreArgs) -> Result<Exit, Failure> {
    let (path, render) = (&arguments.corefile, &arguments.render);
    let outputs = [render.output.as_deref(), arguments.save_snapshot.as_deref()];
    spare(&[Some(path), arguments.exe.as_deref()], &outputs)?;
    let mut printer = Printer::open(render, false)?;
    let new = arguments.save_snapshot.as_deref().map(|path| (NewFile::create(path, Some(PRIVATE)), path));
    let new = new.map(|(file, path)| file.map(|file| (file, path))).transpose()?;
    let remark = Remark::default();
    let what = format!("reading {}", path.display());
    let progress = Progress::start(what, &remark, render.quiet || render.verbose);
    let mut names = render.dump_options();
    names.debuginfod = debuginfod(render, &remark);
    let options = Options {
        exe: arguments.exe.clone(),
        sysroot: arguments.sysroot.clone(),
        stack_bytes: arguments.stack_bytes,
    };
    let clock = Instant::now();
    let mut saved = Ok(());
    let report = CoreFile::open(path, arguments.unpack_limit).map_err(Trouble::Core).and_then(|file| {
        render.say(|| format!("opened {} in {:?}", path.display(), clock.elapsed()));
        dump::core(&file, &options, &names, |snapshot, images| {
            choose(snapshot, &render.threads)?;
            if let Some((file, path)) = new {
                images.embed(snapshot);
                saved = store(snapshot, file, path);
            }
            Ok::<(), Trouble>(())
        })
    });
    let report = report.map_err(|trouble| match trouble {
        Trouble::Core(error) => Failure::core(path, &error),
        Trouble::Other(failure) => failure,
    })?;
    render.say(|| format!("read, unwound and named in {:?}", clock.elapsed()));
    drop(progress);
    let mut exit = printer.print(&report)?;
    printer.finish()?;
    if let Err(not_saved) = saved {
        if !render.quiet {
            not_saved.print();
        }
        exit = Exit::Incomplete;
    }
    Ok(exit)
}
