//! Which unit holds an address: from `.debug_aranges`, else from the first entry of each unit.
use std::collections::BTreeMap;

use gimli::{
    Abbreviations, AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugAddrBase, DebugAranges,
    DebugInfoOffset, DebugLineOffset, DebugRngListsBase, Dwarf, DwarfFileType, RangeListsOffset, Reader,
    RunTimeEndian, UnitHeader, UnitType,
};

use super::guarded::Guarded;

/// Units that may hold one address; functions that were folded into one have several.
const MAX_UNITS: usize = 8;

/// What `.debug_aranges` says.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// First address, address after the last, offset of the unit; by ascending first address.
    ranges: Vec<(u64, u64, usize)>,
    /// Offsets of all units in it, ascending.
    units: Vec<usize>,
}

impl Ranges {
    pub(super) fn read(section: &DebugAranges<Guarded<'_>>) -> gimli::Result<Ranges> {
        let (mut ranges, mut units) = (Vec::new(), Vec::new());
        let mut headers = section.headers();
        while let Some(header) = headers.next()? {
            let DebugInfoOffset(unit) = header.debug_info_offset();
            let mut entries = header.entries();
            while let Some(entry) = entries.next()? {
                let range = entry.range();
                if range.begin < range.end {
                    ranges.push((range.begin, range.end, unit));
                }
            }
            units.push(unit);
        }
        ranges.sort_unstable();
        units.sort_unstable();
        units.dedup();
        Ok(Ranges { ranges, units })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether every unit is in it, so that what it does not know has no unit.
    pub(super) fn is_complete(&self, dwarf: &Dwarf<Guarded<'_>>) -> gimli::Result<bool> {
        let mut units = dwarf.units();
        let mut complete = !self.is_empty();
        while let Some(unit) = units.next()? {
            complete &= unit
                .debug_info_offset()
                .is_some_and(|DebugInfoOffset(offset)| self.units.binary_search(&offset).is_ok());
        }
        Ok(complete)
    }

    /// The unit that has an address.
    pub(super) fn unit_at(&self, address: u64) -> Option<usize> {
        let after = self.ranges.partition_point(|&(begin, ..)| begin <= address);
        let &(_, end, unit) = self.ranges[..after].last()?;
        (address < end).then_some(unit)
    }

    /// Where the next unit begins, if that is known.
    pub(super) fn after(&self, unit: usize) -> Option<usize> {
        self.units.get(self.units.partition_point(|&known| known <= unit)).copied()
    }
}

/// What the first entries of all units say about some addresses.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Offsets of the units that hold an address.
    pub(super) units: BTreeMap<u64, Vec<usize>>,
    /// Whether every unit could be read, so that what is not found has no unit.
    pub(super) complete: bool,
}

impl Scan {
    /// Looks for `addresses` (ascending) in the first entry of every unit. Names, files and other
    /// entries are not read.
    pub(super) fn read<'s>(
        dwarf: &Dwarf<Guarded<'s>>,
        abbrev: &'s [u8],
        addresses: &[u64],
    ) -> gimli::Result<Scan> {
        let mut scan = Scan { units: BTreeMap::new(), complete: true };
        let mut units = dwarf.units();
        let mut seen = Seen::default();
        while let Some(header) = units.next()? {
            let is_code = !matches!(
                header.type_(),
                UnitType::Partial | UnitType::Type { .. } | UnitType::SplitType { .. }
            );
            let Some(DebugInfoOffset(offset)) = header.debug_info_offset().filter(|_| is_code) else {
                continue;
            };
            let mut found = |begin: u64, end: u64| {
                let first = addresses.partition_point(|&address| address < begin);
                for &address in addresses[first..].iter().take_while(|&&address| address < end) {
                    let units = scan.units.entry(address).or_default();
                    if units.len() < MAX_UNITS && units.last() != Some(&offset) {
                        units.push(offset);
                    }
                }
            };
            // Damage to one unit costs only its own names.
            let read = seen.first_entry(abbrev, &header).and_then(|entry| match entry {
                Some(entry) => entry.ranges(dwarf, &header, &mut found),
                None => Ok(()),
            });
            scan.complete &= read.is_ok();
        }
        Ok(scan)
    }
}

/// The abbreviation that was used last: linkers put units of one compiler behind each other.
#[derive(Default)]
struct Seen(Option<((usize, u64), Abbreviations)>);

impl Seen {
    /// The first entry of a unit; `None` if there is none.
    fn first_entry<'s>(
        &mut self,
        abbrev: &'s [u8],
        header: &UnitHeader<Guarded<'s>>,
    ) -> gimli::Result<Option<First<'s>>> {
        let code = header.range_from(header.root_offset()..)?.read_uleb128()?;
        let key = (header.debug_abbrev_offset().0, code);
        if self.0.as_ref().is_none_or(|(known, _)| *known != key) {
            let Some(mut bytes) = abbreviation(abbrev, key)? else { return Ok(None) };
            bytes.push(0);
            let alone = DebugAbbrev::from(Guarded::new(&bytes, RunTimeEndian::Little))
                .abbreviations(DebugAbbrevOffset(0))?;
            self.0 = Some((key, alone));
        }
        let Some((_, abbreviations)) = &self.0 else { return Ok(None) };
        First::read(header, abbreviations)
    }
}

