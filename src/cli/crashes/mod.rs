//! Looking at crashes that were stored.
mod list;
mod show;
mod stores;

use std::collections::BTreeSet;

use super::Exit;
use super::args::{CleanArgs, CrashesArgs, CrashesCommand, RemoveArgs};
use super::{output, settings};
use crate::crashes::{Cleaned, Limits};
use crate::error::Failure;
use stores::Stores;

pub(super) fn run(arguments: &CrashesArgs) -> Result<Exit, Failure> {
    match &arguments.command {
        CrashesCommand::List(arguments) => list::run(arguments),
        CrashesCommand::Show(arguments) => show::run(arguments),
        CrashesCommand::Remove(arguments) => remove(arguments),
        CrashesCommand::Clean(arguments) => clean(arguments),
    }
}

fn remove(arguments: &RemoveArgs) -> Result<Exit, Failure> {
    let stores = Stores::open(&arguments.store, Limits::default())?;
    let found = stores.list()?;
    let mut exits = Vec::new();
    // All are looked up before one goes.
    let chosen: Vec<_> = arguments.ids.iter().map(|id| found.choose(id)).collect();
    let mut gone = BTreeSet::new();
    for choice in chosen {
        let removed = choice.and_then(|all| {
            all.into_iter().filter(|one| gone.insert(one.key())).try_for_each(|one| one.remove())
        });
        match removed {
            Ok(()) => exits.push(Exit::Complete),
            Err(failure) if arguments.ids.len() == 1 => return Err(failure),
            Err(failure) => {
                if !arguments.store.quiet {
                    failure.print();
                }
                exits.push(Exit::Nothing);
            }
        }
    }
    Ok(Exit::of_all(&exits))
}

fn clean(arguments: &CleanArgs) -> Result<Exit, Failure> {
    let (settings, problems) = settings::read(None);
    if !arguments.store.quiet {
        problems.into_iter().for_each(|problem| Failure::new(problem).print());
    }
    let set = settings.limits();
    let limits = Limits {
        crashes: if arguments.all { 0 } else { arguments.max_crashes.unwrap_or(set.crashes) },
        bytes: arguments.max_bytes.unwrap_or(set.bytes),
        age: arguments.older_than.unwrap_or(set.age),
        keep_free: arguments.keep_free.or(set.keep_free),
    };
    let stores = Stores::open(&arguments.store, limits)?;
    let mut sum = Cleaned::default();
    for store in stores.all() {
        let cleaned = store.clean().map_err(|error| Failure::from(&error))?;
        sum.crashes += cleaned.crashes;
        sum.bytes = sum.bytes.saturating_add(cleaned.bytes);
    }
    if !arguments.store.quiet {
        let noun = if sum.crashes == 1 { "crash" } else { "crashes" };
        output::print(format!("removed {} {noun}, {}\n", sum.crashes, size(sum.bytes)).as_bytes())?;
    }
    Ok(Exit::Complete)
}

/// Bytes, as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x2800 => format!("{bytes} B"),
        0x2800..0xa0_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
