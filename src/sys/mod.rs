//! System calls, and the only place with `unsafe`.
pub mod mapping;
mod sigbus;
