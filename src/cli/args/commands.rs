//! Arguments of the commands, and of a dump, which needs none.
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::super::values::{self, Target};
use super::render::{RegistersChoice, RenderArgs, ViaChoice};
use crate::ids::Tid;

/// Arguments of a dump of processes.
#[derive(Debug, Args)]
pub(in crate::cli) struct DumpArgs {
    /// Process ids or process names
    ///
    /// Digits are a process id. Anything else is a name, compared with the name of the process as
    /// the kernel has it (15 bytes of it) and with the last part of the path of its executable and
    /// of its first argument. If several processes have the name, they are listed and nothing is
    /// done, unless --all is given.
    #[arg(value_name = "PID|NAME", required = true, value_parser = values::target)]
    pub(in crate::cli) targets: Vec<Target>,
    /// Dump every process that has the name
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
    /// How to look at the process
    ///
    /// Without a stop, the place of a thread is known only if it waits in the kernel, and of its
    /// registers only pc, sp and the arguments of the system call. The output says which way was
    /// taken, and why.
    #[arg(long, value_enum, value_name = "WAY", default_value_t = ViaChoice::Auto)]
    pub(in crate::cli) via: ViaChoice,
    /// Show the stack in the kernel of every thread
    ///
    /// It is read before the stop, and only of threads that do not run. This needs CAP_SYS_ADMIN.
    /// Without the option it is shown of threads in uninterruptible sleep, if it can be read.
    #[arg(long)]
    pub(in crate::cli) kernel: bool,
    /// Longest time a process may be held, as in 500ms or 5s
    ///
    /// Normally a process is held for some milliseconds. Threads that cannot be stopped, because
    /// they wait inside the kernel, are shown with what /proc says about them.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    pub(in crate::cli) timeout: Duration,
    /// Bytes of stack to copy of each thread, as in 256K or 16M
    ///
    /// By default 16M, and 256K where a stack cannot be told from other memory. Only what is in
    /// use is copied. A stack that is longer is cut, and the thread says so.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(in crate::cli) stack_bytes: Option<u64>,
    /// Also write what was copied to this file, for the command replay
    ///
    /// The file holds stack memory, which may hold secrets: only its owner may read it (mode
    /// 0600). It is written for one process only.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) save_snapshot: Option<PathBuf>,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(in crate::cli) render: RenderArgs,
}

/// Options of `run` that mean nothing to the relay.
const RELAY_CONFLICTS: [&str; 17] = [
    "once",
    "children",
    "timeout",
    "stack_bytes",
    "store",
    "format",
    "threads",
    "max_frames",
    "scan",
    "no_inline",
    "no_lines",
    "source",
    "debug_dirs",
    "debuginfod",
    "color",
    "quiet",
    "verbose",
];

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump run [OPTIONS] -- <CMD> [ARGS]...")]
pub(in crate::cli) struct RunArgs {
    /// Put the relay into the program instead of tracing it
    ///
    /// This program becomes the program, which then dumps itself, and so do its children; see
    /// threaddump-relay(7). Set-user-ID programs that it starts keep their rights. Of the other options only
    /// --output, --no-registers and --forward can be given then. A program that cannot take the relay,
    /// since it is statically linked or set-user-ID, is traced all the same. Where tracing is denied, the relay is
    /// used without this option.
    #[arg(long, conflicts_with_all = RELAY_CONFLICTS)]
    pub(in crate::cli) relay: bool,
    /// What to do with the program.
    #[command(flatten)]
    pub(in crate::cli) follow: FollowArgs,
    /// The program, and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(in crate::cli) command: Vec<OsString>,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump watch [OPTIONS] <PID|NAME>")]
pub(in crate::cli) struct WatchArgs {
    /// What to do with the process.
    #[command(flatten)]
    pub(in crate::cli) follow: FollowArgs,
    /// Process id or process name
    #[arg(value_name = "PID|NAME", value_parser = values::target)]
    pub(in crate::cli) target: Target,
}

/// How to follow a process.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct FollowArgs {
    /// Deliver SIGQUIT also to a program that does not catch it, which ends it
    ///
    /// A program that catches it gets it in any case, after the dump.
    #[arg(long)]
    pub(in crate::cli) forward: bool,
    /// End after one dump; the program goes on alone
    #[arg(long)]
    pub(in crate::cli) once: bool,
    /// Also keep the report of a crash, for `threaddump crashes`
    ///
    /// In /var/lib/threaddump/crashes if root runs this, else in $XDG_STATE_HOME/threaddump/crashes, or
    /// in the store that is named.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub(in crate::cli) store: Option<Option<PathBuf>>,
    /// Also dump child processes, each on its own SIGQUIT or crash
    #[arg(long)]
    pub(in crate::cli) children: bool,
    /// Longest time a process may be held, as in 500ms or 5s
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    pub(in crate::cli) timeout: Duration,
    /// Bytes of stack to copy of each thread, as in 256K or 16M
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(in crate::cli) stack_bytes: Option<u64>,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(in crate::cli) render: RenderArgs,
}

