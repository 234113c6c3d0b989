//! The namespaces and types around a function, for names without a linkage name.
//!
//! C++ compilers leave linkage names out for functions of one file, rustc where only line tables
//! were asked for. What remains is `run` or `{closure#0}`, which says little.
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use gimli::{AttributeValue, DebugInfoOffset, DwLang, DwTag, Dwarf, Reader, UnitOffset, UnitRef};

use super::guarded::Guarded;

/// Scopes around one function; real nesting is below twenty.
const MAX_DEPTH: usize = 64;
/// References from an inlined call to the declaration of its function.
const MAX_HOPS: usize = 8;

/// The scopes of units in which names needed them.
#[derive(Debug, Default)]
pub(super) struct UnitScopes<'s> {
    known: HashMap<Key, Scopes<'s>>,
    /// Offsets of all units: of the file, and of the one it shares with others.
    starts: [Option<Vec<usize>>; 2],
}

/// A unit: id, where it is in another file; whether it is in the shared file; offset.
type Key = (Option<u64>, bool, usize);

/// All namespaces and types of one unit, in file order.
#[derive(Debug)]
struct Scopes<'s>(Vec<Scope<'s>>);

#[derive(Debug)]
struct Scope<'s> {
    start: usize,
    /// Offset of the first entry that is not inside.
    end: usize,
    parent: Option<usize>,
    tag: DwTag,
    name: Option<Guarded<'s>>,
    /// The function it is in, of a type without a name; and what it is there.
    local: Option<Local<'s>>,
}

/// A type without a name in a function.
#[derive(Debug)]
struct Local<'s> {
    /// Where the function is declared, and its name.
    function: (usize, Guarded<'s>),
    /// Line and column of the type.
    place: (u64, u64),
    /// Of a lambda, its number among those of the function, in the order of the source.
    lambda: Option<usize>,
}

/// Whether names of a language are written with `::`.
pub(super) fn has_scopes(language: Option<DwLang>) -> bool {
    matches!(
        language,
        Some(
            gimli::DW_LANG_Rust
                | gimli::DW_LANG_C_plus_plus
                | gimli::DW_LANG_C_plus_plus_03
                | gimli::DW_LANG_C_plus_plus_11
                | gimli::DW_LANG_C_plus_plus_14
                | gimli::DW_LANG_C_plus_plus_17
                | gimli::DW_LANG_C_plus_plus_20
        )
    )
}

impl<'s> UnitScopes<'s> {
    /// The name of the function at `die` with its scopes.
    pub(super) fn qualify(
        &mut self,
        unit: UnitRef<'_, Guarded<'s>>,
        die: UnitOffset<usize>,
        name: &str,
    ) -> gimli::Result<String> {
        self.qualify_from(unit, false, die, name, MAX_HOPS)
    }

    fn qualify_from(
        &mut self,
        unit: UnitRef<'_, Guarded<'s>>,
        shared: bool,
        die: UnitOffset<usize>,
        name: &str,
        hops: usize,
    ) -> gimli::Result<String> {
        let (dwarf, shared, place) = match declaration(unit, die)? {
            Place::Here(declaration) => {
                let key = (unit.dwo_id.map(|id| id.0), shared, unit.header.offset().0);
                return self.of(key, unit)?.qualify(declaration, name);
            }
            Place::Elsewhere(place) => (unit.dwarf, shared, place),
            Place::Shared(place) => {
                (unit.dwarf.sup().ok_or(gimli::Error::OffsetOutOfBounds(0))?, true, place)
            }
        };
        let hops = hops.checked_sub(1).ok_or(gimli::Error::TooManyIterations)?;
        let header = dwarf.unit_header(DebugInfoOffset(self.start_before(dwarf, shared, place)?))?;
        let die = place.to_unit_offset(&header).ok_or(gimli::Error::OffsetOutOfBounds(place.0 as u64))?;
        let other = dwarf.unit(header)?;
        self.qualify_from(other.unit_ref(dwarf), shared, die, name, hops)
    }

