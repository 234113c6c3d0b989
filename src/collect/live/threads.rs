//! What `/proc` says about single threads: names and states before the stop, and whatever there is about
//! those that would not stop.
use std::collections::HashMap;

use super::super::denied;
use crate::ids::Tid;
use crate::proc::{ProcDir, SyscallFile, parse_syscall};
use crate::snapshot::{Problem, ThreadSnapshot};

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
    /// Reads name and state of each. Those that are gone by then are left out; so are those that have
    /// ended, but for the leader, which stays in the list for as long as others live.
    pub(super) fn read(dir: &ProcDir, tids: &[Tid]) -> Listing {
        let mut listing =
            Listing { tids: Vec::with_capacity(tids.len()), facts: HashMap::with_capacity(tids.len()) };
        for &tid in tids {
            let Ok(stat) = dir.stat(Some(tid)) else { continue };
            if !stat.has_ended() {
                listing.tids.push(tid);
            }
            listing.facts.insert(tid, Listed { name: stat.name, state: stat.state });
        }
        listing
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
