//! The fence: raw system calls, signal entry, stacks and shared memory. Everything `unsafe` of the crate is
//! in here. What depends on the processor is in one file for each, with the same names; where there is none, all
//! system calls fail, and the relay is not installed.
#![allow(unsafe_code)]

#[cfg_attr(all(target_arch = "x86_64", target_pointer_width = "64"), path = "x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "x86.rs")]
#[cfg_attr(
    all(target_arch = "aarch64", target_endian = "little", target_pointer_width = "64"),
    path = "aarch64.rs"
)]
#[cfg_attr(
    not(any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        target_arch = "x86",
        all(target_arch = "aarch64", target_endian = "little", target_pointer_width = "64")
    )),
    path = "other.rs"
)]
mod machine;

pub(crate) mod calls;
pub(crate) mod capi;
pub(crate) mod memory;
pub(crate) mod once;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod stack;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod trap;

pub use capi::threaddump_relay_install;
pub(crate) use machine::{CONTEXT, IS_SUPPORTED, end_here, jump, thread_pointer};
