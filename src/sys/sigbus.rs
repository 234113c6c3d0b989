//! The SIGBUS handler behind [`super::mapping`]: a table of address ranges that may fault, and
//! what happens when one does.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, OnceLock};

/// What SIGBUS did before us. Set before the handler is installed, so the handler always finds it.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
/// Page size in bytes, read once: sysconf(3) is not for signal handlers.
static PAGE: AtomicUsize = AtomicUsize::new(4096);
/// The first block of the table. Blocks are never freed, so the handler needs no lock.
static TABLE: Block = Block::new();

const SLOTS: usize = 256;
const FREE: usize = 0;

struct Block {
    slots: [Slot; SLOTS],
    next: AtomicPtr<Block>,
}

/// One range. `version` is 0 when free, odd while it is written, even when it may be used; it
/// only grows, so a reader that finds it unchanged has read one consistent range.
struct Slot {
    taken: AtomicBool,
    version: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    damaged: AtomicBool,
}

impl Block {
    const fn new() -> Block {
        Block { slots: [const { Slot::new() }; SLOTS], next: AtomicPtr::new(null_mut()) }
    }

    fn next(&self) -> Option<&'static Block> {
        let next = self.next.load(Ordering::Acquire);
        // SAFETY: null or a leaked, therefore immortal, initialized block.
        unsafe { next.as_ref() }
    }
}

impl Slot {
    const fn new() -> Slot {
        Slot {
            taken: AtomicBool::new(false),
            version: AtomicUsize::new(FREE),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            damaged: AtomicBool::new(false),
        }
    }

    fn set(&self, start: usize, end: usize) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.start.store(start, Ordering::Release);
        self.end.store(end, Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    fn holds(&self, address: usize) -> bool {
        let before = self.version.load(Ordering::Acquire);
        if before == FREE || before % 2 == 1 {
            return false;
        }
        let start = self.start.load(Ordering::Acquire);
        let end = self.end.load(Ordering::Acquire);
        fence(Ordering::Acquire);
        (start..end).contains(&address) && self.version.load(Ordering::Acquire) == before
    }
}

/// A range under protection, until this is dropped.
pub(super) struct Guard(&'static Slot);

impl Guard {
    pub(super) fn damaged(&self) -> bool {
        self.0.damaged.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(0, 0);
        self.0.taken.store(false, Ordering::Release);
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("damaged", &self.damaged()).finish()
    }
}

/// Enters a range into the table, and installs the handler the first time.
pub(super) fn protect(start: usize, len: usize) -> io::Result<Guard> {
    install()?;
    let slot = claim();
    slot.damaged.store(false, Ordering::Release);
    slot.set(start, start.saturating_add(len));
    Ok(Guard(slot))
}

fn claim() -> &'static Slot {
    let mut block: &'static Block = &TABLE;
    loop {
        for slot in &block.slots {
            let taken = slot.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed);
            if taken.is_ok() {
                return slot;
            }
        }
        block = block.next().unwrap_or_else(|| append(block));
    }
}

fn append(last: &'static Block) -> &'static Block {
    let new = Box::into_raw(Box::new(Block::new()));
    match last.next.compare_exchange(null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => last.next().unwrap_or(&TABLE),
        Err(_) => {
            // SAFETY: `new` came from Box::into_raw above and was not published.
            drop(unsafe { Box::from_raw(new) });
            last.next().unwrap_or(&TABLE)
        }
    }
}

fn install() -> io::Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    // SAFETY: sysconf(3) with a valid name has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if let Some(page) = usize::try_from(page).ok().filter(|page| page.is_power_of_two()) {
        PAGE.store(page, Ordering::Release);
    }
    let previous = current_action()?;
    PREVIOUS.get_or_init(|| previous);
    let mut action = default_action();
    action.sa_sigaction = on_sigbus as *const () as usize;
    // ONSTACK because the action before ours, which we call, may count on it.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: a complete action whose handler is async-signal-safe and lives for ever.
    if unsafe { libc::sigaction(libc::SIGBUS, &action, null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    *installed = true;
    Ok(())
}

fn current_action() -> io::Result<libc::sigaction> {
    let mut action = default_action();
    // SAFETY: `action` is valid for writes; a null new action only asks.
    match unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut action) } {
        0 => Ok(action),
        _ => Err(io::Error::last_os_error()),
    }
}

/// SIG_DFL with an empty mask and no flags.
fn default_action() -> libc::sigaction {
    // SAFETY: all-zero bytes are a valid sigaction: SIG_DFL is 0, the mask is empty, no restorer.
    unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() }
}

/// Async-signal-safe: atomics and mmap(2) only, errno kept.
extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: has no preconditions.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the place of this thread's errno is valid as long as the thread.
    let errno = unsafe { *place };
    if !repair(info) {
        pass_on(signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *place = errno };
}

/// Replaces the page that faulted by zeros if it is ours.
fn repair(info: *mut libc::siginfo_t) -> bool {
    // SAFETY: with SA_SIGINFO the kernel gives a valid siginfo.
    let info = unsafe { &*info };
    if info.si_code <= 0 {
        return false; // sent by a process: there is no fault address
    }
    // SAFETY: SIGBUS raised by the kernel (si_code > 0) fills si_addr.
    let address = unsafe { info.si_addr() } as usize;
    let Some(slot) = find(address) else { return false };
    let page = PAGE.load(Ordering::Acquire);
    let start = address & !(page - 1);
    // SAFETY: the page lies in a live mapping of ours (its owner is being read right now, so it
    // cannot be unmapped), which nobody writes to; replacing it changes no other memory.
    let new = unsafe {
        libc::mmap(
            start as *mut libc::c_void,
            page,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    slot.damaged.store(true, Ordering::Release);
    new != libc::MAP_FAILED
}

fn find(address: usize) -> Option<&'static Slot> {
    let mut block = Some(&TABLE);
    while let Some(current) = block {
        if let Some(slot) = current.slots.iter().find(|slot| slot.holds(address)) {
            return Some(slot);
        }
        block = current.next();
    }
    None
}

/// Does what would have been done without us.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Simple = extern "C" fn(libc::c_int);
    type Full = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let previous = PREVIOUS.get().copied().unwrap_or_else(default_action);
    // SAFETY: as in `repair`.
    let sent = unsafe { &*info }.si_code <= 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if sent => {}
        // A fault cannot be ignored: after the return it happens again and ends the program.
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: a complete action without a handler.
            unsafe { libc::sigaction(signal, &default_action(), null_mut()) };
            if sent {
                // SAFETY: raise(3) is async-signal-safe; the signal is blocked until we return.
                unsafe { libc::raise(signal) };
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: sigaction(2) gave this address together with SA_SIGINFO, so it is of this type.
            let handler = unsafe { std::mem::transmute::<usize, Full>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: sigaction(2) gave this address without SA_SIGINFO, so it is of this type.
            let handler = unsafe { std::mem::transmute::<usize, Simple>(handler) };
            handler(signal);
        }
    }
}
