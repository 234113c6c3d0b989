//! Starting a program and following it.
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use nix::sys::signal::Signal;

use super::Exit;
use super::args::RunArgs;
use super::follow::{Dumper, Stream, take_signals};
use super::relay;
use crate::collect::CollectError;
use crate::collect::follow::{Outcome, Target, attend, follow};
use crate::error::{Failure, plain};
use crate::preload;
use crate::sys::wait::End;

/// As of env(1), timeout(1) and shells.
const OWN_FAILURE: Exit = Exit::Of(125);
const CANNOT_RUN: Exit = Exit::Of(126);
const NOT_FOUND: Exit = Exit::Of(127);

pub(super) fn run(arguments: &RunArgs) -> Result<Exit, Failure> {
    let own = |failure: Failure| match failure.exit() {
        Exit::Usage => failure,
        _ => failure.with_exit(OWN_FAILURE),
    };
    if arguments.relay {
        match preload::fitting(arguments.command.first().map_or(OsStr::new(""), |name| name)) {
            Err(why) => relay::tell(arguments, &format!("{why}, so it cannot take the relay; it is traced")),
            Ok(kind) => {
                let settings = relay::Settings::of(arguments, kind).map_err(own)?;
                let (_signals, inherited) = take_signals(&[]).map_err(own)?;
                return Err(not_started(arguments, &settings.become_program(arguments, &inherited)));
            }
        }
    }
    let dumper = Dumper::new(&arguments.follow, Stream::Stderr)?;
    let (signals, inherited) = take_signals(&[Signal::SIGUSR1, Signal::SIGUSR2]).map_err(own)?;
    let target = Target::Start(arguments.command.clone(), inherited);
    let writer = Arc::clone(&dumper);
    let dump = move |ticket| writer.dump(&ticket);
    let followed = follow(target, arguments.follow.options(), &signals, dump);
    let followed = match followed {
        Ok(followed) => followed,
        Err(error) => {
            let denied = matches!(error, CollectError::Permission { .. });
            let what = format!("{error}; the relay is used instead");
            let failure = own(Failure::from(error));
            let settings = if denied { relay::Settings::instead(arguments) } else { None };
            let Some(settings) = settings else { return Err(failure) };
            relay::tell(arguments, &what);
            return Err(not_started(arguments, &settings.become_program(arguments, &inherited)));
        }
    };
    let (result, asked) = match followed.outcome {
        Outcome::Ended(end) => (Ok(status(end)), false),
        Outcome::NotStarted(error) => (Err(not_started(arguments, &error)), false),
        Outcome::Released(pid) => match attend(pid, &signals) {
            Some((end, asked)) => (Ok(status(end)), asked),
            None => (Err(own(Failure::new(format!("cannot tell how process {pid} ended")))), false),
        },
    };
    dumper.finish(&followed.making, &signals, followed.asked || asked);
    result
}

fn status(end: End) -> Exit {
    let status = match end {
        End::Exited(status) => status & 0xff,
        End::Killed(signal) => 128 + signal,
    };
    Exit::Of(u8::try_from(status).unwrap_or(u8::MAX))
}

fn not_started(arguments: &RunArgs, error: &io::Error) -> Failure {
    let name = arguments.command.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    let failure = Failure::new(format!("cannot run {name}: {}", plain(error)));
    match error.kind() {
        io::ErrorKind::NotFound => failure.advise("check the name, and PATH").with_exit(NOT_FOUND),
        io::ErrorKind::PermissionDenied => {
            failure.advise("check that it is a file that may be executed").with_exit(CANNOT_RUN)
        }
        _ => failure.with_exit(CANNOT_RUN),
    }
}
