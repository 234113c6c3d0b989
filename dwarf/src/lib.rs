//! CFI unwinding: bytes and registers in, frames out.
#![cfg_attr(not(feature = "symbols"), no_std)]
#![forbid(unsafe_code)]
