//! Opening source files: below the target's root first, then on this machine.
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::text::Text;
use crate::images::FileAccess;
use crate::sys::mapping::open_regular;
use crate::sys::root::Root;

/// Longest file that is read, in bytes; the largest sources that people make have about 10 MB.
const MAX_FILE: u64 = 16 << 20;
/// All files of one report together, in bytes.
const MAX_ALL: u64 = 128 << 20;

/// Files that were opened.
#[derive(Debug)]
pub(super) struct Files {
    /// The target's root directory.
    root: Option<Root>,
    /// Whether that is another than ours.
    elsewhere: bool,
    known: HashMap<String, Option<Found>>,
    left: u64,
}

/// A file with what tells whether it is the right one.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) text: Arc<Text>,
    /// When it was changed last, nanoseconds since the epoch.
    pub(super) modified_ns: i128,
    /// Whether it was looked for in the target's root and found elsewhere.
    pub(super) outside: bool,
}

impl Files {
    /// Opens the target's root if files will be wanted.
    pub(super) fn new(access: &FileAccess, wanted: bool) -> Files {
        let (root, elsewhere) = match access {
            FileAccess::Live { root, .. } if wanted => (Root::open(root).ok(), !is_ours(root)),
            FileAccess::Chosen { root: Some(root), .. } if wanted => (Root::open(root).ok(), true),
            _ => (None, false),
        };
        Files { root, elsewhere, known: HashMap::new(), left: MAX_ALL }
    }

    /// The file at a path; `None` if there is none. One that was named by the user, as where another was
    /// moved to, is of this machine.
    ///
    /// # Errors
    /// In words, if there is one that is not read.
    pub(super) fn open(&mut self, path: &str, of_user: bool) -> Result<Option<Found>, String> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let found = self.read(path, of_user);
        self.known.insert(path.to_owned(), found.as_ref().ok().cloned().flatten());
        found
    }

    fn read(&mut self, path: &str, of_user: bool) -> Result<Option<Found>, String> {
        let place = Path::new(path);
        let root = self.root.as_ref().filter(|_| !of_user);
        if !place.is_absolute() && !of_user {
            return Ok(None);
        }
        let mut outside = false;
        let mut file = root.map_or_else(|| open_regular(place), |root| root.regular(place));
        if root.is_some() && file.as_ref().is_err_and(is_missing) && self.elsewhere {
            outside = true;
            file = open_regular(place);
        }
        let file = match file {
            Err(error) if is_missing(&error) => return Ok(None),
            file => file.map_err(|error| error.to_string())?,
        };
        let meta = file.metadata().map_err(|error| error.to_string())?;
        let text = Arc::new(Text::new(self.contents(file, &meta)?));
        Ok(Some(Found { text, modified_ns: modified_ns(&meta), outside }))
    }

    fn contents(&mut self, file: File, meta: &Metadata) -> Result<Vec<u8>, String> {
        if meta.len() > MAX_FILE.min(self.left) {
            return Err(format!("it is too large ({} bytes)", meta.len()));
        }
        let mut bytes = Vec::new();
        // It may grow while it is read.
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(bytes)
    }

    /// When a file of the target was changed last, nanoseconds since the epoch.
    pub(super) fn modified_ns(&self, path: &str) -> Option<i128> {
        let place = Some(Path::new(path)).filter(|path| path.is_absolute())?;
        let file = self.root.as_ref().map_or_else(|| open_regular(place), |root| root.regular(place));
        Some(modified_ns(&file.ok()?.metadata().ok()?))
    }
}

fn modified_ns(meta: &Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

/// Whether a root directory is that of this program.
fn is_ours(root: &Path) -> bool {
    let place = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((place(root), place(Path::new("/"))), (Ok(one), Ok(other)) if one == other)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
