//! The crash handler, as the kernel starts it.
use std::time::Duration;

use super::args::HandleCoreArgs;
use super::{Exit, settings};
use crate::collect::crash::Event;
use crate::core_pattern::{self, Places};
use crate::dump;
use crate::error::Failure;
use crate::handler::{self, Chain, Options};

/// The longest time for which a process is kept, if nothing else was said.
const HOLD: Duration = Duration::from_secs(5);
/// The longest time for unwinding and naming, with the process gone.
const WORK: Duration = Duration::from_secs(120);

pub(super) fn run(arguments: &HandleCoreArgs) -> Result<Exit, Failure> {
    let event = Event::parse(arguments.facts.iter().map(|fact| fact.as_os_str()));
    let event = event.map_err(|why| Failure::usage(format!("cannot handle the crash: {why}")))?;
    let (settings, notes) = settings::read(arguments.config.as_ref());
    let options = Options {
        via: arguments.via.into(),
        hold: arguments.hold.or(settings.hold).unwrap_or(HOLD),
        work: WORK,
        store: arguments.store.clone(),
        limits: settings.limits(),
        parallel: arguments.parallel.or(settings.parallel).unwrap_or(handler::PARALLEL),
        notes,
        chain: arguments.chain.then(|| chain(&event)).flatten(),
        dump: dump::Options::with_debug_dirs([]),
    };
    let pid = event.pid;
    let delivery = handler::handle(event, &options)
        .map_err(|error| Failure::new(format!("the crash of process {pid} is lost: {error}")))?;
    Ok(if delivery.trouble.is_some() { Exit::Incomplete } else { Exit::Complete })
}

/// The handler that was there before, with what the kernel would have told it.
fn chain(event: &Event) -> Option<Chain> {
    let saved = core_pattern::saved(&Places::default())?;
    let parallel = usize::try_from(saved.pipe_limit).ok().filter(|&limit| limit > 0);
    Some(Chain { command: core_pattern::expand(&saved.pattern, &event.given)?, parallel })
}
