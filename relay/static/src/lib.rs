//! The relay as an archive for programs in C: `threaddump_relay_install` of `include/threaddump_relay.h`, and
//! nothing that stands between the program and its C library.
#![no_std]

pub use relay::threaddump_relay_install;

/// There is nothing to unwind to. In a dump this is noticed, and the dump given up.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    relay::interpose::end_here()
}
