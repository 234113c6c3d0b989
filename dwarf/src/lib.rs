//! CFI unwinding: bytes and registers in, frames out.
#![cfg_attr(not(feature = "symbols"), no_std)]
#![forbid(unsafe_code)]

mod cfi_sections;
#[cfg(feature = "symbols")]
pub mod symbols;

pub use cfi_sections::EhSections;
pub use gimli;
