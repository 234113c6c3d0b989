//! `sigaction` and its relatives. Of signals that the relay has taken the program sees and sets its own
//! actions; everything else goes to the C library.
use core::ffi::c_int;
use core::mem::transmute;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use relay::interpose::{self, ProgramAction};

use crate::libc::{self, EINVAL, NOTHING, SA_ONSTACK, Sigaction, SigactionFn, SigprocmaskFn};
use crate::stacks;

const SIG_ERR: usize = usize::MAX;
const SIG_IGN: usize = 1;
const SIG_HOLD: usize = 2;
/// What the C library adds to the flags, and shows: SA_RESTORER. On 32-bit x86 musl alone does so.
const ADDED: u64 = if cfg!(target_arch = "x86_64") { 0x0400_0000 } else { 0 };
const SA_RESTART: c_int = 0x1000_0000;
const SA_NODEFER: c_int = 0x4000_0000;
const SA_RESETHAND: c_int = 0x8000_0000_u32 as c_int;
const SIG_BLOCK: c_int = 0;
const SIG_UNBLOCK: c_int = 1;
const SIGNALS: c_int = 64;

static REAL: AtomicUsize = AtomicUsize::new(0);
/// Signals that are to interrupt system calls: [`signal`] sets no SA_RESTART for them. In glibc, not in musl.
static INTERRUPTING: AtomicU64 = AtomicU64::new(0);
static IS_GLIBC: AtomicBool = AtomicBool::new(false);

fn real() -> Option<SigactionFn> {
    let mut address = REAL.load(Ordering::Acquire);
    if address == 0 {
        address = libc::next(c"sigaction");
        REAL.store(address, Ordering::Release);
    }
    // SAFETY: the C library's function of that name.
    (address != 0).then(|| unsafe { transmute::<usize, SigactionFn>(address) })
}

/// Looks the C library's functions up, which must not happen later in a signal handler.
pub(crate) fn prepare() {
    let _ = real();
    IS_GLIBC.store(libc::next(c"gnu_get_libc_version") != 0, Ordering::Release);
}

pub(crate) fn call_real(signal: c_int, new: Option<&Sigaction>, old: Option<&mut Sigaction>) -> c_int {
    let Some(real) = real() else {
        libc::set_errno(EINVAL);
        return -1;
    };
    let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
    let old = old.map_or(core::ptr::null_mut(), core::ptr::from_mut);
    // SAFETY: both are null or point to actions.
    unsafe { real(signal, new, old) }
}

fn to_program(action: &Sigaction) -> ProgramAction {
    let flags = u64::from(action.flags as u32) | ADDED;
    ProgramAction { handler: action.handler, flags, restorer: action.restorer, mask: action.mask[0] }
}

fn from_program(action: &ProgramAction) -> Sigaction {
    let mut mask = [0; 16];
    mask[0] = action.mask;
    let flags = action.flags as u32 as c_int;
    Sigaction { handler: action.handler, mask, flags, restorer: 0 }
}

/// Does what the program asks for by `sigaction`.
pub(crate) fn change(signal: c_int, new: Option<&Sigaction>, old: Option<&mut Sigaction>) -> c_int {
    let number = u32::try_from(signal).unwrap_or(0);
    let is_taken = interpose::is_taken(number);
    let was_hidden = stacks::is_hidden(number);
    let told = new.map(stacks::hide_flag);
    let mut before = NOTHING;
    let result = if is_taken {
        before = from_program(&interpose::get(number));
        let is_between = new.is_none_or(|new| interpose::set(number, to_program(new)));
        if is_between { 0 } else { call_real(signal, told.as_ref(), None) }
    } else {
        call_real(signal, told.as_ref(), Some(&mut before))
    };
    if result != 0 {
        return result;
    }
    if let (Some(new), Some(told)) = (new, told) {
        stacks::remember(number, told.flags != new.flags);
    }
    if let Some(old) = old {
        *old = before;
        old.flags |= if was_hidden { SA_ONSTACK } else { 0 };
    }
    0
}

/// sigaction(2)
///
/// # Safety
/// As of the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const Sigaction, old: *mut Sigaction) -> c_int {
    // Both may be the same.
    // SAFETY: null or an action, as the caller promises.
    let new = unsafe { new.as_ref() }.copied();
    // SAFETY: null or an action, as the caller promises.
    change(signal, new.as_ref(), unsafe { old.as_mut() })
}

