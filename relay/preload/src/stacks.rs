//! `sigaltstack`. Threads have an alternate stack of ours, which the program must not see and its handlers must
//! not run on: one that it wants there (SA_ONSTACK) without having set a stack runs on the thread's own, which
//! is larger. So the kernel is told of that flag only when the program sets its first stack.
use core::ffi::{c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use relay::interpose;

use crate::libc::{self, ENOSYS, NOTHING, SA_ONSTACK, Sigaction, SigaltstackFn, Stack};
use crate::{signals, threads};

const SS_DISABLE: c_int = 2;
const SIGNALS: u32 = 64;

static REAL: AtomicUsize = AtomicUsize::new(0);
/// Whether threads have stacks of ours.
static ACTIVE: AtomicBool = AtomicBool::new(false);
/// Whether the program has set a stack.
static USED: AtomicBool = AtomicBool::new(false);
/// Signals of whose actions the flag was hidden from the kernel.
static HIDDEN: AtomicU64 = AtomicU64::new(0);

/// Threads are given stacks from here on.
pub(crate) fn prepare() {
    let _ = real();
    ACTIVE.store(true, Ordering::Release);
    interpose::allow_stack(USED.load(Ordering::Acquire));
}

fn real() -> Option<SigaltstackFn> {
    let mut address = REAL.load(Ordering::Acquire);
    if address == 0 {
        address = libc::next(c"sigaltstack");
        REAL.store(address, Ordering::Release);
    }
    // SAFETY: the C library's function of that name.
    (address != 0).then(|| unsafe { transmute::<usize, SigaltstackFn>(address) })
}

/// What the kernel is told for what the program sets.
pub(crate) fn hide_flag(new: &Sigaction) -> Sigaction {
    let mut told = *new;
    if told.flags & SA_ONSTACK != 0
        && ACTIVE.load(Ordering::Acquire)
        && !USED.load(Ordering::Acquire)
        && !has_go(new)
    {
        told.flags &= !SA_ONSTACK;
    }
    told
}

/// Whether Go's runtime is in the process, as part of a library: it sets stacks past the C library, and its own
/// are too small for handlers. All its handlers block everything, and it has one for each signal.
fn has_go(new: &Sigaction) -> bool {
    const SIGURG: c_int = 23;
    // The C library keeps two signals for itself.
    const ITS_OWN: u64 = 3 << 31;
    let mut action = NOTHING;
    let known = signals::call_real(SIGURG, None, Some(&mut action)) == 0;
    (known && action.flags & SA_ONSTACK != 0) || new.mask[0] | ITS_OWN == u64::MAX
}

/// Whether the kernel was not told of the flag.
pub(crate) fn is_hidden(signal: u32) -> bool {
    HIDDEN.load(Ordering::Acquire) & bit(signal) != 0
}

/// Remembers whether it was taken away.
pub(crate) fn remember(signal: u32, hidden: bool) {
    if is_hidden(signal) == hidden || interpose::is_borrowed() {
        return;
    }
    if hidden {
        HIDDEN.fetch_or(bit(signal), Ordering::AcqRel);
    } else {
        HIDDEN.fetch_and(!bit(signal), Ordering::AcqRel);
    }
}

fn bit(signal: u32) -> u64 {
    if (1..=SIGNALS).contains(&signal) { 1 << (signal - 1) } else { 0 }
}

/// From here on the program's handlers run on alternate stacks.
fn allow() {
    if interpose::is_borrowed() || USED.swap(true, Ordering::AcqRel) {
        return;
    }
    interpose::allow_stack(true);
    for signal in (1..=SIGNALS).filter(|&signal| is_hidden(signal)) {
        let mut action = NOTHING;
        if signals::change(signal as c_int, None, Some(&mut action)) == 0 {
            signals::change(signal as c_int, Some(&action), None);
        }
    }
}

/// sigaltstack(2)
///
/// # Safety
/// As of the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaltstack(new: *const Stack, old: *mut Stack) -> c_int {
    let Some(real) = real() else {
        libc::set_errno(ENOSYS);
        return -1;
    };
    // SAFETY: null or a stack, as the caller promises; both may be the same.
    let copy = unsafe { new.as_ref() }.copied();
    let pointer = copy.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let mut before = Stack { start: core::ptr::null_mut::<c_void>(), flags: 0, size: 0 };
    // SAFETY: null or a stack; the old one is written.
    let result = unsafe { real(pointer, &raw mut before) };
    if result != 0 {
        return result;
    }
    if copy.is_some_and(|new| new.flags & SS_DISABLE == 0) {
        allow();
    }
    let address = before.start as usize;
    if interpose::is_first_stack(address) || threads::is_ours(address) {
        before = Stack { start: core::ptr::null_mut::<c_void>(), flags: SS_DISABLE, size: 0 };
    }
    // SAFETY: null or room for a stack, as the caller promises.
    if let Some(old) = unsafe { old.as_mut() } {
        *old = before;
    }
    0
}
