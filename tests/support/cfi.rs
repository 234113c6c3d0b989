//! Which addresses of a file have call frame information, as readelf sees it: not by our own parser.
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSegment};

use super::dump::Module;

/// Address ranges of the files seen so far.
#[derive(Default)]
pub(crate) struct Covered(HashMap<String, Vec<(u64, u64)>>);

impl Covered {
    /// Whether a file address has call frame information. The vdso, which is no file, has.
    pub(crate) fn holds(&mut self, path: &str, address: u64) -> bool {
        if path.starts_with('[') {
            return true;
        }
        let ranges = self.0.entry(path.to_owned()).or_insert_with(|| frame_ranges(path));
        ranges.iter().any(|(start, end)| (*start..*end).contains(&address))
    }

    /// The same for a module of a dump; code that belongs to no module has none.
    pub(crate) fn in_module(&mut self, place: Option<(&Module, u64)>) -> bool {
        place.is_some_and(|(module, address)| self.holds(&module.path, address))
    }
}

fn frame_ranges(path: &str) -> Vec<(u64, u64)> {
    let output = Command::new("readelf").args(["--debug-dump=frames", path]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let ranges = text.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let (start, end) = line.split_once(" pc=")?.1.split_once("..")?;
        Some((hex(start)?, hex(end.trim())?))
    });
    ranges.collect()
}

/// Executable memory of a process.
pub(crate) struct Executable(Vec<(u64, u64)>);

impl Executable {
    /// Reads the mappings of a process.
    pub(crate) fn of(pid: i32) -> Executable {
        let text = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let ranges = text.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let hex = |text: &str| u64::from_str_radix(text, 16).ok();
            (rest.as_bytes().get(2) == Some(&b'x')).then_some((hex(start)?, hex(end)?))
        });
        Executable(ranges.collect())
    }

    /// Reads the segments of a core file.
    pub(crate) fn of_core(core: &Path) -> Result<Executable, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", core.display());
        let bytes = std::fs::read(core).map_err(|error| told(&error))?;
        let file = object::File::parse(&*bytes).map_err(|error| told(&error))?;
        let code = file.segments().filter(|segment| segment.permissions().executable());
        Ok(Executable(code.map(|s| (s.address(), s.address().saturating_add(s.size()))).collect()))
    }

    /// Whether code can be at an address.
    pub(crate) fn holds(&self, address: u64) -> bool {
        self.0.iter().any(|(start, end)| (*start..*end).contains(&address))
    }
}
