//! The threads that are traced.
use std::collections::HashMap;

use crate::ids::{Pid, Tid};
use crate::proc::ProcDir;

/// What is known of a traced thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracee {
    /// Its process.
    pub(super) pid: Pid,
    /// Whether it is in a group stop, and left there.
    pub(super) listening: bool,
}

/// The threads that are traced, by their ids.
#[derive(Debug, Default)]
pub(super) struct Tracees(HashMap<Tid, Tracee>);

impl Tracees {
    pub(super) fn insert(&mut self, tid: Tid, pid: Pid) {
        self.0.entry(tid).or_insert(Tracee { pid, listening: false });
    }

    pub(super) fn pid(&self, tid: Tid) -> Option<Pid> {
        self.0.get(&tid).map(|tracee| tracee.pid)
    }

    pub(super) fn remove(&mut self, tid: Tid) {
        self.0.remove(&tid);
    }

    pub(super) fn set_listening(&mut self, tid: Tid, listening: bool) {
        if let Some(tracee) = self.0.get_mut(&tid) {
            tracee.listening = listening;
        }
    }

    /// After an exec only one thread is left, with the id of the process.
    pub(super) fn keep_leader(&mut self, pid: Pid) {
        self.0.retain(|&tid, tracee| tracee.pid != pid || tid == pid.leader());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The processes, each once.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let mut pids: Vec<Pid> = self.0.values().map(|tracee| tracee.pid).collect();
        pids.sort_unstable_by_key(|pid| pid.0);
        pids.dedup();
        pids
    }

    pub(super) fn all(&self) -> Vec<Tid> {
        self.0.keys().copied().collect()
    }

    pub(super) fn of(&self, pid: Pid) -> Vec<Tid> {
        self.0.iter().filter(|(_, tracee)| tracee.pid == pid).map(|(&tid, _)| tid).collect()
    }

    /// Whether all are in a group stop; a leader that has ended will not be.
    pub(super) fn all_listen(&self) -> bool {
        let listens = |(&tid, tracee): (&Tid, &Tracee)| tracee.listening || has_ended(tracee.pid, tid);
        self.0.values().any(|tracee| tracee.listening) && self.0.iter().all(listens)
    }
}

fn has_ended(pid: Pid, tid: Tid) -> bool {
    let stat = ProcDir::open(format!("/proc/{pid}")).and_then(|dir| dir.stat(Some(tid)));
    stat.is_ok_and(|stat| stat.has_ended())
}

/// The process that a thread is part of.
pub(super) fn process_of(tid: Tid) -> Option<Pid> {
    ProcDir::open(format!("/proc/{tid}")).ok()?.status(None).ok()?.tgid.map(Pid)
}
