//! The `threaddump` program.
use std::process::ExitCode;

fn main() -> ExitCode {
    threaddump::cli::main(std::env::args_os())
}
