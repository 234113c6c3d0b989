//! Finding the files of split DWARF: a `.dwp` beside the program or its debug file, and the `.dwo`
//! file of each unit. The paths come from the debug information and are not trusted: a file is used
//! only if it has the id of the unit.
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use threaddump_dwarf::symbols::{DebugInfo, DebugInfoError, Function, SplitError, SplitUnit};

use super::find::{Finder, Opened};

/// Units that one address may need; real ones are in one unit.
const MAX_UNITS: usize = 16;
/// Notes about files that were refused.
const MAX_NOTES: usize = 16;
/// Sections of one name that are looked into.
const MAX_SECTIONS: usize = 16;
const INFO: &str = ".debug_info.dwo";
/// Longest path tried, in bytes (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    /// The program or library.
    pub(super) object: &'a Path,
    /// Its separate debug file, if it has one.
    pub(super) debug_file: Option<&'a Path>,
}

/// What was looked for in vain, and what was found for one debug file.
#[derive(Debug, Default)]
pub(super) struct SplitSearch<'s>(RefCell<State<'s>>);

#[derive(Debug, Default)]
struct State<'s> {
    /// Packages that are still to be tried; `None` before the first.
    packages: Option<Vec<PathBuf>>,
    /// What the sections in use borrow from, for what was wrong with it.
    opened: Vec<(PathBuf, Opened<'s>)>,
    notes: Vec<String>,
    /// Files that were found and not used.
    refused: usize,
    /// Units without a file, and the first of them.
    lost: usize,
    first_lost: Option<String>,
}

impl<'s> SplitSearch<'s> {
    /// What `info` says about a file address, with the files it needs for that.
    pub(super) fn look_up(
        &self,
        info: &mut DebugInfo<'s>,
        address: u64,
        finder: &Finder<'s>,
        places: Places<'_>,
    ) -> Result<Function, DebugInfoError> {
        let mut state = self.0.borrow_mut();
        for _ in 0..MAX_UNITS {
            let found = info.at(address);
            let missing = info.missing();
            if let Some(error) = info.split_damage() {
                state.note(format!(
                    "names from split debug files of {} may be missing: {error}",
                    places.object.display()
                ));
            }
            let Some(unit) = missing else { return found };
            while !state.supply(info, &unit, finder, places) {}
        }
        Ok(Function::default())
    }

    /// What is missing or was refused.
    pub(super) fn problems(&self) -> Vec<String> {
        let state = self.0.borrow();
        let lost = state.first_lost.iter().map(|first| match state.lost {
            1 => format!("{first} was not found"),
            count => format!("{first} was not found, nor were those of {} more units", count - 1),
        });
        let broken = state.opened.iter().flat_map(|(path, opened)| {
            let failures = opened.contents.failures().into_iter();
            let damaged = opened.mapping.damaged().then(|| "became shorter while it was read".to_owned());
            failures
                .chain(opened.contents.cut())
                .chain(damaged)
                .map(move |why| format!("{}: {why}", path.display()))
        });
        state.notes.iter().cloned().chain(broken).chain(lost).collect()
    }
}

impl<'s> State<'s> {
    /// Goes one step towards the unit; `false` while there are more to try.
    fn supply(
        &mut self,
        info: &mut DebugInfo<'s>,
        unit: &SplitUnit,
        finder: &Finder<'s>,
        places: Places<'_>,
    ) -> bool {
        let packages = self.packages.get_or_insert_with(|| places.packages(finder.debug_dirs()));
        if !packages.is_empty() {
            let path = packages.remove(0);
            return self.open_package(info, &path, finder);
        }
        let (paths, refused) = (places.units(unit, finder.debug_dirs()), self.refused);
        if !paths.iter().any(|path| self.open_unit(info, unit, path, finder)) {
            if self.refused == refused {
                self.lost += 1;
                let name = String::from_utf8_lossy(&unit.path).into_owned();
                let text = || format!("split debug file {name} (dwo id {:016x})", unit.id);
                self.first_lost.get_or_insert_with(text);
            }
            info.supply_nothing(unit);
        }
        true
    }

    /// Whether there is a package; whether the unit is in it the next lookup tells.
    fn open_package(&mut self, info: &mut DebugInfo<'s>, path: &Path, finder: &Finder<'s>) -> bool {
        finder.everywhere(path).into_iter().any(|opened| {
            let result = opened.map(|found| found.opened).and_then(|opened| {
                info.supply_package(|name| opened.contents.debug(name)).map_err(|error| error.to_string())?;
                self.opened.push((path.to_owned(), opened));
                Ok(())
            });
            result.map_err(|why| self.note(format!("cannot use {}: {why}", path.display()))).is_ok()
        })
    }

