//! What happens when a signal of ours arrives.
use core::sync::atomic::Ordering;

use crate::disposition::{self, Role, die, pass_on};
use crate::dump;
use crate::options::AfterQuit;
use crate::socket;
use crate::state::{Fixed, fixed, phase, state};
use crate::sys::calls;
use crate::sys::memory::Leading;
use crate::sys::signal::{self, Arrival, Change, SIG_DFL};
use crate::threads;

/// The common entry.
pub(crate) fn on_signal(arrival: &Arrival<'_>) {
    let Some(fixed) = fixed() else { return };
    if !state().is_own_process() {
        // A child that borrows our memory: nothing of ours is touched.
        return pass_on(arrival);
    }
    match disposition::role(arrival.signal) {
        Some(Role::Relay) => {
            if is_of_a_descriptor(arrival) {
                on_request(arrival, fixed);
            } else if !threads::answer(arrival, &fixed.options) {
                pass_on(arrival);
            }
        }
        Some(Role::Trigger) => on_trigger(arrival, fixed),
        Some(Role::Crash) => on_crash(arrival, fixed),
        None => pass_on(arrival),
    }
}

/// Whether the kernel tells that something has happened to a descriptor (fcntl(2), `F_SETSIG`).
fn is_of_a_descriptor(arrival: &Arrival<'_>) -> bool {
    (1..=6).contains(&arrival.info.code())
}

/// Somebody has connected to the relay's socket.
fn on_request(arrival: &Arrival<'_>, fixed: &Fixed) {
    if !socket::is_ours(arrival.info.descriptor()) {
        // Of a socket that is gone by now it must not kill the program.
        if disposition::get(arrival.signal).handler != SIG_DFL {
            pass_on(arrival);
        }
        return;
    }
    let blocked = signal::mask(Change::Set, u64::MAX);
    let is_free = state().crashed.load(Ordering::Acquire) == 0;
    if is_free && let Ok(leading) = Leading::take(&state().leader, calls::gettid()) {
        let mut leading = leading;
        while let Some(client) = socket::accept() {
            leading = dump::serve(arrival, fixed, leading, client);
            dump::release();
            calls::close(client);
        }
        leading.end();
    }
    signal::mask(Change::Set, blocked);
}

fn on_trigger(arrival: &Arrival<'_>, fixed: &Fixed) {
    let blocked = signal::mask(Change::Set, u64::MAX);
    // While another dump is made, this is the same request once more; and a thread that has crashed in that
    // time and waits makes the next one, which shows all that this one would.
    let is_free = state().crashed.load(Ordering::Acquire) == 0;
    if is_free && let Ok(leading) = Leading::take(&state().leader, calls::gettid()) {
        let leading = dump::make(arrival, fixed, leading, false);
        dump::release();
        leading.end();
    }
    signal::mask(Change::Set, blocked);
    let is_default = disposition::get(arrival.signal).handler == SIG_DFL;
    match fixed.options.after_quit {
        AfterQuit::Go if is_default => {}
        AfterQuit::Abort if is_default => disposition::abort(),
        _ => pass_on(arrival),
    }
}

fn on_crash(arrival: &Arrival<'_>, fixed: &Fixed) {
    // A handler that is to run once: ours stands between because of that alone.
    if disposition::get(arrival.signal).handler != SIG_DFL {
        return pass_on(arrival);
    }
    let tid = calls::gettid();
    let mut waits = false;
    loop {
        match Leading::take(&state().leader, tid) {
            Ok(leading) => {
                dump::make(arrival, fixed, leading, true);
                // The others hold still until the process is gone; nobody leads again.
                return die(arrival);
            }
            Err(leader) if leader == tid => return on_crash_inside(arrival),
            Err(_) => {
                if !core::mem::replace(&mut waits, true) {
                    state().crashed.fetch_add(1, Ordering::AcqRel);
                }
                if !threads::join(arrival, &fixed.options) {
                    return die(arrival);
                }
            }
        }
    }
}

/// The dump itself has crashed: it is left, and its maker goes on after it.
fn on_crash_inside(arrival: &Arrival<'_>) {
    let saved = state().saved.swap(0, Ordering::AcqRel);
    if saved == 0 || state().phase.load(Ordering::Acquire) == phase::IDLE {
        return die(arrival);
    }
    state().crashed_inside.store(true, Ordering::Release);
    crate::sys::jump(arrival.context, saved);
}
