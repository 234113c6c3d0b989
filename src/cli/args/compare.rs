//! Arguments of `compare`.
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ColorChoice;

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(override_usage = "threaddump compare [OPTIONS] <FILE> <FILE>")]
pub(in crate::cli) struct CompareArgs {
    /// The earlier dump; - is standard input
    #[arg(value_name = "FILE")]
    pub(in crate::cli) first: PathBuf,
    /// The later one
    #[arg(value_name = "FILE")]
    pub(in crate::cli) second: PathBuf,
    /// Form of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = CompareFormat::Text)]
    pub(in crate::cli) format: CompareFormat,
    /// Write to this file, which is replaced when everything is in it
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Leave out threads that are the same
    #[arg(long)]
    pub(in crate::cli) only_different: bool,
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
