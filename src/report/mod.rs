//! From a snapshot's frames to a report, and from the report to text or JSON.
//!
//! [`build()`] looks everything up; the formats only print what a [`Report`] holds.
mod build;
mod codes;
pub mod escape;
pub mod gdb;
pub mod go;
pub mod json;
mod model;
mod outermost;
pub mod style;
#[cfg(test)]
mod tests;
pub mod text;

pub use build::{ReportOptions, build, outline, signal_name};
pub use model::*;
pub use style::Style;
pub(crate) use text::words;
