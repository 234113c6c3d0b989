//! Holding the threads of a process: seize, interrupt, wait, and above all let go. Everything here is
//! called on one OS thread, because ptrace answers only the thread that attached; its end releases
//! what could not be detached.
use std::collections::HashMap;
use std::fs::File;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::super::denied::is_gone;
use super::watch::Attaching;
use crate::ids::{Pid, Tid};
use crate::proc::{ProcDir, count_tasks};
use crate::sys::wait::Event;
use crate::sys::{ptrace, wait};

/// How long threads that are blocked in the kernel may keep all others waiting: a read from a disk ends
/// within it, while the parent of a vfork or a dead network file system would need the whole timeout.
const STUCK: Duration = Duration::from_millis(250);

/// What is known of a seized thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Asked to stop, or about to be.
    Pending,
    /// Stopped, for this. If it is the delivery of a signal, that is given back at the detach.
    Stopped(Event),
    /// Let go.
    Released,
    /// Ended while it was held.
    Ended,
}

/// How long threads are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracing {
    /// From the attach to the release.
    Briefly,
    /// They were traced before, with all threads that they start, and remain so.
    Throughout,
}

/// A thread of the target and what became of the attempt to hold it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) tid: Tid,
    pub(super) state: State,
}

/// The held threads; lets all of them go when dropped.
#[derive(Debug)]
pub(super) struct Hold<'a> {
    pid: Pid,
    tracing: Tracing,
    dir: &'a ProcDir,
    attaching: &'a Attaching,
    tasks: Option<File>,
    pub(super) threads: Vec<Held>,
    /// Every thread id that was tried, with the answer; ESRCH for those that had ended.
    tried: HashMap<Tid, Result<(), Errno>>,
    /// So many of the threads were asked to stop.
    interrupted: usize,
}

