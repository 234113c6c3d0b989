//! Functions, inlined callers and lines from DWARF.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gimli::{AbbreviationsCacheStrategy, DebugInfoOffset, Dwarf, SectionId};

use super::guarded::{Guarded, with_budget};
use super::split::SplitFiles;
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

/// Contents by section name.
type Sections<'s> = HashMap<&'static str, &'s [u8]>;

/// The DWARF of one ELF object.
///
/// Where `.debug_aranges` names the unit of an address, only that unit is read. Otherwise every
/// unit's header and first entry is, and functions and lines of the units that were asked for.
pub struct DebugInfo<'s> {
    sections: Sections<'s>,
    /// Those of the file that several debug files share.
    shared: Option<Sections<'s>>,
    ranges: Ranges,
    /// Single units by offset; `None` for one that refers to others.
    single: HashMap<usize, Option<Units<'s>>>,
    /// All units, once they were needed.
    all: Option<Result<Units<'s>, DebugInfoError>>,
    /// Units that are in other files.
    pub(super) split: SplitFiles<'s>,
    reads_left: u64,
    /// Reads that were allowed in all.
    allowed: u64,
}

/// What `.debug_aranges` says.
#[derive(Debug, Default)]
struct Ranges {
    /// First address, address after the last, offset of the unit; by ascending first address.
    ranges: Vec<(u64, u64, usize)>,
    /// Whether every unit is in it, so that what it does not know has no unit.
    complete: bool,
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
        DebugInfo::open(load(section), None)
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
        DebugInfo::open(load(section), Some(load(shared)))
    }

    fn open(sections: Sections<'s>, shared: Option<Sections<'s>>) -> Result<DebugInfo<'s>, DebugInfoError> {
        let mut info = DebugInfo {
            sections,
            shared,
            ranges: Ranges::default(),
            single: HashMap::new(),
            all: None,
            split: SplitFiles::default(),
            reads_left: FEW_READS,
            allowed: FEW_READS,
        };
        let size: usize = info
            .sections
            .values()
            .chain(info.shared.iter().flat_map(HashMap::values))
            .map(|bytes| bytes.len())
            .fold(0, usize::saturating_add);
        info.allow(size);
        let dwarf = info.dwarf(info.section(SectionId::DebugInfo));
        // Damaged ranges are as good as none.
        let ranges = limited(info.budget()?, || Ranges::read(&dwarf));
        info.ranges = ranges.map(|(ranges, _)| ranges).unwrap_or_default();
        if !info.ranges.complete {
            info.all()?;
        }
        Ok(info)
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
        let Some(offset) = self.ranges.unit_at(address) else {
            return if self.ranges.complete { Ok(Function::default()) } else { self.in_all(address) };
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
        let budget = self.budget().ok()?;
        let alone = self.ranges.unit_at(address).and_then(|unit| self.single.get(&unit)?.as_ref());
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

    fn budget(&self) -> Result<u64, DebugInfoError> {
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

    fn section(&self, id: SectionId) -> &'s [u8] {
        self.sections.get(id.name()).copied().unwrap_or(&[])
    }

    fn shared_dwarf(&self) -> Option<Dwarf<Guarded<'s>>> {
        let sections = self.shared.as_ref()?;
        let contents = |id: SectionId| sections.get(id.name()).copied().unwrap_or(&[]);
        let Ok(dwarf) = Dwarf::load(|id| Ok::<_, std::convert::Infallible>(Guarded::new(contents(id))));
        Some(dwarf)
    }

    /// DWARF with this `.debug_info`, which may be a part of the whole one.
    fn dwarf(&self, info: &'s [u8]) -> Dwarf<Guarded<'s>> {
        let contents = |id: SectionId| if id == SectionId::DebugInfo { info } else { self.section(id) };
        let load = |id| Ok::<_, std::convert::Infallible>(Guarded::new(contents(id)));
        let Ok(mut dwarf) = Dwarf::load(load);
        if let Some(shared) = self.shared_dwarf() {
            dwarf.set_sup(shared);
        }
        dwarf
    }

    /// The bytes of the unit at an offset in `.debug_info`.
    fn unit_bytes(&self, offset: usize) -> Option<&'s [u8]> {
        let rest = self.section(SectionId::DebugInfo).get(offset..)?;
        let short = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
        let (header, length) = match short {
            u32::MAX => (12, u64::from_le_bytes(rest.get(4..12)?.try_into().ok()?)),
            short => (4, u64::from(short)),
        };
        rest.get(..usize::try_from(length).ok()?.checked_add(header)?)
    }
}

fn load<'s>(mut section: impl FnMut(&'static str) -> &'s [u8]) -> Sections<'s> {
    NEEDED.iter().map(|id| (id.name(), section(id.name()))).collect()
}

/// A unit read without the others; `None` if it refers to them.
fn alone<'s>(mut dwarf: Dwarf<Guarded<'s>>) -> gimli::Result<Option<Units<'s>>> {
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
    dwarf.debug_aranges = Guarded::new(&[]).into();
    Units::new(dwarf).map(Some)
}

impl Ranges {
    fn read(dwarf: &Dwarf<Guarded<'_>>) -> gimli::Result<Ranges> {
        let mut ranges = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut headers = dwarf.debug_aranges.headers();
        while let Some(header) = headers.next()? {
            let DebugInfoOffset(unit) = header.debug_info_offset();
            let mut entries = header.entries();
            while let Some(entry) = entries.next()? {
                let range = entry.range();
                if range.begin < range.end {
                    ranges.push((range.begin, range.end, unit));
                }
            }
            known.insert(unit);
        }
        ranges.sort_unstable();
        let mut units = dwarf.units();
        let mut complete = !ranges.is_empty();
        while let Some(unit) = units.next()? {
            complete &=
                unit.debug_info_offset().is_some_and(|DebugInfoOffset(offset)| known.contains(&offset));
        }
        Ok(Ranges { ranges, complete })
    }

    /// The unit that has an address.
    fn unit_at(&self, address: u64) -> Option<usize> {
        let after = self.ranges.partition_point(|&(begin, ..)| begin <= address);
        let &(_, end, unit) = self.ranges[..after].last()?;
        (address < end).then_some(unit)
    }
}

/// Location lists, types and macros say nothing about names and lines, and are the larger half.
const NEEDED: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// Runs `work` within a budget of reads; with the result, how many are left.
fn limited<T>(reads: u64, work: impl FnOnce() -> gimli::Result<T>) -> Result<(T, u64), DebugInfoError> {
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
