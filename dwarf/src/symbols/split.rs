//! Split DWARF: units whose functions are in a file of their own (`.dwo`), or in one file with those
//! of other units (`.dwp`).
//!
//! Which file it is turns out in the midst of a lookup, and nothing here opens one. So the lookup
//! ends with nothing, [`DebugInfo::missing`] says what it lacked, the caller supplies that and asks
//! again.
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use addr2line::{LookupContinuation, LookupResult, SplitDwarfLoad};
use gimli::{Dwarf, DwarfPackage, DwoId, Reader, SectionId, UnitType};

use super::guarded::Guarded;
use super::source::{DebugInfo, DebugInfoError};

/// Files asked for by one debug file. No dump of a real program comes near.
const MAX_ASKED: usize = 1 << 14;
/// Other ids that are told of a file that lacks the wanted one.
const MAX_TOLD: usize = 4;

/// A unit whose functions are elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitUnit {
    /// Its id (`DW_AT_dwo_id`), which the other file must have, too.
    pub id: u64,
    /// Where the compiler ran; empty if that is not known.
    pub folder: Vec<u8>,
    /// The `.dwo` file, absolute or relative to `folder`; empty if that is not known.
    pub path: Vec<u8>,
}

/// Why a file was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitError {
    /// It has units with these ids, the first few of them, and not the wanted one.
    OtherIds(Vec<u64>),
    /// It cannot be read.
    Unreadable(DebugInfoError),
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitError::OtherIds(ids) if ids.is_empty() => f.write_str("its dwo id is missing"),
            SplitError::OtherIds(ids) => {
                let ids: Vec<String> = ids.iter().map(|id| format!("{id:016x}")).collect();
                write!(f, "its dwo id is {}", ids.join(", "))
            }
            SplitError::Unreadable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SplitError {}

/// What was supplied so far.
#[derive(Default)]
pub(super) struct SplitFiles<'s> {
    packages: Vec<DwarfPackage<Guarded<'s>>>,
    /// By id; `None` for one that cannot be had.
    units: HashMap<u64, Option<Arc<Dwarf<Guarded<'s>>>>>,
    missing: Option<SplitUnit>,
    asked: usize,
    damage: Option<gimli::Error>,
}

impl<'s> SplitFiles<'s> {
    /// Takes a lookup to its end. `None` if it needs a unit that was not supplied yet.
    pub(super) fn finish<L>(&mut self, mut lookup: LookupResult<L>) -> Option<L::Output>
    where
        L: LookupContinuation<Buf = Guarded<'s>>,
    {
        loop {
            match lookup {
                LookupResult::Output(found) => return Some(found),
                LookupResult::Load { load, continuation } => {
                    let unit = self.unit(&load)?;
                    lookup = continuation.resume(unit);
                }
            }
        }
    }

    fn unit(&mut self, load: &SplitDwarfLoad<Guarded<'s>>) -> Option<Option<Arc<Dwarf<Guarded<'s>>>>> {
        let DwoId(id) = load.dwo_id;
        if let Some(known) = self.units.get(&id) {
            return Some(known.clone());
        }
        for package in &self.packages {
            match package.find_cu(load.dwo_id, &load.parent) {
                Ok(Some(found)) if has_unit(&found, load.dwo_id) => {
                    return Some(self.units.entry(id).or_insert(Some(Arc::new(found))).clone());
                }
                Ok(_) => {}
                Err(error) => self.damage = Some(error),
            }
        }
        if self.asked >= MAX_ASKED {
            return Some(None);
        }
        self.asked += 1;
        let text = |text: &Option<Guarded<'s>>| {
            text.as_ref().and_then(|text| text.to_slice().ok()).map(|text| text.into_owned())
        };
        self.missing = Some(SplitUnit {
            id,
            folder: text(&load.comp_dir).unwrap_or_default(),
            path: text(&load.path).unwrap_or_default(),
        });
        None
    }

    /// Whether the last lookup ended for want of a unit.
    pub(super) fn is_missing(&self) -> bool {
        self.missing.is_some()
    }

    /// Whether a mistake may be that of another file.
    pub(super) fn is_used(&self) -> bool {
        self.units.values().any(Option::is_some)
    }

    pub(super) fn set_damage(&mut self, error: gimli::Error) {
        self.damage = Some(error);
    }
}

/// The index of a package says where a unit is; what is there must agree.
fn has_unit(dwarf: &Dwarf<Guarded<'_>>, id: DwoId) -> bool {
    let unit = dwarf.units().next().ok().flatten().and_then(|header| dwarf.unit(header).ok());
    unit.is_some_and(|unit| unit.dwo_id == Some(id))
}

impl<'s> DebugInfo<'s> {
    /// What the last lookup lacked. If there is something, the answer of that lookup is void: it is to be
    /// made again after [`DebugInfo::supply`], [`DebugInfo::supply_package`] or
    /// [`DebugInfo::supply_nothing`].
    pub fn missing(&mut self) -> Option<SplitUnit> {
        self.split.missing.take()
    }

