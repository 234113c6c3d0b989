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

/// After so long without an answer it is asked what the silent ones are doing.
const LOOK_AFTER: u64 = 50_000_000;
/// Listings of the threads, until one shows nothing new.
const MAX_ROUNDS: u32 = 16;
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
    let generation = state().generation.load(Ordering::Acquire);
    let (tid, start) = (calls::gettid(), now());
    let limit = u64::from(options.limit_ms) * MILLISECOND + GRACE;
    let leads = || state().leader.load(Ordering::Acquire) != 0;
    let mut is_in = false;
    while leads() && state().generation.load(Ordering::Acquire) == generation {
        if now().saturating_sub(start) > limit {
            return false;
        }
        if !is_in && state().phase.load(Ordering::Acquire) == phase::ASKED {
            let used = state().used.load(Ordering::Acquire) as usize;
            let mine = |slot: &&Slot| slot.tid.load(Ordering::Acquire) == tid;
            let slot = slots().and_then(|slots| slots.first(used).iter().find(mine));
            is_in = slot.is_some_and(|slot| park_in(slot, arrival));
        }
        calls::futex_wait(&state().generation, generation, 10 * MILLISECOND);
    }
    true
}

fn park_in(slot: &Slot, arrival: &Arrival<'_>) -> bool {
    slot.context.store(arrival.context as u64, Ordering::Relaxed);
    slot.info.store(arrival.info_address() as u64, Ordering::Relaxed);
    slot.signal.store(arrival.signal, Ordering::Relaxed);
    let change =
        slot.state.compare_exchange(asked::QUEUED, asked::PARKED, Ordering::AcqRel, Ordering::Acquire);
    if change.is_ok() {
        state().answers.fetch_add(1, Ordering::AcqRel);
        calls::futex_wake(&state().answers);
    }
    change.is_ok()
}

fn wait_for_release(generation: u32, options: &Options) {
    let limit = u64::from(options.limit_ms) * MILLISECOND + GRACE;
    let start = now();
    while state().generation.load(Ordering::Acquire) == generation {
        calls::futex_wait(&state().generation, generation, 1000 * MILLISECOND);
        // A leader that is gone for good; a dying process needs nobody to go on.
        if now().saturating_sub(start) > limit && !state().is_fatal.load(Ordering::Acquire) {
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
        let status = self.tasks.status(tid);
        let blocks =
            status.is_some_and(|status| status.blocked & signal::bit(self.options.relay_signal) != 0);
        let how = if blocks { asked::BLOCKED } else { asked::QUEUED };
        let Some(index) = self.add(tid, how) else { return };
        if how == asked::QUEUED {
            let value = cookie(state().generation.load(Ordering::Acquire), index);
            let info = Info::queued(self.options.relay_signal, state().pid(), value);
            let sent = signal::queue(state().pid(), tid, self.options.relay_signal, &info);
            if sent.is_err()
                && let Some(slot) = slots().and_then(|slots| slots.get(index))
            {
                let gone = sent == Err(proc::ESRCH);
                slot.state.store(if gone { asked::GONE } else { asked::REVOKED }, Ordering::Release);
            }
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
            if self.outstanding().next().is_none() {
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
                if !self.outstanding().any(|slot| self.may_answer(slot)) {
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
            slot.state.store(asked::GONE, Ordering::Release);
            return false;
        };
        let blocks = status.blocked & signal::bit(self.options.relay_signal) != 0;
        !matches!(status.state, b'D' | b'Z' | b'X' | b'T' | b't') && !blocks
    }

    fn revoke(&self) {
        for slot in self.outstanding() {
            // If this fails it has just answered.
            let _ = slot.state.compare_exchange(
                asked::QUEUED,
                asked::REVOKED,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
        }
    }
}
