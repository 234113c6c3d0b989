//! Functions and lines of one or all units.
use std::sync::Arc;

use addr2line::{Context, Location};
use gimli::{AttributeValue, Dwarf, UnitOffset, UnitRef};

use super::checksums;
use super::guarded::Guarded;
use super::scope::{UnitScopes, has_scopes};
use super::source::{Function, SourceFrame};
use super::split::SplitFiles;

/// Inlined callers at one address. Real programs stay below a hundred.
const MAX_FRAMES: usize = 256;

/// The units of a `.debug_info`, or of a part of it.
pub(super) struct Units<'s> {
    context: Context<Guarded<'s>>,
    scopes: UnitScopes<'s>,
}

impl<'s> Units<'s> {
    pub(super) fn new(dwarf: Dwarf<Guarded<'s>>) -> gimli::Result<Units<'s>> {
        Ok(Units { context: Context::from_arc_dwarf(Arc::new(dwarf))?, scopes: UnitScopes::default() })
    }

    /// The MD5 of a source file of the unit that has an address.
    pub(super) fn checksum(&self, address: u64, file: &str) -> gimli::Result<Option<[u8; 16]>> {
        match self.context.find_dwarf_and_unit(address).skip_all_loads() {
            Some(unit) => checksums::of_file(unit, file),
            None => Ok(None),
        }
    }

    /// What is known about an address; empty if nothing, or if `split` lacks a unit.
    pub(super) fn at(&mut self, address: u64, split: &mut SplitFiles<'s>) -> gimli::Result<Function> {
        let error = match function_at(&self.context, &mut self.scopes, split, address) {
            Err(error) if split.is_used() => error,
            result => return result,
        };
        // Lines are in the main file, whatever the other one says.
        let Ok(Some(location)) = self.context.find_location(address) else { return Err(error) };
        split.set_damage(error);
        Ok(Function { frames: vec![with_location(None, Some(location))], start: None })
    }
}

fn function_at<'s>(
    context: &Context<Guarded<'s>>,
    scopes: &mut UnitScopes<'s>,
    split: &mut SplitFiles<'s>,
    address: u64,
) -> gimli::Result<Function> {
    let Some(found) = split.finish(context.find_frames(address)) else { return Ok(Function::default()) };
    let mut found = found?;
    let unit = context.find_dwarf_and_unit(address).skip_all_loads();
    // That of a unit in another file is said there, and only there.
    let language = unit.and_then(|unit| language_of(unit).ok().flatten());
    let mut frames = Vec::new();
    let mut last = None;
    while let Some(frame) = found.next()? {
        if frames.len() == MAX_FRAMES {
            return Err(gimli::Error::TooManyIterations);
        }
        let mut name = None;
        if let Some(function) = &frame.function {
            let raw = function.raw_name()?.into_owned();
            let bare = has_scopes(function.language.or(language))
                && !raw.starts_with("_Z")
                && !raw.starts_with("_R");
            let place = unit.zip(frame.dw_die_offset).filter(|_| bare);
            // Without its scopes the name is still a name.
            let full = place.and_then(|(unit, die)| scopes.qualify(unit, die, &raw).ok());
            name = Some(full.unwrap_or(raw));
        }
        last = frame.dw_die_offset;
        frames.push(with_location(name, frame.location));
    }
    let start = unit.zip(last).and_then(|(unit, die)| start_of(unit, die, address).ok().flatten());
    Ok(Function { frames, start })
}

fn language_of(unit: UnitRef<'_, Guarded<'_>>) -> gimli::Result<Option<gimli::DwLang>> {
    let mut entries = unit.entries_raw(None)?;
    let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(None) };
    for spec in abbreviation.attributes() {
        let attribute = entries.read_attribute(*spec)?;
        if let (gimli::DW_AT_language, AttributeValue::Language(language)) =
            (attribute.name(), attribute.value())
        {
            return Ok(Some(language));
        }
    }
    Ok(None)
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
