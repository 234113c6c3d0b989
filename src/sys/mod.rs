//! System calls that are not typed elsewhere: the only module with `unsafe`.
//!
//! Each function does one call and gives back what the kernel said; what to do about it is decided
//! by the callers.

pub mod alarm;
pub mod descriptors;
pub mod fence;
pub mod fork;
pub mod interrupt;
pub mod mapping;
pub mod memory;
pub mod privileges;
pub mod ptrace;
pub mod root;
mod sigbus;
pub mod signals;
pub mod spawn;
pub mod start;
pub mod thread;
pub mod wait;
pub mod window;
