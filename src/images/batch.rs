//! Inflates the sections of several files at once, on all processors.
use std::ops::Range;

use super::deflate::{self, Bad, Decoded, Section, Seekable};
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

    /// The stream to read parts from, where that is less work than inflating all of it.
    fn stream(&self, packed: &Packed<'s>) -> Option<&'s [u8]> {
        let parts = self.parts.as_ref()?;
        let size = packed.compressed.size;
        // Before each part half of the space between two points is decoded a second time.
        let again =
            parts.iter().map(|part| (part.end - part.start).saturating_add(deflate::spacing(size) / 2));
        let again = again.fold(0, u64::saturating_add);
        packed.compressed.stream().filter(|_| again < size / 4)
    }
}

/// A piece of work for one thread.
enum Job<'s> {
    Whole(Compressed<'s>),
    Section(&'s [u8], Section, u64),
}

/// What became of it.
enum Done {
    Whole(Result<Vec<u8>, String>),
    Section(Result<Decoded, Bad>),
}

/// A need with the jobs that were made for it.
struct Open<'s> {
    need: Need<'s>,
    packed: Packed<'s>,
    /// The stream, if parts are read from it.
    stream: Option<&'s [u8]>,
    jobs: usize,
}

/// Inflates all that is needed and not there already. What cannot be inflated is told by
/// [`super::Images::problems`].
pub fn inflate(needs: Vec<Need<'_>>) {
    let (mut open, mut jobs) = (Vec::new(), Vec::new());
    let mut workers = parallel::workers();
    for need in needs {
        let packed = match need.contents.packed(need.name) {
            Ok(Some(packed)) => packed,
            Ok(None) => continue,
            Err(why) => {
                need.contents.keep(need.name, Err(why));
                continue;
            }
        };
        let stream = need.stream(&packed);
        let before = jobs.len();
        match stream {
            Some(stream) => {
                let sections = deflate::divide(stream, workers).into_iter();
                jobs.extend(sections.map(|section| Job::Section(stream, section, packed.compressed.size)));
            }
            None => jobs.push(Job::Whole(packed.compressed)),
        }
        open.push(Open { need, packed, stream, jobs: jobs.len() - before });
    }
    if open.iter().map(|open| open.packed.length).sum::<usize>() < WORTH {
        workers = 1;
    }
    let mut done = parallel::run(workers, jobs, Job::size, Job::run).into_iter();
    let (mut streams, mut parts) = (Vec::new(), Vec::new());
    for open in open {
        let results: Vec<Done> = done.by_ref().take(open.jobs).collect();
        match open.stream {
            Some(stream) => match join(stream, results, open.packed.compressed.size) {
                Ok(seekable) => {
                    let wanted = open.need.parts.clone().unwrap_or_default();
                    parts.extend(wanted.into_iter().map(|part| (streams.len(), part)));
                    streams.push((open.need, seekable));
                }
                Err(Bad) => drop(open.need.contents.keep(open.need.name, Err("bad data".to_owned()))),
            },
            None => {
                for result in results {
                    let Done::Whole(result) = result else { continue };
                    open.need.contents.keep(open.need.name, result);
                }
            }
        }
    }
    let seekables: Vec<&Seekable<'_>> = streams.iter().map(|(_, seekable)| seekable).collect();
    let read = parallel::run(
        workers,
        parts,
        |(_, part)| (part.end - part.start) as usize,
        |(stream, part)| (stream, part.start, seekables[stream].part(part)),
    );
    for (stream, start, bytes) in read {
        let Need { contents, name, .. } = &streams[stream].0;
        match bytes {
            Ok(bytes) => contents.keep_part(name, start, bytes),
            Err(Bad) => drop(contents.keep(name, Err("bad data".to_owned()))),
        }
    }
}

/// The stream whose sections were decoded; decoded again as a whole where it was divided wrongly.
fn join(stream: &[u8], results: Vec<Done>, size: u64) -> Result<Seekable<'_>, Bad> {
    let sections = results.into_iter().map(|done| match done {
        Done::Section(section) => section,
        Done::Whole(_) => Err(Bad),
    });
    let sections: Result<Vec<Decoded>, Bad> = sections.collect();
    let joined = sections.ok().and_then(|sections| Seekable::join(stream, sections));
    let joined = match joined {
        Some(joined) => joined,
        None => {
            let sections = deflate::divide(stream, 1);
            let whole = sections.iter().map(|section| deflate::decode(stream, section, size));
            Seekable::join(stream, whole.collect::<Result<Vec<Decoded>, Bad>>()?).ok_or(Bad)?
        }
    };
    if joined.size == size { Ok(joined) } else { Err(Bad) }
}

impl Job<'_> {
    fn size(&self) -> usize {
        match self {
            Job::Whole(compressed) => compressed.length(),
            Job::Section(_, section, _) => section.length(),
        }
    }

    fn run(self) -> Done {
        match self {
            Job::Whole(compressed) => Done::Whole(compressed.inflate()),
            Job::Section(stream, section, size) => Done::Section(deflate::decode(stream, &section, size)),
        }
    }
}
