//! What was there before, kept for the day it is to be put back.
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{PatternError, Places};

/// Longest file that is read.
const MAX_STATE: u64 = 64 << 10;

/// What was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The pattern.
    pub pattern: String,
    /// `kernel.core_pipe_limit`.
    pub pipe_limit: u32,
    /// Whether the core is passed on to that pattern's program.
    pub chain: bool,
    /// The pattern that was put in its place.
    pub ours: String,
}

/// What was there before this program was installed; `None` if it was not.
pub fn saved(places: &Places) -> Option<Saved> {
    use std::io::Read;
    let file = std::fs::File::open(&places.state).ok()?;
    let mut text = Vec::new();
    file.take(MAX_STATE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whether the kernel waits for the handler of a core that fits into its pipe (core(5), `core_pipe_limit`).
pub fn waits() -> bool {
    super::read_setting(super::LIMIT).is_ok_and(|limit| limit != b"0")
}

pub(super) fn save(places: &Places, saved: &Saved) -> Result<(), PatternError> {
    let mut text = serde_json::to_vec_pretty(saved).expect("texts and numbers can be written");
    text.push(b'\n');
    write(&places.state, &text)
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), PatternError> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.map_err(PatternError::io("create", folder))?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    let mut options = std::fs::File::options();
    let opened = options.write(true).create(true).truncate(true).mode(0o644).open(temporary);
    let mut file = opened.map_err(PatternError::io("create", temporary))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(PatternError::io("write", temporary))?;
    std::fs::rename(temporary, path).map_err(PatternError::io("write", path))
}
