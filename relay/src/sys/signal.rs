//! Signals: actions as the kernel takes them, entering a handler, sending.
use core::sync::atomic::{AtomicUsize, Ordering};

use super::calls::{Answer, check};
use super::machine::{number, return_path, rewind, set_mask, syscall};

pub(crate) const SIGQUIT: u32 = 3;
pub(crate) const SIGABRT: u32 = 6;

pub(crate) const SA_SIGINFO: u64 = 4;
pub(crate) const SA_ONSTACK: u64 = 0x0800_0000;
pub(crate) const SA_RESTART: u64 = 0x1000_0000;
pub(crate) const SA_NODEFER: u64 = 0x4000_0000;
pub(crate) const SA_RESETHAND: u64 = 0x8000_0000;

pub(crate) const SIG_DFL: usize = 0;
pub(crate) const SIG_IGN: usize = 1;

pub(crate) const SI_QUEUE: i32 = -1;
pub(crate) const SI_TKILL: i32 = -6;

/// What is done on a signal.
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
        let (more, restorer) = return_path();
        Action { handler, flags: flags | SA_SIGINFO | more, restorer, mask }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.handler == enter as *const () as usize
    }
}

/// `struct sigaction` of the kernel, whose flags are a word.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sigaction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// The action of a signal, and perhaps a new one (rt_sigaction(2)).
pub(crate) fn action(signal: u32, new: Option<&Action>) -> Result<Action, i32> {
    let mut old = Sigaction { handler: SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    let new = new.map(|new| {
        let Action { handler, flags, restorer, mask } = *new;
        Sigaction { handler, flags: flags as usize, restorer, mask }
    });
    let new = new.as_ref().map_or(0, |new| core::ptr::from_ref(new) as usize);
    let arguments = [signal as usize, new, &raw mut old as usize, 8, 0, 0];
    // SAFETY: the kernel writes the old action; handlers that are set are ours or the program's own.
    check(unsafe { syscall(number::RT_SIGACTION, arguments) })?;
    let Sigaction { handler, flags, restorer, mask } = old;
    Ok(Action { handler, flags: flags as u64, restorer, mask })
}

/// What the kernel tells about a signal (`siginfo_t`), in pieces of 4 bytes.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    pieces: [u32; 32],
}

/// Pieces of a word.
const WORD: usize = size_of::<usize>() / 4;
/// What a signal has of its own comes after three numbers, aligned to a word.
const OWN: usize = 2 + WORD;

impl Info {
    /// A queued value from this process.
    pub(crate) fn queued(signal: u32, pid: u32, value: u64) -> Info {
        let mut pieces = [0; 32];
        pieces[0] = signal;
        pieces[2] = SI_QUEUE as u32;
        pieces[OWN] = pid;
        let (low, high) = Info::VALUE;
        (pieces[low], pieces[high]) = (value as u32, (value >> 32) as u32);
        Info { pieces }
    }

    /// Places of the halves of a queued value, which is a word: where that is too narrow, the other half is in
    /// the place of the user id, which is not asked for.
    const VALUE: (usize, usize) = if WORD == 2 { (OWN + 2, OWN + 3) } else { (OWN + 2, OWN + 1) };

    pub(crate) fn code(&self) -> i32 {
        self.pieces[2] as i32
    }

    /// The sender, of signals that have one.
    pub(crate) fn pid(&self) -> u32 {
        self.pieces[OWN]
    }

    /// The queued value.
    pub(crate) fn value(&self) -> u64 {
        let (low, high) = Info::VALUE;
        u64::from(self.pieces[low]) | u64::from(self.pieces[high]) << 32
    }

    /// The descriptor that something has happened to, after a word with what.
    pub(crate) fn descriptor(&self) -> i32 {
        self.pieces[OWN + WORD] as i32
    }

    /// Place of the address of a fault, in bytes.
    pub(crate) const ADDRESS: u64 = 4 * OWN as u64;

    /// The address of a fault.
    fn address(&self) -> u64 {
        let high = if WORD == 2 { self.pieces[OWN + 1] } else { 0 };
        u64::from(self.pieces[OWN]) | u64::from(high) << 32
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
        rewind(self.signal, self.info.code(), self.info.address(), self.context)
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
