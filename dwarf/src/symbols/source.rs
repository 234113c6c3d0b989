//! Functions, inlined callers and lines from DWARF.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gimli::{AbbreviationsCacheStrategy, Dwarf, EndianSlice, Reader, RunTimeEndian, Section, SectionId};

use super::guarded::{Guarded, with_budget};
use super::index::Ranges;
use super::split::SplitFiles;
use super::supply::{Ready, Sections, Supply};
use super::units::Units;

/// Reads one lookup may make: each DIE attribute and each line row is one, so this is far above
/// any real unit, and reached after a second or so.
const READS_PER_LOOKUP: u64 = 1 << 26;
/// Reads that all lookups in one debug file may make together.
const READS_PER_FILE: u64 = 1 << 30;
/// Reads that any debug file may ask for, and how many more for each byte of it. An attribute takes
/// two or three bytes and is read once or twice, so small files cannot ask for much; some reads
/// make an entry of 24 bytes that is kept.
const FEW_READS: u64 = 1 << 21;
const READS_PER_BYTE: u64 = 2;

/// The DWARF of one ELF object.
///
/// Where `.debug_aranges` names the unit of an address, only that unit is read. Otherwise every
/// unit's header and first entry is, and functions and lines of the units that were asked for.
/// Addresses that are announced ([`DebugInfo::jobs`]) are looked up unit by unit, on any thread.
pub struct DebugInfo<'s> {
    pub(super) order: RunTimeEndian,
    pub(super) sections: Sections<'s>,
    /// Those of the file that several debug files share.
    shared: Option<Sections<'s>>,
    pub(super) ranges: Ranges,
    /// Whether `ranges` has every unit; known once something needed it.
    pub(super) complete: Option<bool>,
    /// What was looked up beforehand.
    pub(super) answers: HashMap<u64, Function>,
    /// Single units by offset; `None` for one that refers to others.
    single: HashMap<usize, Option<Units<'s>>>,
    /// All units, once they were needed.
    all: Option<Result<Units<'s>, DebugInfoError>>,
    /// Units that are in other files.
    pub(super) split: SplitFiles<'s>,
    pub(super) reads_left: u64,
    /// Reads that were allowed in all.
    allowed: u64,
}

/// One function at an address: the function itself or one inlined into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFrame {
    /// The name; the linkage (mangled) name where there is one.
    pub function: Option<String>,
    /// Source file: its directory and name as one path.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
}

/// What is known about an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// The innermost inlined function first; the last one is the function that was compiled.
    pub frames: Vec<SourceFrame>,
    /// First address of the piece of the function that holds the address (file address).
    pub start: Option<u64>,
}

/// Why DWARF could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DebugInfoError {
    /// It contradicts itself.
    Damaged(gimli::Error),
    /// It asks for more work than any real debug information.
    Limit,
    /// Reading it hit a mistake in this program or in a library.
    Internal,
}

impl fmt::Display for DebugInfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DebugInfoError::Damaged(error) => write!(f, "damaged debug information: {error}"),
            DebugInfoError::Limit => f.write_str("debug information is too large or nested too deeply"),
            DebugInfoError::Internal => f.write_str("debug information could not be interpreted"),
        }
    }
}

impl std::error::Error for DebugInfoError {}

impl fmt::Debug for DebugInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugInfo").field("reads_left", &self.reads_left).finish_non_exhaustive()
    }
}

impl<'s> DebugInfo<'s> {
    /// Opens the DWARF whose sections `section` gives by name (`.debug_info`, …), inflated; empty
    /// for a section that does not exist. Only the sections that are needed are asked for.
    ///
    /// # Errors
    ///
    /// [`DebugInfoError`] if not even the list of units can be read.
    pub fn new(section: impl FnMut(&'static str) -> &'s [u8]) -> Result<DebugInfo<'s>, DebugInfoError> {
        DebugInfo::open(Box::new(Ready::load(section)), None).read_units()
    }

    /// The same for DWARF that refers to a file it shares with others (dwz), whose sections
    /// `shared` gives.
    ///
    /// # Errors
    ///
    /// [`DebugInfoError`] if not even the list of units can be read.
    pub fn with_shared(
        section: impl FnMut(&'static str) -> &'s [u8],
        shared: impl FnMut(&'static str) -> &'s [u8],
    ) -> Result<DebugInfo<'s>, DebugInfoError> {
        let (main, shared) = (Ready::load(section), Ready::load(shared));
        DebugInfo::open(Box::new(main), Some(Box::new(shared))).read_units()
    }

    /// The same in another byte order than little-endian. To be said before anything is looked up.
    #[must_use]
    pub fn in_order(self, order: RunTimeEndian) -> DebugInfo<'s> {
        DebugInfo { order, ..self }
    }

