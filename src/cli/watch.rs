//! Following a process that runs.
use std::sync::Arc;

use super::Exit;
use super::args::WatchArgs;
use super::follow::{Dumper, Stream, take_signals};
use super::output::check_stdout;
use super::targets;
use crate::collect::follow::{Target, follow};
use crate::error::Failure;

pub(super) fn run(arguments: &WatchArgs) -> Result<Exit, Failure> {
    let pid = targets::find_one(&arguments.target)?;
    if arguments.follow.render.output.is_none() {
        check_stdout()?;
    }
    let dumper = Dumper::new(&arguments.follow, Stream::Stdout)?;
    let (signals, _) = take_signals(&[])?;
    let writer = Arc::clone(&dumper);
    let dump = move |ticket| writer.dump(&ticket);
    let followed = follow(Target::Running(pid), arguments.follow.options(), &signals, dump)?;
    dumper.finish(&followed.making, &signals, followed.asked);
    Ok(dumper.exit())
}
