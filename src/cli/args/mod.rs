//! The definition of the command line. Doc comments here are the help texts and the man page.
mod commands;
mod compare;
mod crashes;
mod render;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(super) use commands::{
    CompletionsArgs, CoreArgs, CorePatternAction, CorePatternArgs, DumpArgs, FollowArgs, HandleCoreArgs,
    HelperArgs, InstallArgs, ReplayArgs, RunArgs, SymbolizeArgs, WatchArgs,
};
pub(super) use compare::{CompareArgs, CompareFormat};
pub(super) use crashes::{
    CleanArgs, CrashesArgs, CrashesCommand, CrashesFormat, ListArgs, RemoveArgs, ShowArgs, StoreArgs,
};
pub(super) use render::RenderArgs;
pub use render::{ColorChoice, Format};

const USAGE: &str = "threaddump [OPTIONS] <PID|NAME>...
       threaddump run [OPTIONS] -- <CMD> [ARGS]...
       threaddump watch [OPTIONS] <PID|NAME>
       threaddump core [OPTIONS] <COREFILE>
       threaddump core-pattern status|install|uninstall
       threaddump replay [OPTIONS] <SNAPSHOT>
       threaddump crashes list|show|remove|clean
       threaddump compare [OPTIONS] <PID|NAME>
       threaddump compare [OPTIONS] <FILE> <FILE>
       threaddump symbolize [OPTIONS] [FILE]
       threaddump completions <SHELL>";

const AFTER_HELP: &str = "\
A process that is named like a command is reached after two dashes: threaddump -- replay

Exit status: 0 everything shown, 1 threads or frames are missing, 2 nothing shown, 64 wrong usage";

const RUN_EXIT: &str = "\
Exit status: that of the program, or 128 and the number of the signal that ended it;
125 threaddump failed, 126 the program cannot be run, 127 it was not found, 64 wrong usage";

const COMPARE_EXIT: &str = "\
Exit status: 0 the same (with two files: nothing moved), 1 different, 2 nothing could be compared,
64 wrong usage";

const PATTERN_HELP: &str = "Write each dump to a file: %p pid, %t seconds since 1970, %n number";

const PATTERN_LONG_HELP: &str = "\
Write each dump to a file: %p pid, %t seconds since 1970, %n number

A file that is there is replaced when the new one is complete. A symbolic link is not followed.";
const CORE_HELP: &str = "\
Examples:
  threaddump core core.1234
  threaddump core --exe ./server.debug core.1234.zst
  coredumpctl dump -o - 1234 | threaddump core -

Exit status: as for a dump";

/// Shows what every thread of a running program is doing
///
/// Stops all threads of each target for some milliseconds, copies their registers and stacks, lets
/// them go on, and then prints their stacks with function names, source lines and registers.
#[derive(Debug, Parser)]
#[command(
    name = "threaddump",
    version,
    override_usage = USAGE,
    after_help = AFTER_HELP,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(super) struct Cli {
    /// What to do, if not dump a process.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Arguments of the dump.
    #[command(flatten)]
    pub(super) dump: DumpArgs,
}

