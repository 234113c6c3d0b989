//! Debug files that are not on this machine: which ones, and what to do with them once they are here.
use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use threaddump_arch::Arch;

use super::Images;
use super::elf::{Elf, Layout, SHT_NOBITS, Section};
use super::notes;
use crate::snapshot::Problem;
use crate::sys::mapping::FileMapping;

/// The build ID of an ELF file; `None` if it has none.
///
/// # Errors
///
/// In words, if it is no ELF file for `arch`, or not a whole one.
pub fn build_id_of(file: &File, arch: Arch) -> Result<Option<Vec<u8>>, String> {
    let mapping = FileMapping::of(file).map_err(|error| error.to_string())?;
    let elf = Elf::parse(mapping.bytes(), Layout::File, arch)?;
    // The table of sections stands at the end.
    let is_whole =
        |section: &Section<'_>| matches!(section.kind, 0 | SHT_NOBITS) || elf.contents(section).is_some();
    if elf.sections.is_empty() || !elf.sections.iter().all(is_whole) {
        return Err("it is cut off".to_owned());
    }
    Ok(notes::build_id(&elf).map(<[u8]>::to_vec))
}

impl Images<'_> {
    /// Build IDs of debug files that would tell more about these addresses (process address space), and
    /// cannot be found: those of modules without debug information, and those that debug files share.
    /// `lines`: whether more than the names of functions is wanted.
    pub fn lacking(&self, lookups: impl IntoIterator<Item = u64>, lines: bool) -> BTreeSet<Vec<u8>> {
        let starts: BTreeSet<u64> =
            lookups.into_iter().filter_map(|lookup| Some(self.at(lookup)?.start())).collect();
        let images = self.images.iter().filter(|image| starts.contains(&image.start()));
        images.filter_map(|image| image.lacking(lines)).collect()
    }

    /// A file for a build ID; it is checked as any other. Whether unwinding may go further with it.
    pub fn supply(&mut self, build_id: &[u8], path: PathBuf) -> bool {
        self.finder.supply(build_id, path);
        // Each has to look, so this may not end at the first.
        let more = self.images.iter_mut().filter_map(|image| image.look_again(build_id).then_some(()));
        more.count() > 0
    }

    /// Adds to what could not be read or used.
    pub fn note(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.notes.extend(problems);
    }
}
