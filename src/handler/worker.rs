//! What has no rights: copies, parses, unwinds, names, and writes into its pipe.
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Instant;

use super::client::Client;
use super::folders::Folders;
use super::frames::{Frames, Output};
use crate::collect::crash::{Dumpable, Event, Held, Limits, Origin};
use crate::crashes::Facts;
use crate::dump;
use crate::report::style::Style;
use crate::report::{Report, json, text};
use crate::snapshot::{Problem, Snapshot};
use crate::sys::fence::{self, Fences};
use crate::sys::{descriptors, privileges};

/// Who has no files: those of set-user-ID programs are not of the user who started them.
const NOBODY: u32 = 65534;

/// Bytes of memory, at most.
const MEMORY: u64 = 4 << 30;
/// Seconds of processor time.
const SECONDS: u64 = 120;
/// The kernel ends who has the highest number first when memory is short.
const FIRST_TO_GO: &str = "1000";

/// Told, since it is for an administrator to judge.
const UNFENCED: &str = "this kernel has neither seccomp nor Landlock for this processor: the process that read the memory of \
    the crashed one had no rights, and an empty root directory, but no fence of system calls";

/// Why a worker ends: its exit status.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failed {
    /// It could not give up its rights.
    Rights = 71,
    /// Nobody hears it.
    Pipe = 74,
}

/// Gives up every right but those over these descriptors, for good. They are closed, so nothing of what had them
/// may be used any more. For a process with one thread.
///
/// # Errors
/// If not all could be given up. That a kernel or processor has no fences is no error.
pub fn confine(event: &Event, kept: &[RawFd]) -> io::Result<Fences> {
    descriptors::close_all_but(kept)?;
    let (uid, gid) = match event.dumpable {
        Dumpable::ByUser => (event.uid, event.gid),
        Dumpable::ByRoot => (NOBODY, NOBODY),
    };
    // A report without stacks is better than the end of another program (proc_pid_oom_score_adj(5)).
    let _ = std::fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
    privileges::give_up(uid, gid, limits())?;
    fence::raise()
}

/// A quarter of the machine's memory, if that is less.
fn limits() -> privileges::Limits {
    let total = nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |machine| machine.ram_total());
    privileges::Limits { memory: MEMORY.min(total / 4), seconds: SECONDS }
}

/// Does everything; gives its exit status. What is borrowed is a copy of ours.
pub(super) fn run(
    held: &mut Held,
    origin: Origin,
    (limits, began): (&Limits, Instant),
    (socket, folders, pipe, turn): (OwnedFd, &Folders, File, File),
    options: &dump::Options,
) -> Result<(), Failed> {
    let mut kept = vec![socket.as_raw_fd(), pipe.as_raw_fd(), turn.as_raw_fd()];
    kept.extend(held.open_files());
    let fences = confine(&held.event, &kept).map_err(|_| Failed::Rights)?;
    if fences.is_none() {
        held.problems.push(Problem::new("crash", UNFENCED));
    }
    let mut frames = Frames(pipe);
    let mut snapshot = held.snapshot(origin, limits);
    let files = Rc::new(Client { socket, folders: folders.clone() });
    let asked = Rc::clone(&files);
    let release = |snapshot: &mut Snapshot, places: &[u64]| {
        let is_generated = !snapshot.memory.is_empty();
        held.add_generated(places, limits, snapshot);
        // Where the process has mounts of its own, its files go with it.
        let maps = (0..held.map_ids().len()).filter(|_| is_generated).map(|place| asked.perf_map(place));
        let maps: Vec<_> = maps.collect();
        snapshot.pause_ns = u64::try_from(began.elapsed().as_nanos()).ok();
        frames.released().map_err(|_| Failed::Pipe)?;
        wait_for_turn(turn).map_err(|_| Failed::Pipe)?;
        held.add_perf_names(maps, snapshot);
        Ok(())
    };
    let report = dump::crash(&mut snapshot, files, options, release)?;
    frames.result(&output(&report)).map_err(|_| Failed::Pipe)
}

/// The process is gone, and there is no hurry any more: others may be working.
fn wait_for_turn(mut turn: File) -> io::Result<()> {
    turn.read_exact(&mut [0])
}

/// JSON, text, and what it is listed by.
pub(super) fn output(report: &Report) -> Output {
    let (mut as_json, mut as_text) = (Vec::new(), Vec::new());
    // Memory takes everything.
    let _ = json::write(report, &mut as_json);
    let _ = text::write(report, &Style::PLAIN, &mut as_text);
    let facts = Facts::of(report).map(|facts| facts.encode()).unwrap_or_default();
    Output { json: as_json, text: as_text, facts }
}
