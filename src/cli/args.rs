//! The definition of the command line. Doc comments here are the help texts and the man page.
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::values::{self, Target};
use crate::collect::Via;
use crate::ids::Tid;
use crate::source::PathMap;

const USAGE: &str = "threaddump [OPTIONS] <PID|NAME>...
       threaddump run [OPTIONS] -- <CMD> [ARGS]...
       threaddump watch [OPTIONS] <PID|NAME>
       threaddump core [OPTIONS] <COREFILE>
       threaddump replay [OPTIONS] <SNAPSHOT>
       threaddump symbolize [OPTIONS] [FILE]
       threaddump completions <SHELL>";

const AFTER_HELP: &str = "\
A process that is named like a command is reached after two dashes: threaddump -- replay

Exit status: 0 everything shown, 1 threads or frames are missing, 2 nothing shown, 64 wrong usage";

const RUN_EXIT: &str = "\
Exit status: that of the program, or 128 and the number of the signal that ended it;
125 threaddump failed, 126 the program cannot be run, 127 it was not found, 64 wrong usage";

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
    /// Start a program, and dump it on SIGQUIT (Ctrl-\\) and when it crashes
    ///
    /// The program runs at full speed. It owns standard input and output; dumps go to standard
    /// error, or to files.
    #[command(after_help = RUN_EXIT)]
    Run(RunArgs),
    /// Dump a running process on SIGQUIT and when it crashes
    ///
    /// Ends when the process does, or on SIGINT (Ctrl-C) and SIGTERM; the process then runs on
    /// alone. A SIGQUIT (Ctrl-\\) to this program dumps the process and sends it nothing.
    #[command(after_help = "Exit status: as for a dump; 0 if there was none")]
    Watch(WatchArgs),
    /// Dump from a core file
    ///
    /// Shows all threads as they were when the program crashed, the one that got the signal first; or
    /// when a debugger wrote the file (gcore). Files compressed by zstd, xz, lz4 or gzip are
    /// decompressed. What is missing in a truncated or damaged file is said, the rest is shown.
    #[command(after_help = CORE_HELP)]
    Core(CoreArgs),
    /// Print a dump from a file that --save-snapshot wrote
    ///
    /// The output is the same as it was when the snapshot was saved, as long as the ELF and debug
    /// files it names are still there.
    #[command(after_help = "Exit status: as for a dump")]
    Replay(ReplayArgs),
    /// Name the frames of a text that has only places in modules
    ///
    /// These are the lines of --format go, and those of the text, that hold a module, an offset and
    /// a build ID, as a program prints them without its debug information. They get their
    /// functions, inlined functions and source lines; all other lines pass as they are. A file
    /// that has not the build ID is not used.
    #[command(after_help = "Exit status: 0 all frames have names, 1 some have none, 2 nothing done")]
    Symbolize(SymbolizeArgs),
    /// Dump the process that has started this one, for a thread in its signal handler
    #[command(hide = true)]
    RelayHelper(HelperArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Arguments of a dump of processes.
#[derive(Debug, Args)]
pub(super) struct DumpArgs {
    /// Process ids or process names
    ///
    /// Digits are a process id. Anything else is a name, compared with the name of the process as
    /// the kernel has it (15 bytes of it) and with the last part of the path of its executable and
    /// of its first argument. If several processes have the name, they are listed and nothing is
    /// done, unless --all is given.
    #[arg(value_name = "PID|NAME", required = true, value_parser = values::target)]
    pub(super) targets: Vec<Target>,
    /// Dump every process that has the name
    #[arg(short, long)]
    pub(super) all: bool,
    /// How to look at the process
    ///
    /// Without a stop, the place of a thread is known only if it waits in the kernel, and of its
    /// registers only pc, sp and the arguments of the system call. The output says which way was
    /// taken, and why.
    #[arg(long, value_enum, value_name = "WAY", default_value_t = ViaChoice::Auto)]
    pub(super) via: ViaChoice,
    /// Show the stack in the kernel of every thread
    ///
    /// It is read before the stop, and only of threads that do not run. This needs CAP_SYS_ADMIN.
    /// Without the option it is shown of threads in uninterruptible sleep, if it can be read.
    #[arg(long)]
    pub(super) kernel: bool,
    /// Longest time a process may be held, as in 500ms or 5s
    ///
    /// Normally a process is held for some milliseconds. Threads that cannot be stopped, because
    /// they wait inside the kernel, are shown with what /proc says about them.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    pub(super) timeout: Duration,
    /// Bytes of stack to copy of each thread, as in 256K or 16M
    ///
    /// By default 16M, and 256K where a stack cannot be told from other memory. Only what is in
    /// use is copied. A stack that is longer is cut, and the thread says so.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(super) stack_bytes: Option<u64>,
    /// Also write what was copied to this file, for the command replay
    ///
    /// The file holds stack memory, which may hold secrets: only its owner may read it (mode
    /// 0600). It is written for one process only.
    #[arg(long, value_name = "FILE")]
    pub(super) save_snapshot: Option<PathBuf>,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(super) render: RenderArgs,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump run [OPTIONS] -- <CMD> [ARGS]...")]
pub(super) struct RunArgs {
    /// What to do with the program.
    #[command(flatten)]
    pub(super) follow: FollowArgs,
    /// The program, and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<OsString>,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump watch [OPTIONS] <PID|NAME>")]
pub(super) struct WatchArgs {
    /// What to do with the process.
    #[command(flatten)]
    pub(super) follow: FollowArgs,
    /// Process id or process name
    #[arg(value_name = "PID|NAME", value_parser = values::target)]
    pub(super) target: Target,
}

/// How to follow a process.
#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    /// Deliver SIGQUIT also to a program that does not catch it, which ends it
    ///
    /// A program that catches it gets it in any case, after the dump.
    #[arg(long)]
    pub(super) forward: bool,
    /// End after one dump; the program goes on alone
    #[arg(long)]
    pub(super) once: bool,
    /// Also dump child processes, each on its own SIGQUIT or crash
    #[arg(long)]
    pub(super) children: bool,
    /// Longest time a process may be held, as in 500ms or 5s
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    pub(super) timeout: Duration,
    /// Bytes of stack to copy of each thread, as in 256K or 16M
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(super) stack_bytes: Option<u64>,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(super) render: RenderArgs,
}

/// Arguments of `core`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump core [OPTIONS] <COREFILE>")]
pub(super) struct CoreArgs {
    /// The core file; - is standard input
    #[arg(value_name = "COREFILE")]
    pub(super) corefile: PathBuf,
    /// The program that crashed, if it is not where the core says
    ///
    /// It is used only if its build ID is that in the core, if there is one.
    #[arg(long, value_name = "FILE")]
    pub(super) exe: Option<PathBuf>,
    /// Look for the files of the process below this directory
    ///
    /// For a core of another machine or of a container, whose root directory is there. Without this,
    /// files of this machine are used, if their build IDs are those in the core.
    #[arg(long, value_name = "DIR")]
    pub(super) sysroot: Option<PathBuf>,
    /// Bytes of stack to look at of each thread, as in 256K or 16M
    ///
    /// By default 16M, and 256K where a stack cannot be told from other memory. A stack that is
    /// longer is cut, and the thread says so.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(super) stack_bytes: Option<u64>,
    /// Largest temporary file for what is compressed or comes from a pipe
    ///
    /// It is made in TMPDIR or /var/tmp, without a name. Pages of zeros take no room in it, and a
    /// twentieth of the file system is left free. A core that does not fit is cut, and the output
    /// says so.
    #[arg(long, value_name = "SIZE", default_value = "16G", value_parser = values::size)]
    pub(super) unpack_limit: u64,
    /// Also write what was read to this file, for the command replay
    ///
    /// The file holds stack memory, which may hold secrets: only its owner may read it (mode
    /// 0600).
    #[arg(long, value_name = "FILE")]
    pub(super) save_snapshot: Option<PathBuf>,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(super) render: RenderArgs,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump replay [OPTIONS] <SNAPSHOT>")]
pub(super) struct ReplayArgs {
    /// File that --save-snapshot wrote
    #[arg(value_name = "SNAPSHOT")]
    pub(super) snapshot: PathBuf,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(super) render: RenderArgs,
}

/// Arguments of `symbolize`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump symbolize [OPTIONS] [FILE]")]
pub(super) struct SymbolizeArgs {
    /// The text; standard input without it, or with -
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Write to this file, which is replaced when everything is in it
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Do not show inlined functions
    #[arg(long)]
    pub(super) no_inline: bool,
    /// Do not look up source lines
    #[arg(long)]
    pub(super) no_lines: bool,
    /// Look for debug files here, before /usr/lib/debug; may be given several times
    ///
    /// They are found by build ID, as DIR/.build-id/12/3456.debug; so is a whole file, as
    /// DIR/.build-id/12/3456.
    #[arg(long = "debug-dir", value_name = "DIR")]
    pub(super) debug_dirs: Vec<PathBuf>,
    /// Print no messages; the exit status tells
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Arguments of `relay-helper`, which the relay gives; threaddump-relay(7) says how it is started.
#[derive(Debug, Args)]
pub(super) struct HelperArgs {
    /// The process
    pub(super) pid: i32,
    /// The thread in the signal handler
    #[arg(value_parser = values::thread)]
    pub(super) tid: Tid,
    /// Address of its `ucontext_t`
    pub(super) context: u64,
    /// Address of its `siginfo_t`
    pub(super) info: u64,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(super) render: RenderArgs,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}

/// What to show of a snapshot, and how.
#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// Form of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Write to this file, which is replaced when everything is in it
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Show only this thread; may be given several times
    ///
    /// Other threads are not stopped.
    #[arg(long = "thread", value_name = "TID", value_parser = values::thread)]
    pub(super) threads: Vec<Tid>,
    /// Show no registers
    #[arg(long)]
    pub(super) no_registers: bool,
    /// Frames to show of one thread; 0 shows all
    ///
    /// Of a deeper stack both ends are shown, half of the frames each.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) max_frames: usize,
    /// Search the stack where unwinding cannot go on
    ///
    /// Finds return addresses that are no longer in use, too. Each frame found so is marked.
    #[arg(long)]
    pub(super) scan: bool,
    /// Do not show inlined functions
    #[arg(long)]
    pub(super) no_inline: bool,
    /// Do not look up source lines
    #[arg(long)]
    pub(super) no_lines: bool,
    /// Show so many lines of source code around the line of each frame
    ///
    /// Files are looked for at their paths in the root directory of the process, then on this machine.
    /// A file whose MD5 is not the one in the debug information (DWARF 5 may have it) is not shown; where
    /// there is none, notes tell of files that are newer than the program, or not in its root directory.
    #[arg(long, value_name = "N", value_parser = values::source_lines, conflicts_with = "no_lines")]
    pub(super) source: Option<usize>,
    /// Look for source files in another folder of this machine; may be given several times
    ///
    /// FROM is the beginning of their names as the output shows them, which may be relative; the longest
    /// that fits counts.
    #[arg(long = "source-map", value_name = "FROM=TO", requires = "source")]
    pub(super) source_maps: Vec<PathMap>,
    /// Look for debug files here, before /usr/lib/debug; may be given several times
    ///
    /// They are found by build ID, as DIR/.build-id/12/3456.debug, or else by the name that the program
    /// gives, if checksums agree. DIR is looked for below the root directory of the process first,
    /// then on this machine. The files of split DWARF (.dwo and .dwp) are looked for here, too.
    #[arg(long = "debug-dir", value_name = "DIR")]
    pub(super) debug_dirs: Vec<PathBuf>,
    /// Fetch debug files that are not on this machine from debuginfod servers
    ///
    /// This is done once the process runs again. The servers are those in DEBUGINFOD_URLS; what they
    /// send is kept in the cache that debuginfod-find(1) has, too. Without this option, no connection
    /// is ever made.
    #[arg(long)]
    pub(super) debuginfod: bool,
    /// Longest time to wait for all debug files together, as in 10s
    ///
    /// Files that have not come by then, or until Ctrl-C, are done without.
    #[arg(long, value_name = "DURATION", default_value = "30s", requires = "debuginfod", value_parser = values::duration)]
    pub(super) debuginfod_timeout: Duration,
    /// When to use colours
    ///
    /// With auto they are used on a terminal, unless NO_COLOR is set or TERM is dumb.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(super) color: ColorChoice,
    /// Print no messages; the exit status tells
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say on standard error what is done and how long it takes
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs; see threaddump-json(5)
    Json,
    /// For scripts that parse what gdb prints on "thread apply all bt"
    Gdb,
    /// As Go programs print it when they crash
    Go,
}

/// How to look at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ViaChoice {
    /// By ptrace if that is allowed; else as with proc
    Auto,
    /// By ptrace or not at all
    Ptrace,
    /// From /proc, without stopping anything
    Proc,
}

impl From<ViaChoice> for Via {
    fn from(choice: ViaChoice) -> Via {
        match choice {
            ViaChoice::Auto => Via::Auto,
            ViaChoice::Ptrace => Via::Ptrace,
            ViaChoice::Proc => Via::Proc,
        }
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal
    Auto,
    /// Also in files and pipes
    Always,
    /// Never
    Never,
}

impl Cli {
    /// Whether errors are left to the exit status.
    pub(super) fn is_quiet(&self) -> bool {
        match &self.command {
            None => self.dump.render.quiet,
            Some(Command::Core(arguments)) => arguments.render.quiet,
            Some(Command::Replay(arguments)) => arguments.render.quiet,
            Some(Command::Run(arguments)) => arguments.follow.render.quiet,
            Some(Command::Watch(arguments)) => arguments.follow.render.quiet,
            Some(Command::Symbolize(arguments)) => arguments.quiet,
            // The relay makes the dump if this one does not.
            Some(Command::RelayHelper(_)) => true,
            Some(Command::Completions(_)) => false,
        }
    }
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
