//! The fence: raw system calls, signal entry, stacks and shared memory. Everything `unsafe` of the crate is
//! in here. What depends on the processor is in one file, `x86_64.rs`; another architecture needs the same
//! names in a file of its own.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod machine;

pub(crate) mod calls;
pub(crate) mod capi;
pub(crate) mod memory;
pub(crate) mod once;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod stack;

pub use capi::threaddump_relay_install;
pub(crate) use machine::jump;
