//! Inflates parts of a deflate stream (RFC 1951) that is too large to be inflated whole, on several
//! threads.
mod decode;
mod seek;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use seek::{Decoded, Section, Seekable, decode, divide, spacing};

/// The stream is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad;
