//! Parts of a stream, from anywhere in it.
//!
//! Each block may copy from the 32 KiB before it, so nothing can be decoded without all that was before;
//! that takes most of the time of a lookup in a large debug file. Several threads share it: each begins at
//! some block with the output before it unknown, and writes down what it copies from there. All then
//! know where every part is, and parts are decoded again from the nearest place that was kept.
use std::ops::Range;

use super::Bad;
use super::decode::{Bits, Decoder, Place, Sink, Stop, WINDOW, read_lengths};
use super::tables::is_complete;

/// Input that is worth a thread, in bytes.
const WORTH: usize = 1 << 20;
/// Output between two places that decoding can begin at, in bytes, and how many there are at most. Each
/// costs 64 KiB.
const SPACING: u64 = 256 << 10;
const POINTS: u64 = 512;
/// Input that is searched for the beginning of a block, in bytes. Blocks have some tens of kilobytes.
const SEARCHED: u64 = 512 << 10;

/// Where the last section ends: behind every bit of input.
const END: u64 = u64::MAX;

/// A place at which decoding can begin.
#[derive(Debug)]
struct Point {
    bit: u64,
    /// Place in the output of its section of the stream.
    place: u64,
    window: Vec<u16>,
}

/// A part of the stream that is decoded on its own, from a block to another.
#[derive(Debug)]
pub(in crate::images) struct Section {
    /// Bits of the input.
    from: u64,
    to: u64,
}

impl Section {
    /// Bytes of input, as far as they are known.
    pub(in crate::images) fn length(&self) -> usize {
        usize::try_from((self.to - self.from) / 8).unwrap_or(usize::MAX)
    }
}

/// A section that was decoded.
#[derive(Debug)]
pub(in crate::images) struct Decoded {
    points: Vec<Point>,
    /// Bytes of output.
    size: u64,
    /// What the next section copies from.
    window: Vec<u16>,
    /// Whether it ended where the next one begins, or with the stream if it is the last.
    fits: bool,
}

/// A stream whose every place can be decoded.
#[derive(Debug)]
pub(in crate::images) struct Seekable<'d> {
    input: &'d [u8],
    /// Where each section begins in the output, what was before it, and its points.
    sections: Vec<(u64, Vec<u8>, Vec<Point>)>,
    /// Bytes of output.
    pub(in crate::images) size: u64,
}

/// Divides a stream so that `workers` threads have enough to do.
pub(in crate::images) fn divide(input: &[u8], workers: usize) -> Vec<Section> {
    let wanted = if workers < 2 { 1 } else { (input.len() / WORTH).clamp(1, workers * 4) };
    let mut starts = vec![0];
    for number in 1..wanted {
        let near = (input.len() / wanted * number) as u64 * 8;
        starts.extend(find_block(input, near).filter(|start| starts.last() < Some(start)));
    }
    let ends = starts.iter().skip(1).copied().chain([END]);
    starts.iter().zip(ends).map(|(&from, to)| Section { from, to }).collect()
}

/// Output between two places that are kept, in bytes, of a stream with `size` bytes of output.
pub(in crate::images) fn spacing(size: u64) -> u64 {
    SPACING.max(size / POINTS)
}

/// Decodes one section of a stream that is said to have `size` bytes of output.
///
/// # Errors
///
/// If it is damaged, or has more.
pub(in crate::images) fn decode(input: &[u8], section: &Section, size: u64) -> Result<Decoded, Bad> {
    let spacing = spacing(size);
    let mut index = Index { limit: size, to: section.to, spacing, next: 0, points: Vec::new(), end: None };
    let mut decoder = Decoder::new(input, section.from, 0, &u16::before());
    let stop = decoder.run(&mut index)?;
    let (bit, size, window) = match (stop, index.end) {
        (Stop::End(size), _) => (END, size, Vec::new()),
        (Stop::Asked, Some(end)) => end,
        // It has more output than is allowed.
        (Stop::Asked, None) => return Err(Bad),
    };
    Ok(Decoded { points: index.points, size, window, fits: bit == section.to })
}

