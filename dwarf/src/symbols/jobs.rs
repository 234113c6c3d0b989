//! Lookups that are known beforehand, one job for each unit, for any thread.
use std::collections::BTreeMap;
use std::ops::Range;

use gimli::{Dwarf, Reader, Section, SectionId};

use super::guarded::Guarded;
use super::index::Scan;
use super::source::{DebugInfo, Function, alone, limited};
use super::split::SplitFiles;

/// Looks up some addresses in one unit.
#[derive(Debug)]
pub struct UnitJob<'s> {
    dwarf: Dwarf<Guarded<'s>>,
    addresses: Vec<u64>,
    /// Reads it may make.
    reads: u64,
}

/// What a [`UnitJob`] found.
#[derive(Debug, Default)]
pub struct UnitAnswer {
    found: Vec<(u64, Function)>,
    spent: u64,
}

impl UnitJob<'_> {
    /// Bytes of the unit; the time a job takes grows with them.
    pub fn size(&self) -> usize {
        self.dwarf.debug_info.reader().len()
    }

    /// Does it. What it cannot find out is left to [`DebugInfo::at`].
    pub fn run(self) -> UnitAnswer {
        let UnitJob { dwarf, addresses, reads } = self;
        let mut answer = UnitAnswer::default();
        let looked_up = limited(reads, || {
            let Some(mut units) = alone(dwarf)? else { return Ok(Vec::new()) };
            // What is in another file is supplied to the lookups afterwards only.
            let mut split = SplitFiles::default();
            let mut found = Vec::new();
            for address in addresses {
                let Ok(function) = units.at(address, &mut split) else { break };
                if split.is_missing() {
                    break;
                }
                if !function.frames.is_empty() {
                    found.push((address, function));
                }
            }
            Ok(found)
        });
        match looked_up {
            Ok((found, left)) => {
                answer.found = found;
                answer.spent = reads - left;
            }
            // As much again may be spent on it later.
            Err(_) => answer.spent = 0,
        }
        answer
    }
}

impl<'s> DebugInfo<'s> {
    /// The parts of `.debug_info` that the units of these addresses (ascending) are in, as far as
    /// `.debug_aranges` tells. `None` if all of it is needed.
    pub fn parts(&self, addresses: &[u64]) -> Option<Vec<Range<u64>>> {
        let size = self.sections.size_of(SectionId::DebugInfo.name());
        let units: Option<Vec<usize>> =
            addresses.iter().map(|&address| self.ranges.unit_at(address)).collect();
        let mut units = units?;
        units.sort_unstable();
        units.dedup();
        let part = |unit: usize| {
            let end = self.ranges.after(unit).map_or(size, |end| end as u64);
            (unit as u64) < end && end <= size
        };
        let range = |&unit: &usize| unit as u64..self.ranges.after(unit).map_or(size, |end| end as u64);
        units.iter().all(|&unit| part(unit)).then(|| units.iter().map(range).collect())
    }

    /// Jobs that look up these addresses (ascending), which [`DebugInfo::at`] will be asked for. Their answers
    /// are for [`DebugInfo::accept`], in the same order.
    pub fn jobs(&mut self, addresses: &[u64]) -> Vec<UnitJob<'s>> {
        let mut units: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        let mut elsewhere = Vec::new();
        for &address in addresses.iter().filter(|&&address| address != u64::MAX) {
            match self.ranges.unit_at(address) {
                Some(unit) => units.entry(unit).or_default().push(address),
                None => elsewhere.push(address),
            }
        }
        if !elsewhere.is_empty() {
            self.scan(&elsewhere, &mut units);
        }
        // Each has its share whatever the others need, so that answers do not depend on who was first.
        let reads = self.reads_left / units.len().max(1) as u64;
        let job = |(unit, addresses)| {
            let dwarf = self.dwarf(self.unit_bytes(unit)?);
            Some(UnitJob { dwarf, addresses, reads })
        };
        units.into_iter().filter_map(job).collect()
    }

    /// Takes what jobs found.
    pub fn accept(&mut self, answers: Vec<UnitAnswer>) {
        for answer in answers {
            self.reads_left = self.reads_left.saturating_sub(answer.spent);
            for (address, function) in answer.found {
                self.answers.entry(address).or_insert(function);
            }
        }
    }

    /// Looks for the units of addresses that `.debug_aranges` does not know.
    fn scan(&mut self, addresses: &[u64], units: &mut BTreeMap<usize, Vec<u64>>) {
        let dwarf = self.dwarf(self.section(SectionId::DebugInfo));
        let abbrev = self.section(SectionId::DebugAbbrev);
        let budget = self.budget().unwrap_or(0);
        let Ok((scan, left)) = limited(budget, || Scan::read(&dwarf, abbrev, addresses)) else { return };
        self.reads_left -= budget - left;
        for &address in addresses {
            match scan.units.get(&address) {
                Some(holders) => {
                    holders.iter().for_each(|&unit| units.entry(unit).or_default().push(address));
                }
                None if scan.complete => {
                    self.answers.insert(address, Function::default());
                }
                None => {}
            }
        }
    }
}
