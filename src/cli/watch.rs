//! Following a process that runs.
use super::Exit;
use super::args::WatchArgs;
use super::follow::{Dumper, Stream, take_signals};
use super::targets;
use crate::collect::follow::{Target, follow};
use crate::error::Failure;

pub(super) fn run(arguments: &WatchArgs) -> Result<Exit, Failure> {
    let mut found = targets::find(std::slice::from_ref(&arguments.target), false)?;
    let Some(&pid) = found.pids.first() else {
        let failure = found.failures.pop();
        return Err(failure.unwrap_or_else(|| Failure::new("there is nothing to watch")));
    };
    let dumper = Dumper::new(&arguments.follow, Stream::Stdout)?;
    let (signals, _) = take_signals(&[])?;
    follow(Target::Running(pid), arguments.follow.options(), &signals, |ticket| dumper.dump(ticket))?;
    Ok(dumper.exit())
}
