//! What `/proc` says about single threads: names and states before the stop, and whatever there is about
//! those that would not stop.
use std::collections::HashMap;
use std::io;

use super::super::proc::{Look, Looker};
use super::super::{denied, facts, kernel};
use crate::ids::Tid;
use crate::proc::ProcDir;
use crate::snapshot::{Problem, ThreadSnapshot};

/// From so many threads on a second thread of ours is worth its start.
const MANY: usize = 100;

type Facts = Vec<(Tid, ThreadSnapshot)>;

/// The threads listed before the stop.
#[derive(Debug)]
pub(super) struct Listing {
    /// Live ones, in ascending order.
    pub(super) tids: Vec<Tid>,
    /// Each as it was before the stop, without registers.
    pub(super) facts: HashMap<Tid, ThreadSnapshot>,
    /// Why stacks in the kernel could not be read, if they were asked for.
    pub(super) no_kernel: Option<io::Error>,
}

impl Listing {
    /// Reads name and state of each, at 10 µs a thread, and the stack in the kernel if that is asked for:
    /// many are shared out to two processors. Those that are gone by then are left out; so are those that
    /// have ended, but for the leader, which stays in the list for as long as others live.
    pub(super) fn read(dir: &ProcDir, tids: &[Tid], kernel: bool) -> Listing {
        let (first, second) = if tids.len() < MANY { (tids, &[][..]) } else { tids.split_at(tids.len() / 2) };
        let ((mut facts, mut error), more) = std::thread::scope(|scope| {
            let helper = (!second.is_empty()).then(|| scope.spawn(|| read_facts(dir, second, kernel)));
            let facts = read_facts(dir, first, kernel);
            // The helper does nothing that panics; without its half the threads are found by the rescan.
            (facts, helper.and_then(|helper| helper.join().ok()).unwrap_or_default())
        });
        facts.extend(more.0);
        error = error.or(more.1);
        let live = facts.iter().filter(|(_, thread)| !matches!(thread.state, Some('Z' | 'X' | 'x')));
        let tids = live.map(|&(tid, _)| tid).collect();
        Listing { tids, facts: facts.into_iter().collect(), no_kernel: error }
    }

    /// A thread without registers; the facts of one that appeared during the stop are read now.
    pub(super) fn thread(&self, dir: &ProcDir, tid: Tid) -> ThreadSnapshot {
        if let Some(listed) = self.facts.get(&tid) {
            return listed.clone();
        }
        let now = dir.stat(Some(tid)).ok().map(|stat| facts::thread(tid, stat));
        // It was not seen before the stop, and during it it is stopped.
        now.map_or_else(|| ThreadSnapshot::unknown(tid), |thread| ThreadSnapshot { state: None, ..thread })
    }
}

fn read_facts(dir: &ProcDir, tids: &[Tid], kernel: bool) -> (Facts, Option<io::Error>) {
    let mut error = None;
    let threads = tids.iter().filter_map(|&tid| {
        let mut thread = facts::thread(tid, dir.stat(Some(tid)).ok()?);
        if kernel {
            error = kernel::add(dir, &mut thread).err().or(error.take());
        }
        Some((tid, thread))
    });
    (threads.collect(), error)
}

/// Completes a thread that did not stop: what it is doing instead, as far as `/proc` knows.
pub(super) fn describe_unstopped(dir: &ProcDir, looker: &mut Looker<'_>, thread: &mut ThreadSnapshot) {
    let tid = thread.tid;
    let look = looker.look(thread);
    // It waits in the kernel, so that is where the cause is.
    let _ = kernel::add(dir, thread);
    let mut what = format!("thread {tid} did not stop");
    if let Some(state) = thread.state {
        what += &format!(": state {state}");
    }
    if let Some(channel) = &thread.wait_channel {
        what += &format!(", waits in {channel}");
    }
    if let Some(syscall) = &thread.syscall {
        what += &format!(", system call {}", syscall.number);
    }
    if let (Look::Blocked | Look::Moved, Some(registers)) = (&look, &thread.registers)
        && let (Some(pc), Some(sp)) = (registers.pc(), registers.sp())
    {
        what += &format!(", pc {pc:#x}, sp {sp:#x}");
    }
    thread.problems.push(Problem::of_thread("stop", tid, what));
}

/// Completes a thread that could not be attached to.
pub(super) fn describe_refused(
    dir: &ProcDir,
    looker: &mut Looker<'_>,
    thread: &mut ThreadSnapshot,
    error: nix::errno::Errno,
) {
    let tid = thread.tid;
    looker.look(thread);
    let cause = match denied::tracer(dir, Some(tid)) {
        Some((tracer, name)) => format!("it is traced by {tracer} ({name})"),
        None => io::Error::from(error).to_string(),
    };
    let what = format!("cannot attach to thread {tid}: {cause}");
    thread.problems.push(Problem::of_thread("attach", tid, what));
}
