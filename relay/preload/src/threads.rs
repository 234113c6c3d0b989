//! `pthread_create`, so that threads without an alternate signal stack have one: without it nothing can be
//! shown of a stack overflow.
use core::ffi::{c_int, c_ulong, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use relay::interpose;

use crate::libc::{
    self, AtForkFn, EAGAIN, GetSpecificFn, KeyCreateFn, PthreadCreateFn, SetSpecificFn, StartFn,
};

static CREATE: AtomicUsize = AtomicUsize::new(0);
static SET_SPECIFIC: AtomicUsize = AtomicUsize::new(0);
static GET_SPECIFIC: AtomicUsize = AtomicUsize::new(0);
static KEY: AtomicU32 = AtomicU32::new(0);
static READY: AtomicBool = AtomicBool::new(false);

/// What a new thread is to do; at the start of its alternate stack, which it copies it from.
#[derive(Clone, Copy)]
struct Start {
    routine: StartFn,
    argument: *mut c_void,
}

/// Makes the key by whose destructor stacks are given back, however a thread ends.
pub(crate) fn prepare() {
    CREATE.store(libc::next(c"pthread_create"), Ordering::Release);
    watch_forks();
    let (create, set) = (libc::next(c"pthread_key_create"), libc::next(c"pthread_setspecific"));
    if create == 0 || set == 0 {
        return;
    }
    GET_SPECIFIC.store(libc::next(c"pthread_getspecific"), Ordering::Release);
    // SAFETY: the C library's function of that name.
    let create = unsafe { transmute::<usize, KeyCreateFn>(create) };
    let mut key = 0;
    // SAFETY: the key is written, the destructor is ours.
    if unsafe { create(&raw mut key, Some(destroy)) } == 0 {
        SET_SPECIFIC.store(set, Ordering::Release);
        KEY.store(key, Ordering::Release);
        READY.store(true, Ordering::Release);
    }
}

/// Has the relay told of forks in the child.
fn watch_forks() {
    let address = match libc::next(c"__register_atfork") {
        0 => libc::next(c"pthread_atfork"),
        address => address,
    };
    if address != 0 {
        // SAFETY: the C library's function; this library is never unloaded.
        let at_fork = unsafe { transmute::<usize, AtForkFn>(address) };
        // SAFETY: the handler is ours. Without it the next signal tells of the fork.
        let _ = unsafe { at_fork(None, None, Some(forked), core::ptr::null()) };
    }
}

unsafe extern "C" fn forked() {
    interpose::after_fork();
}

/// Whether it is the stack that the calling thread was given.
pub(crate) fn is_ours(stack: usize) -> bool {
    let address = GET_SPECIFIC.load(Ordering::Acquire);
    if stack == 0 || address == 0 || !READY.load(Ordering::Acquire) {
        return false;
    }
    // SAFETY: the C library's function of that name.
    let get = unsafe { transmute::<usize, GetSpecificFn>(address) };
    // SAFETY: a key of ours.
    unsafe { get(KEY.load(Ordering::Acquire)) as usize == stack }
}

unsafe extern "C" fn destroy(stack: *mut c_void) {
    interpose::unmap_stack(stack as usize);
}

unsafe extern "C" fn begin(stack: *mut c_void) -> *mut c_void {
    // SAFETY: put there by the maker of this thread, and not used as a stack yet.
    let start = unsafe { *(stack as *const Start) };
    // SAFETY: the C library's function of that name; there is one since stacks are mapped.
    let set = unsafe { transmute::<usize, SetSpecificFn>(SET_SPECIFIC.load(Ordering::Acquire)) };
    // SAFETY: a key of ours.
    if unsafe { set(KEY.load(Ordering::Acquire), stack) } == 0 {
        interpose::use_stack(stack as usize);
    } else {
        interpose::unmap_stack(stack as usize);
    }
    // SAFETY: what the program wants to be run.
    unsafe { (start.routine)(start.argument) }
}

/// pthread_create(3)
///
/// # Safety
/// As of the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut c_ulong,
    attributes: *const c_void,
    routine: StartFn,
    argument: *mut c_void,
) -> c_int {
    let mut address = CREATE.load(Ordering::Acquire);
    if address == 0 {
        address = libc::next(c"pthread_create");
        CREATE.store(address, Ordering::Release);
    }
    if address == 0 {
        return EAGAIN;
    }
    // SAFETY: the C library's function of that name.
    let create = unsafe { transmute::<usize, PthreadCreateFn>(address) };
    let stack = if READY.load(Ordering::Acquire) { interpose::map_stack() } else { None };
    let Some(stack) = stack else {
        // SAFETY: the caller's promise.
        return unsafe { create(thread, attributes, routine, argument) };
    };
    // SAFETY: new memory, aligned to a page.
    unsafe { *(stack as *mut Start) = Start { routine, argument } };
    // SAFETY: the caller's promise; the stack lives until the thread takes it.
    let result = unsafe { create(thread, attributes, begin, stack as *mut c_void) };
    if result != 0 {
        interpose::unmap_stack(stack);
    }
    result
}
