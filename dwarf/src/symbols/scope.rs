//! The namespaces and types around a function, for names without a linkage name.
//!
//! C++ compilers leave linkage names out for functions of one file, rustc where only line tables
//! were asked for. What remains is `run` or `{closure#0}`, which says little.
use gimli::{AttributeValue, DwLang, DwTag, Reader, UnitOffset, UnitRef};

use super::guarded::Guarded;

/// Scopes around one function; real nesting is below twenty.
const MAX_DEPTH: usize = 64;
/// References from an inlined call to the declaration of its function.
const MAX_HOPS: usize = 8;

/// All namespaces and types of one unit, in file order.
#[derive(Debug)]
pub(super) struct Scopes<'s>(Vec<Scope<'s>>);

#[derive(Debug)]
struct Scope<'s> {
    start: usize,
    /// Offset of the first entry that is not inside.
    end: usize,
    parent: Option<usize>,
    tag: DwTag,
    name: Option<Guarded<'s>>,
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

impl<'s> Scopes<'s> {
    /// Reads all entries of a unit once.
    pub(super) fn read(unit: UnitRef<'_, Guarded<'s>>) -> gimli::Result<Scopes<'s>> {
        let mut scopes: Vec<Scope<'s>> = Vec::new();
        let mut open: Vec<(isize, usize)> = Vec::new();
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let offset = entries.next_offset().0;
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            while let Some(&(_, index)) = open.last().filter(|(opened, _)| *opened >= depth) {
                scopes[index].end = offset;
                open.pop();
            }
            let tag = abbreviation.tag();
            if !abbreviation.has_children() || !is_scope(tag) {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            let mut name = None;
            for spec in abbreviation.attributes() {
                let attribute = entries.read_attribute(*spec)?;
                if attribute.name() == gimli::DW_AT_name {
                    name = unit.attr_string(attribute.value()).ok();
                }
            }
            let parent = open.last().map(|&(_, index)| index);
            open.push((depth, scopes.len()));
            scopes.push(Scope { start: offset, end: usize::MAX, parent, tag, name });
        }
        Ok(Scopes(scopes))
    }

    /// The name of the function at `die` with its scopes.
    pub(super) fn qualify(
        &self,
        unit: UnitRef<'_, Guarded<'s>>,
        die: UnitOffset<usize>,
        name: &str,
    ) -> gimli::Result<String> {
        let declaration = declaration(unit, die)?;
        let before = self.0.partition_point(|scope| scope.start < declaration.0);
        let mut at = before.checked_sub(1);
        let mut names = vec![name.to_owned()];
        while let Some(scope) = at.and_then(|index| self.0.get(index)).filter(|_| names.len() < MAX_DEPTH) {
            if declaration.0 < scope.end {
                names.push(scope.text()?);
            }
            at = scope.parent;
        }
        names.reverse();
        Ok(names.join("::"))
    }
}

impl Scope<'_> {
    fn text(&self) -> gimli::Result<String> {
        match &self.name {
            Some(name) => Ok(name.to_string_lossy()?.into_owned()),
            None if self.tag == gimli::DW_TAG_namespace => Ok("(anonymous namespace)".to_owned()),
            None => Ok("{unnamed}".to_owned()),
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

/// Where the function at `die` is declared, if that is in the same unit.
fn declaration(unit: UnitRef<'_, Guarded<'_>>, die: UnitOffset<usize>) -> gimli::Result<UnitOffset<usize>> {
    let mut at = die;
    for _ in 0..MAX_HOPS {
        let entry = unit.entry(at)?;
        let origin = entry.attr_value(gimli::DW_AT_abstract_origin);
        match origin.or_else(|| entry.attr_value(gimli::DW_AT_specification)) {
            Some(AttributeValue::UnitRef(next)) => at = next,
            _ => break,
        }
    }
    Ok(at)
}
