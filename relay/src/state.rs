//! What threads of the process share while a dump is made. Atomics only: everything here is used by signal
//! handlers.
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::options::Options;
use crate::sys::calls;
use crate::sys::memory::{Mapped, map_guarded, wipe_on_fork};
use crate::sys::once::Once;
use crate::sys::stack::AltStack;

/// Threads that can be asked.
pub(crate) const MAX_THREADS: usize = 32_768;
/// Bytes of the stack that a dump is made on; only what is used takes memory.
const DUMP_STACK: usize = 4 << 20;
/// Bytes of the stack for a crash in the dump itself, and for starting the helper.
const SMALL_STACK: usize = 64 << 10;

/// What became of asking a thread.
pub(crate) mod asked {
    /// It was sent the signal.
    pub(crate) const QUEUED: u32 = 1;
    /// It holds still in our handler.
    pub(crate) const PARKED: u32 = 2;
    /// It did not answer in time, and must not any more.
    pub(crate) const REVOKED: u32 = 3;
    /// It blocks the signal, so it was not sent.
    pub(crate) const BLOCKED: u32 = 4;
    /// It had ended.
    pub(crate) const GONE: u32 = 5;
}

/// One thread of a dump.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) tid: AtomicU32,
    /// One of [`asked`].
    pub(crate) state: AtomicU32,
    /// The signal that it came by.
    pub(crate) signal: AtomicU32,
    /// Address of its `ucontext_t`, once parked.
    pub(crate) context: AtomicU64,
    /// Address of its `siginfo_t`, once parked.
    pub(crate) info: AtomicU64,
    /// Its thread pointer, once parked, if somebody from outside asks; else 0.
    pub(crate) pointer: AtomicU64,
}

/// All threads of a dump.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: [Slot; MAX_THREADS],
}

impl Slots {
    pub(crate) fn get(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index)
    }

    pub(crate) fn first(&self, count: usize) -> &[Slot] {
        self.slots.get(..count).unwrap_or_default()
    }
}

/// Set at the start, zeroed by the kernel in a child of fork.
#[derive(Debug)]
pub(crate) struct Mark {
    set: AtomicU32,
}

/// How far a dump has come.
pub(crate) mod phase {
    pub(crate) const IDLE: u32 = 0;
    /// The leader prepares, or the helper is at work.
    pub(crate) const STARTED: u32 = 1;
    /// All threads are listed, and asked.
    pub(crate) const ASKED: u32 = 2;
}

/// The one state of the relay.
#[derive(Debug)]
pub(crate) struct State {
    pid: AtomicU32,
    /// Id of the thread that makes the dump, 0 without one.
    pub(crate) leader: AtomicU32,
    /// Counts dumps; parked threads wait for its change.
    pub(crate) generation: AtomicU32,
    /// One of [`phase`].
    pub(crate) phase: AtomicU32,
    /// Whether the process dies after this dump.
    pub(crate) is_fatal: AtomicBool,
    /// Whether somebody from outside asks for this dump.
    pub(crate) is_asked: AtomicBool,
    /// Counts answers; the leader waits for its change.
    pub(crate) answers: AtomicU32,
    /// Threads that crashed while another one made a dump.
    pub(crate) crashed: AtomicU32,
    /// Those of them that are about to join the dump.
    pub(crate) joining: AtomicU32,
    /// How many slots are in use.
    pub(crate) used: AtomicU32,
    /// Stack pointer to leave the dump with.
    pub(crate) saved: AtomicUsize,
    /// Whether the dump was left because of a crash in it.
    pub(crate) crashed_inside: AtomicBool,
    /// Whether the reserved descriptors are still those of the parent.
    inherited: AtomicBool,
}

