//! Arguments of `compare`.
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::values;
use super::ColorChoice;

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(
    override_usage = "threaddump compare [OPTIONS] <PID|NAME>\n       threaddump compare [OPTIONS] <FILE> <FILE>"
)]
pub(in crate::cli) struct CompareArgs {
    /// A process id or name, or two files with dumps in JSON, the earlier first; - is standard input
    #[arg(value_name = "PID|NAME|FILE", required = true, num_args = 1..=2)]
    pub(in crate::cli) what: Vec<OsString>,
    /// Form of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = CompareFormat::Text)]
    pub(in crate::cli) format: CompareFormat,
    /// Write to this file, which is replaced when everything is in it
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Leave out threads that are the same
    #[arg(long)]
    pub(in crate::cli) only_different: bool,
    /// Longest time a process may be held for one dump, as in 500ms or 5s
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    pub(in crate::cli) timeout: Duration,
    /// Look for debug files here, before /usr/lib/debug; may be given several times
    #[arg(long = "debug-dir", value_name = "DIR", value_parser = values::directory())]
    pub(in crate::cli) debug_dirs: Vec<PathBuf>,
    /// When to use colours
    ///
    /// With auto they are used on a terminal, unless NO_COLOR is set or TERM is dumb.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(in crate::cli) color: ColorChoice,
    /// Print no messages; the exit status tells
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// Form of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CompareFormat {
    /// For people
    Text,
    /// For programs; see threaddump-json(5)
    Json,
}
