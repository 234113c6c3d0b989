//! Dumps all threads of a process from inside it: on a signal that asks for it, and when it crashes.
//!
//! [`install`] takes the signals; nothing else is to be done. One thread then leads: it has the `threaddump`
//! program look at the process from outside, if that is set and possible; otherwise it asks all other threads
//! by a signal to hold still, unwinds them one after the other and writes one text. After a dump that was
//! asked for all go on; after a crash the process dies as it would have.
//!
//! Everything happens in signal handlers. So there is no `std` and no allocation, no lock is taken, and no
//! function of the C library is called but what copies memory; system calls are made directly, memory is read
//! in ways that cannot fault, and a stack mapped at the start is used.
//!
//! ```no_run
//! use threaddump_relay::{Options, install};
//!
//! let mut options = Options::DEFAULT;
//! options.apply(b"out=/var/tmp/threads.%p").expect("a known setting");
//! install(options).expect("there is memory");
//! ```
#![no_std]
#![deny(unsafe_code)]

mod cfi;
mod context;
mod disposition;
mod dump;
mod elf;
#[doc(hidden)]
pub mod fuzz;
mod handler;
mod helper;
#[doc(hidden)]
pub mod interpose;
mod maps;
mod memory;
mod options;
mod output;
mod proc;
mod record;
mod reserved;
mod serve;
mod socket;
mod state;
mod symbols;
mod sys;
mod text;
mod threads;
mod unwind;

pub use options::{AfterQuit, MAX_PATH, Options, Path};
pub use sys::threaddump_relay_install;

/// Why the relay could not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// The processor is not one whose stacks can be unwound.
    Unsupported,
    /// It is installed already, with the options of then.
    Installed,
    /// There is no memory for its tables.
    Memory,
    /// The kernel refused a signal.
    Signals,
    /// The options have a signal for two purposes, or one that is none for it: see [`Options::are_valid`].
    Options,
}

impl core::fmt::Display for InstallError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            InstallError::Unsupported => "cannot install the relay: unknown processor",
            InstallError::Installed => "the relay is installed already",
            InstallError::Memory => "cannot install the relay: no memory for its tables",
            InstallError::Signals => "cannot install the relay: its signals are refused",
            InstallError::Options => "cannot install the relay: its options contradict each other",
        })
    }
}

impl core::error::Error for InstallError {}

/// Bytes of the alternate stacks that threads are given.
const ALTERNATE_STACK: usize = 64 << 10;

/// Takes the signals of the relay, and gives the calling thread an alternate signal stack if it has none.
/// Handlers that the program has set for SIGQUIT are called after the dump; crash signals that it handles are
/// left to it.
///
/// # Errors
/// [`InstallError`]; nothing is changed then, or, if the kernel refuses a signal, only some are taken.
pub fn install(options: Options) -> Result<(), InstallError> {
    if !dump::is_supported() {
        return Err(InstallError::Unsupported);
    }
    if !options.are_valid() {
        return Err(InstallError::Options);
    }
    if state::fixed().is_some() {
        return Err(InstallError::Installed);
    }
    if !state::prepare(options) {
        return Err(InstallError::Memory);
    }
    reserved::place();
    reserved::reserve();
    output::remember_stderr();
    sys::signal::set_handler(handler::on_signal);
    sys::stack::give_alternate(ALTERNATE_STACK);
    let crashes = disposition::CRASHES.into_iter().filter(|_| options.crashes);
    let trigger = (options.trigger != 0).then_some(options.trigger);
    let mut signals = crashes.chain(trigger).chain([options.relay_signal]);
    if !signals.all(disposition::take) {
        return Err(InstallError::Signals);
    }
    // From here on a connection brings the signal, so it has its handler before.
    socket::open(options.relay_signal);
    Ok(())
}
