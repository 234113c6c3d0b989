//! What to show of a snapshot, and how.
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::values;
use crate::collect::Via;
use crate::ids::Tid;
use crate::source::PathMap;

/// What to show of a snapshot, and how.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct RenderArgs {
    /// Form of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(in crate::cli) format: Format,
    /// Write to this file, which is replaced when everything is in it
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Show only this thread; may be given several times
    ///
    /// Other threads are not stopped.
    #[arg(long = "thread", value_name = "TID", value_parser = values::thread)]
    pub(in crate::cli) threads: Vec<Tid>,
    /// Show no registers
    #[arg(long)]
    pub(in crate::cli) no_registers: bool,
    /// Frames to show of one thread; 0 shows all
    ///
    /// Of a deeper stack both ends are shown, half of the frames each.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(in crate::cli) max_frames: usize,
    /// Search the stack where unwinding cannot go on
    ///
    /// Finds return addresses that are no longer in use, too. Each frame found so is marked.
    #[arg(long)]
    pub(in crate::cli) scan: bool,
    /// Do not show inlined functions
    #[arg(long)]
    pub(in crate::cli) no_inline: bool,
    /// Do not look up source lines
    #[arg(long)]
    pub(in crate::cli) no_lines: bool,
    /// Show so many lines of source code around the line of each frame
    ///
    /// Files are looked for at their paths in the root directory of the process, then on this machine.
    /// A file whose MD5 is not the one in the debug information (DWARF 5 may have it) is not shown; where
    /// there is none, notes tell of files that are newer than the program, or not in its root directory.
    #[arg(long, value_name = "N", value_parser = values::source_lines, conflicts_with = "no_lines")]
    pub(in crate::cli) source: Option<usize>,
    /// Look for source files in another folder of this machine; may be given several times
    ///
    /// FROM is the beginning of their names as the output shows them, which may be relative; the longest
    /// that fits counts.
    #[arg(long = "source-map", value_name = "FROM=TO", requires = "source")]
    pub(in crate::cli) source_maps: Vec<PathMap>,
    /// Look for debug files here, before /usr/lib/debug; may be given several times
    ///
    /// They are found by build ID, as DIR/.build-id/12/3456.debug, or else by the name that the program
    /// gives, if checksums agree. DIR is looked for below the root directory of the process first,
    /// then on this machine. The files of split DWARF (.dwo and .dwp) are looked for here, too.
    #[arg(long = "debug-dir", value_name = "DIR", value_parser = values::directory())]
    pub(in crate::cli) debug_dirs: Vec<PathBuf>,
    /// Fetch debug files that are not on this machine from debuginfod servers
    ///
    /// This is done once the process runs again. The servers are those in DEBUGINFOD_URLS; what they
    /// send is kept in the cache that debuginfod-find(1) has, too. Without this option, no connection
    /// is ever made.
    #[arg(long)]
    pub(in crate::cli) debuginfod: bool,
    /// Longest time to wait for all debug files together, as in 10s
    ///
    /// Files that have not come by then, or until Ctrl-C, are done without.
    #[arg(long, value_name = "DURATION", default_value = "30s", requires = "debuginfod", value_parser = values::duration)]
    pub(in crate::cli) debuginfod_timeout: Duration,
    /// When to use colours
    ///
    /// With auto they are used on a terminal, unless NO_COLOR is set or TERM is dumb.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(in crate::cli) color: ColorChoice,
    /// Print no messages; the exit status tells
    #[arg(short, long, conflicts_with = "verbose")]
    pub(in crate::cli) quiet: bool,
    /// Say on standard error what is done and how long it takes
    ///
    /// On processors that sign return addresses, the dump shows them with their signature too.
    #[arg(short, long)]
    pub(in crate::cli) verbose: bool,
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
pub(in crate::cli) enum ViaChoice {
    /// By ptrace if that is allowed; else by the relay, if the process has it; else as with proc
    Auto,
    /// By ptrace or not at all
    Ptrace,
    /// By the relay inside the process (threaddump-relay(7)) or not at all
    Relay,
    /// From /proc, without stopping anything
    Proc,
}

impl From<ViaChoice> for Via {
    fn from(choice: ViaChoice) -> Via {
        match choice {
            ViaChoice::Auto => Via::Auto,
            ViaChoice::Ptrace => Via::Ptrace,
            ViaChoice::Relay => Via::Relay,
            ViaChoice::Proc => Via::Proc,
        }
    }
}

/// Where the registers of a crash come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RegistersChoice {
    /// From the notes of the core; from stops if there are none
    Auto,
    /// From the notes of the core alone
    Notes,
    /// From a stop of each thread at its end; from notes if that cannot be
    Ptrace,
}

impl From<RegistersChoice> for crate::handler::Via {
    fn from(choice: RegistersChoice) -> crate::handler::Via {
        match choice {
            RegistersChoice::Auto => crate::handler::Via::Auto,
            RegistersChoice::Notes => crate::handler::Via::Notes,
            RegistersChoice::Ptrace => crate::handler::Via::Ptrace,
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
