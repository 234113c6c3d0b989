//! Starting the helper.
use super::calls::check;
use super::machine::clone;
use super::stack::{Call, run};

const CLONE_VM: usize = 0x100;
const CLONE_VFORK: usize = 0x4000;

/// Runs `work` in a new process that shares this memory, on a stack that ends at `top`, until it starts a
/// program or exits. No signal tells of its end (clone(2)). The stack must be used by nobody else.
pub(crate) fn clone_shared<T>(top: usize, work: fn(&T), value: &T) -> Result<u32, i32> {
    let call = Call { work, value };
    let argument = &raw const call as usize;
    // SAFETY: this thread sleeps until the child no longer uses our memory, and the stack is kept for it.
    check(unsafe { clone(CLONE_VM | CLONE_VFORK, top & !15, run::<T>, argument) }).map(|pid| pid as u32)
}

/// Runs `work` in a new process that shares this memory and runs beside this one, on a stack that ends at `top`,
/// where it gets the value. No signal tells of its end (clone(2)). The stack must be used by nobody else until
/// that process has ended, and nothing it shares may end before it.
pub(crate) fn clone_beside<T: 'static>(top: usize, work: fn(&T), value: T) -> Result<u32, i32> {
    let place = (top - size_of::<Beside<T>>()) & !63;
    // SAFETY: inside of the stack, which nobody uses, and aligned for it.
    unsafe { (place as *mut Beside<T>).write(Beside { work, value }) };
    // SAFETY: the child's stack ends where that lies, and is kept for it.
    check(unsafe { clone(CLONE_VM, place, run_beside::<T>, place) }).map(|pid| pid as u32)
}

/// Work with its value.
struct Beside<T> {
    work: fn(&T),
    value: T,
}

extern "C" fn run_beside<T>(place: usize) {
    // SAFETY: `clone_beside` has put it there, and nobody else uses it.
    let beside = unsafe { &*(place as *const Beside<T>) };
    (beside.work)(&beside.value);
}