/// The bytes of one abbreviation, by place of its table and code. Reading the others, of which there are
/// a hundred or two, would take most of the time.
fn abbreviation(section: &[u8], (place, code): (usize, u64)) -> gimli::Result<Option<Vec<u8>>> {
    let rest = section.get(place..).unwrap_or(&[]);
    // Single bytes and LEB128: the same in both orders.
    let mut reader = Guarded::new(rest, RunTimeEndian::Little);
    loop {
        let start = rest.len() - reader.len();
        let found = reader.read_uleb128()?;
        if found == 0 {
            return Ok(None);
        }
        reader.read_uleb128()?;
        reader.read_u8()?;
        loop {
            let (name, form) = (reader.read_uleb128()?, reader.read_uleb128()?);
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                reader.read_sleb128()?;
            }
            if name == 0 && form == 0 {
                break;
            }
        }
        if found == code {
            return Ok(Some(rest[start..rest.len() - reader.len()].to_vec()));
        }
    }
}

/// What the first entry of a unit says about its addresses.
struct First<'s> {
    low: Option<AttributeValue<Guarded<'s>>>,
    high: Option<AttributeValue<Guarded<'s>>>,
    ranges: Option<AttributeValue<Guarded<'s>>>,
    addresses: DebugAddrBase<usize>,
    lists: DebugRngListsBase<usize>,
    /// Its line program.
    lines: Option<DebugLineOffset>,
}

impl<'s> First<'s> {
    fn read(
        header: &UnitHeader<Guarded<'s>>,
        abbreviations: &Abbreviations,
    ) -> gimli::Result<Option<First<'s>>> {
        let mut entries = header.entries_raw(abbreviations, None)?;
        let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(None) };
        let lists = DebugRngListsBase::default_for_encoding_and_file(header.encoding(), DwarfFileType::Main);
        let mut first =
            First { low: None, high: None, ranges: None, addresses: DebugAddrBase(0), lists, lines: None };
        for spec in abbreviation.attributes() {
            let attribute = entries.read_attribute(*spec)?;
            match (attribute.name(), attribute.value()) {
                (gimli::DW_AT_low_pc, value) => first.low = Some(value),
                (gimli::DW_AT_high_pc, value) => first.high = Some(value),
                (gimli::DW_AT_ranges, value) => first.ranges = Some(value),
                (gimli::DW_AT_stmt_list, AttributeValue::DebugLineRef(lines)) => first.lines = Some(lines),
                (
                    gimli::DW_AT_addr_base | gimli::DW_AT_GNU_addr_base,
                    AttributeValue::DebugAddrBase(base),
                ) => first.addresses = base,
                (gimli::DW_AT_rnglists_base, AttributeValue::DebugRngListsBase(base)) => first.lists = base,
                _ => {}
            }
        }
        Ok(Some(first))
    }

    /// Gives the ranges of a unit to `found`: those that it says, else those of its lines.
    fn ranges(
        &self,
        dwarf: &Dwarf<Guarded<'s>>,
        header: &UnitHeader<Guarded<'s>>,
        found: &mut impl FnMut(u64, u64),
    ) -> gimli::Result<()> {
        let encoding = header.encoding();
        let address = |value: &Option<AttributeValue<Guarded<'s>>>| match value {
            Some(AttributeValue::Addr(address)) => Ok(Some(*address)),
            Some(AttributeValue::DebugAddrIndex(index)) => {
                dwarf.debug_addr.get_address(encoding.address_size, self.addresses, *index).map(Some)
            }
            _ => Ok(None),
        };
        let low = address(&self.low)?;
        let lists = match self.ranges {
            Some(AttributeValue::RangeListsRef(offset)) => Some(RangeListsOffset(offset.0)),
            Some(AttributeValue::DebugRngListsIndex(index)) => {
                Some(dwarf.ranges.get_offset(encoding, self.lists, index)?)
            }
            _ => None,
        };
        if let Some(lists) = lists {
            let base = low.unwrap_or(0);
            let mut ranges = dwarf.ranges.ranges(lists, encoding, base, &dwarf.debug_addr, self.addresses)?;
            while let Some(range) = ranges.next()? {
                found(range.begin, range.end);
            }
            return Ok(());
        }
        let Some(low) = low else { return self.line_ranges(dwarf, header, found) };
        let end = match &self.high {
            Some(AttributeValue::Udata(size)) => low.checked_add(*size),
            high => address(high)?,
        };
        match end.filter(|&end| low < end) {
            Some(end) => found(low, end),
            None => self.line_ranges(dwarf, header, found)?,
        }
        Ok(())
    }

    /// Assembler files and files with nothing but data say no ranges.
    fn line_ranges(
        &self,
        dwarf: &Dwarf<Guarded<'s>>,
        header: &UnitHeader<Guarded<'s>>,
        found: &mut impl FnMut(u64, u64),
    ) -> gimli::Result<()> {
        let Some(lines) = self.lines else { return Ok(()) };
        let program = dwarf.debug_line.program(lines, header.encoding().address_size, None, None)?;
        let mut rows = program.rows();
        let mut begin = None;
        while let Some((_, row)) = rows.next_row()? {
            let first = *begin.get_or_insert(row.address());
            if row.end_sequence() {
                // Linkers put what they left out to address 0.
                if first != 0 {
                    found(first, row.address());
                }
                begin = None;
            }
        }
        Ok(())
    }
}
