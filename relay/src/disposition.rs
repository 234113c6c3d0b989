//! What the program believes to have set for the signals that the relay has taken: it sees and sets its own
//! actions, the kernel has ours.
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use crate::state::{fixed, state};
use crate::sys::calls;
use crate::sys::signal::{
    self, Action, Arrival, Change, SA_NODEFER, SA_ONSTACK, SA_RESETHAND, SA_RESTART, SI_TKILL, SIG_DFL,
    SIG_IGN, SIGABRT,
};

/// What the relay does with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Asks for a dump.
    Trigger,
    /// Asks a thread to hold still.
    Relay,
    /// Kills the program unless the program handles it.
    Crash,
}

/// ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS.
pub(crate) const CRASHES: [u32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// The role of a signal, once the relay is installed.
pub(crate) fn role(signal: u32) -> Option<Role> {
    let options = &fixed()?.options;
    if signal == options.relay_signal {
        Some(Role::Relay)
    } else if signal == options.trigger && signal != 0 {
        Some(Role::Trigger)
    } else if options.crashes && CRASHES.contains(&signal) {
        Some(Role::Crash)
    } else {
        None
    }
}

/// The program's action of one signal, which handlers may read while it is changed.
#[derive(Debug)]
struct Kept {
    /// Odd while it is changed.
    sequence: AtomicU32,
    handler: AtomicUsize,
    flags: AtomicU64,
    mask: AtomicU64,
    restorer: AtomicUsize,
}

static KEPT: [Kept; 65] = [const {
    Kept {
        sequence: AtomicU32::new(0),
        handler: AtomicUsize::new(SIG_DFL),
        flags: AtomicU64::new(0),
        mask: AtomicU64::new(0),
        restorer: AtomicUsize::new(0),
    }
}; 65];

/// Rounds to wait for another thread that changes an action; it may be one that fork left behind.
const PATIENCE: u32 = 1 << 20;

/// The action that the program has set.
pub(crate) fn get(signal: u32) -> Action {
    let Some(kept) = KEPT.get(signal as usize) else { return Action::DEFAULT };
    let mut rounds = 0;
    loop {
        let before = kept.sequence.load(Ordering::Acquire);
        let action = Action {
            handler: kept.handler.load(Ordering::Relaxed),
            flags: kept.flags.load(Ordering::Relaxed),
            restorer: kept.restorer.load(Ordering::Relaxed),
            mask: kept.mask.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        let same = kept.sequence.load(Ordering::Relaxed) == before;
        rounds += 1;
        if (same && before.is_multiple_of(2)) || rounds > PATIENCE {
            return action;
        }
    }
}

fn put(signal: u32, action: &Action) {
    let Some(kept) = KEPT.get(signal as usize) else { return };
    // A handler on this thread must not wait for us.
    let blocked = signal::mask(Change::Set, u64::MAX);
    let mut rounds = 0;
    let odd = loop {
        let now = kept.sequence.load(Ordering::Relaxed);
        rounds += 1;
        let is_free = now.is_multiple_of(2) || rounds > PATIENCE;
        let change = || kept.sequence.compare_exchange(now, now | 1, Ordering::Acquire, Ordering::Relaxed);
        if is_free && change().is_ok() {
            break now | 1;
        }
    };
    fence(Ordering::Release);
    kept.handler.store(action.handler, Ordering::Relaxed);
    kept.flags.store(action.flags, Ordering::Relaxed);
    kept.mask.store(action.mask, Ordering::Relaxed);
    kept.restorer.store(action.restorer, Ordering::Relaxed);
    kept.sequence.store(odd.wrapping_add(1), Ordering::Release);
    signal::mask(Change::Set, blocked);
}

/// In a child of fork: no other thread is changing an action any more.
pub(crate) fn settle() {
    for kept in &KEPT {
        let now = kept.sequence.load(Ordering::Relaxed);
        kept.sequence.store(now.wrapping_add(now & 1), Ordering::Relaxed);
    }
}

/// Whether handlers of the program run on the alternate stack if they are meant to. As long as the program has
/// set none, it would be ours, and not as large as what they would have without us.
static ON_STACK: AtomicBool = AtomicBool::new(true);

/// Sets whether handlers of the program may run on the alternate stack.
pub(crate) fn allow_stack(allowed: bool) {
    ON_STACK.store(allowed, Ordering::Release);
}

/// What the kernel has to be told when the program sets this action; `None` for the program's own.
fn for_kernel(role: Role, program: &Action) -> Option<Action> {
    let is_handler = !matches!(program.handler, SIG_DFL | SIG_IGN);
    match role {
        Role::Relay => Some(Action::ours(SA_ONSTACK | SA_RESTART, u64::MAX)),
        Role::Trigger if !is_handler => Some(Action::ours(SA_ONSTACK | SA_RESTART, u64::MAX)),
        Role::Crash if program.handler == SIG_DFL => Some(Action::ours(SA_ONSTACK | SA_RESTART, u64::MAX)),
        // After one run the default returns, which is ours.
        Role::Crash if !is_handler || program.flags & SA_RESETHAND == 0 => None,
        Role::Trigger | Role::Crash => {
            let stack = if ON_STACK.load(Ordering::Acquire) { SA_ONSTACK } else { 0 };
            Some(Action::ours(program.flags & (stack | SA_RESTART | SA_NODEFER), program.mask))
        }
    }
}

/// Whether the relay stands between the kernel and this action.
pub(crate) fn is_between(role: Role, program: &Action) -> bool {
    for_kernel(role, program).is_some()
}

/// Takes a signal for the relay, as the start of it all.
pub(crate) fn take(signal: u32) -> bool {
    let Some(role) = role(signal) else { return false };
    let Ok(program) = signal::action(signal, None) else { return false };
    if program.is_ours() {
        return true;
    }
    put(signal, &program);
    for_kernel(role, &program).is_none_or(|action| signal::action(signal, Some(&action)).is_ok())
}

/// Remembers what the program sets, and tells the kernel where the relay stands between.
pub(crate) fn set(signal: u32, role: Role, program: &Action) {
    put(signal, program);
    if let Some(action) = for_kernel(role, program) {
        // It was accepted for the program's action.
        let _ = signal::action(signal, Some(&action));
    }
}

/// Does what the program wants done on a signal: calls its handler, ignores it, or dies.
pub(crate) fn pass_on(arrival: &Arrival<'_>) {
    let program = get(arrival.signal);
    let is_once = program.flags & SA_RESETHAND != 0;
    match program.handler {
        SIG_IGN => {}
        SIG_DFL => die(arrival),
        handler => {
            if is_once && state().is_borrowed() {
                // What is remembered is the parent's.
                let _ = signal::action(arrival.signal, Some(&Action::DEFAULT));
            } else if is_once && let Some(role) = role(arrival.signal) {
                set(arrival.signal, role, &Action::DEFAULT);
            }
            signal::call_program(handler, arrival);
        }
    }
}

/// Lets the signal have its default action when the handler returns, with what the kernel told about it and
/// the registers it interrupted. An instruction that has failed does so again, which needs no system call
/// that a filter might answer by killing this one thread; what was sent is sent again, and waits until then
/// because it is blocked. No other signal can come before it: they stay blocked.
pub(crate) fn die(arrival: &Arrival<'_>) {
    signal::mask(Change::Set, u64::MAX);
    // Cannot fail for a signal that had our handler.
    let _ = signal::action(arrival.signal, Some(&Action::DEFAULT));
    if arrival.rewind() {
        // Where it is blocked, the kernel unblocks what it forces on a thread.
        arrival.set_mask(u64::MAX);
        return;
    }
    arrival.set_mask(!signal::bit(arrival.signal));
    let (pid, tid) = (calls::getpid(), calls::gettid());
    let info = arrival.info;
    // abort(3) and raise(3) send it so, and filters let them.
    let is_raised = info.code() == SI_TKILL && info.pid() == pid;
    let is_sent = (is_raised && calls::tgkill(pid, tid, arrival.signal).is_ok())
        || signal::queue(pid, tid, arrival.signal, info).is_ok()
        // Where this is filtered, too, only the status is left to be kept.
        || calls::tgkill(pid, tid, arrival.signal).is_ok();
    if !is_sent {
        calls::exit_group(128 + arrival.signal as usize);
    }
}

/// As abort(3) ends a program.
pub(crate) fn abort() {
    signal::mask(Change::Set, u64::MAX);
    let _ = signal::action(SIGABRT, Some(&Action::DEFAULT));
    if calls::tgkill(state().pid(), calls::gettid(), SIGABRT).is_err() {
        calls::exit_group(128 + SIGABRT as usize);
    }
}