impl<'d> Seekable<'d> {
    /// Joins the sections of a stream. `None` if one of them began where there is no block.
    pub(in crate::images) fn join(input: &'d [u8], decoded: Vec<Decoded>) -> Option<Seekable<'d>> {
        let mut before = Vec::new();
        let mut size = 0_u64;
        let mut sections = Vec::with_capacity(decoded.len());
        for section in decoded {
            if !section.fits {
                return None;
            }
            let after = known(&section.window, &before)?;
            sections.push((size, std::mem::replace(&mut before, after), section.points));
            size = size.checked_add(section.size)?;
        }
        Some(Seekable { input, sections, size })
    }

    /// The output of a range.
    ///
    /// # Errors
    ///
    /// If the stream is damaged, or shorter.
    pub(in crate::images) fn part(&self, range: Range<u64>) -> Result<Vec<u8>, Bad> {
        let size = range.end.checked_sub(range.start).filter(|_| range.end <= self.size).ok_or(Bad)?;
        let at = self.sections.partition_point(|(start, ..)| *start <= range.start);
        let (start, before, points) = at.checked_sub(1).and_then(|at| self.sections.get(at)).ok_or(Bad)?;
        let at = points.partition_point(|point| start + point.place <= range.start);
        let point = at.checked_sub(1).and_then(|at| points.get(at)).ok_or(Bad)?;
        let window = known(&point.window, before).ok_or(Bad)?;
        let mut part = Part { bytes: Vec::with_capacity(size as usize), range };
        Decoder::new(self.input, point.bit, start + point.place, &window).run(&mut part)?;
        if part.bytes.len() as u64 == size { Ok(part.bytes) } else { Err(Bad) }
    }
}

/// Bytes in place of references to what was before.
fn known(window: &[u16], before: &[u8]) -> Option<Vec<u8>> {
    // A shorter one is the end of the unknown.
    let missing = WINDOW - before.len();
    let byte = |&place: &u16| match u8::try_from(place) {
        Ok(byte) => Some(byte),
        Err(_) => before.get((usize::from(place) - 256).checked_sub(missing)?).copied(),
    };
    // What lies before the stream is never copied from by an intact one.
    window.iter().map(|place| byte(place).or(Some(0).filter(|_| before.is_empty()))).collect()
}

/// Keeps points and ends with its section.
struct Index {
    /// Most output.
    limit: u64,
    to: u64,
    spacing: u64,
    /// Place of the next point.
    next: u64,
    points: Vec<Point>,
    end: Option<(u64, u64, Vec<u16>)>,
}

impl Sink<u16> for Index {
    fn take(&mut self, start: u64, places: &[u16]) -> bool {
        start + places.len() as u64 <= self.limit
    }

    fn block(&mut self, bit: u64, start: u64, window: &[u16]) -> bool {
        if bit >= self.to {
            self.end = Some((bit, start, window.to_vec()));
            return false;
        }
        if start >= self.next {
            self.points.push(Point { bit, place: start, window: window.to_vec() });
            self.next = start + self.spacing;
        }
        true
    }
}

/// Keeps the output of a range.
struct Part {
    bytes: Vec<u8>,
    range: Range<u64>,
}

impl Sink<u8> for Part {
    fn take(&mut self, start: u64, places: &[u8]) -> bool {
        let end = start + places.len() as u64;
        let (from, to) = (self.range.start.max(start), self.range.end.min(end));
        if from < to {
            self.bytes.extend_from_slice(&places[(from - start) as usize..(to - start) as usize]);
        }
        end < self.range.end
    }

    fn block(&mut self, _: u64, _: u64, _: &[u8]) -> bool {
        true
    }
}

/// The first block from a bit on, as far as its header and contents can tell.
fn find_block(input: &[u8], from: u64) -> Option<u64> {
    let end = (input.len() as u64).saturating_sub(8) * 8;
    (from..end.min(from + SEARCHED * 8)).find(|&bit| is_block(input, bit))
}

/// Whether a block with codes of its own that is not the last one seems to begin here.
fn is_block(input: &[u8], bit: u64) -> bool {
    let Some(bytes) = input.get((bit / 8) as usize..).and_then(|rest| rest.first_chunk::<4>()) else {
        return false;
    };
    let word = u32::from_le_bytes(*bytes) >> (bit % 8);
    if word & 7 != 4 || word >> 3 & 31 > 29 || word >> 8 & 31 > 29 {
        return false;
    }
    let mut bits = Bits::new(input, bit);
    bits.take(3);
    let Ok((lengths, literals, all)) = read_lengths(&mut bits) else { return false };
    let complete = |lengths: &[u8]| {
        let mut count = [0_u16; 16];
        lengths.iter().filter(|length| **length > 0).for_each(|&length| count[usize::from(length)] += 1);
        is_complete(&count)
    };
    if !complete(&lengths[..literals]) || !complete(&lengths[literals..all]) {
        return false;
    }
    // It decodes, and another one follows.
    let mut first =
        Index { limit: u64::MAX, to: bit + 1, spacing: 0, next: u64::MAX, points: Vec::new(), end: None };
    let decoded = Decoder::new(input, bit, 0, &u16::before()).run(&mut first);
    decoded.is_ok_and(|stop| stop == Stop::Asked)
}
