//! What is used of the C library. Nothing of it is called by a signal handler, but what copies memory.
use core::ffi::{c_char, c_int, c_ulong, c_void};

/// `struct sigaction` of glibc and musl; the set is of 1024 signals on 32-bit machines, too.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Sigaction {
    pub(crate) handler: usize,
    pub(crate) mask: [u64; 16],
    pub(crate) flags: c_int,
    pub(crate) restorer: usize,
}

/// For the kernel to write over.
pub(crate) const NOTHING: Sigaction = Sigaction { handler: 0, mask: [0; 16], flags: 0, restorer: 0 };

/// Handled on the alternate stack, if there is one.
pub(crate) const SA_ONSTACK: c_int = 0x0800_0000;

/// `stack_t`
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Stack {
    pub(crate) start: *mut c_void,
    pub(crate) flags: c_int,
    pub(crate) size: usize,
}

pub(crate) type SigactionFn = unsafe extern "C" fn(c_int, *const Sigaction, *mut Sigaction) -> c_int;
pub(crate) type StartFn = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
pub(crate) type PthreadCreateFn =
    unsafe extern "C" fn(*mut c_ulong, *const c_void, StartFn, *mut c_void) -> c_int;
pub(crate) type KeyCreateFn =
    unsafe extern "C" fn(*mut u32, Option<unsafe extern "C" fn(*mut c_void)>) -> c_int;
pub(crate) type SetSpecificFn = unsafe extern "C" fn(u32, *const c_void) -> c_int;
pub(crate) type GetSpecificFn = unsafe extern "C" fn(u32) -> *mut c_void;
pub(crate) type SigaltstackFn = unsafe extern "C" fn(*const Stack, *mut Stack) -> c_int;
pub(crate) type ForkHandler = Option<unsafe extern "C" fn()>;
/// `__register_atfork` of glibc, which takes the library besides; `pthread_atfork` does not look at it.
pub(crate) type AtForkFn =
    unsafe extern "C" fn(ForkHandler, ForkHandler, ForkHandler, *const c_void) -> c_int;
pub(crate) type SigprocmaskFn = unsafe extern "C" fn(c_int, *const [u64; 16], *mut [u64; 16]) -> c_int;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn secure_getenv(name: *const c_char) -> *const c_char;
    fn __errno_location() -> *mut c_int;
    pub(crate) safe fn getauxval(kind: c_ulong) -> c_ulong;
}

const RTLD_NEXT: *mut c_void = usize::MAX as *mut c_void;

pub(crate) const EINVAL: c_int = 22;
pub(crate) const ENOSYS: c_int = 38;
pub(crate) const EAGAIN: c_int = 11;

/// Address of a function in the libraries after this one; 0 if there is none.
pub(crate) fn next(name: &core::ffi::CStr) -> usize {
    // SAFETY: the name ends with a zero byte.
    unsafe { dlsym(RTLD_NEXT, name.as_ptr()) as usize }
}

/// An environment variable, unless the program has privileges that its user has not.
pub(crate) fn environment(name: &core::ffi::CStr) -> Option<&'static [u8]> {
    // SAFETY: the name ends with a zero byte.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a value of the environment ends with a zero byte; it is read before the program can change it.
    Some(unsafe { core::ffi::CStr::from_ptr(value) }.to_bytes())
}

pub(crate) fn set_errno(value: c_int) {
    // SAFETY: the calling thread's own variable.
    unsafe { *__errno_location() = value };
}
