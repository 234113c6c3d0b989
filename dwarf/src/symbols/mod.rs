//! Names of addresses: ELF symbols, DWARF functions with their inlined callers and lines, and
//! demangling.
//!
//! The caller supplies bytes (a symbol table, inflated DWARF sections, a mangled name); names come
//! out. Nothing here opens a file. Everything is hostile: tables may lie, DWARF may loop and names
//! may expand without end, so each part has a limit and none may panic.

mod checksums;
mod cpp;
mod demangle;
mod guarded;
mod index;
mod jobs;
mod scope;
mod source;
mod split;
mod supply;
mod table;
mod units;

pub use demangle::{MAX_NAME, demangle, display_name};
pub use jobs::{UnitAnswer, UnitJob};
pub use source::{DebugInfo, DebugInfoError, Function, SourceFrame};
pub use split::{SplitError, SplitUnit};
pub use supply::Supply;
pub use table::{Code, Symbol, SymbolTable};