static STATE: State = State {
    pid: AtomicU32::new(0),
    leader: AtomicU32::new(0),
    generation: AtomicU32::new(1),
    phase: AtomicU32::new(phase::IDLE),
    is_fatal: AtomicBool::new(false),
    is_asked: AtomicBool::new(false),
    answers: AtomicU32::new(0),
    crashed: AtomicU32::new(0),
    joining: AtomicU32::new(0),
    used: AtomicU32::new(0),
    saved: AtomicUsize::new(0),
    crashed_inside: AtomicBool::new(false),
    inherited: AtomicBool::new(false),
};
static FIXED: Once<Fixed> = Once::new();
static SLOTS: Mapped<Slots> = Mapped::new();
static MARK: Mapped<Mark> = Mapped::new();

/// What is decided at the start and never changed.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) options: Options,
    dump_stack: usize,
    nested_stack: usize,
    helper_stack: usize,
}

impl Fixed {
    /// Address after the stack that a dump is made on.
    pub(crate) fn dump_stack_top(&self) -> usize {
        self.dump_stack + DUMP_STACK
    }

    /// The signal stack for crashes in a dump.
    pub(crate) fn nested_stack(&self) -> AltStack {
        AltStack::new(self.nested_stack, SMALL_STACK)
    }

    /// Address after the stack that the helper is started on.
    pub(crate) fn helper_stack_top(&self) -> usize {
        self.helper_stack + SMALL_STACK
    }
}

/// The state.
pub(crate) fn state() -> &'static State {
    &STATE
}

/// What was set at the start; `None` before.
pub(crate) fn fixed() -> Option<&'static Fixed> {
    FIXED.get()
}

/// The table of threads.
pub(crate) fn slots() -> Option<&'static Slots> {
    SLOTS.get()
}

/// Maps all the memory that a dump will need.
pub(crate) fn prepare(options: Options) -> bool {
    let (Some(dump_stack), Some(nested_stack), Some(helper_stack)) =
        (map_guarded(DUMP_STACK), map_guarded(SMALL_STACK), map_guarded(SMALL_STACK))
    else {
        return false;
    };
    if !(SLOTS.map() && MARK.map() && crate::maps::ARENA.map()) {
        return false;
    }
    // The kernel takes whole pages.
    let wiped = wipe_on_fork(MARK.address(), size_of::<Mark>());
    if !wiped || !FIXED.set(Fixed { options, dump_stack, nested_stack, helper_stack }) {
        return false;
    }
    take_over();
    true
}

fn take_over() {
    STATE.pid.store(calls::getpid(), Ordering::Release);
    if let Some(mark) = MARK.get() {
        mark.set.store(1, Ordering::Release);
    }
}

impl State {
    /// Id of the process that the relay is in.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// Whether the calling process is the one that the relay is in. A child of fork, which has this memory
    /// for itself, becomes one; a child of vfork, which borrows it, does not.
    pub(crate) fn is_own_process(&self) -> bool {
        // Ids may be the same in two namespaces.
        if !self.take_over_in_fork() && calls::getpid() != self.pid() {
            return false;
        }
        if self.inherited.swap(false, Ordering::AcqRel) {
            crate::reserved::renew();
            if let Some(fixed) = fixed() {
                crate::socket::renew(fixed.options.relay_signal);
            }
        }
        true
    }

    /// Whether the calling process borrows this memory, as a child of vfork does: what is in here is of
    /// another one.
    pub(crate) fn is_borrowed(&self) -> bool {
        !is_forked() && calls::getpid() != self.pid()
    }

    /// In a child of fork, before anything else: the memory is its own, and what is in it of its parent.
    /// Descriptors are left for later.
    pub(crate) fn take_over_in_fork(&self) -> bool {
        if !is_forked() {
            return false;
        }
        // Whatever dump the parent was in the midst of is not ours.
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.phase.store(phase::IDLE, Ordering::Release);
        self.is_fatal.store(false, Ordering::Release);
        self.crashed.store(0, Ordering::Release);
        self.joining.store(0, Ordering::Release);
        self.leader.store(0, Ordering::Release);
        self.inherited.store(true, Ordering::Release);
        crate::disposition::settle();
        take_over();
        true
    }
}

/// Whether the kernel has made this memory anew for a child of fork, which has not taken it over yet.
fn is_forked() -> bool {
    MARK.get().is_some_and(|mark| mark.set.load(Ordering::Acquire) == 0)
}
