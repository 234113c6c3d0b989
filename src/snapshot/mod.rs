//! Everything that was read from a target, and nothing derived from it.
//!
//! Every source (ptrace, and later core files, the relay, the crash handler) fills this one value;
//! unwinding, naming and printing are functions of it and of the ELF files it names. It can be
//! saved and loaded and then gives the same report.

pub mod file;
mod head;
pub mod memory;
mod model;
mod text;

pub use model::*;
pub use text::{decode_bytes, encode_bytes, hex};
