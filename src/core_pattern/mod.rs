//! What the kernel does when a process crashes (`kernel.core_pattern`, core(5)): making this program its
//! handler, saying what is in force, and putting back what was there.

mod expand;
mod install;
mod owner;
mod pattern;
mod program;
mod skipped;
mod state;
mod status;

pub use expand::expand;
pub use install::{Installed, Plan, Removed, install, uninstall};
pub use owner::Owner;
pub use pattern::{MAX_PATTERN, build};
pub use program::check;
pub use skipped::{Skipped, open_log, skipped, skipped_in};
pub use state::{Saved, saved, waits};
pub use status::{Status, status};

use std::io;
use std::path::{Path, PathBuf};

/// Crashes that are held at the same time; more are skipped by the kernel, which says so in words that are hard to
/// count. So it is far more than those that are copied at the same time: the handlers of the others wait, and count
/// and log those that they let go. One that waits has 0.6 MiB of its own. Above 0 the kernel also
/// waits for the handler of a core that fits into its pipe.
pub const PIPE_LIMIT: u32 = 512;

const PATTERN: &str = "/proc/sys/kernel/core_pattern";
const LIMIT: &str = "/proc/sys/kernel/core_pipe_limit";
const SUID_DUMPABLE: &str = "/proc/sys/fs/suid_dumpable";

/// Why a pattern cannot be installed or removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum PatternError {
    /// It would not work, and why.
    Refused {
        /// Why, as a sentence without a full stop.
        why: String,
        /// What to do.
        advice: &'static str,
    },
    /// Something could not be read or written.
    Io {
        /// What was being done, as in "write /x".
        what: String,
        /// Why.
        source: io::Error,
    },
}

impl PatternError {
    fn refused(why: impl Into<String>, advice: &'static str) -> PatternError {
        PatternError::Refused { why: why.into(), advice }
    }

    fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> PatternError {
        let what = format!("{what} {}", path.display());
        move |source| PatternError::Io { what, source }
    }
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PatternError::Refused { why, .. } => f.write_str(why),
            PatternError::Io { what, source } => write!(f, "cannot {what}: {}", crate::error::plain(source)),
        }
    }
}

impl std::error::Error for PatternError {}

/// Files that are not the kernel's.
#[derive(Clone, Debug)]
pub struct Places {
    /// What the machine sets at its start (sysctl.d(5)).
    pub sysctl: PathBuf,
    /// What was there before.
    pub state: PathBuf,
}

impl Default for Places {
    fn default() -> Places {
        Places {
            // Distributions have theirs at 50; the last one counts.
            sysctl: PathBuf::from("/etc/sysctl.d/99-threaddump.conf"),
            state: PathBuf::from("/var/lib/threaddump/core-pattern.json"),
        }
    }
}

/// The value of a setting of the kernel, without its line end.
fn read_setting(path: &str) -> Result<Vec<u8>, PatternError> {
    let mut value = std::fs::read(path).map_err(PatternError::io("read", Path::new(path)))?;
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    Ok(value)
}

/// The pattern in force.
fn current() -> Result<String, PatternError> {
    Ok(String::from_utf8_lossy(&read_setting(PATTERN)?).into_owned())
}

fn write_setting(path: &str, value: &str) -> Result<(), PatternError> {
    std::fs::write(path, value).map_err(PatternError::io("write", Path::new(path)))
}

fn number(path: &str) -> Option<u32> {
    String::from_utf8(read_setting(path).ok()?).ok()?.trim().parse().ok()
}
