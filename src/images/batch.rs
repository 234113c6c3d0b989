//! Inflates the sections of several files at once, on all processors.
use std::ops::Range;

use super::inflate::Compressed;
use super::sections::{Contents, Packed};
use crate::parallel;

/// Sections that names are read from, other than `.debug_info`.
const OTHERS: [&str; 8] = [
    ".debug_abbrev",
    ".debug_addr",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
];
const INFO: &str = ".debug_info";
/// A section that becomes smaller than this is inflated whole: that takes less time than passing over what is
/// not needed, and the memory does not count.
const LARGE: u64 = 32 << 20;
/// Compressed bytes that all sections have together before another thread is worth its start.
const WORTH: usize = 128 << 10;

/// A section, or parts of one, that is to be inflated.
#[derive(Clone, Debug)]
pub struct Need<'s> {
    contents: Contents<'s>,
    name: &'static str,
    /// What is read of it; all if `None`.
    parts: Option<Vec<Range<u64>>>,
}

impl<'s> Need<'s> {
    /// All sections of an object that names are read from; of `.debug_info` only `parts`.
    pub(super) fn all_of(contents: &Contents<'s>, parts: Option<Vec<Range<u64>>>) -> Vec<Need<'s>> {
        let need = |name, parts| Need { contents: contents.clone(), name, parts };
        let others = OTHERS.iter().map(|&name| need(name, None));
        others.chain([need(INFO, parts)]).collect()
    }

    /// What to keep of the section, where that saves much memory.
    fn wanted(&self, packed: &Packed<'s>) -> Option<Vec<Range<u64>>> {
        let parts = self.parts.as_ref()?;
        let size = packed.compressed.size;
        let kept = parts.iter().map(|part| part.end.saturating_sub(part.start)).fold(0, u64::saturating_add);
        let saves = size >= LARGE && kept < size / 4 && packed.compressed.has_parts();
        saves.then(|| parts.clone())
    }
}

/// A piece of work for one thread.
enum Job<'s> {
    Whole(Compressed<'s>),
    Parts(Compressed<'s>, Vec<Range<u64>>),
}

/// What became of it.
enum Done {
    Whole(Vec<u8>),
    /// Each with its place in the section.
    Parts(Vec<(u64, Vec<u8>)>),
}

/// Inflates all that is needed and not there already. What cannot be inflated is told by
/// [`super::Images::problems`].
pub fn inflate(needs: Vec<Need<'_>>) {
    let (mut open, mut jobs) = (Vec::new(), Vec::new());
    for need in needs {
        match need.contents.packed(need.name) {
            Ok(Some(packed)) => {
                jobs.push(match need.wanted(&packed) {
                    Some(parts) => Job::Parts(packed.compressed, parts),
                    None => Job::Whole(packed.compressed),
                });
                open.push(need);
            }
            Ok(None) => {}
            Err(why) => drop(need.contents.keep(need.name, Err(why))),
        }
    }
    let workers = if jobs.iter().map(Job::size).sum::<usize>() < WORTH { 1 } else { parallel::workers() };
    let done = parallel::run(workers, jobs, Job::size, Job::run);
    for (Need { contents, name, .. }, result) in open.into_iter().zip(done) {
        match result {
            Ok(Done::Whole(bytes)) => drop(contents.keep(name, Ok(bytes))),
            Ok(Done::Parts(parts)) => {
                parts.into_iter().for_each(|(start, bytes)| contents.keep_part(name, start, bytes));
            }
            Err(why) => drop(contents.keep(name, Err(why))),
        }
    }
}

impl Job<'_> {
    /// Compressed bytes.
    fn size(&self) -> usize {
        match self {
            Job::Whole(compressed) | Job::Parts(compressed, _) => compressed.length(),
        }
    }

    fn run(self) -> Result<Done, String> {
        match self {
            Job::Whole(compressed) => compressed.inflate().map(Done::Whole),
            Job::Parts(compressed, parts) => compressed.inflate_parts(&parts).map(Done::Parts),
        }
    }
}
