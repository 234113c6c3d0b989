//! The library for LD_PRELOAD, which this program carries with it.
mod file;
mod program;

use threaddump_arch::{Arch, NATIVE};

pub use file::file;
pub use program::fitting;

/// Its file name.
pub const NAME: &str = "libthreaddump_relay.so";

/// File name of the one for i386 programs, which x86_64 systems can run, too.
pub const NAME_I386: &str = "libthreaddump_relay-i386.so";

/// The library, as `relay/preload` makes it; empty for processors that the relay does not know.
pub static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libthreaddump_relay.so"));

/// That for i386 programs; empty if the compiler could not build it.
pub static LIBRARY_I386: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libthreaddump_relay-i386.so"));

/// Which programs a library is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Those of this program's own architecture.
    Own,
    /// Those of i386 under x86_64.
    I386,
}

impl Kind {
    /// That for programs of an architecture, if there can be one.
    pub fn of(arch: Arch) -> Option<Kind> {
        match (arch, NATIVE?) {
            (arch, own) if arch == own => Some(Kind::Own),
            (Arch::I386, Arch::X86_64) => Some(Kind::I386),
            _ => None,
        }
    }

    /// The file name of the library.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Own => NAME,
            Kind::I386 => NAME_I386,
        }
    }

    /// The library, if this program carries it.
    fn library(self) -> Option<&'static [u8]> {
        let library = match self {
            Kind::Own => LIBRARY,
            Kind::I386 => LIBRARY_I386,
        };
        (!library.is_empty()).then_some(library)
    }
}