/// The other commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a program, and dump it on SIGQUIT (Ctrl-\) and when it crashes
    ///
    /// The program runs at full speed. It owns standard input and output; dumps go to standard
    /// error, or to files.
    #[command(after_help = RUN_EXIT)]
    Run(RunArgs),
    /// Dump a running process on SIGQUIT and when it crashes
    ///
    /// Ends when the process does, or on SIGINT (Ctrl-C) and SIGTERM; the process then runs on
    /// alone. A SIGQUIT (Ctrl-\) to this program dumps the process and sends it nothing.
    #[command(after_help = "Exit status: as for a dump; 0 if there was none")]
    Watch(WatchArgs),
    /// Dump from a core file
    ///
    /// Shows all threads as they were when the program crashed, the one that got the signal first; or
    /// when a debugger wrote the file (gcore). Files compressed by zstd, xz, lz4 or gzip are
    /// decompressed. What is missing in a truncated or damaged file is said, the rest is shown.
    #[command(after_help = CORE_HELP)]
    Core(CoreArgs),
    /// Let the kernel call threaddump when a program crashes
    ///
    /// The report of each crash then goes to a store (see crashes); no core file is written.
    CorePattern(CorePatternArgs),
    /// Print a dump from a file that --save-snapshot wrote
    ///
    /// The output is the same as it was when the snapshot was saved, as long as the ELF and debug
    /// files it names are still there.
    #[command(after_help = "Exit status: as for a dump")]
    Replay(ReplayArgs),
    /// Look at crashes that were stored, and remove them
    ///
    /// The reports of crashes are in /var/lib/threaddump/crashes, and of a user also in
    /// $XDG_STATE_HOME/threaddump/crashes (~/.local/state without it). Root sees all in the first, a user
    /// what his own programs left. Of crashes that look alike the first and the latest are kept, and the
    /// rest is counted. threaddump-crashes(1) is the manual.
    Crashes(CrashesArgs),
    /// Compare what ptrace and the relay see of a process, or two dumps in JSON
    ///
    /// With a process, it is dumped by ptrace and by the relay inside of it (threaddump-relay(7)); threads that
    /// wait have to be the same. With two files that were written with --format json, which threads have moved
    /// between the dumps is shown; one that hangs has not moved. Stacks are side by side, where there is room
    /// for that.
    #[command(after_help = COMPARE_EXIT)]
    Compare(CompareArgs),
    /// Name the frames of a text that has only places in modules
    ///
    /// These are the lines of --format go, and those of the text, that hold a module, an offset and
    /// a build ID, as a program prints them without its debug information. They get their
    /// functions, inlined functions and source lines; all other lines pass as they are. A file
    /// that has not the build ID is not used.
    #[command(
        after_help = "Exit status: 0 all frames have names (or there are none), 1 some have none, 2 failed"
    )]
    Symbolize(SymbolizeArgs),
    /// Dump the process that has started this one, for a thread in its signal handler
    #[command(hide = true)]
    RelayHelper(HelperArgs),
    /// Store what is known about a process that crashes, for the kernel
    #[command(hide = true)]
    HandleCore(HandleCoreArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

impl Cli {
    /// Whether errors are left to the exit status.
    pub(super) fn is_quiet(&self) -> bool {
        self.command.as_ref().map_or(self.dump.render.quiet, Command::is_quiet)
    }
}

impl Command {
    /// As [`Cli::is_quiet`].
    pub(super) fn is_quiet(&self) -> bool {
        match self {
            Command::Core(arguments) => arguments.render.quiet,
            Command::Replay(arguments) => arguments.render.quiet,
            Command::Run(arguments) => arguments.follow.render.quiet,
            Command::Watch(arguments) => arguments.follow.render.quiet,
            Command::Symbolize(arguments) => arguments.quiet,
            Command::Crashes(arguments) => arguments.command.store().quiet,
            Command::Compare(arguments) => arguments.quiet,
            // The relay makes the dump if this one does not.
            Command::RelayHelper(_) => true,
            Command::HandleCore(_) | Command::CorePattern(_) | Command::Completions(_) => false,
        }
    }
}

/// The commands that the kernel and the relay start, if it is one of them and nothing is wrong with it. A crashed
/// process waits for them, and to make the definition of all the commands takes some milliseconds.
pub(super) fn for_a_crash(arguments: &[OsString]) -> Option<Command> {
    let (name, arguments) = arguments.get(1..)?.split_first()?;
    match name.to_str()? {
        "handle-core" => alone(arguments).map(Command::HandleCore),
        "relay-helper" => alone(arguments).map(Command::RelayHelper),
        _ => None,
    }
}

fn alone<T: Args + FromArgMatches>(arguments: &[OsString]) -> Option<T> {
    let command = T::augment_args(clap::Command::new("threaddump").no_binary_name(true));
    T::from_arg_matches(&command.try_get_matches_from(arguments).ok()?).ok()
}

pub(super) fn command() -> clap::Command {
    // There may be more than one dump.
    let pattern = |command: clap::Command| {
        command.mut_arg("output", |output| {
            output.value_name("PATTERN").help(PATTERN_HELP).long_help(PATTERN_LONG_HELP)
        })
    };
    Cli::command().mut_subcommand("run", pattern).mut_subcommand("watch", pattern)
}

/// # Errors
/// Wrong usage; also help and version, which clap treats as errors.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let given = |id: &clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    if let Some(name) = matches.subcommand_name()
        && matches.ids().any(given)
    {
        // They would have no effect: the command has options of its own.
        let text = format!(
            "nothing may stand before the command '{name}'\n\n  \
             tip: its options come after it; a process named '{name}' is given after '--'"
        );
        return Err(command.error(ErrorKind::ArgumentConflict, text));
    }
    let cli = Cli::from_arg_matches(&matches)?;
    let (saved, output) = match &cli.command {
        Some(Command::Core(arguments)) => (&arguments.save_snapshot, &arguments.render.output),
        _ => (&cli.dump.save_snapshot, &cli.dump.render.output),
    };
    if saved.is_some() && saved == output {
        let text = "--output and --save-snapshot name the same file";
        return Err(command.error(ErrorKind::ArgumentConflict, text));
    }
    if cli.dump.save_snapshot.is_some() && cli.dump.targets.len() > 1 {
        let text = "--save-snapshot is for one process, and several were given";
        return Err(command.error(ErrorKind::ArgumentConflict, text));
    }
    Ok(cli)
}
