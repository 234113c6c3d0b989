//! Asking all threads at once to hold still, and answering.
//!
//! Each thread has a slot; the signal that asks it carries the number of the dump and of the slot. Whoever
//! changes the slot's state from queued decides: the thread that it answers, or the leader that it came too
//! late. So a signal that was long on its way can do nothing to a later dump.
use core::sync::atomic::Ordering;

use crate::options::Options;
use crate::proc::{self, Tasks};
use crate::state::{MAX_THREADS, Slot, asked, phase, slots, state};
use crate::sys::calls::{self, now};
use crate::sys::signal::{self, Arrival, Info, SI_QUEUE};
use crate::sys::thread_pointer;

/// After so long without an answer it is asked what the silent ones are doing.
const LOOK_AFTER: u64 = 50_000_000;
/// Listings of the threads, until one shows nothing new.
const MAX_ROUNDS: u32 = 16;
/// Looks, a millisecond apart, at a running thread that blocks the signal. On a busy machine a new thread was
/// seen not to have run for more than 20.
const BLOCKED_LOOKS: u32 = 250;
/// In the place of the thread pointer: the thread may ask the kernel for it, as it is under no filter.
const MAY_TELL: u64 = 1;
/// Nanoseconds in a millisecond.
pub(crate) const MILLISECOND: u64 = 1_000_000;
/// A parked thread goes on by itself when a dump has not ended so long after its limit.
const GRACE: u64 = 2_000 * MILLISECOND;

fn cookie(generation: u32, index: usize) -> u64 {
    u64::from(generation) << 32 | index as u64
}

/// The relay signal has come: holds still if it is the leader's. `false` if it is of somebody else.
pub(crate) fn answer(arrival: &Arrival<'_>, options: &Options) -> bool {
    let info = arrival.info;
    if info.code() != SI_QUEUE || info.pid() != state().pid() {
        return false;
    }
    let generation = (info.value() >> 32) as u32;
    let slot = slots().and_then(|slots| slots.get(info.value() as u32 as usize));
    let is_current = generation == state().generation.load(Ordering::Acquire);
    if let Some(slot) = slot.filter(|slot| is_current && slot.tid.load(Ordering::Acquire) == calls::gettid())
        && park_in(slot, arrival)
    {
        wait_for_release(generation, options);
    }
    true
}

/// A thread that crashed while another one makes a dump: it becomes part of that dump, by where it crashed,
/// and waits for its end. `false` if that did not come.
pub(crate) fn join(arrival: &Arrival<'_>, options: &Options) -> bool {
    let state = state();
    let generation = state.generation.load(Ordering::Acquire);
    let (tid, start) = (calls::gettid(), now());
    let limit = u64::from(options.limit_ms) * MILLISECOND + GRACE;
    let is_going_on = || {
        state.leader.load(Ordering::Acquire) != 0 && state.generation.load(Ordering::Acquire) == generation
    };
    state.joining.fetch_add(1, Ordering::AcqRel);
    let (mut counts, mut is_in) = (true, false);
    while is_going_on() && now().saturating_sub(start) <= limit {
        let phase = state.phase.load(Ordering::Acquire);
        if !is_in && phase == phase::ASKED {
            let used = state.used.load(Ordering::Acquire) as usize;
            let mine = |slot: &&Slot| slot.tid.load(Ordering::Acquire) == tid;
            let slot = slots().and_then(|slots| slots.first(used).iter().find(mine));
            is_in = slot.is_some_and(|slot| park_in(slot, arrival));
            // One that is not listed yet keeps nobody waiting.
            if core::mem::take(&mut counts) {
                stop_joining();
            }
        }
        if phase == phase::ASKED {
            calls::futex_wait(&state.generation, generation, if is_in { limit } else { MILLISECOND });
        } else {
            calls::futex_wait(&state.phase, phase, 10 * MILLISECOND);
        }
    }
    if counts {
        stop_joining();
    }
    !is_going_on()
}

fn stop_joining() {
    state().joining.fetch_sub(1, Ordering::AcqRel);
    calls::futex_wake(&state().answers);
}

