//! The command line: from arguments to an exit status.
mod args;
mod compare;
mod core;
mod core_pattern;
mod crashes;
mod dump;
mod exit;
mod fetch;
mod follow;
mod handle_core;
mod helper;
mod output;
mod pattern;
mod progress;
mod relay;
mod render;
mod replay;
mod run;
mod settings;
mod symbolize;
mod targets;
mod values;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

pub use args::{ColorChoice, Format};
pub use exit::Exit;

use crate::error::Failure;
use args::{Cli, Command};

/// Runs the program with these arguments, the first being its own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    crate::sys::signals::ignore_file_sizes();
    let (exit, quiet) = match args::parse(arguments) {
        Ok(cli) => (run(&cli), cli.is_quiet()),
        Err(error) => return usage(&error).into(),
    };
    match exit {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !quiet || failure.exit() == Exit::Usage {
                failure.print();
            }
            failure.exit().into()
        }
    }
}

/// The definition that parser, help, man page and completions come from.
pub fn command() -> clap::Command {
    args::command()
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        None => dump::run(&cli.dump),
        Some(Command::Run(arguments)) => run::run(arguments),
        Some(Command::Watch(arguments)) => watch::run(arguments),
        Some(Command::Core(arguments)) => core::run(arguments),
        Some(Command::Replay(arguments)) => replay::run(arguments),
        Some(Command::Compare(arguments)) => compare::run(arguments),
        Some(Command::Symbolize(arguments)) => symbolize::run(arguments),
        Some(Command::Crashes(arguments)) => crashes::run(arguments),
        Some(Command::RelayHelper(arguments)) => helper::run(arguments),
        Some(Command::CorePattern(arguments)) => core_pattern::run(&arguments.action),
        Some(Command::HandleCore(arguments)) => handle_core::run(arguments),
        Some(Command::Completions(arguments)) => completions(arguments.shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    // Into memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "threaddump", &mut script);
    output::print(&script)?;
    Ok(Exit::Complete)
}

/// Help and version are no errors; everything else is wrong usage.
fn usage(error: &clap::Error) -> Exit {
    // Nothing can be done if the terminal is gone.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Complete,
        _ => Exit::Usage,
    }
}
