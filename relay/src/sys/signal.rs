//! Signals: actions as the kernel takes them, entering a handler, sending.
use core::sync::atomic::{AtomicUsize, Ordering};

use super::calls::{Answer, check};
use super::machine::{number, restorer, rewind, set_mask, syscall};

pub(crate) const SIGQUIT: u32 = 3;
pub(crate) const SIGABRT: u32 = 6;

pub(crate) const SA_SIGINFO: u64 = 4;
pub(crate) const SA_RESTORER: u64 = 0x0400_0000;
pub(crate) const SA_ONSTACK: u64 = 0x0800_0000;
pub(crate) const SA_RESTART: u64 = 0x1000_0000;
pub(crate) const SA_NODEFER: u64 = 0x4000_0000;
pub(crate) const SA_RESETHAND: u64 = 0x8000_0000;

pub(crate) const SIG_DFL: usize = 0;
pub(crate) const SIG_IGN: usize = 1;

pub(crate) const SI_QUEUE: i32 = -1;
pub(crate) const SI_TKILL: i32 = -6;

/// `struct sigaction` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) handler: usize,
    pub(crate) flags: u64,
    pub(crate) restorer: usize,
    pub(crate) mask: u64,
}

impl Action {
    pub(crate) const DEFAULT: Action = Action { handler: SIG_DFL, flags: 0, restorer: 0, mask: 0 };

    /// One that enters our handler.
    pub(crate) fn ours(flags: u64, mask: u64) -> Action {
        let handler = enter as *const () as usize;
        let restorer = restorer as *const () as usize;
        Action { handler, flags: flags | SA_SIGINFO | SA_RESTORER, restorer, mask }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.handler == enter as *const () as usize
    }
}

/// The action of a signal, and perhaps a new one (rt_sigaction(2)).
pub(crate) fn action(signal: u32, new: Option<&Action>) -> Result<Action, i32> {
    let mut old = Action::DEFAULT;
    let new = new.map_or(0, |new| core::ptr::from_ref(new) as usize);
    let arguments = [signal as usize, new, &raw mut old as usize, 8, 0, 0];
    // SAFETY: the kernel writes the old action; handlers that are set are ours or the program's own.
    check(unsafe { syscall(number::RT_SIGACTION, arguments) }).map(|_| old)
}

/// What the kernel tells about a signal (`siginfo_t`), as words.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    words: [u64; 16],
}

impl Info {
    /// A queued value from this process.
    pub(crate) fn queued(signal: u32, pid: u32, value: u64) -> Info {
        let mut words = [0; 16];
        words[0] = u64::from(signal);
        words[1] = u64::from(SI_QUEUE as u32);
        words[2] = u64::from(pid);
        words[3] = value;
        Info { words }
    }

    pub(crate) fn code(&self) -> i32 {
        self.words[1] as u32 as i32
    }

    /// The sender, of signals that have one.
    pub(crate) fn pid(&self) -> u32 {
        self.words[2] as u32
    }

    /// The queued value.
    pub(crate) fn value(&self) -> u64 {
        self.words[3]
    }
}

/// A signal that has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) signal: u32,
    pub(crate) info: &'a Info,
    /// Address of the `ucontext_t`.
    pub(crate) context: usize,
}

impl Arrival<'_> {
    /// Address of the `siginfo_t`.
    pub(crate) fn info_address(&self) -> usize {
        core::ptr::from_ref(self.info) as usize
    }

    /// Makes the handler return to an instruction that has the same signal sent again; `false` if there is
    /// none: it was sent, or what has caused it is over.
    pub(crate) fn rewind(&self) -> bool {
        rewind(self.signal, self.info.code(), self.info.words[2], self.context)
    }

    /// Signals that are blocked when the handler has returned.
    pub(crate) fn set_mask(&self, mask: u64) {
        set_mask(self.context, mask);
    }
}

type Handler = fn(&Arrival<'_>);
static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// What every signal of ours enters.
pub(crate) fn set_handler(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Release);
}

extern "C" fn enter(signal: i32, info: *const Info, context: usize) {
    let handler = HANDLER.load(Ordering::Acquire);
    if handler == 0 {
        return;
    }
    // SAFETY: set by `set_handler` only.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    // SAFETY: the kernel passes a siginfo that lives as long as this frame.
    let info = unsafe { &*info };
    handler(&Arrival { signal: signal as u32, info, context });
}

/// Calls a handler of the program as the kernel would have.
pub(crate) fn call_program(handler: usize, arrival: &Arrival<'_>) {
    type Program = extern "C" fn(i32, usize, usize);
    // SAFETY: the program gave this address as a handler.
    let handler: Program = unsafe { core::mem::transmute::<usize, Program>(handler) };
    handler(arrival.signal as i32, arrival.info_address(), arrival.context);
}

/// Sends a signal with this information to one thread (rt_tgsigqueueinfo(2)).
pub(crate) fn queue(pid: u32, tid: u32, signal: u32, info: &Info) -> Answer {
    let info = core::ptr::from_ref(info) as usize;
    // SAFETY: the kernel reads the 128 bytes.
    let result = unsafe {
        syscall(number::RT_TGSIGQUEUEINFO, [pid as usize, tid as usize, signal as usize, info, 0, 0])
    };
    check(result)
}

/// How to change the set of blocked signals.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Unblock = 1,
    Set = 2,
}

/// Changes which signals this thread blocks, and gives those it did (rt_sigprocmask(2)).
pub(crate) fn mask(how: Change, set: u64) -> u64 {
    let mut old = 0_u64;
    let arguments = [how as usize, &raw const set as usize, &raw mut old as usize, 8, 0, 0];
    // SAFETY: the kernel reads one set and writes one.
    let _ = unsafe { syscall(number::RT_SIGPROCMASK, arguments) };
    old
}

/// The bit of a signal in a set.
pub(crate) const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}
