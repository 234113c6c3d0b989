//! The stack on which a dump is made, and alternate signal stacks.
use core::sync::atomic::{AtomicUsize, Ordering};

use super::calls::check;
use super::machine::{call_on_stack, number, syscall};
use super::memory;

/// `stack_t` (sigaltstack(2)).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AltStack {
    start: usize,
    flags: i32,
    size: usize,
}

const SS_DISABLE: i32 = 2;

impl AltStack {
    /// No alternate stack.
    pub(crate) const NONE: AltStack = AltStack { start: 0, flags: SS_DISABLE, size: 0 };

    pub(crate) const fn new(start: usize, size: usize) -> AltStack {
        AltStack { start, flags: 0, size }
    }

    pub(crate) const fn is_disabled(&self) -> bool {
        self.flags & SS_DISABLE != 0
    }
}

/// The alternate stack of this thread, and perhaps a new one (sigaltstack(2)).
pub(crate) fn alternate(new: Option<&AltStack>) -> Option<AltStack> {
    let mut old = AltStack::NONE;
    let new = new.map_or(0, |new| core::ptr::from_ref(new) as usize);
    // SAFETY: the kernel writes the old one; the new one is ours and stays mapped while it is set.
    let result = unsafe { syscall(number::SIGALTSTACK, [new, &raw mut old as usize, 0, 0, 0, 0]) };
    check(result).ok().map(|_| old)
}

/// Gives the calling thread this alternate stack, if it has none.
pub(crate) fn use_alternate(start: usize, size: usize) -> bool {
    alternate(None).is_some_and(|current| current.is_disabled())
        && alternate(Some(&AltStack::new(start, size))).is_some()
}

static GIVEN: AtomicUsize = AtomicUsize::new(0);

/// Gives the calling thread an alternate stack for good, if it has none.
pub(crate) fn give_alternate(size: usize) {
    if alternate(None).is_some_and(|current| current.is_disabled())
        && let Some(start) = memory::map_guarded(size)
    {
        GIVEN.store(start, Ordering::Release);
        use_alternate(start, size);
    }
}

/// Whether it is the one that was given for good.
pub(crate) fn is_given(start: usize) -> bool {
    start != 0 && start == GIVEN.load(Ordering::Acquire)
}

/// Takes back an alternate stack of the calling thread, whether or not it uses it.
pub(crate) fn take_alternate(start: usize, size: usize) {
    if alternate(None) == Some(AltStack::new(start, size)) {
        alternate(Some(&AltStack::NONE));
    }
    // SAFETY: no signal is handled there now, and from here on none will be.
    unsafe { memory::unmap_guarded(start, size) };
}

/// Work that is done on another stack.
pub(super) struct Call<'a, T> {
    pub(super) work: fn(&T),
    pub(super) value: &'a T,
}

/// Does it; given its address.
pub(super) extern "C" fn run<T>(call: usize) {
    // SAFETY: `run_on` and `clone_shared` pass the address of a call that outlives the run.
    let call = unsafe { &*(call as *const Call<'_, T>) };
    (call.work)(call.value);
}

/// Calls `work` on the stack that ends at `top`; gives whether it came to its end. A jump to `saved` (see
/// [`super::jump`]) ends it early. The stack must be used by nobody else.
pub(crate) fn run_on<T>(top: usize, work: fn(&T), value: &T, saved: &AtomicUsize) -> bool {
    let call = Call { work, value };
    let argument = &raw const call as usize;
    // SAFETY: the stack was mapped for this, and whoever leads a dump is alone with it.
    unsafe { call_on_stack(top & !15, run::<T>, argument, saved.as_ptr()) == 0 }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU32;

    use super::*;
    use crate::sys::signal::{self, Action, Arrival};

    static SAVED: AtomicUsize = AtomicUsize::new(0);
    static VALUE: AtomicU32 = AtomicU32::new(0);
    const SIGSEGV: u32 = 11;

    fn leave(arrival: &Arrival<'_>) {
        crate::sys::jump(arrival.context, SAVED.load(Ordering::Relaxed));
    }

    #[test]
    fn work_on_another_stack_comes_back_even_from_a_crash() {
        let size = 64 << 10;
        let stack = memory::map_guarded(size).expect("there is memory");
        let add = |value: &u32| {
            VALUE.fetch_add(*value, Ordering::Relaxed);
        };
        assert!(run_on(stack + size, add, &5, &SAVED));
        signal::set_handler(leave);
        let before = signal::action(SIGSEGV, Some(&Action::ours(0, 0))).expect("allowed");
        let crash = |place: &usize| {
            let place = *place as *const u8;
            // SAFETY: the point is that this faults, and is caught.
            VALUE.fetch_add(u32::from(unsafe { place.read_volatile() }), Ordering::Relaxed);
        };
        assert!(!run_on(stack + size, crash, &(stack - 8), &SAVED), "the guard page is read");
        signal::action(SIGSEGV, Some(&before)).expect("allowed");
        assert!(run_on(stack + size, add, &2, &SAVED), "the stack can be used again");
        assert_eq!(VALUE.load(Ordering::Relaxed), 7);
    }
}
