//! A value that is set once, before any signal handler can ask for it.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

/// Empty, being set, set.
const EMPTY: u32 = 0;
const SETTING: u32 = 1;
const SET: u32 = 2;

#[derive(Debug)]
pub(crate) struct Once<T> {
    state: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: written by the one that changed the state from empty, read only after that.
unsafe impl<T: Sync + Send> Sync for Once<T> {}

impl<T> Once<T> {
    pub(crate) const fn new() -> Once<T> {
        Once { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// Sets the value; `false` if it was set before.
    pub(crate) fn set(&self, value: T) -> bool {
        if self.state.compare_exchange(EMPTY, SETTING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        // SAFETY: nobody reads before the state says so, and nobody else writes.
        unsafe { *self.value.get() = Some(value) };
        self.state.store(SET, Ordering::Release);
        true
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: it was written, and is not written again.
        unsafe { &*self.value.get() }.as_ref()
    }
}
