//! The helper of the relay: dumps the process whose signal handler has started it.
//!
//! Standard input gives one byte once the process has allowed to be traced, standard output takes the dump,
//! and descriptor 3 one byte when it is complete. Without that byte the relay makes a dump of its own, so
//! nothing may be written before everything is known.
use std::io::{Read, Write};

use super::Exit;
use super::args::HelperArgs;
use super::render::Printer;
use crate::collect::{self, Interrupted, Via};
use crate::dump;
use crate::error::Failure;
use crate::ids::Pid;

const ANSWER: &str = "/proc/self/fd/3";
const DONE: &[u8] = b"1";

pub(super) fn run(arguments: &HelperArgs) -> Result<Exit, Failure> {
    let mut go = [0];
    if !matches!(std::io::stdin().read(&mut go), Ok(1)) {
        return Ok(Exit::Nothing);
    }
    let HelperArgs { pid, tid, context, info, render } = arguments;
    let interrupted = Some(Interrupted { tid: *tid, context: *context, info: *info });
    let options = collect::Options { via: Via::Ptrace, interrupted, ..collect::Options::default() };
    let mut printer = Printer::open(render, false)?;
    let report = dump::live(Pid(*pid), &options, &render.dump_options(), |_, _| Ok::<(), Failure>(()))?;
    let exit = printer.print(&report)?;
    printer.finish()?;
    let answer = std::fs::File::options().write(true).open(ANSWER);
    // If it cannot be given, the process has a second dump to write.
    let _ = answer.and_then(|mut answer| answer.write_all(DONE));
    Ok(exit)
}