    fn of(&mut self, key: Key, unit: UnitRef<'_, Guarded<'s>>) -> gimli::Result<&Scopes<'s>> {
        Ok(match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Scopes::read(unit)?),
        })
    }

    /// Offset of the last unit that begins before `place`.
    fn start_before(
        &mut self,
        dwarf: &Dwarf<Guarded<'s>>,
        shared: bool,
        place: DebugInfoOffset<usize>,
    ) -> gimli::Result<usize> {
        let slot = &mut self.starts[usize::from(shared)];
        if slot.is_none() {
            let mut starts = Vec::new();
            let mut units = dwarf.units();
            while let Some(unit) = units.next()? {
                starts.extend(unit.debug_info_offset().map(|offset| offset.0));
            }
            *slot = Some(starts);
        }
        let starts = slot.as_deref().unwrap_or(&[]);
        let after = starts.partition_point(|&start| start < place.0);
        starts[..after].last().copied().ok_or(gimli::Error::OffsetOutOfBounds(place.0 as u64))
    }
}

impl<'s> Scopes<'s> {
    /// Reads all entries of a unit once.
    fn read(unit: UnitRef<'_, Guarded<'s>>) -> gimli::Result<Scopes<'s>> {
        let mut scopes: Vec<Scope<'s>> = Vec::new();
        let mut open: Vec<(isize, usize)> = Vec::new();
        // Functions that are open, for types in them.
        let mut functions: Vec<(isize, usize)> = Vec::new();
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let offset = entries.next_offset().0;
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            while let Some(&(_, index)) = open.last().filter(|(opened, _)| *opened >= depth) {
                scopes[index].end = offset;
                open.pop();
            }
            while functions.pop_if(|(opened, _)| *opened >= depth).is_some() {}
            let tag = abbreviation.tag();
            let around = open.last().map(|&(opened, index)| (opened, &mut scopes[index]));
            let is_member =
                around.as_ref().is_some_and(|(opened, scope)| opened + 1 == depth && scope.local.is_some());
            if tag == gimli::DW_TAG_subprogram && is_member {
                let facts = Facts::read(unit, &mut entries, abbreviation.attributes())?;
                let calls = facts
                    .name
                    .is_some_and(|name| name.to_string_lossy().is_ok_and(|name| name == "operator()"));
                if let Some(local) = around.and_then(|(_, scope)| scope.local.as_mut()).filter(|_| calls) {
                    local.lambda = Some(0);
                }
            } else if !abbreviation.has_children() || !is_scope(tag) {
                entries.skip_attributes(abbreviation.attributes())?;
            } else {
                let facts = Facts::read(unit, &mut entries, abbreviation.attributes())?;
                let inner = functions
                    .last()
                    .filter(|(opened, _)| open.last().is_none_or(|(scope, _)| scope < opened));
                let inner = inner.filter(|_| facts.name.is_none() && tag != gimli::DW_TAG_namespace);
                let function =
                    inner.and_then(|&(_, function)| named(unit, UnitOffset(function)).ok().flatten());
                let local = function.map(|function| Local { function, place: facts.place, lambda: None });
                let parent = open.last().map(|&(_, index)| index);
                open.push((depth, scopes.len()));
                scopes.push(Scope { start: offset, end: usize::MAX, parent, tag, name: facts.name, local });
            }
            if tag == gimli::DW_TAG_subprogram && abbreviation.has_children() {
                functions.push((depth, offset));
            }
        }
        number(&mut scopes);
        Ok(Scopes(scopes))
    }

    /// The innermost scope around an offset.
    fn around(&self, offset: usize) -> Option<usize> {
        let mut at = self.0.partition_point(|scope| scope.start < offset).checked_sub(1);
        while let Some(scope) = at.and_then(|index| self.0.get(index)).filter(|scope| scope.end <= offset) {
            at = scope.parent;
        }
        at
    }

    /// The name of the function that is declared at an offset, with its scopes.
    fn qualify(&self, declaration: UnitOffset<usize>, name: &str) -> gimli::Result<String> {
        let mut at = self.around(declaration.0);
        let mut names = vec![name.to_owned()];
        while let Some(scope) = at.and_then(|index| self.0.get(index)).filter(|_| names.len() < MAX_DEPTH) {
            names.push(scope.text()?);
            at = scope.parent;
            if let Some(Local { function: (declared, name), .. }) = &scope.local {
                names.push(name.to_string_lossy()?.into_owned());
                at = self.around(*declared);
            }
        }
        names.reverse();
        Ok(names.join("::"))
    }
}

