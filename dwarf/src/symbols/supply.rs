//! Where sections come from.
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;

/// Gives the sections of one object, inflated, by names like `.debug_info`. Answers do not change.
pub trait Supply<'s> {
    /// Bytes of a section; 0 if there is none.
    fn size(&self, name: &'static str) -> u64;

    /// A section; empty if there is none.
    fn whole(&self, name: &'static str) -> &'s [u8];

    /// The part of a section from a place on that was asked for beforehand, because having the whole
    /// section takes long. `None` if it was not, or cannot be had.
    fn part(&self, name: &'static str, start: u64) -> Option<&'s [u8]>;
}

/// Location lists, types and macros say nothing about names and lines, and are the larger half.
pub(super) const NEEDED: [&str; 10] = [
    ".debug_abbrev",
    ".debug_addr",
    ".debug_aranges",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
];

/// Sections that are there from the beginning.
pub(super) struct Ready<'s>(HashMap<&'static str, &'s [u8]>);

impl<'s> Ready<'s> {
    pub(super) fn load(mut section: impl FnMut(&'static str) -> &'s [u8]) -> Ready<'s> {
        Ready(NEEDED.iter().map(|&name| (name, section(name))).collect())
    }
}

impl<'s> Supply<'s> for Ready<'s> {
    fn size(&self, name: &'static str) -> u64 {
        self.whole(name).len() as u64
    }

    fn whole(&self, name: &'static str) -> &'s [u8] {
        self.0.get(name).copied().unwrap_or(&[])
    }

    fn part(&self, _: &'static str, _: u64) -> Option<&'s [u8]> {
        None
    }
}

/// A supply that is asked only once for each section.
pub(super) struct Sections<'s> {
    supply: Box<dyn Supply<'s> + 's>,
    known: [OnceCell<&'s [u8]>; NEEDED.len()],
}

impl<'s> Sections<'s> {
    pub(super) fn new(supply: Box<dyn Supply<'s> + 's>) -> Sections<'s> {
        Sections { supply, known: Default::default() }
    }

    /// Bytes of all sections that are read.
    pub(super) fn size(&self) -> u64 {
        NEEDED.iter().map(|name| self.supply.size(name)).fold(0, u64::saturating_add)
    }

    pub(super) fn size_of(&self, name: &'static str) -> u64 {
        self.supply.size(name)
    }

    /// A section; empty if it does not exist or is not needed.
    pub(super) fn whole(&self, name: &'static str) -> &'s [u8] {
        let Some(place) = NEEDED.iter().position(|&needed| needed == name) else { return &[] };
        self.known[place].get_or_init(|| self.supply.whole(name))
    }

    /// `.debug_info` from a place on.
    pub(super) fn info_from(&self, start: u64) -> &'s [u8] {
        self.supply.part(".debug_info", start).unwrap_or_else(|| {
            let start = usize::try_from(start).unwrap_or(usize::MAX);
            self.whole(".debug_info").get(start..).unwrap_or(&[])
        })
    }
}

impl fmt::Debug for Sections<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sections").field("size", &self.size()).finish_non_exhaustive()
    }
}
