//! Arguments of `crashes`.
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::super::values;

const LIST_EXIT: &str = "Exit status: 0 all are listed (or there are none), 1 some are missing, 2 failed";
const SHOW_EXIT: &str = "Exit status: 0 everything shown, 1 threads or frames are missing, 2 nothing shown";
const REMOVE_EXIT: &str = "Exit status: 0 all were removed, 1 some were not, 2 none was";

/// Arguments of `crashes`.
#[derive(Debug, Args)]
#[command(
    override_usage = "threaddump crashes <COMMAND>",
    disable_help_subcommand = true,
    subcommand_required = true
)]
pub(in crate::cli) struct CrashesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub(in crate::cli) command: CrashesCommand,
}

/// What to do with crashes.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CrashesCommand {
    /// List crashes, the latest first
    #[command(override_usage = "threaddump crashes list [OPTIONS]", after_help = LIST_EXIT)]
    List(ListArgs),
    /// Print the report of a crash
    #[command(override_usage = "threaddump crashes show [OPTIONS] <ID|latest>", after_help = SHOW_EXIT)]
    Show(ShowArgs),
    /// Remove crashes
    ///
    /// All that look alike go together.
    #[command(override_usage = "threaddump crashes remove [OPTIONS] <ID>...", after_help = REMOVE_EXIT)]
    Remove(RemoveArgs),
    /// Remove what is beyond the limits of the store
    ///
    /// A store has 1000 crashes and 1 GiB at most, none is older than 90 days, and a twentieth of the
    /// file system (or 1 GiB, if that is less) stays free; /etc/threaddump.conf can set that. Whenever a crash is stored, what is beyond that is
    /// removed: the oldest first, of the user who has most. This command does the same, and also removes
    /// files that a writer left which was killed.
    #[command(
        override_usage = "threaddump crashes clean [OPTIONS]",
        after_help = "Exit status: 0 done, 2 failed"
    )]
    Clean(CleanArgs),
}

/// Where the crashes are.
#[derive(Debug, Args)]
pub(in crate::cli) struct StoreArgs {
    /// Look into this store only
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) dir: Option<PathBuf>,
    /// Print no messages; the exit status tells
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CrashesFormat {
    /// For reading
    Text,
    /// For programs, see threaddump-json(5)
    Json,
}

/// Arguments of `crashes list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Form of the list; in JSON, each crash is an object on a line of its own
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = CrashesFormat::Text)]
    pub(in crate::cli) format: CrashesFormat,
    /// Only crashes of this program: the last part of its path, its whole path, what it was started as, or
    /// the process's name
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) program: Option<String>,
    /// Only crashes by this signal, as SEGV, SIGSEGV or 11
    #[arg(long, value_name = "SIGNAL", value_parser = values::signal)]
    pub(in crate::cli) signal: Option<i32>,
    /// Only crashes since then: an age as 2h or 7d, or a date as 2026-11-25 or 2026-11-25T19:30 (UTC)
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub(in crate::cli) since: Option<Timestamp>,
    /// Where they are.
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
}

/// Arguments of `crashes show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Which one, as `crashes list` shows it; the beginning will do if no other begins so
    #[arg(value_name = "ID|latest")]
    pub(in crate::cli) id: String,
    /// Form of the report
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = CrashesFormat::Text)]
    pub(in crate::cli) format: CrashesFormat,
    /// The first of those that look alike, not the latest
    #[arg(long)]
    pub(in crate::cli) first: bool,
    /// Where they are.
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
}

/// Arguments of `crashes remove`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArgs {
    /// Which ones, as `crashes list` shows them
    #[arg(value_name = "ID", required = true)]
    pub(in crate::cli) ids: Vec<String>,
    /// Where they are.
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
}

/// Arguments of `crashes clean`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CleanArgs {
    /// Remove all crashes
    #[arg(long, conflicts_with = "older_than")]
    pub(in crate::cli) all: bool,
    /// Remove crashes that have not come again for so long, as 12h, 7d or 2w
    #[arg(long, value_name = "AGE", value_parser = values::age)]
    pub(in crate::cli) older_than: Option<Duration>,
    /// Keep so many crashes
    #[arg(long, value_name = "N", value_parser = values::count, conflicts_with = "all")]
    pub(in crate::cli) max_crashes: Option<usize>,
    /// Keep so many bytes of reports, as in 200M
    #[arg(long, value_name = "BYTES", value_parser = values::size, conflicts_with = "all")]
    pub(in crate::cli) max_bytes: Option<u64>,
    /// Keep so many bytes of the file system free, as in 2G; 0 for none
    #[arg(long, value_name = "BYTES", value_parser = values::space, conflicts_with = "all")]
    pub(in crate::cli) keep_free: Option<u64>,
    /// Where they are.
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
}

impl CrashesCommand {
    /// Where the crashes are.
    pub(in crate::cli) fn store(&self) -> &StoreArgs {
        match self {
            CrashesCommand::List(arguments) => &arguments.store,
            CrashesCommand::Show(arguments) => &arguments.store,
            CrashesCommand::Remove(arguments) => &arguments.store,
            CrashesCommand::Clean(arguments) => &arguments.store,
        }
    }
}