fn park_in(slot: &Slot, arrival: &Arrival<'_>) -> bool {
    slot.context.store(arrival.context as u64, Ordering::Relaxed);
    slot.info.store(arrival.info_address() as u64, Ordering::Relaxed);
    slot.signal.store(arrival.signal, Ordering::Relaxed);
    if slot.pointer.load(Ordering::Acquire) == MAY_TELL {
        slot.pointer.store(thread_pointer(), Ordering::Relaxed);
    }
    // In the handler of a crash the relay signal is blocked, so it may not have been sent.
    let done = change(slot, asked::QUEUED, asked::PARKED) || change(slot, asked::BLOCKED, asked::PARKED);
    if done {
        state().answers.fetch_add(1, Ordering::AcqRel);
        calls::futex_wake(&state().answers);
    }
    done
}

/// Changes the state of a slot, if it is this one.
fn change(slot: &Slot, from: u32, to: u32) -> bool {
    slot.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

fn wait_for_release(generation: u32, options: &Options) {
    let limit = u64::from(options.limit_ms) * MILLISECOND + GRACE;
    let start = now();
    while state().generation.load(Ordering::Acquire) == generation {
        calls::futex_wait(&state().generation, generation, 1000 * MILLISECOND);
        // A leader that is gone for good, perhaps because a filter has killed it alone. A process that dies needs
        // nobody to go on, and has some more time for it.
        let more = if state().is_fatal.load(Ordering::Acquire) { limit } else { 0 };
        if now().saturating_sub(start) > limit + more {
            return;
        }
    }
}

/// The leader's side.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) tasks: &'a Tasks,
    pub(crate) options: &'a Options,
    /// When the dump has to end.
    pub(crate) deadline: u64,
    pub(crate) tid: u32,
}