    /// Opens DWARF whose sections are had one by one, when they are needed; with those of the file that it
    /// shares with others.
    pub fn open(supply: Box<dyn Supply<'s> + 's>, shared: Option<Box<dyn Supply<'s> + 's>>) -> DebugInfo<'s> {
        let mut info = DebugInfo {
            order: RunTimeEndian::Little,
            sections: Sections::new(supply),
            shared: shared.map(Sections::new),
            ranges: Ranges::default(),
            complete: None,
            answers: HashMap::new(),
            single: HashMap::new(),
            all: None,
            split: SplitFiles::default(),
            reads_left: FEW_READS,
            allowed: FEW_READS,
        };
        let shared = info.shared.as_ref().map_or(0, Sections::size);
        let size = info.sections.size().saturating_add(shared);
        info.allow(usize::try_from(size).unwrap_or(usize::MAX));
        // Damaged ranges are as good as none.
        let ranges = limited(info.reads_left.min(READS_PER_LOOKUP), || {
            let aranges = Guarded::new(info.section(SectionId::DebugAranges), info.order);
            Ranges::read(&aranges.into())
        });
        info.ranges = ranges.map(|(ranges, _)| ranges).unwrap_or_default();
        info
    }

    fn read_units(mut self) -> Result<DebugInfo<'s>, DebugInfoError> {
        if !self.is_complete() {
            self.all()?;
        }
        Ok(self)
    }

    /// The functions and lines at a file address. Empty if nothing is known about it.
    ///
    /// # Errors
    ///
    /// [`DebugInfoError`] if the unit that holds the address cannot be read. Other units may
    /// still be fine.
    pub fn at(&mut self, address: u64) -> Result<Function, DebugInfoError> {
        if address == u64::MAX {
            // addr2line looks for what ends behind it.
            return Ok(Function::default());
        }
        if let Some(known) = self.answers.get(&address) {
            return Ok(known.clone());
        }
        let Some(offset) = self.ranges.unit_at(address) else {
            return if self.is_complete() { Ok(Function::default()) } else { self.in_all(address) };
        };
        match self.in_unit(offset, address)?.filter(|found| !found.frames.is_empty()) {
            Some(found) => Ok(found),
            None if self.split.is_missing() => Ok(Function::default()),
            // It needs other units, or is not the one after all.
            None => self.in_all(address),
        }
    }

    /// The MD5 of a source file, by the name that [`DebugInfo::at`] gave for this address, if the debug
    /// information has it.
    pub fn checksum(&mut self, address: u64, file: &str) -> Option<[u8; 16]> {
        // A job may have found the name, which leaves no units behind.
        let unit = self.ranges.unit_at(address);
        match unit {
            Some(unit) => drop(self.in_unit(unit, address).ok()?),
            None => self.all().ok()?,
        }
        let budget = self.budget().ok()?;
        let alone = unit.and_then(|unit| self.single.get(&unit)?.as_ref());
        let all = self.all.as_ref().and_then(|units| units.as_ref().ok());
        let result = limited(budget, || {
            for units in alone.into_iter().chain(all) {
                if let Some(found) = units.checksum(address, file)? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        });
        self.spend(budget, result).ok().flatten()
    }

    /// Whether what `.debug_aranges` does not know has no unit.
    fn is_complete(&mut self) -> bool {
        if let Some(complete) = self.complete {
            return complete;
        }
        let complete = !self.ranges.is_empty() && {
            let dwarf = self.dwarf(self.section(SectionId::DebugInfo));
            let budget = self.reads_left.min(READS_PER_LOOKUP);
            limited(budget, || self.ranges.is_complete(&dwarf)).is_ok_and(|(complete, _)| complete)
        };
        *self.complete.insert(complete)
    }

    /// Looks into one unit alone, if that is possible.
    fn in_unit(&mut self, offset: usize, address: u64) -> Result<Option<Function>, DebugInfoError> {
        let budget = self.budget()?;
        let part = self.unit_bytes(offset).map(|bytes| self.dwarf(bytes));
        let (slot, split) = (self.single.entry(offset), &mut self.split);
        let result = limited(budget, || {
            let units = match slot {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(part.and_then(|part| alone(part).ok().flatten())),
            };
            // A failure here is settled by looking into all units.
            Ok(units.as_mut().and_then(|units| units.at(address, split).ok()))
        });
        self.spend(budget, result)
    }

    fn in_all(&mut self, address: u64) -> Result<Function, DebugInfoError> {
        self.all()?;
        let budget = self.budget()?;
        let Some(Ok(units)) = &mut self.all else { return Err(DebugInfoError::Internal) };
        let split = &mut self.split;
        let result = limited(budget, || units.at(address, split));
        self.spend(budget, result)
    }

    /// Reads the headers of all units, the first time.
    fn all(&mut self) -> Result<(), DebugInfoError> {
        if self.all.is_none() {
            let mut dwarf = self.dwarf(self.section(SectionId::DebugInfo));
            let units = limited(self.budget()?, || {
                dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
                Units::new(dwarf)
            });
            self.all = Some(units.map(|(units, _)| units));
        }
        match &self.all {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Does something with another file within the budget.
    pub(super) fn within<T>(
        &mut self,
        work: impl FnOnce(&Dwarf<Guarded<'s>>) -> gimli::Result<T>,
    ) -> Result<T, DebugInfoError> {
        let parent = self.dwarf(self.section(SectionId::DebugInfo));
        let budget = self.budget()?;
        let result = limited(budget, || work(&parent));
        self.spend(budget, result)
    }

    /// Allows the reads that so many more bytes are worth.
    pub(super) fn allow(&mut self, bytes: usize) {
        let more = READS_PER_BYTE.saturating_mul(bytes as u64);
        let more = more.min(READS_PER_FILE.saturating_sub(self.allowed));
        self.allowed += more;
        self.reads_left = self.reads_left.saturating_add(more);
    }

    pub(super) fn budget(&self) -> Result<u64, DebugInfoError> {
        match self.reads_left {
            0 => Err(DebugInfoError::Limit),
            left => Ok(left.min(READS_PER_LOOKUP)),
        }
    }

    fn spend<T>(
        &mut self,
        budget: u64,
        result: Result<(T, u64), DebugInfoError>,
    ) -> Result<T, DebugInfoError> {
        let spent = match &result {
            Ok((_, left)) => budget - left,
            Err(DebugInfoError::Damaged(_)) => 0,
            // Nothing real comes here, so the next lookup would end as this one did.
            Err(DebugInfoError::Limit) => self.reads_left,
            Err(DebugInfoError::Internal) => budget,
        };
        self.reads_left = self.reads_left.saturating_sub(spent);
        result.map(|(value, _)| value)
    }

    pub(super) fn section(&self, id: SectionId) -> &'s [u8] {
        self.sections.whole(id.name())
    }

    fn shared_dwarf(&self) -> Option<Dwarf<Guarded<'s>>> {
        let sections = self.shared.as_ref()?;
        let contents = |id: SectionId| sections.whole(id.name());
        let load = |id| Ok::<_, std::convert::Infallible>(Guarded::new(contents(id), self.order));
        let Ok(dwarf) = Dwarf::load(load);
        Some(dwarf)
    }

    /// DWARF with this `.debug_info`, which may be a part of the whole one.
    pub(super) fn dwarf(&self, info: &'s [u8]) -> Dwarf<Guarded<'s>> {
        let contents = |id: SectionId| if id == SectionId::DebugInfo { info } else { self.section(id) };
        let load = |id| Ok::<_, std::convert::Infallible>(Guarded::new(contents(id), self.order));
        let Ok(mut dwarf) = Dwarf::load(load);
        if let Some(shared) = self.shared_dwarf() {
            dwarf.set_sup(shared);
        }
        dwarf
    }

    /// The bytes of the unit at an offset in `.debug_info`.
    pub(super) fn unit_bytes(&self, offset: usize) -> Option<&'s [u8]> {
        let rest = self.sections.info_from(offset as u64);
        let mut start = EndianSlice::new(rest, self.order);
        let (length, format) = start.read_initial_length().ok()?;
        rest.get(..length.checked_add(usize::from(format.initial_length_size()))?)
    }
}

/// A unit read without the others; `None` if it refers to them.
pub(super) fn alone<'s>(mut dwarf: Dwarf<Guarded<'s>>) -> gimli::Result<Option<Units<'s>>> {
    let Some(header) = dwarf.units().next()? else { return Ok(None) };
    let abbreviations = dwarf.abbreviations(&header)?;
    // Compilers count abbreviations up from 1.
    let all = (1..).map_while(|code| abbreviations.get(code));
    let refers = |form| matches!(form, gimli::DW_FORM_ref_addr | gimli::DW_FORM_GNU_ref_alt);
    let mut forms = all.flat_map(|abbreviation| abbreviation.attributes().iter().map(|spec| spec.form()));
    if forms.any(refers) {
        return Ok(None);
    }
    // Its ranges are known, and are in terms of the whole section.
    dwarf.debug_aranges = Guarded::new(&[], dwarf.debug_info.reader().endian()).into();
    Units::new(dwarf).map(Some)
}

/// Runs `work` within a budget of reads; with the result, how many are left.
pub(super) fn limited<T>(
    reads: u64,
    work: impl FnOnce() -> gimli::Result<T>,
) -> Result<(T, u64), DebugInfoError> {
    // A panic in a library must not cost more than the names it was looking for.
    let outcome = with_budget(reads, || catch_unwind(AssertUnwindSafe(work)));
    match outcome {
        (Ok(Ok(value)), left) => Ok((value, left)),
        (Ok(Err(_)), 0) => Err(DebugInfoError::Limit),
        (Ok(Err(error)), _) => Err(DebugInfoError::Damaged(error)),
        (Err(_), _) => Err(DebugInfoError::Internal),
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