/// Arguments of `core`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump core [OPTIONS] <COREFILE>")]
pub(in crate::cli) struct CoreArgs {
    /// The core file; - is standard input
    #[arg(value_name = "COREFILE")]
    pub(in crate::cli) corefile: PathBuf,
    /// The program that crashed, if it is not where the core says
    ///
    /// It is used only if its build ID is that in the core, if there is one.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) exe: Option<PathBuf>,
    /// Look for the files of the process below this directory
    ///
    /// For a core of another machine or of a container, whose root directory is there. Without this,
    /// files of this machine are used, if their build IDs are those in the core.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) sysroot: Option<PathBuf>,
    /// Bytes of stack to look at of each thread, as in 256K or 16M
    ///
    /// By default 16M, and 256K where a stack cannot be told from other memory. A stack that is
    /// longer is cut, and the thread says so.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(in crate::cli) stack_bytes: Option<u64>,
    /// Largest temporary file for what is compressed or comes from a pipe
    ///
    /// It is made in TMPDIR or /var/tmp, without a name. Pages of zeros take no room in it, and a
    /// twentieth of the file system is left free. A core that does not fit is cut, and the output
    /// says so.
    #[arg(long, value_name = "SIZE", default_value = "16G", value_parser = values::size)]
    pub(in crate::cli) unpack_limit: u64,
    /// Also write what was read to this file, for the command replay
    ///
    /// The file holds stack memory, which may hold secrets: only its owner may read it (mode
    /// 0600).
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) save_snapshot: Option<PathBuf>,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(in crate::cli) render: RenderArgs,
}

/// Arguments of the crash handler. They have short forms, since a pattern has 127 bytes.
#[derive(Debug, Args)]
pub(in crate::cli) struct HandleCoreArgs {
    /// Where the registers come from
    #[arg(long, value_enum, value_name = "WAY", default_value_t = RegistersChoice::Auto)]
    pub(in crate::cli) via: RegistersChoice,
    /// Longest time the process is kept, as in 500ms or 5s
    #[arg(short = 't', long, value_name = "DURATION", value_parser = values::duration)]
    pub(in crate::cli) hold: Option<Duration>,
    /// How many crashes may be copied at the same time
    #[arg(short, long, value_name = "N", value_parser = values::parallel)]
    pub(in crate::cli) parallel: Option<usize>,
    /// File of settings
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// The store
    #[arg(short, long, value_name = "DIR")]
    pub(in crate::cli) store: Option<PathBuf>,
    /// Pass the core on to the handler that was there before
    #[arg(long)]
    pub(in crate::cli) chain: bool,
    /// What the kernel says about the crash, as in P=%P
    #[arg(value_name = "LETTER=VALUE", required = true, trailing_var_arg = true)]
    pub(in crate::cli) facts: Vec<OsString>,
}

