//! What `/proc` says about single threads: names and states before the stop, and whatever there is about
//! those that would not stop.
use std::collections::HashMap;

use super::super::denied;
use crate::ids::Tid;
use crate::proc::{ProcDir, Stat, SyscallFile, parse_syscall};
use crate::snapshot::{Problem, ThreadSnapshot};

/// From so many threads on a second thread of ours is worth its start.
const MANY: usize = 100;

fn read_stats(dir: &ProcDir, tids: &[Tid]) -> Vec<(Tid, Stat)> {
    tids.iter().filter_map(|&tid| Some((tid, dir.stat(Some(tid)).ok()?))).collect()
}

/// A thread as it was before the stop.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) state: char,
}

/// The threads listed before the stop.
#[derive(Debug)]
pub(super) struct Listing {
    /// Live ones, in ascending order.
    pub(super) tids: Vec<Tid>,
    pub(super) facts: HashMap<Tid, Listed>,
}

impl Listing {
    /// Reads name and state of each, at 10 µs a thread: many are shared out to two processors. Those
    /// that are gone by then are left out; so are those that have ended, but for the leader, which stays
    /// in the list for as long as others live.
    pub(super) fn read(dir: &ProcDir, tids: &[Tid]) -> Listing {
        let (first, second) = if tids.len() < MANY { (tids, &[][..]) } else { tids.split_at(tids.len() / 2) };
        let (mut stats, more) = std::thread::scope(|scope| {
            let helper = (!second.is_empty()).then(|| scope.spawn(|| read_stats(dir, second)));
            let stats = read_stats(dir, first);
            // The helper does nothing that panics; without its half the threads are found by the rescan.
            (stats, helper.and_then(|helper| helper.join().ok()).unwrap_or_default())
        });
        stats.extend(more);
        let live = stats.iter().filter(|(_, stat)| !stat.has_ended());
        let tids = live.map(|&(tid, _)| tid).collect();
        let facts = stats.into_iter().map(|(tid, stat)| (tid, Listed { name: stat.name, state: stat.state }));
        Listing { tids, facts: facts.collect() }
    }

    /// A thread without registers; the facts of one that appeared during the stop are read now.
    pub(super) fn thread(&self, dir: &ProcDir, tid: Tid) -> ThreadSnapshot {
        let listed = self.facts.get(&tid);
        let name = listed.map(|listed| listed.name.clone());
        let name = name.or_else(|| Some(dir.stat(Some(tid)).ok()?.name)).unwrap_or_default();
        ThreadSnapshot {
            tid,
            name,
            state: listed.map(|listed| listed.state),
            syscall: None,
            registers: None,
            stacks: Vec::new(),
            stack_cut: false,
            problems: Vec::new(),
        }
    }
}

/// Completes a thread that did not stop: what it is doing instead, as far as `/proc` knows.
pub(super) fn describe_unstopped(dir: &ProcDir, thread: &mut ThreadSnapshot) {
    let tid = thread.tid;
    thread.state = dir.stat(Some(tid)).ok().map(|stat| stat.state).or(thread.state);
    let mut what = format!("thread {tid} did not stop");
    if let Some(state) = thread.state {
        what += &format!(": state {state}");
    }
    let channel = dir.read(&format!("task/{tid}/wchan")).unwrap_or_default();
    if !matches!(channel.as_slice(), b"" | b"0") {
        what += &format!(", waits in {}", String::from_utf8_lossy(&channel));
    }
    let file = dir.read(&format!("task/{tid}/syscall")).ok();
    if let Some(SyscallFile::Blocked { syscall, sp, pc }) = file.and_then(|text| parse_syscall(&text)) {
        if let Some(syscall) = &syscall {
            what += &format!(", system call {}", syscall.number);
        }
        what += &format!(", pc {pc:#x}, sp {sp:#x}");
        thread.syscall = syscall;
    }
    thread.problems.push(Problem::of_thread("stop", tid, what));
}

/// Completes a thread that could not be attached to.
pub(super) fn describe_refused(dir: &ProcDir, thread: &mut ThreadSnapshot, error: nix::errno::Errno) {
    let tid = thread.tid;
    let cause = match denied::tracer(dir, Some(tid)) {
        Some((tracer, name)) => format!("it is traced by {tracer} ({name})"),
        None => std::io::Error::from(error).to_string(),
    };
    let what = format!("cannot attach to thread {tid}: {cause}");
    thread.problems.push(Problem::of_thread("attach", tid, what));
}
