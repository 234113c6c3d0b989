//! Separate debug files: by build ID, by the name in the program, and those that debug files share.
use std::path::{Path, PathBuf};

use super::elf::Elf;
use super::find::{Finder, Found, Opened};
use super::links::{AltLink, DebugLink};
use super::notes;
use crate::snapshot::hex;

/// Reasons why files were refused, per object.
const MAX_REFUSED: usize = 32;

/// Which file is looked for, and what to say of those that are not it.
#[derive(Debug)]
pub(super) struct Search<'a, 's> {
    finder: &'a Finder<'s>,
    refused: &'a mut Vec<String>,
}

impl<'a, 's> Search<'a, 's> {
    pub(super) fn new(finder: &'a Finder<'s>, refused: &'a mut Vec<String>) -> Search<'a, 's> {
        Search { finder, refused }
    }

    /// The debug file for a build ID.
    pub(super) fn by_id(&mut self, build_id: &[u8]) -> Option<(Opened<'s>, PathBuf)> {
        if let Some(path) = self.finder.supplied(build_id) {
            return Some((self.with_id(&path, build_id)?, path));
        }
        let digits = hex(build_id);
        let (first, rest) = digits.split_at_checked(2).filter(|(_, rest)| !rest.is_empty())?;
        let name = format!(".build-id/{first}/{rest}.debug");
        self.finder.debug_dirs().iter().find_map(|dir| {
            let path = dir.join(&name);
            Some((self.with_id(&path, build_id)?, path))
        })
    }

    /// The debug file that `.gnu_debuglink` names.
    pub(super) fn linked(
        &mut self,
        elf: &Elf<'_>,
        object: &Path,
        build_id: Option<&[u8]>,
    ) -> Option<(Opened<'s>, PathBuf)> {
        let link = DebugLink::of(elf)?;
        let fits = |found: &Found<'s>| match (build_id, notes::build_id(&found.opened.contents.elf)) {
            (Some(_), Some(_)) => has_id(found, build_id),
            _ if !found.is_inside => {
                Err("it is outside the target's root and has no build ID to check".to_owned())
            }
            _ => match self.finder.checksum(&found.file) {
                Err(error) => Err(format!("cannot compute its checksum: {error}")),
                Ok(sum) if sum == link.checksum => Ok(()),
                Ok(sum) => Err(format!("its checksum is {sum:08x}, not {:08x}", link.checksum)),
            },
        };
        let mut paths = link.paths(object, self.finder.debug_dirs()).into_iter();
        let finder = self.finder;
        paths.find_map(|path| Some((first(finder, self.refused, &path, &fits)?, path)))
    }

    /// The file that a debug file shares with others (`.gnu_debugaltlink`), by its build ID.
    pub(super) fn shared(&mut self, elf: &Elf<'_>, debug_file: &Path) -> Option<Opened<'s>> {
        let link = AltLink::of(elf)?;
        let mut paths = link.paths(debug_file, self.finder.debug_dirs()).into_iter();
        let found = paths.find_map(|path| self.with_id(&path, link.build_id));
        let found = found.or_else(|| self.by_id(link.build_id).map(|(opened, _)| opened));
        if found.is_none() && self.refused.len() < MAX_REFUSED {
            let (file, name, id) = (debug_file.display(), link.path.display(), hex(link.build_id));
            self.refused
                .push(format!("{file}: the file that it shares was not found: {name} (build ID {id})"));
        }
        found
    }

    fn with_id(&mut self, path: &Path, build_id: &[u8]) -> Option<Opened<'s>> {
        first(self.finder, self.refused, path, &|found| has_id(found, Some(build_id)))
    }
}

/// The first file at a path that fits.
fn first<'s>(
    finder: &Finder<'s>,
    refused: &mut Vec<String>,
    path: &Path,
    fits: &dyn Fn(&Found<'s>) -> Result<(), String>,
) -> Option<Opened<'s>> {
    finder.everywhere(path).into_iter().find_map(|found| {
        match found.and_then(|found| fits(&found).map(|()| found.opened)) {
            Ok(opened) => Some(opened),
            Err(why) => {
                note(refused, format!("cannot use debug file {}: {why}", path.display()));
                None
            }
        }
    })
}

fn note(refused: &mut Vec<String>, text: String) {
    if refused.len() < MAX_REFUSED && !refused.contains(&text) {
        refused.push(text);
    }
}

fn has_id(found: &Found<'_>, wanted: Option<&[u8]>) -> Result<(), String> {
    let id = notes::build_id(&found.opened.contents.elf);
    if id == wanted {
        return Ok(());
    }
    let text = |id: Option<&[u8]>| id.map_or_else(|| "missing".to_owned(), hex);
    Err(format!("its build ID is {}, not {}", text(id), text(wanted)))
}
