//! Functions, inlined callers and lines from DWARF.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use addr2line::{Context, Location};
use gimli::{AbbreviationsCacheStrategy, AttributeValue, Dwarf, SectionId, UnitOffset, UnitRef};

use super::guarded::{Guarded, with_budget};
use super::scope::{Scopes, has_scopes};

/// Reads one lookup may make: each DIE attribute and each line row is one, so this is far above
/// any real unit, and reached after a second or two.
const READS_PER_LOOKUP: u64 = 1 << 27;
/// Reads that all lookups in one debug file may make together.
const READS_PER_FILE: u64 = 1 << 30;
/// Inlined callers at one address. Real programs stay below a hundred.
const MAX_FRAMES: usize = 512;

/// The DWARF of one ELF object.
///
/// Creating it reads every unit's header and first entry; functions and lines of a unit are read
/// when an address in it is asked for.
pub struct DebugInfo<'s> {
    context: Context<Guarded<'s>>,
    /// By offset of the unit; read when a name in it needs them.
    scopes: HashMap<usize, Scopes<'s>>,
    reads_left: u64,
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
    pub fn new(mut section: impl FnMut(&'static str) -> &'s [u8]) -> Result<DebugInfo<'s>, DebugInfoError> {
        let dwarf = Dwarf::load(|id| Ok::<_, gimli::Error>(Guarded::new(needed(id, &mut section))));
        let (context, _) = limited(READS_PER_LOOKUP, || {
            let mut dwarf = dwarf?;
            dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
            Context::from_arc_dwarf(Arc::new(dwarf))
        })?;
        Ok(DebugInfo { context, scopes: HashMap::new(), reads_left: READS_PER_FILE })
    }

    /// The functions and lines at a file address. Empty if nothing is known about it.
    ///
    /// # Errors
    ///
    /// [`DebugInfoError`] if the unit that holds the address cannot be read. Other units may
    /// still be fine.
    pub fn at(&mut self, address: u64) -> Result<Function, DebugInfoError> {
        if self.reads_left == 0 {
            return Err(DebugInfoError::Limit);
        }
        let budget = self.reads_left.min(READS_PER_LOOKUP);
        let result = limited(budget, || function_at(&self.context, &mut self.scopes, address));
        let left = result.as_ref().map_or(0, |(_, left)| *left);
        self.reads_left -= match &result {
            Err(DebugInfoError::Damaged(_)) => 0,
            _ => budget - left,
        };
        result.map(|(function, _)| function)
    }
}

/// Location lists, types and macros say nothing about names and lines, and are the larger half.
fn needed<'s>(id: SectionId, section: &mut impl FnMut(&'static str) -> &'s [u8]) -> &'s [u8] {
    match id {
        SectionId::DebugAbbrev
        | SectionId::DebugAddr
        | SectionId::DebugAranges
        | SectionId::DebugInfo
        | SectionId::DebugLine
        | SectionId::DebugLineStr
        | SectionId::DebugRanges
        | SectionId::DebugRngLists
        | SectionId::DebugStr
        | SectionId::DebugStrOffsets => section(id.name()),
        _ => &[],
    }
}

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

fn function_at<'s>(
    context: &Context<Guarded<'s>>,
    scopes: &mut HashMap<usize, Scopes<'s>>,
    address: u64,
) -> gimli::Result<Function> {
    let mut found = context.find_frames(address).skip_all_loads()?;
    let unit = context.find_dwarf_and_unit(address).skip_all_loads();
    let mut frames = Vec::new();
    let mut last = None;
    while let Some(frame) = found.next()? {
        if frames.len() == MAX_FRAMES {
            return Err(gimli::Error::TooManyIterations);
        }
        let mut name = None;
        if let Some(function) = &frame.function {
            let raw = function.raw_name()?.into_owned();
            let bare = has_scopes(function.language) && !raw.starts_with("_Z") && !raw.starts_with("_R");
            let place = unit.zip(frame.dw_die_offset).filter(|_| bare);
            // Without its scopes the name is still a name.
            let full = place.and_then(|(unit, die)| qualified(scopes, unit, die, &raw).ok());
            name = Some(full.unwrap_or(raw));
        }
        last = frame.dw_die_offset;
        frames.push(with_location(name, frame.location));
    }
    let start = unit.zip(last).and_then(|(unit, die)| start_of(unit, die, address).ok().flatten());
    Ok(Function { frames, start })
}

fn with_location(function: Option<String>, location: Option<Location<'_>>) -> SourceFrame {
    let Some(at) = location else { return SourceFrame { function, ..SourceFrame::default() } };
    SourceFrame {
        function,
        file: at.file.filter(|file| !file.is_empty()).map(str::to_owned),
        line: at.line,
        column: at.column.filter(|&column| column > 0),
    }
}

fn qualified<'s>(
    scopes: &mut HashMap<usize, Scopes<'s>>,
    unit: UnitRef<'_, Guarded<'s>>,
    die: UnitOffset<usize>,
    name: &str,
) -> gimli::Result<String> {
    let scopes = match scopes.entry(unit.header.offset().0) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(Scopes::read(unit)?),
    };
    scopes.qualify(unit, die, name)
}

/// Start of the piece of the function at `die` that holds `address`.
fn start_of(
    unit: UnitRef<'_, Guarded<'_>>,
    die: UnitOffset<usize>,
    address: u64,
) -> gimli::Result<Option<u64>> {
    let entry = unit.entry(die)?;
    if let Some(value) = entry.attr_value(gimli::DW_AT_ranges) {
        let Some(offset) = unit.attr_ranges_offset(value)? else { return Ok(None) };
        let mut ranges = unit.ranges(offset)?;
        while let Some(range) = ranges.next()? {
            if (range.begin..range.end).contains(&address) {
                return Ok(Some(range.begin));
            }
        }
        return Ok(None);
    }
    Ok(match entry.attr_value(gimli::DW_AT_low_pc) {
        Some(AttributeValue::Addr(low)) => Some(low),
        Some(AttributeValue::DebugAddrIndex(index)) => Some(unit.address(index)?),
        _ => None,
    })
}
