//! What traced threads stop for, and letting them go on.
use nix::libc::{
    PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC, PTRACE_EVENT_FORK, PTRACE_EVENT_STOP, PTRACE_EVENT_VFORK,
};

use super::Follower;
use super::tracees::process_of;
use crate::ids::{Pid, Tid};
use crate::sys::wait::{self, Event};
use crate::sys::{ptrace, wait::End};

/// Stops that are served before anything else is looked at.
const AT_ONCE: usize = 10_000;

impl Follower {
    /// Serves all threads that have stopped or ended.
    pub(super) fn drain(&mut self) {
        for _ in 0..AT_ONCE {
            if self.dumps.hold_any() {
                // The kernel would name those that are held again and again.
                if !self.serve_each() {
                    return;
                }
                continue;
            }
            match wait::peek_any() {
                Ok(Some((tid, event))) => self.serve(tid, event),
                Ok(None) | Err(_) => return,
            }
            if self.ended.is_some() {
                return;
            }
        }
    }

    /// Asks each thread by its id; whether there was anything to do.
    fn serve_each(&mut self) -> bool {
        let mut any = false;
        for tid in self.tracees.all() {
            match wait::peek(tid) {
                Ok(Some(event)) if !self.is_held(tid, event) => {
                    self.serve(tid, event);
                    any = true;
                }
                Ok(_) => {}
                Err(_) => self.tracees.remove(tid),
            }
        }
        any && self.ended.is_none()
    }

    /// Whether a stop is to stay.
    fn is_held(&self, tid: Tid, event: Event) -> bool {
        let frozen = || self.tracees.pid(tid).is_some_and(|pid| self.dumps.is_frozen(pid));
        !matches!(event, Event::Ended(_)) && (self.dumps.holds(tid) || frozen())
    }

    fn serve(&mut self, tid: Tid, event: Event) {
        if let Event::Ended(end) = event {
            return self.end(tid, end);
        }
        let Some(pid) = self.known(tid, event) else { return };
        // Requests fail only for a thread that was killed meanwhile, whose end comes next.
        let _ = match event {
            Event::Signal(signal) => return self.on_signal(tid, pid, signal),
            Event::Group(_) => {
                self.tracees.set_listening(tid, true);
                ptrace::listen(tid)
            }
            Event::Trap(event) => {
                self.tracees.set_listening(tid, false);
                self.on_trap(tid, pid, event);
                ptrace::cont(tid, 0)
            }
            Event::Ended(_) => Ok(()),
        };
    }

    /// The process of a thread; one that is not to be followed is let go.
    fn known(&mut self, tid: Tid, event: Event) -> Option<Pid> {
        if let Some(pid) = self.tracees.pid(tid) {
            return Some(pid);
        }
        // Without its facts it is taken for one of ours, and ends soon.
        let pid = process_of(tid).unwrap_or(self.pid);
        if pid != self.pid && !self.options.children {
            // Started by clone(2) with an exit signal of its own, it looks like a thread.
            let _ = ptrace::detach(tid, event.signal());
            return None;
        }
        self.tracees.insert(tid, pid);
        Some(pid)
    }

    fn on_trap(&mut self, tid: Tid, pid: Pid, event: i32) {
        match event {
            PTRACE_EVENT_CLONE | PTRACE_EVENT_FORK | PTRACE_EVENT_VFORK => {
                let Ok(new) = ptrace::event_id(tid) else { return };
                // One that looks like a thread is found out when it stops.
                if event != PTRACE_EVENT_CLONE || process_of(new) == Some(pid) {
                    self.tracees.insert(new, if event == PTRACE_EVENT_CLONE { pid } else { Pid(new.0) });
                }
            }
            PTRACE_EVENT_EXEC => {
                // A thread that was not the first takes the id of the first, and Linux (seen on 6.18) answers
                // ESRCH to every request for it until the report is collected. No signal goes with it.
                let _ = wait::take_stop(tid);
                self.tracees.keep_leader(pid);
                self.tracees.insert(pid.leader(), pid);
                self.dumps.forget_program(pid);
                if pid == self.pid {
                    self.gated = None;
                }
            }
            _ => debug_assert_eq!(event, PTRACE_EVENT_STOP),
        }
    }

    fn end(&mut self, tid: Tid, end: End) {
        let reaped = wait::reap(tid);
        self.tracees.remove(tid);
        self.dumps.forget(tid);
        if tid == self.leader() {
            self.ended = Some(reaped.ok().flatten().unwrap_or(end));
        }
    }
}
