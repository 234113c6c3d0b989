//! The call for C programs; `include/threaddump_relay.h`, which is generated from this file, declares it.
use core::ffi::{CStr, c_char, c_int};

use crate::{InstallError, Options, install};

/// Installs the relay, once, for the whole process, with settings as in the environment variable `THREADDUMP`:
/// "out=/var/tmp/%p.txt,quit=go" for instance, or NULL for the defaults. The calling thread is given an alternate
/// signal stack if it has none. A program that is linked statically needs `-Wl,--eh-frame-hdr`, or the relay finds no
/// unwind information in it.
///
/// Returns 0, or 1 if the settings are not understood or contradict each other, 2 if it is installed already, and
/// 3 if it cannot be.
///
/// # Safety
/// `settings` must be null or a string that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn threaddump_relay_install(settings: *const c_char) -> c_int {
    let mut options = Options::DEFAULT;
    if !settings.is_null() {
        // SAFETY: the caller answers for it.
        let settings = unsafe { CStr::from_ptr(settings) };
        if options.apply(settings.to_bytes()).is_err() {
            return 1;
        }
    }
    match install(options) {
        Ok(()) => 0,
        Err(InstallError::Options) => 1,
        Err(InstallError::Installed) => 2,
        Err(InstallError::Unsupported | InstallError::Memory | InstallError::Signals) => 3,
    }
}
