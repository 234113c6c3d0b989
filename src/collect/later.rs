//! What a process mapped between the first look at it and the copy.
use super::modules::Finder;
use crate::snapshot::{Mapping, Module, Problem};

/// Mappings and modules, to which those are added that came between the first reading and the copy.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) mappings: Vec<Mapping>,
    pub(super) modules: Vec<Module>,
    pub(super) problems: Vec<Problem>,
}

impl Later {
    /// Without a finder the memory can be looked at no more, and there are no new modules.
    pub(super) fn add(&mut self, after: &[Mapping], finder: Option<Finder<'_>>) {
        if let Some(mut finder) = finder {
            self.modules.extend(finder.find(after, &self.modules));
            self.modules.sort_by_key(|module| module.start);
            self.problems.append(&mut finder.problems);
        }
        self.mappings = union(std::mem::take(&mut self.mappings), after);
    }
}

/// The mappings of both, the first going before; of the second, the parts that lie between.
pub(super) fn union(before: Vec<Mapping>, after: &[Mapping]) -> Vec<Mapping> {
    let mut added = Vec::new();
    for mapping in after {
        let mut at = mapping.start;
        let first = before.partition_point(|known| known.end <= mapping.start);
        let inside = before[first..].iter().take_while(|known| known.start < mapping.end);
        for known in inside {
            added.extend(part(mapping, at, known.start));
            at = known.end;
        }
        added.extend(part(mapping, at, mapping.end));
    }
    let mut all = before;
    all.append(&mut added);
    all.sort_by_key(|mapping| mapping.start);
    all
}

fn part(mapping: &Mapping, start: u64, end: u64) -> Option<Mapping> {
    let offset = mapping.offset.wrapping_add(start.wrapping_sub(mapping.start));
    (start < end).then(|| Mapping { start, end, offset, ..mapping.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::parse_maps;

    fn ranges(before: &str, after: &str) -> Vec<(u64, u64, u64)> {
        let (before, after) = (parse_maps(before.as_bytes()), parse_maps(after.as_bytes()));
        union(before, &after).iter().map(|mapping| (mapping.start, mapping.end, mapping.offset)).collect()
    }

    #[test]
    fn new_mappings_are_added_and_old_ones_kept() {
        let before = "1000-2000 r--p 0 0:0 0\n5000-6000 r--p 0 0:0 0\n";
        let after = "1000-2000 r--p 0 0:0 0\n3000-4000 r--p 0 0:0 0\n";
        assert_eq!(ranges(before, after), [(0x1000, 0x2000, 0), (0x3000, 0x4000, 0), (0x5000, 0x6000, 0)]);
    }

    #[test]
    fn a_mapping_that_grew_gives_its_new_parts() {
        let before = "2000-3000 r--p 1000 8:1 5 /x\n4000-5000 r--p 0 0:0 0\n";
        let after = "1000-6000 r--p 0 8:1 5 /x\n";
        assert_eq!(
            ranges(before, after),
            [
                (0x1000, 0x2000, 0),
                (0x2000, 0x3000, 0x1000),
                (0x3000, 0x4000, 0x2000),
                (0x4000, 0x5000, 0),
                (0x5000, 0x6000, 0x4000)
            ]
        );
    }
}