    fn open_unit(
        &mut self,
        info: &mut DebugInfo<'s>,
        unit: &SplitUnit,
        path: &Path,
        finder: &Finder<'s>,
    ) -> bool {
        finder.everywhere(path).into_iter().any(|opened| {
            let result = opened.map(|found| found.opened).and_then(|opened| {
                // Types have sections of the same name, and stand before the unit.
                let places = (0..opened.contents.count(INFO).max(1)).rev().take(MAX_SECTIONS);
                let mut error = None;
                for place in places {
                    let section = |name| opened.contents.debug_at(name, if name == INFO { place } else { 0 });
                    match info.supply(unit, section) {
                        Ok(()) => {
                            self.opened.push((path.to_owned(), opened));
                            return Ok(());
                        }
                        Err(why) => error = error.or(Some(why)),
                    }
                }
                Err(match error {
                    Some(error @ SplitError::OtherIds(_)) => format!("{error}, not {:016x}", unit.id),
                    error => error.map_or_else(String::new, |error| error.to_string()),
                })
            });
            let refuse = |why| self.note(format!("cannot use split debug file {}: {why}", path.display()));
            result.map_err(refuse).is_ok()
        })
    }

    fn note(&mut self, text: String) {
        self.refused += 1;
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

impl Places<'_> {
    /// Where a package can be: beside the program, beside its debug file, and under the folders of
    /// debug files.
    fn packages(&self, debug_dirs: &[PathBuf]) -> Vec<PathBuf> {
        let with_end = |path: &Path| {
            let mut name: OsString = path.as_os_str().to_owned();
            name.push(".dwp");
            PathBuf::from(name)
        };
        if !self.object.is_absolute() {
            return Vec::new();
        }
        let below = self.object.strip_prefix("/").unwrap_or(self.object);
        let mut paths: Vec<PathBuf> =
            [Some(self.object), self.debug_file].into_iter().flatten().map(with_end).collect();
        paths.extend(debug_dirs.iter().map(|dir| with_end(&dir.join(below))));
        paths
    }

    /// Where the file of a unit can be: where the compiler put it; beside the program, if both were moved;
    /// under the folders of debug files.
    fn units(&self, unit: &SplitUnit, debug_dirs: &[PathBuf]) -> Vec<PathBuf> {
        let path = Path::new(OsStr::from_bytes(&unit.path));
        let Some(name) = path.file_name() else { return Vec::new() };
        let whole = Path::new(OsStr::from_bytes(&unit.folder)).join(path);
        let mut paths = vec![whole.clone()];
        if let Some(folder) = self.object.parent() {
            paths.extend([folder.join(path), folder.join(name)]);
        }
        let below = whole.strip_prefix("/").unwrap_or(&whole);
        paths.extend(debug_dirs.iter().flat_map(|dir| [dir.join(below), dir.join(name)]));
        let mut seen = Vec::new();
        paths.retain(|path| {
            let new = path.is_absolute() && path.as_os_str().len() < MAX_PATH && !seen.contains(path);
            seen.push(path.clone());
            new
        });
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(folder: &str, path: &str) -> SplitUnit {
        SplitUnit { id: 1, folder: folder.into(), path: path.into() }
    }

    fn places() -> Places<'static> {
        Places { object: Path::new("/opt/app"), debug_file: Some(Path::new("/d/app.debug")) }
    }

    #[test]
    fn packages_are_looked_for_beside_the_program_and_its_debug_file() {
        let paths = places().packages(&[PathBuf::from("/usr/lib/debug")]);
        let expected = ["/opt/app.dwp", "/d/app.debug.dwp", "/usr/lib/debug/opt/app.dwp"];
        assert_eq!(paths, expected.map(PathBuf::from));
        let nowhere = Places { object: Path::new("[vdso]"), debug_file: None };
        assert_eq!(nowhere.packages(&[PathBuf::from("/d")]), Vec::<PathBuf>::new());
    }

    #[test]
    fn units_are_looked_for_where_they_were_made_and_beside_the_program() {
        let paths = places().units(&unit("/src", "out/a.dwo"), &[PathBuf::from("/e")]);
        let expected = ["/src/out/a.dwo", "/opt/out/a.dwo", "/opt/a.dwo", "/e/src/out/a.dwo", "/e/a.dwo"];
        assert_eq!(paths, expected.map(PathBuf::from));
        let absolute = places().units(&unit("/src", "/b/a.dwo"), &[]);
        assert_eq!(absolute, ["/b/a.dwo", "/opt/a.dwo"].map(PathBuf::from));
    }

    #[test]
    fn paths_that_lead_nowhere_are_not_tried() {
        assert_eq!(places().units(&unit("", ""), &[]), Vec::<PathBuf>::new());
        assert_eq!(places().units(&unit("relative", ".."), &[]), Vec::<PathBuf>::new());
        let long = "x/".repeat(5000) + "a.dwo";
        assert_eq!(places().units(&unit("/", &long), &[]), [PathBuf::from("/opt/a.dwo")]);
    }
}
