//! Differences from gdb that were looked into: `tests/accepted-differences.txt`.
use std::path::Path;

use super::names;

/// One accepted difference.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) program: String,
    pub(crate) kind: String,
    pub(crate) function: String,
    pub(crate) place: String,
    pub(crate) used: bool,
}

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct Accepted(Vec<Entry>);

impl Accepted {
    /// The lines for one program.
    pub(crate) fn read(program: &str) -> Result<Accepted, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accepted-differences.txt");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let entries: Result<Vec<Entry>, String> = lines.map(parse).collect();
        let of_program = entries?.into_iter().filter(|entry| names::fits(&entry.program, program));
        Ok(Accepted(of_program.collect()))
    }

    /// Whether a difference is listed.
    pub(crate) fn covers(&mut self, kind: &str, function: &str, place: &str) -> bool {
        let entry = self.0.iter_mut().find(|entry| {
            entry.kind == kind && entry.function == function && names::fits(&entry.place, place)
        });
        if let Some(entry) = entry {
            entry.used = true;
            return true;
        }
        false
    }

    /// Lines that matched nothing.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(|entry| !entry.used)
    }
}

fn parse(line: &str) -> Result<Entry, String> {
    let wrong = || format!("tests/accepted-differences.txt: six fields wanted, with | between them: {line}");
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [program, kind, function, place, right, evidence] = fields[..] else { return Err(wrong()) };
    if right.is_empty() || evidence.is_empty() {
        return Err(wrong());
    }
    // A pattern must never stand for every function of a module.
    if function.contains('*') || (function == "?" && place.contains('*')) {
        return Err(format!("tests/accepted-differences.txt: too wide a pattern: {line}"));
    }
    Ok(Entry {
        program: program.to_owned(),
        kind: kind.to_owned(),
        function: function.to_owned(),
        place: place.to_owned(),
        used: false,
    })
}
