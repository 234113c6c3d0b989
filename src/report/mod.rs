//! From a snapshot's frames to a report, and from the report to text or JSON.
mod model;

pub use model::*;
