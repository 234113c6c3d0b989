//! A report without files and stacks, for a crash of which the worker gave none.
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::frames::Output;
use super::worker;
use crate::collect::crash::{Held, Limits, Origin};
use crate::dump;
use crate::images::OpenFiles;
use crate::snapshot::{Module, Problem, Snapshot};

/// Opens nothing.
#[derive(Debug)]
struct NoFiles;

impl OpenFiles for NoFiles {
    fn module(&self, _: &Module) -> io::Result<File> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn everywhere(&self, _: &Path) -> Vec<(io::Result<File>, bool)> {
        Vec::new()
    }
}

/// Names and registers of all threads, and why there is no more. Reads nothing of the process.
pub(super) fn output(
    held: &mut Held,
    origin: Origin,
    limits: &Limits,
    why: &str,
    options: &dump::Options,
) -> Output {
    held.forget_memory();
    let mut snapshot = held.snapshot(origin, limits);
    snapshot.problems.retain(|problem| problem.stage != "stack");
    snapshot.problems.insert(0, Problem::new("crash", format!("there are no stacks: {why}")));
    let released = |_: &mut Snapshot, _: &[u64]| Ok::<_, Infallible>(());
    let Ok(report) = dump::crash(&mut snapshot, Rc::new(NoFiles), options, released);
    worker::output(&report)
}
