//! What `/proc` says: pure parsers (bytes in, values out) and the thin readers beside them.
//!
//! The parsers never fail on a field they do not understand; they leave it out. A target chooses
//! its own names and paths, so nothing in them may be taken for structure.

mod maps;
mod read;
mod stat;
mod status;
mod syscall;

pub use maps::{MAX_LINES, parse_maps};
pub use read::{MAX_FILE, ProcDir, boot_time, count_tasks, ticks_per_second};
pub use stat::{PF_KTHREAD, Stat, parse_stat};
pub use status::{Status, parse_status};
pub use syscall::{SyscallFile, parse_syscall};

/// A decimal number that fills the whole text.
fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A hexadecimal number, with or without `0x`.
fn hexadecimal(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 16 || digits.starts_with(b"+") {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
