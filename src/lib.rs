//! The library behind the `threaddump` program.
//!
//! Data flows one way: [`snapshot`] ← `collect`, then `images` → `unwind` → `symbolize` →
//! [`report`]; [`dump`] is the whole way. The target is held only while the snapshot is filled.
#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("threaddump works on Linux only: it needs ptrace and /proc as Linux has them");

pub mod cli;
pub mod collect;
pub mod compare;
pub mod core_pattern;
pub mod crashes;
pub mod debuginfod;
pub mod dump;
pub mod error;
pub mod handler;
pub mod ids;
pub mod images;
pub mod naming;
mod parallel;
pub mod preload;
pub mod proc;
pub mod report;
pub mod snapshot;
pub mod source;
pub mod symbolize;
pub mod sys;
pub mod unwind;
