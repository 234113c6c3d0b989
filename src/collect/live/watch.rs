//! Keeping the attach from blocking for ever. Attaching to a thread waits while its process is in execve,
//! and execve waits until each other thread has ended and was collected. Those that are traced only their
//! tracer can collect, but that one is waiting to attach: on Linux 6.18 both stood still until the tracer
//! was killed, and a signal does not interrupt the wait. Any thread of the tracer's process can collect,
//! though.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::tracer::{self, Catch, Plan};
use crate::ids::Pid;
use crate::proc::ProcDir;
use crate::sys::wait;

/// An attach takes a few microseconds; this long it can only be waiting for something.
const LONG: Duration = Duration::from_millis(10);

/// Whether the tracer thread is attaching, for another thread to see.
#[derive(Debug, Default)]
pub(in super::super) struct Attaching(AtomicU64);

impl Attaching {
    /// Calls what may block.
    pub(in super::super) fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        let result = call();
        self.0.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// Odd within a call, and never the same for two.
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs the tracer on a thread of its own, waits for its end, and helps where it blocks.
pub(super) fn run(plan: &Plan<'_>) -> Catch {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel::<()>();
        let tracer = scope.spawn(move || {
            // Dropped at the end, also of a panic, which is what the receiver waits for.
            let _sender = sender;
            tracer::run(plan)
        });
        help(&receiver, &plan.attaching, plan.pid, plan.dir);
        tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Attaches on the calling thread, while another one helps where it blocks.
pub(in super::super) fn attach<T>(pid: Pid, dir: &ProcDir, attach: impl FnOnce(&Attaching) -> T) -> T {
    let attaching = &Attaching::default();
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel::<()>();
        scope.spawn(move || help(&receiver, attaching, pid, dir));
        let _sender = sender;
        attach(attaching)
    })
}

/// Helps until the other end of the channel goes away.
fn help(receiver: &Receiver<()>, attaching: &Attaching, pid: Pid, dir: &ProcDir) {
    let mut before = 0;
    while receiver.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
        let now = attaching.now();
        if now % 2 == 1 && now == before {
            collect_ended(pid, dir);
        }
        before = now;
    }
}

/// Collects the threads of the target that have ended. The leader is not waited for by execve.
fn collect_ended(pid: Pid, dir: &ProcDir) {
    let ended = |tid| dir.stat(Some(tid)).is_ok_and(|stat| stat.has_ended());
    for tid in dir.list_tasks().unwrap_or_default() {
        if tid != pid.leader() && ended(tid) {
            // Those that were not attached to are not ours to collect, which is an error here.
            let _ = wait::reap(tid);
        }
    }
}
