//! From a snapshot's frames to a report, and from the report to text or JSON.
mod build;
pub mod json;
mod model;

pub use build::{ReportOptions, build};
pub use model::*;