/// The same by its other name.
///
/// # Safety
/// As of the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sigaction(signal: c_int, new: *const Sigaction, old: *mut Sigaction) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { sigaction(signal, new, old) }
}

/// Sets a handler with these flags; gives the one before.
fn set_handler(signal: c_int, handler: usize, flags: c_int, masked: bool) -> usize {
    if !(1..=SIGNALS).contains(&signal) || handler == SIG_ERR {
        libc::set_errno(EINVAL);
        return SIG_ERR;
    }
    let mut new = Sigaction { handler, flags, ..NOTHING };
    if masked {
        new.mask[0] = 1 << (signal - 1);
    }
    let mut old = new;
    if change(signal, Some(&new), Some(&mut old)) == 0 { old.handler } else { SIG_ERR }
}

/// signal(2)
#[unsafe(no_mangle)]
pub extern "C" fn signal(signal: c_int, handler: usize) -> usize {
    let interrupts = INTERRUPTING.load(Ordering::Acquire) & bit(signal) != 0;
    set_handler(signal, handler, if interrupts { 0 } else { SA_RESTART }, true)
}

/// bsd_signal(3)
#[unsafe(no_mangle)]
pub extern "C" fn bsd_signal(number: c_int, handler: usize) -> usize {
    signal(number, handler)
}

/// siginterrupt(3)
#[unsafe(no_mangle)]
pub extern "C" fn siginterrupt(signal: c_int, flag: c_int) -> c_int {
    let mut action = NOTHING;
    if change(signal, None, Some(&mut action)) != 0 {
        return -1;
    }
    let is_kept = IS_GLIBC.load(Ordering::Acquire);
    if flag == 0 {
        INTERRUPTING.fetch_and(!bit(signal), Ordering::AcqRel);
        action.flags |= SA_RESTART;
    } else {
        INTERRUPTING.fetch_or(if is_kept { bit(signal) } else { 0 }, Ordering::AcqRel);
        action.flags &= !SA_RESTART;
    }
    change(signal, Some(&action), None)
}

/// The bit of a signal in a set; none for a number that is no signal's.
fn bit(signal: c_int) -> u64 {
    if (1..=SIGNALS).contains(&signal) { 1 << (signal - 1) } else { 0 }
}

/// sysv_signal(3)
#[unsafe(no_mangle)]
pub extern "C" fn sysv_signal(signal: c_int, handler: usize) -> usize {
    set_handler(signal, handler, SA_RESETHAND | SA_NODEFER, false)
}

/// What programs compiled for strict standards call as `signal`.
#[unsafe(no_mangle)]
pub extern "C" fn __sysv_signal(signal: c_int, handler: usize) -> usize {
    sysv_signal(signal, handler)
}

/// Blocks or unblocks a signal; gives whether it was blocked.
fn block(signal: c_int, how: c_int) -> Option<bool> {
    let address = libc::next(c"sigprocmask");
    if address == 0 {
        return None;
    }
    // SAFETY: the C library's function of that name.
    let sigprocmask = unsafe { transmute::<usize, SigprocmaskFn>(address) };
    let (mut set, mut old) = ([0; 16], [0; 16]);
    set[0] = 1 << (signal - 1);
    // SAFETY: both are sets.
    let result = unsafe { sigprocmask(how, &raw const set, &raw mut old) };
    (result == 0).then_some(old[0] & set[0] != 0)
}

/// sigset(3)
#[unsafe(no_mangle)]
pub extern "C" fn sigset(signal: c_int, handler: usize) -> usize {
    if !(1..=SIGNALS).contains(&signal) || handler == SIG_ERR {
        libc::set_errno(EINVAL);
        return SIG_ERR;
    }
    let (before, how) = if handler == SIG_HOLD {
        (set_nothing(signal), SIG_BLOCK)
    } else {
        (set_handler(signal, handler, 0, false), SIG_UNBLOCK)
    };
    match block(signal, how) {
        _ if before == SIG_ERR => SIG_ERR,
        Some(true) => SIG_HOLD,
        Some(false) => before,
        None => SIG_ERR,
    }
}

/// The handler that is set.
fn set_nothing(signal: c_int) -> usize {
    let mut old = NOTHING;
    if change(signal, None, Some(&mut old)) == 0 { old.handler } else { SIG_ERR }
}

/// sigignore(3)
#[unsafe(no_mangle)]
pub extern "C" fn sigignore(signal: c_int) -> c_int {
    if set_handler(signal, SIG_IGN, 0, false) == SIG_ERR { -1 } else { 0 }
}
