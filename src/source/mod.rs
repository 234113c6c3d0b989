//! Lines of source files around the frames of a report.
//!
//! Nothing ties a source file to a program but the MD5 that some DWARF has. A file with another one is
//! not shown; of one that is newer than the program a note says so.
mod find;
mod map;
mod text;

use std::collections::HashMap;
use std::sync::Arc;

pub use map::{PathMap, SourceOptions};

use self::find::Files;
use self::text::Text;
use crate::images::{FileAccess, Images};
use crate::report::{Report, SourceLine};
use crate::snapshot::{Problem, hex};
use crate::symbolize::Symbolizer;

/// Lines in one report; frames that share a place share them.
const MAX_LINES: usize = 200_000;
/// Bytes of those lines.
const MAX_BYTES: usize = 64 << 20;

/// Source files by the names that debug information gives them.
#[derive(Debug)]
pub struct Sources {
    options: SourceOptions,
    files: Files,
    /// By module and name; `None` for a file that is not shown.
    texts: HashMap<FileOf, Option<Arc<Text>>>,
    excerpts: HashMap<Place, Option<Arc<[SourceLine]>>>,
    lines_left: usize,
    bytes_left: usize,
    /// The first file that was not where a map leads, and whether any was.
    missing: Option<String>,
    any_mapped: bool,
    /// The first file that was nowhere, and whether any was found.
    absent: Option<String>,
    any_found: bool,
    problems: Vec<String>,
}

/// Module and file.
type FileOf = (Option<Arc<str>>, Arc<str>);
/// File and line.
type Place = (FileOf, u32);

impl Sources {
    /// Prepares to look for files. The target's root is opened here, so that it can be used after the
    /// target has ended.
    pub fn new(options: &SourceOptions, access: &FileAccess) -> Sources {
        Sources {
            options: options.clone(),
            files: Files::new(access, options.lines > 0),
            texts: HashMap::new(),
            excerpts: HashMap::new(),
            lines_left: MAX_LINES,
            bytes_left: MAX_BYTES,
            missing: None,
            any_mapped: false,
            absent: None,
            any_found: false,
            problems: Vec::new(),
        }
    }

    /// Adds lines to every frame that has a place in a file that can be found, and notes about files
    /// that could not be used.
    pub fn add(&mut self, report: &mut Report, images: &Images<'_>, symbolizer: &mut Symbolizer<'_, '_>) {
        if self.options.lines == 0 {
            return;
        }
        for frame in report.threads.iter_mut().flat_map(|thread| &mut thread.frames) {
            let (Some(file), Some(line)) = (&frame.file, frame.line.filter(|&line| line > 0)) else {
                continue;
            };
            let place = ((frame.module.clone(), Arc::clone(file)), line);
            let known = self.excerpts.get(&place).cloned();
            frame.source = known.unwrap_or_else(|| {
                let excerpt = self.excerpt(&place, frame.pc.0, images, symbolizer);
                self.excerpts.insert(place, excerpt.clone());
                excerpt
            });
        }
        // A map may fit names of other programs, too; one that leads nowhere at all is a mistake.
        if let Some(path) = self.missing.take().filter(|_| !self.any_mapped) {
            self.say(format!("no source file is where --source-map leads, as {path}"));
        }
        if let Some(path) = self.absent.take().filter(|_| !self.any_found && self.problems.is_empty()) {
            self.say(format!(
                "no source file was found, as {path}: say where they are with --source-map FROM=TO"
            ));
        }
        let problems = std::mem::take(&mut self.problems);
        report.problems.extend(problems.into_iter().map(|what| Problem::new("source", what)));
    }

    fn excerpt(
        &mut self,
        (file, line): &Place,
        pc: u64,
        images: &Images<'_>,
        symbolizer: &mut Symbolizer<'_, '_>,
    ) -> Option<Arc<[SourceLine]>> {
        let text = match self.texts.get(file) {
            Some(known) => known.clone(),
            None => {
                let text = self.open(&file.1, pc, images, symbolizer);
                self.texts.insert(file.clone(), text.clone());
                text
            }
        }?;
        let before = (self.options.lines - 1) / 2;
        let first = line.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX)).max(1);
        let lines = text.lines(first, self.options.lines);
        // What the file ends before is not what the program was made from.
        lines.iter().find(|found| found.line == *line)?;
        let bytes = lines.iter().map(|line| line.text.len()).sum();
        let room = self.lines_left.checked_sub(lines.len()).zip(self.bytes_left.checked_sub(bytes));
        let Some((lines_left, bytes_left)) = room else {
            self.say("there are too many source lines: some are not shown".to_owned());
            return None;
        };
        (self.lines_left, self.bytes_left) = (lines_left, bytes_left);
        Some(lines.into())
    }

    /// The file of a name, unless it is known to be another one.
    fn open(
        &mut self,
        file: &str,
        pc: u64,
        images: &Images<'_>,
        symbolizer: &mut Symbolizer<'_, '_>,
    ) -> Option<Arc<Text>> {
        let (path, mapped) = match map::path(&self.options.maps, file) {
            Some(mapped) => (mapped, true),
            None => (file.to_owned(), false),
        };
        let found = match self.files.open(&path, mapped) {
            Ok(Some(found)) => {
                self.any_mapped |= mapped;
                self.any_found = true;
                found
            }
            Ok(None) => {
                self.absent.get_or_insert_with(|| path.clone());
                self.missing = self.missing.take().or(mapped.then_some(path));
                return None;
            }
            Err(why) => {
                self.say(format!("cannot use source file {path}: {why}"));
                return None;
            }
        };
        // The place of the call, or the very first byte of a function.
        let lookups = [pc.wrapping_sub(1), pc];
        let wanted = lookups.into_iter().find_map(|lookup| symbolizer.checksum(lookup, file));
        match wanted {
            Some(wanted) if wanted != found.text.checksum() => {
                let (found, wanted) = (hex(&found.text.checksum()), hex(&wanted));
                self.say(format!("cannot use source file {path}: its MD5 is {found}, not {wanted}"));
                return None;
            }
            Some(_) => {}
            None => self.doubt(&path, &found, pc, images),
        }
        Some(found.text)
    }

    /// Says what speaks against a file of which there is no checksum.
    fn doubt(&mut self, path: &str, found: &find::Found, pc: u64, images: &Images<'_>) {
        if found.outside {
            self.say(format!(
                "source file {path} is not in the root directory of the process: that of this machine is shown"
            ));
        }
        let program = images.at(pc.wrapping_sub(1)).and_then(|image| {
            let path = std::str::from_utf8(image.path()).ok()?;
            Some((path, self.files.modified_ns(path)?))
        });
        if let Some((program, _)) = program.filter(|(_, made)| *made < found.modified_ns) {
            self.say(format!("source file {path} is newer than {program}: its lines may have moved"));
        }
    }

    fn say(&mut self, what: String) {
        if !self.problems.contains(&what) {
            self.problems.push(what);
        }
    }
}