impl Asking<'_> {
    /// Asks all threads and waits for them; gives how many slots there are. The leader's is the first.
    pub(crate) fn all(&self, arrival: &Arrival<'_>) -> usize {
        state().used.store(0, Ordering::Release);
        self.add(self.tid, asked::QUEUED);
        if let Some(slot) = slots().and_then(|slots| slots.get(0)) {
            park_in(slot, arrival);
        }
        for _ in 0..MAX_ROUNDS {
            let before = self.used();
            let mut hint = 0;
            self.tasks.each(|tid| self.meet(tid, &mut hint));
            state().phase.store(phase::ASKED, Ordering::Release);
            calls::futex_wake(&state().phase);
            self.wait();
            self.ask_again();
            self.wait();
            if self.used() == before || now() >= self.deadline {
                break;
            }
        }
        self.revoke();
        self.used()
    }

    fn used(&self) -> usize {
        state().used.load(Ordering::Acquire) as usize
    }

    fn add(&self, tid: u32, how: u32) -> Option<usize> {
        let index = self.used();
        let slot = slots()?.get(index)?;
        slot.context.store(0, Ordering::Relaxed);
        slot.info.store(0, Ordering::Relaxed);
        let tells = tid == self.tid && state().is_asked.load(Ordering::Acquire);
        slot.pointer.store(u64::from(tells) * MAY_TELL, Ordering::Relaxed);
        slot.signal.store(self.options.relay_signal, Ordering::Relaxed);
        slot.state.store(how, Ordering::Release);
        slot.tid.store(tid, Ordering::Release);
        state().used.store(index as u32 + 1, Ordering::Release);
        Some(index)
    }

    /// A thread in the listing: asked, unless it was.
    fn meet(&self, tid: u32, hint: &mut usize) {
        let used = self.used();
        let Some(known) = slots().map(|slots| slots.first(used)) else { return };
        let is = |index: usize| known.get(index).is_some_and(|slot| slot.tid.load(Ordering::Relaxed) == tid);
        // Listings are in the same order each time, with the leader elsewhere.
        if let Some(index) = [*hint, *hint + 1, 0].into_iter().find(|&index| is(index)) {
            *hint = if index == 0 { *hint } else { index + 1 };
            return;
        }
        if (0..used).any(is) || used >= MAX_THREADS {
            return;
        }
        if let Some(index) = self.add(tid, asked::BLOCKED) {
            self.ask(index);
        }
    }

    /// Sends the signal to a thread that does not block it; gives whether it was found running without.
    fn ask(&self, index: usize) -> bool {
        let Some(slot) = slots().and_then(|slots| slots.get(index)) else { return false };
        let tid = slot.tid.load(Ordering::Acquire);
        let relay = self.options.relay_signal;
        let Some(status) = self.tasks.status(tid) else {
            change(slot, asked::BLOCKED, asked::GONE);
            return false;
        };
        if status.blocked & signal::bit(relay) != 0 {
            return status.state == b'R';
        }
        if state().is_asked.load(Ordering::Acquire) && !status.filtered {
            slot.pointer.store(MAY_TELL, Ordering::Release);
        }
        if !change(slot, asked::BLOCKED, asked::QUEUED) {
            return false;
        }
        let info =
            Info::queued(relay, state().pid(), cookie(state().generation.load(Ordering::Acquire), index));
        if let Err(error) = signal::queue(state().pid(), tid, relay, &info) {
            let why = if error == proc::ESRCH { asked::GONE } else { asked::REVOKED };
            change(slot, asked::QUEUED, why);
        }
        false
    }

    /// Looks again at threads that block the signal: the C library blocks all of them in a new thread until it
    /// is set up, and around some calls.
    fn ask_again(&self) {
        for _ in 0..BLOCKED_LOOKS {
            let mut any = false;
            for index in 0..self.used() {
                let slot = slots().and_then(|slots| slots.get(index));
                if slot.is_some_and(|slot| slot.state.load(Ordering::Acquire) == asked::BLOCKED) {
                    any |= self.ask(index);
                }
            }
            if !any || now() >= self.deadline {
                return;
            }
            calls::futex_wait(&state().generation, state().generation.load(Ordering::Acquire), MILLISECOND);
        }
    }

    fn outstanding(&self) -> impl Iterator<Item = &'static Slot> {
        let slots = slots().map(|slots| slots.first(self.used())).unwrap_or_default();
        slots.iter().filter(|slot| slot.state.load(Ordering::Acquire) == asked::QUEUED)
    }

    /// Waits until all have answered, or none does any more.
    fn wait(&self) {
        let patience = u64::from(self.options.answer_ms) * MILLISECOND;
        let (mut last, mut look_at) = (now(), LOOK_AFTER);
        loop {
            let answers = state().answers.load(Ordering::Acquire);
            let joining = state().joining.load(Ordering::Acquire) != 0;
            if !joining && self.outstanding().next().is_none() {
                return;
            }
            let time = now();
            if time >= self.deadline || time.saturating_sub(last) >= patience {
                return;
            }
            calls::futex_wait(&state().answers, answers, look_at.min(patience));
            if state().answers.load(Ordering::Acquire) != answers {
                (last, look_at) = (now(), LOOK_AFTER);
            } else if now().saturating_sub(last) >= look_at {
                if !joining && !self.outstanding().any(|slot| self.may_answer(slot)) {
                    return;
                }
                look_at *= 2;
            }
        }
    }

    /// Whether a silent thread is one that could answer: it has not ended, does not sleep in a way that no
    /// signal ends, and has not blocked the signal meanwhile.
    fn may_answer(&self, slot: &Slot) -> bool {
        let Some(status) = self.tasks.status(slot.tid.load(Ordering::Acquire)) else {
            change(slot, asked::QUEUED, asked::GONE);
            return false;
        };
        let blocks = status.blocked & signal::bit(self.options.relay_signal) != 0;
        !matches!(status.state, b'D' | b'Z' | b'X' | b'T' | b't') && !blocks
    }

    fn revoke(&self) {
        for slot in self.outstanding() {
            // If this fails it has just answered.
            change(slot, asked::QUEUED, asked::REVOKED);
        }
    }
}