impl<'a> Hold<'a> {
    /// `dir` is `/proc/PID`; `expected` threads need no allocation later.
    pub(super) fn new(
        pid: Pid,
        tracing: Tracing,
        dir: &'a ProcDir,
        attaching: &'a Attaching,
        expected: usize,
    ) -> Hold<'a> {
        let room = expected + 64;
        let (threads, tried) = (Vec::with_capacity(room), HashMap::with_capacity(room));
        Hold { pid, tracing, dir, attaching, tasks: dir.open_tasks().ok(), threads, tried, interrupted: 0 }
    }

    /// Seizes those that were not tried yet; gives whether there were any. A seized thread goes on, but
    /// any signal stops it until we let it go: so [`Hold::interrupt`] follows at once. Those that we trace
    /// already may have stopped by themselves.
    pub(super) fn seize(&mut self, tids: &[Tid]) -> bool {
        let before = self.tried.len();
        for &tid in tids {
            let (threads, dir, attaching) = (&mut self.threads, self.dir, self.attaching);
            let (tracing, leader) = (self.tracing, self.pid.leader());
            self.tried.entry(tid).or_insert_with(|| {
                let (seized, state) = match tracing {
                    Tracing::Briefly => (seize(dir, attaching, tid), State::Pending),
                    Tracing::Throughout => match look(tid) {
                        State::Ended => (Err(Errno::ESRCH), State::Ended),
                        // It does not report its end while others live.
                        State::Pending if tid == leader && has_ended(dir, tid) => {
                            (Err(Errno::ESRCH), State::Ended)
                        }
                        state => (Ok(()), state),
                    },
                };
                if seized.is_ok() {
                    threads.push(Held { tid, state });
                }
                seized
            });
        }
        self.tried.len() > before
    }

    /// Threads that live and could not be seized, with the cause.
    pub(super) fn refused(&self) -> Vec<(Tid, Errno)> {
        let errors = self.tried.iter().filter_map(|(&tid, result)| Some((tid, result.err()?)));
        let mut refused: Vec<(Tid, Errno)> = errors.filter(|&(_, error)| error != Errno::ESRCH).collect();
        refused.sort_unstable_by_key(|&(tid, _)| tid);
        refused
    }

    /// Lets go of what is not among the threads of the process, which are `members` in ascending order:
    /// between a listing and the attach a number can pass to a thread of another process.
    pub(super) fn drop_strangers(&mut self, members: &[Tid]) {
        for held in &mut self.threads {
            if matches!(held.state, State::Released | State::Ended)
                || members.binary_search(&held.tid).is_ok()
            {
                continue;
            }
            if let (State::Stopped(event), Tracing::Briefly) = (look(held.tid), self.tracing) {
                let _ = ptrace::detach(held.tid, event.signal());
            }
            held.state = State::Ended;
        }
    }

    /// Asks all that were not asked yet to stop.
    pub(super) fn interrupt(&mut self) {
        for held in &mut self.threads[self.interrupted..] {
            if held.state == State::Pending && ptrace::interrupt(held.tid).is_err() {
                held.state = State::Ended;
            }
        }
        self.interrupted = self.threads.len();
    }

    /// Waits until none is pending, or the deadline has passed, or those that are left are stuck in the
    /// kernel.
    ///
    /// Looks without blocking and gives the processor away between the looks. Blocking waits with a
    /// timer would need a signal handler in the whole program; and when all have been interrupted most
    /// have stopped by the first look, so there is little to wait for.
    pub(super) fn wait(&mut self, deadline: Instant) {
        let mut pending: Vec<usize> = (0..self.threads.len()).collect();
        pending.retain(|&index| self.threads[index].state == State::Pending);
        let mut backoff = Backoff::new();
        loop {
            let before = pending.len();
            pending.retain(|&index| self.look_again(index));
            if pending.is_empty() {
                return;
            }
            if pending.len() < before {
                backoff = Backoff::new();
            }
            let quiet = backoff.since.elapsed();
            if backoff.is_time_to_ask(quiet) && self.all_stuck(&mut pending) && quiet >= STUCK {
                return;
            }
            if Instant::now() >= deadline {
                return;
            }
            backoff.pause();
        }
    }

    /// Whether the thread is still pending.
    fn look_again(&mut self, index: usize) -> bool {
        let held = &mut self.threads[index];
        held.state = look(held.tid);
        // The leader is left for the end of this OS thread: collecting it here would take the exit
        // status away if the target is our own child.
        if held.state == State::Ended && held.tid != self.pid.leader() {
            let _ = wait::reap(held.tid);
        }
        held.state == State::Pending
    }

    /// Whether every pending thread is blocked in the kernel. Those that turn out to have ended (a
    /// leader does not report that while others live) are pending no longer.
    fn all_stuck(&mut self, pending: &mut Vec<usize>) -> bool {
        let mut all = true;
        pending.retain(|&index| {
            let held = &mut self.threads[index];
            match self.dir.stat(Some(held.tid)) {
                Ok(stat) if !stat.has_ended() => {
                    all &= stat.state == 'D';
                    true
                }
                _ => {
                    held.state = State::Ended;
                    false
                }
            }
        });
        all
    }

    /// Whether the process has no threads beside those that are held, going by their number: much
    /// cheaper than a listing.
    pub(super) fn is_complete(&self) -> bool {
        let live = self.threads.iter().filter(|held| held.state != State::Ended).count();
        // A leader that has ended is counted as long as others live.
        let leader = self.pid.leader();
        let leader_lives = self.threads.iter().any(|held| held.tid == leader && held.state != State::Ended);
        let counted = live as u64 + u64::from(!leader_lives);
        self.tasks.as_ref().and_then(count_tasks) == Some(counted)
    }

    /// Lets all stopped threads go on, each with the signal whose delivery was its stop. Of those that
    /// remain traced only the stops that were asked for end; whoever follows them finds the others, which
    /// are still in place.
    pub(super) fn release(&mut self) {
        for held in &mut self.threads {
            let State::Stopped(event) = held.state else { continue };
            // Each fails only for a thread that was killed meanwhile.
            let _ = match (self.tracing, event) {
                (Tracing::Briefly, event) => ptrace::detach(held.tid, event.signal()),
                (Tracing::Throughout, Event::Trap(nix::libc::PTRACE_EVENT_STOP)) => ptrace::cont(held.tid, 0),
                (Tracing::Throughout, Event::Group(_)) => ptrace::listen(held.tid),
                (Tracing::Throughout, _) => Ok(()),
            };
            held.state = State::Released;
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

/// Attaches to a thread; ESRCH for one that has ended.
fn seize(dir: &ProcDir, attaching: &Attaching, tid: Tid) -> Result<(), Errno> {
    let seize = || match attaching.during(|| ptrace::seize(tid)) {
        // A thread that has ended and was not collected yet is refused in the same way.
        Err(Errno::EPERM) if has_ended(dir, tid) => Err(Errno::ESRCH),
        result => result,
    };
    match seize() {
        // Or it was a leader that had ended, whose id has passed to the thread that called exec.
        Err(Errno::EPERM) => seize(),
        result => result,
    }
}

fn look(tid: Tid) -> State {
    match wait::peek(tid) {
        Ok(None) => State::Pending,
        Ok(Some(Event::Ended(_))) | Err(_) => State::Ended,
        Ok(Some(event)) => State::Stopped(event),
    }
}

fn has_ended(dir: &ProcDir, tid: Tid) -> bool {
    dir.stat(Some(tid)).map_or_else(|error| is_gone(&error), |stat| stat.has_ended())
}

/// Pauses between looks, longer and longer.
#[derive(Debug)]
struct Backoff {
    since: Instant,
    looks: u32,
    ask_at: Duration,
}

impl Backoff {
    /// Looks that only give the processor away.
    const YIELDS: u32 = 16;

    fn new() -> Backoff {
        Backoff { since: Instant::now(), looks: 0, ask_at: Duration::from_millis(2) }
    }

    fn pause(&mut self) {
        self.looks += 1;
        match self.looks.checked_sub(Backoff::YIELDS) {
            None => std::thread::yield_now(),
            Some(more) => std::thread::sleep(Duration::from_micros(20 << more.min(6))),
        }
    }

    /// Whether it is worth asking `/proc` what the pending threads are doing.
    fn is_time_to_ask(&mut self, quiet: Duration) -> bool {
        let due = quiet >= self.ask_at;
        if due {
            self.ask_at = (quiet * 2).min(quiet + Duration::from_millis(50));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A child that ends with the test.
    struct Target(Child);

    impl Drop for Target {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_panic_while_threads_are_held_lets_them_go() {
        let target = Target(Command::new("sleep").arg("600").spawn().expect("sleep is installed"));
        let pid = Pid(target.0.id().cast_signed());
        let dir = ProcDir::open(format!("/proc/{pid}")).expect("it lives");
        let tracer = std::thread::scope(|scope| {
            let hold = || {
                let attaching = Attaching::default();
                let mut hold = Hold::new(pid, Tracing::Briefly, &dir, &attaching, 1);
                assert!(hold.seize(&[pid.leader()]));
                hold.interrupt();
                hold.wait(Instant::now() + Duration::from_secs(60));
                assert!(matches!(hold.threads[0].state, State::Stopped(_)), "{hold:?}");
                assert_eq!(dir.stat(None).expect("it lives").state, 't');
                panic!("on purpose, with a thread held");
            };
            scope.spawn(hold).join()
        });
        let text = tracer.expect_err("it panicked");
        assert_eq!(text.downcast_ref(), Some(&"on purpose, with a thread held"));
        let stat = dir.stat(None).expect("it lives");
        assert!(!matches!(stat.state, 't' | 'T'), "{stat:?}");
        assert!(super::super::super::denied::tracer(&dir, None).is_none(), "nobody traces it");
    }
}
