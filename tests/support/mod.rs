//! What the tests against live programs share: building and starting targets, running threaddump
//! and gdb on them, and comparing the two.
#![allow(dead_code, reason = "each test program uses a part of this")]

pub(crate) mod accepted;
pub(crate) mod cfi;
pub(crate) mod compare;
pub(crate) mod cores;
pub(crate) mod dump;
pub(crate) mod expect;
pub(crate) mod foreign;
pub(crate) mod frames;
pub(crate) mod gdb;
pub(crate) mod llvm;
pub(crate) mod names;
pub(crate) mod process;
pub(crate) mod record;
pub(crate) mod symbols;
pub(crate) mod targets;

use std::path::PathBuf;

/// Why a test did not come to its end.
pub(crate) enum Stop {
    /// It cannot run here, and why.
    Skip(String),
    /// It failed.
    Fail(String),
}

impl From<String> for Stop {
    fn from(text: String) -> Stop {
        Stop::Fail(text)
    }
}

/// A folder for built targets and other files of the tests.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("cargo's folder for tests can be written");
    folder
}

/// Whether a program can be found in `PATH`.
pub(crate) fn has_program(name: &str) -> bool {
    find_program(name).is_some()
}

/// Where `PATH` (and the folders of servers) has a program.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fixed = ["/usr/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(fixed).map(|folder| folder.join(name)).find(|file| file.is_file())
}
