//! The library for LD_PRELOAD, which this program carries with it.
mod file;
mod program;

pub use file::file;
pub use program::obstacle;

/// Its file name.
pub const NAME: &str = "libthreaddump_relay.so";

/// The library, as `relay/preload` makes it; empty for processors that the relay does not know.
pub static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libthreaddump_relay.so"));