/// Arguments of `core-pattern`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CorePatternArgs {
    /// What to do.
    #[command(subcommand)]
    pub(in crate::cli) action: CorePatternAction,
}

/// What to do with the pattern.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CorePatternAction {
    /// Show who handles crashes, and which crashes never arrive
    #[command(
        after_help = "Exit status: 0 threaddump handles crashes, 1 it does not, or something is wrong, 2 failed"
    )]
    Status,
    /// Make threaddump the handler, also after the next start of the machine
    ///
    /// The kernel will run this very program as root, so it and its folders must belong to root, and
    /// nobody else may write there. What was there before is kept for uninstall.
    Install(InstallArgs),
    /// Put back what was there before
    Uninstall,
}

/// Arguments of `core-pattern install`.
#[derive(Debug, Args)]
pub(in crate::cli) struct InstallArgs {
    /// Pass each core on to the handler that is there now
    ///
    /// It gets the whole core and the arguments it asks for, after threaddump has copied what it
    /// needs. The process is then kept for as long as that handler takes.
    #[arg(long)]
    pub(in crate::cli) chain: bool,
    /// Store crashes in this directory, not in /var/lib/threaddump/crashes
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) store: Option<PathBuf>,
    /// Where the registers come from
    #[arg(long, value_enum, value_name = "WAY", default_value_t = RegistersChoice::Auto)]
    pub(in crate::cli) via: RegistersChoice,
    /// Longest time a process is kept, as in 500ms or 5s
    ///
    /// Normally it is some milliseconds. What could not be copied by then is missing, and the report
    /// says so.
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(in crate::cli) hold: Option<Duration>,
    /// How many crashes may be copied at the same time, by default 16
    ///
    /// Others wait, for four fifths of the time a process may be kept; then they are let go, counted and
    /// logged. What comes after the copy is done for as many at a time as there are processors.
    #[arg(long, value_name = "N", value_parser = values::parallel)]
    pub(in crate::cli) parallel: Option<usize>,
    /// Take settings from this file, not from /etc/threaddump.conf
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump replay [OPTIONS] <SNAPSHOT>")]
pub(in crate::cli) struct ReplayArgs {
    /// File that --save-snapshot wrote
    #[arg(value_name = "SNAPSHOT")]
    pub(in crate::cli) snapshot: PathBuf,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(in crate::cli) render: RenderArgs,
}

/// Arguments of `symbolize`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump symbolize [OPTIONS] [FILE]")]
pub(in crate::cli) struct SymbolizeArgs {
    /// The text; standard input without it, or with -
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// Write to this file, which is replaced when everything is in it
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Do not show inlined functions
    #[arg(long)]
    pub(in crate::cli) no_inline: bool,
    /// Do not look up source lines
    #[arg(long)]
    pub(in crate::cli) no_lines: bool,
    /// Look for debug files here, before /usr/lib/debug; may be given several times
    ///
    /// They are found by build ID, as DIR/.build-id/12/3456.debug; so is a whole file, as
    /// DIR/.build-id/12/3456.
    #[arg(long = "debug-dir", value_name = "DIR", value_parser = values::directory())]
    pub(in crate::cli) debug_dirs: Vec<PathBuf>,
    /// Print no messages; the exit status tells
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// Arguments of `relay-helper`, which the relay gives; threaddump-relay(7) says how it is started.
#[derive(Debug, Args)]
pub(in crate::cli) struct HelperArgs {
    /// The process
    pub(in crate::cli) pid: i32,
    /// The thread in the signal handler
    #[arg(value_parser = values::thread)]
    pub(in crate::cli) tid: Tid,
    /// Address of its `ucontext_t`
    pub(in crate::cli) context: u64,
    /// Address of its `siginfo_t`
    pub(in crate::cli) info: u64,
    /// Arguments that do not depend on where the data comes from.
    #[command(flatten)]
    pub(in crate::cli) render: RenderArgs,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell
    pub(in crate::cli) shell: clap_complete::Shell,
}
