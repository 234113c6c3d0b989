//! The crash handler, as the kernel starts it.
use std::time::Duration;

use super::Exit;
use super::args::HandleCoreArgs;
use crate::collect::crash::Event;
use crate::dump;
use crate::error::{Failure, plain};
use crate::handler::{self, Options};

/// The longest time for unwinding and naming, with the process gone.
const WORK: Duration = Duration::from_secs(120);

pub(super) fn run(arguments: &HandleCoreArgs) -> Result<Exit, Failure> {
    let event = Event::parse(arguments.facts.iter().map(|fact| fact.as_os_str()));
    let event = event.map_err(|why| Failure::usage(format!("cannot handle the crash: {why}")))?;
    let options = Options {
        via: arguments.via.into(),
        hold: arguments.hold,
        work: WORK,
        store: arguments.store.clone(),
        dump: dump::Options::with_debug_dirs([]),
    };
    let pid = event.pid;
    let delivery = handler::handle(event, &options).map_err(|error| {
        Failure::new(format!("cannot store the crash of process {pid}: {}", plain(&error)))
    })?;
    Ok(if delivery.trouble.is_some() { Exit::Incomplete } else { Exit::Complete })
}
