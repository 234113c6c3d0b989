//! CFI unwinding: bytes and registers in, frames out; and, with the feature `symbols`, names.
//!
//! The caller implements [`Target`]: how to read the stack, which code is executable, and where
//! the unwind information of an address is. [`Walker`] then gives one [`Frame`] after the other
//! from the registers of the innermost one, each with how it was found, and in the end says why it
//! ended. The core needs neither `std` nor `alloc` and performs no I/O, so it can run inside a
//! signal handler as well as over a saved copy of a process.
//!
//! - [`EhCfi`] and [`DebugCfi`] turn the unwind sections of a module into a [`Row`]: the rules of
//!   one address, a plain value that can be cached.
//! - [`Row::apply`] turns the registers of a frame into those of its caller.
//! - [`Walker`] applies rows, and where there are none falls back in a fixed order.
//!
//! Addresses: *process addresses* are those of the running target, *file addresses* those that the
//! ELF file was linked for; a [`LoadBias`] leads from one to the other.
//!
//! ```
//! use gimli::{EndianSlice, LittleEndian};
//! use threaddump_arch::{Arch, Registers};
//! use threaddump_dwarf::{Cfa, Row, Rule};
//!
//! // A frame right after a call: the return address is on top of the stack.
//! let arch = Arch::X86_64;
//! let mut row = Row::new(arch.pc());
//! row.cfa = Cfa::RegisterOffset(arch.sp(), 8);
//! row.set(arch.pc(), Rule::Offset(-8));
//! let mut registers = Registers::new(arch);
//! registers.set(arch.pc(), 0x1000);
//! registers.set(arch.sp(), 0x7000);
//! let mut read = |address: u64, bytes: &mut [u8]| {
//!     bytes.copy_from_slice(&0x2000_u64.to_le_bytes()[..bytes.len()]);
//!     address == 0x7000
//! };
//! let no_expressions = |_| None::<EndianSlice<'_, LittleEndian>>;
//! let caller = row.apply(&registers, &mut read, no_expressions).expect("the rules are complete");
//! assert_eq!(caller.registers.pc(), Some(0x2000));
//! assert_eq!(caller.registers.sp(), Some(0x7008));
//! ```
#![cfg_attr(not(any(test, feature = "symbols")), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod address;
mod apply;
mod cfi;
mod cfi_sections;
mod entries;
mod error;
mod eval;
mod exidx;
mod fallback;
#[cfg(feature = "alloc")]
mod index;
mod row;
mod storage;
#[cfg(feature = "symbols")]
pub mod symbols;
#[cfg(test)]
mod tests;
mod walk;

pub use address::{CodeAddress, FileAddress, LoadBias};
pub use apply::Caller;
pub use cfi::{DebugCfi, EhCfi};
pub use cfi_sections::EhSections;
pub use error::{CfiError, End, StepError};
pub use eval::{Memory, evaluate};
pub use exidx::exidx_row;
pub use gimli;
#[cfg(feature = "alloc")]
pub use index::FdeIndex;
pub use row::{Cfa, ExpressionRef, Row, Rule, Section};
pub use storage::Context;
pub use walk::{Frame, How, Target, Walker};
