//! The relay as a library for LD_PRELOAD: installs itself at the start of a program, and stands between the
//! program and the functions by which it sets signal handlers and starts threads.
//!
//! It asks the C library for nothing but what `libc.rs` declares, so it works with glibc and musl.
#![no_std]

mod libc;
mod signals;
mod stacks;
mod start;
mod threads;

/// There is nothing to unwind to. In a dump this is noticed, and the dump given up.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    relay::interpose::end_here()
}