    /// What made the last lookup fall back to what is known without the other file.
    pub fn split_damage(&mut self) -> Option<DebugInfoError> {
        self.split.damage.take().map(DebugInfoError::Damaged)
    }

    /// The `.dwp` file, whose sections `section` gives by name (`.debug_info.dwo`, …), inflated;
    /// empty for a section that does not exist. It is searched for each unit from then on.
    ///
    /// # Errors
    ///
    /// [`DebugInfoError`] if its index cannot be read.
    pub fn supply_package(
        &mut self,
        mut section: impl FnMut(&'static str) -> &'s [u8],
    ) -> Result<(), DebugInfoError> {
        let sections = load(&mut section, NEEDED.iter().chain(&IN_PACKAGES));
        self.allow(size(&sections));
        let order = self.order;
        let package = self.within(|_| {
            let contents =
                |id: SectionId| Ok::<_, gimli::Error>(Guarded::new(bytes_of(&sections, id), order));
            DwarfPackage::load(contents, Guarded::new(&[], order))
        })?;
        self.split.packages.push(package);
        Ok(())
    }

    /// The `.dwo` file of a unit, as [`DebugInfo::supply_package`] takes one.
    ///
    /// # Errors
    ///
    /// [`SplitError`] if it is another one, or cannot be read. Another file may be tried then.
    pub fn supply(
        &mut self,
        unit: &SplitUnit,
        mut section: impl FnMut(&'static str) -> &'s [u8],
    ) -> Result<(), SplitError> {
        let sections = load(&mut section, &NEEDED);
        self.allow(size(&sections));
        let order = self.order;
        let found = self.within(|parent| {
            let with_info = |info: &'s [u8]| {
                let contents = |id| if id == SectionId::DebugInfo { info } else { bytes_of(&sections, id) };
                let Ok(mut dwarf) = Dwarf::load(|id| Ok::<_, Infallible>(Guarded::new(contents(id), order)));
                dwarf.make_dwo(parent);
                dwarf
            };
            let info = bytes_of(&sections, SectionId::DebugInfo);
            // What looks things up takes the first unit; types may stand before.
            let place = place_of(&with_info(info), info, DwoId(unit.id))?;
            Ok(place.map(with_info))
        });
        let dwarf = found.map_err(SplitError::Unreadable)?.map_err(SplitError::OtherIds)?;
        self.split.units.insert(unit.id, Some(Arc::new(dwarf)));
        Ok(())
    }

    /// Says that a unit cannot be had: its lines are known all the same, its functions are not.
    pub fn supply_nothing(&mut self, unit: &SplitUnit) {
        self.split.units.insert(unit.id, None);
    }
}

/// The bytes of the unit with an id, or the ids that are there.
fn place_of<'s>(
    dwarf: &Dwarf<Guarded<'s>>,
    info: &'s [u8],
    id: DwoId,
) -> gimli::Result<Result<&'s [u8], Vec<u64>>> {
    let mut others = Vec::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let start = header.debug_info_offset().map_or(0, |offset| offset.0);
        let length = header.length_including_self();
        let found = match header.type_() {
            UnitType::SplitCompilation(found) => Some(found),
            UnitType::Compilation => dwarf.unit(header)?.dwo_id,
            _ => None,
        };
        if found == Some(id) {
            let rest = info.get(start..).unwrap_or(&[]);
            return Ok(Ok(rest.get(..length).unwrap_or(rest)));
        }
        others.extend(found.map(|DwoId(other)| other).filter(|_| others.len() < MAX_TOLD));
    }
    Ok(Err(others))
}

type Sections<'s> = HashMap<SectionId, &'s [u8]>;

/// What says nothing about names and ranges is left out, as in the main file.
const NEEDED: [SectionId; 7] = [
    SectionId::DebugAbbrev,
    SectionId::DebugCuIndex,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// A package has them for each unit, and its index is of use only with all of them.
const IN_PACKAGES: [SectionId; 5] = [
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugMacinfo,
    SectionId::DebugMacro,
    SectionId::DebugTypes,
];

fn load<'s>(
    section: &mut impl FnMut(&'static str) -> &'s [u8],
    ids: impl IntoIterator<Item = &'static SectionId>,
) -> Sections<'s> {
    ids.into_iter().filter_map(|&id| Some((id, section(id.dwo_name()?)))).collect()
}

fn bytes_of<'s>(sections: &Sections<'s>, id: SectionId) -> &'s [u8] {
    sections.get(&id).copied().unwrap_or(&[])
}

fn size(sections: &Sections<'_>) -> usize {
    sections.values().map(|bytes| bytes.len()).fold(0, usize::saturating_add)
}