/// What is read of an entry.
#[derive(Default)]
struct Facts<'s> {
    name: Option<Guarded<'s>>,
    /// Line and column.
    place: (u64, u64),
}

impl<'s> Facts<'s> {
    fn read(
        unit: UnitRef<'_, Guarded<'s>>,
        entries: &mut gimli::EntriesRaw<'_, Guarded<'s>>,
        specs: &[gimli::AttributeSpecification],
    ) -> gimli::Result<Facts<'s>> {
        let mut facts = Facts::default();
        for spec in specs {
            let attribute = entries.read_attribute(*spec)?;
            match attribute.name() {
                gimli::DW_AT_name => facts.name = unit.attr_string(attribute.value()).ok(),
                gimli::DW_AT_decl_line => facts.place.0 = attribute.udata_value().unwrap_or(0),
                gimli::DW_AT_decl_column => facts.place.1 = attribute.udata_value().unwrap_or(0),
                _ => {}
            }
        }
        Ok(facts)
    }
}

/// Where the function at `die` is declared in the same unit, and its name.
fn named<'s>(
    unit: UnitRef<'_, Guarded<'s>>,
    die: UnitOffset<usize>,
) -> gimli::Result<Option<(usize, Guarded<'s>)>> {
    let Place::Here(declared) = declaration(unit, die)? else { return Ok(None) };
    let name = unit.entry(declared)?.attr_value(gimli::DW_AT_name);
    Ok(name.and_then(|name| unit.attr_string(name).ok()).map(|name| (declared.0, name)))
}

/// Numbers the lambdas of each function in the order of the source.
fn number(scopes: &mut [Scope<'_>]) {
    let lambdas = scopes.iter_mut().filter_map(|scope| scope.local.as_mut());
    let mut lambdas: Vec<&mut Local<'_>> = lambdas.filter(|local| local.lambda.is_some()).collect();
    lambdas.sort_by_key(|local| (local.function.0, local.place));
    let mut last = None;
    let mut count = 0;
    for local in lambdas {
        let key = (local.function.0, local.place);
        match last {
            // The same one, in another copy of the function.
            Some(before) if before == key => {}
            Some((function, _)) if function == key.0 => count += 1,
            _ => count = 1,
        }
        local.lambda = Some(count);
        last = Some(key);
    }
}

impl Scope<'_> {
    fn text(&self) -> gimli::Result<String> {
        match &self.name {
            Some(name) => Ok(name.to_string_lossy()?.into_owned()),
            None if self.tag == gimli::DW_TAG_namespace => Ok("(anonymous namespace)".to_owned()),
            None => Ok(match self.local.as_ref().and_then(|local| local.lambda) {
                Some(number) => format!("{{lambda#{number}}}"),
                None => "{unnamed}".to_owned(),
            }),
        }
    }
}

fn is_scope(tag: DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_namespace
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type
    )
}

/// Where a function is declared.
enum Place {
    Here(UnitOffset<usize>),
    /// In another unit of the same file.
    Elsewhere(DebugInfoOffset<usize>),
    /// In the file that several share (dwz).
    Shared(DebugInfoOffset<usize>),
}

/// Follows references from `die` to the declaration, as long as they stay in the unit.
fn declaration(unit: UnitRef<'_, Guarded<'_>>, die: UnitOffset<usize>) -> gimli::Result<Place> {
    let mut at = die;
    for _ in 0..MAX_HOPS {
        let entry = unit.entry(at)?;
        let origin = entry.attr_value(gimli::DW_AT_abstract_origin);
        match origin.or_else(|| entry.attr_value(gimli::DW_AT_specification)) {
            Some(AttributeValue::UnitRef(next)) => at = next,
            Some(AttributeValue::DebugInfoRef(place)) => return Ok(Place::Elsewhere(place)),
            Some(AttributeValue::DebugInfoRefSup(place)) => return Ok(Place::Shared(place)),
            _ => break,
        }
    }
    Ok(Place::Here(at))
}
