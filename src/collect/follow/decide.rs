//! What to do with a signal that is about to be delivered.
use nix::libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ};

use super::Follower;
use crate::ids::{Pid, Tid};
use crate::proc::{ProcDir, Status};
use crate::snapshot::SignalFacts;
use crate::sys::ptrace;

/// Signals whose default action is a core dump, but for SIGQUIT: they say that the program is at fault. The
/// others that end a program are requests, which get no dump.
const CRASHES: [i32; 9] = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS];

/// What a program does with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposition {
    Default,
    Ignored,
    Caught,
}

impl Follower {
    pub(super) fn on_signal(&mut self, tid: Tid, pid: Pid, signal: i32) {
        if self.own.minds(signal, pid)
            && let Ok(origin) = ptrace::origin(tid)
        {
            self.own.seen(signal, origin.sender);
        }
        let concerns = signal == SIGQUIT || CRASHES.contains(&signal);
        let wants = concerns && !(self.options.once && self.dumps.any());
        let disposition = if concerns { disposition(tid, signal) } else { Disposition::Caught };
        match (signal, disposition) {
            // Before the dump, so that it cannot end the program if we die.
            (SIGQUIT, Disposition::Default) if !self.options.forward => {
                let _ = ptrace::cont(tid, 0);
                if wants {
                    self.dumps.ask(pid);
                }
            }
            (SIGQUIT, _) if wants => self.dumps.hold(pid, tid, signal),
            (_, Disposition::Default) if wants => self.crash(pid, tid, signal),
            _ => {
                let _ = ptrace::cont(tid, signal);
            }
        }
    }

    fn crash(&mut self, pid: Pid, tid: Tid, signal: i32) {
        let origin = ptrace::origin(tid).ok();
        let facts = SignalFacts {
            number: signal,
            code: origin.map(|origin| origin.code),
            address: origin.and_then(|origin| origin.address),
            tid: Some(tid),
        };
        self.dumps.freeze(pid, tid, facts, &self.tracees.of(pid));
    }
}

fn disposition(tid: Tid, signal: i32) -> Disposition {
    let status = ProcDir::open(format!("/proc/{tid}")).and_then(|dir| dir.status(None));
    of_status(&status.unwrap_or_default(), signal)
}

/// What is not known counts as caught: then nothing of the signal is changed.
fn of_status(status: &Status, signal: i32) -> Disposition {
    let bit = 1_u64 << (signal - 1).clamp(0, 63);
    match (status.caught, status.ignored) {
        (Some(caught), Some(ignored)) if (caught | ignored) & bit == 0 => Disposition::Default,
        (Some(_), Some(ignored)) if ignored & bit != 0 => Disposition::Ignored,
        _ => Disposition::Caught,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_default_counts_as_such() {
        let status = |caught, ignored| Status { caught, ignored, ..Status::default() };
        let segv = 1 << (SIGSEGV - 1);
        assert_eq!(of_status(&status(Some(0), Some(0)), SIGSEGV), Disposition::Default);
        assert_eq!(of_status(&status(Some(segv), Some(0)), SIGSEGV), Disposition::Caught);
        assert_eq!(of_status(&status(Some(0), Some(segv)), SIGSEGV), Disposition::Ignored);
        assert_eq!(of_status(&status(None, None), SIGSEGV), Disposition::Caught);
    }
}
