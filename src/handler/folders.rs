//! The folders in which files may be asked for by a base name: those of the files that the process has mapped,
//! and those of debug files. Both sides have the list; what is not in it cannot even be said.
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::collect::crash::PinnedFile;

/// Folders at most.
const MAX_FOLDERS: usize = 4096;
/// Bytes of a path that can be opened at all (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// Folders of files that debug files share; there is one for each architecture.
const MAX_SHARED: usize = 64;

/// The list.
#[derive(Clone, Debug, Default)]
pub(super) struct Folders {
    /// Where debug files are on this machine.
    pub(super) debug: Vec<PathBuf>,
    pub(super) all: Vec<PathBuf>,
}

/// A file that may be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// By build ID, in the folder of this number among those for debug files.
    BuildId(usize, Vec<u8>),
    /// By base name, in the folder of this number.
    Named(usize, &'a OsStr),
}

impl Folders {
    /// Of a process with these files.
    pub(super) fn of(files: &[PinnedFile], debug: &[PathBuf]) -> Folders {
        let paths = files.iter().map(|file| Path::new(OsStr::from_bytes(&file.path)));
        Folders::of_paths(paths, debug)
    }

    fn of_paths<'a>(files: impl Iterator<Item = &'a Path>, debug: &[PathBuf]) -> Folders {
        let mut all: Vec<PathBuf> = Vec::new();
        // The process is held meanwhile, and has chosen the paths.
        let mut known = HashSet::new();
        let mut add = |folder: PathBuf| {
            let fits = folder.as_os_str().len() <= MAX_PATH;
            if fits && all.len() < MAX_FOLDERS && known.insert(folder.clone()) {
                all.push(folder);
            }
        };
        for file in files.filter(|file| file.is_absolute()) {
            let Some(folder) = file.parent().map(normal) else { continue };
            let below = folder.strip_prefix("/").unwrap_or(&folder).to_owned();
            add(folder.clone());
            add(folder.join(".debug"));
            debug.iter().for_each(|dir| add(dir.join(&below)));
        }
        for shared in debug.iter().map(|dir| dir.join(".dwz")) {
            let inside = std::fs::read_dir(&shared).into_iter().flatten().flatten().take(MAX_SHARED);
            inside.for_each(|entry| add(entry.path()));
            add(shared);
        }
        Folders { debug: debug.to_vec(), all }
    }

    /// What to ask for, to get the file at a path.
    pub(super) fn find<'a>(&self, path: &'a Path) -> Option<Wanted<'a>> {
        let name = path.file_name()?;
        let folder = normal(path.parent()?);
        let by_id = self.debug.iter().position(|dir| folder.starts_with(dir.join(".build-id")));
        if let Some(place) = by_id {
            let first = folder.file_name()?.as_bytes();
            let rest = name.as_bytes().strip_suffix(b".debug")?;
            return Some(Wanted::BuildId(place, unhex(&[first, rest].concat())?));
        }
        let place = self.all.iter().position(|known| *known == folder)?;
        Some(Wanted::Named(place, name))
    }
}

/// Without `.` and `..`, by the text alone.
fn normal(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect::<Option<Vec<u8>>>().filter(|_| digits.len().is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> Folders {
        let files = ["/usr/bin/x", "/lib/y.so", "[vdso]"].map(Path::new);
        Folders::of_paths(files.into_iter(), &[PathBuf::from("/d")])
    }

    #[test]
    fn a_debug_file_is_asked_for_by_its_id() {
        let wanted = folders();
        let wanted = wanted.find(Path::new("/d/.build-id/ab/cdef.debug"));
        assert_eq!(wanted, Some(Wanted::BuildId(0, vec![0xab, 0xcd, 0xef])));
        for wrong in ["/d/.build-id/ab/cdef", "/d/.build-id/ab/xyz.debug", "/d/.build-id/ab/cde.debug"] {
            assert_eq!(folders().find(Path::new(wrong)), None, "{wrong}");
        }
    }

    /// Compared one by one, part by part from the end, these would take minutes.
    #[test]
    fn many_deep_folders_are_no_work() {
        let deep = "/a".repeat(1800);
        let files: Vec<PathBuf> = (0..4096).map(|n| PathBuf::from(format!("/{n}{deep}/x.so"))).collect();
        let endless = PathBuf::from(format!("/{}/x.so", "a/".repeat(3000)));
        let all = [&endless].into_iter().chain(&files).chain(&files).map(PathBuf::as_path);
        let folders = Folders::of_paths(all, &[]);
        assert_eq!(folders.all.len(), MAX_FOLDERS);
        assert!(folders.all.iter().all(|folder| folder.as_os_str().len() <= MAX_PATH));
    }

    #[test]
    fn names_are_asked_for_in_known_folders_only() {
        let folders = folders();
        for known in
            ["/usr/bin/x.debug", "/usr/bin/.debug/x.debug", "/d/usr/bin/x.debug", "/lib/../lib/y.dwp"]
        {
            let wanted = folders.find(Path::new(known));
            assert!(matches!(wanted, Some(Wanted::Named(_, _))), "{known}");
        }
        for unknown in ["/etc/shadow", "/usr/x", "/usr/bin/../../etc/shadow", "x", "/", "/usr/bin/.."] {
            assert_eq!(folders.find(Path::new(unknown)), None, "{unknown}");
        }
    }
}
