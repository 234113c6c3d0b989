//! lz4 streams that may end anywhere. The decoder wants whole blocks, which have up to 4 MiB, and takes a stream that
//! ends between two of them for a whole one. So blocks are looked at before they are given to it, and one that is
//! cut is given as far as it goes (lz4_Frame_format.md and lz4_Block_format.md of lz4).
use std::hash::Hasher;
use std::io::{self, Read};

use lz4_flex::frame::FrameDecoder;
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184d_2204;
/// The part of a block's length that says that it is not compressed.
const PLAIN: u32 = 1 << 31;
/// Bytes of the longest block.
const MAX_BLOCK: usize = 4 << 20;

/// Frames one after the other; the decoder gives nothing at the end of each.
pub(super) struct Lz4<R: Read>(FrameDecoder<Mended<R>>);

impl<R: Read> Lz4<R> {
    pub(super) fn new(source: R) -> Lz4<R> {
        Lz4(FrameDecoder::new(Mended { source, ready: Vec::new(), given: 0, place: Place::Begin }))
    }
}

impl<R: Read> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.0.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let source = self.0.get_mut();
            if !source.fill()? {
                let is_cut = matches!(source.place, Place::Cut);
                return if is_cut { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(0) };
            }
        }
    }
}

/// A stream without a block that is cut.
struct Mended<R> {
    source: R,
    /// What comes next: a header or a block.
    ready: Vec<u8>,
    /// How much of that was given.
    given: usize,
    place: Place,
}

/// What comes after that.
#[derive(Clone, Copy)]
enum Place {
    /// A frame, or the end.
    Begin,
    Blocks(Frame),
    /// What is left to the decoder.
    Other,
    /// Nothing, although there should be more.
    Cut,
}

/// What the blocks and the end of a frame have.
#[derive(Clone, Copy)]
struct Frame {
    block_checksums: bool,
    checksum: bool,
}

impl<R: Read> Read for Mended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let length = (&self.ready[self.given..]).read(buffer)?;
        self.given += length;
        Ok(length)
    }
}

impl<R: Read> Mended<R> {
    /// Has something ready, unless there is nothing.
    fn fill(&mut self) -> io::Result<bool> {
        if self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
            match self.place {
                Place::Begin => self.header()?,
                Place::Blocks(frame) => self.block(frame)?,
                Place::Other => drop(self.take(1 << 16)?),
                Place::Cut => {}
            }
        }
        Ok(!self.ready.is_empty())
    }

    /// Adds so many bytes to what is ready, or those that there are.
    fn take(&mut self, length: usize) -> io::Result<bool> {
        let took = self.source.by_ref().take(length as u64).read_to_end(&mut self.ready)?;
        Ok(took == length)
    }

    fn header(&mut self) -> io::Result<()> {
        let whole = self.take(4)?;
        if !whole || number(&self.ready) != Some(MAGIC) {
            let end = self.ready.is_empty() || whole;
            self.place = if end { Place::Other } else { Place::Cut };
            return Ok(());
        }
        let whole = self.take(2)?;
        let flags = self.ready.get(4).copied().unwrap_or(0);
        let has = |bit: u8| flags & (1 << bit) != 0;
        // The length of the contents, the id of a dictionary, and a byte of a checksum.
        let rest = if has(3) { 8 } else { 0 } + if has(0) { 4 } else { 0 } + 1;
        let frame = Frame { block_checksums: has(4), checksum: has(2) };
        self.place = if whole && self.take(rest)? { Place::Blocks(frame) } else { Place::Cut };
        Ok(())
    }

    fn block(&mut self, frame: Frame) -> io::Result<()> {
        let whole = self.take(4)?;
        let Some(head) = number(&self.ready).filter(|_| whole) else {
            self.ready.clear();
            self.place = Place::Cut;
            return Ok(());
        };
        if head == 0 {
            let ended = !frame.checksum || self.take(4)?;
            self.place = if ended { Place::Begin } else { Place::Cut };
            return Ok(());
        }
        let length = (head & !PLAIN) as usize;
        if length > MAX_BLOCK {
            self.place = Place::Other;
            return Ok(());
        }
        if self.take(length + if frame.block_checksums { 4 } else { 0 })? {
            return Ok(());
        }
        self.place = Place::Cut;
        let there = &self.ready[4..self.ready.len().min(4 + length)];
        let there = if head & PLAIN == 0 { whole_sequences(there) } else { there.to_vec() };
        self.ready.clear();
        if there.is_empty() {
            return Ok(());
        }
        let head = there.len() as u32 | head & PLAIN;
        self.ready.extend(head.to_le_bytes());
        if frame.block_checksums {
            let mut hash = XxHash32::with_seed(0);
            hash.write(&there);
            self.ready.extend(&there);
            self.ready.extend((hash.finish() as u32).to_le_bytes());
        } else {
            self.ready.extend(&there);
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// A block that ends where this one is cut: with the literals of a sequence. What is copied from before in the
/// sequence that is cut is left out.
fn whole_sequences(block: &[u8]) -> Vec<u8> {
    let mut start = 0;
    let literals = loop {
        let Some(sequence) = Sequence::of(block, start) else { break &[][..] };
        match sequence.end {
            Some(end) if end < block.len() => start = end,
            // A last one has no copy; this one may have one whose end is there.
            Some(end) => {
                start = end;
                break &[][..];
            }
            None => break sequence.literals,
        }
    };
    let mut whole = block[..start].to_vec();
    if start > 0 || !literals.is_empty() {
        add_literals(&mut whole, literals);
    }
    whole
}

/// Literals, and then a copy of what was before.
struct Sequence<'b> {
    literals: &'b [u8],
    /// Where the next one begins; `None` if the copy is not there as a whole.
    end: Option<usize>,
}

impl<'b> Sequence<'b> {
    /// `None` if not even the length of its literals is there.
    fn of(block: &'b [u8], start: usize) -> Option<Sequence<'b>> {
        let token = *block.get(start)?;
        let (length, at) = length(block, start + 1, token >> 4)?;
        let literals = &block[at..block.len().min(at.saturating_add(length))];
        // Two bytes say from where.
        let copy = at.saturating_add(length).saturating_add(2);
        let end = if copy <= block.len() { self::length(block, copy, token & 15) } else { None };
        Some(Sequence { literals, end: end.map(|(_, end)| end) })
    }
}

/// A length that goes on in further bytes, and where they end.
fn length(block: &[u8], mut at: usize, first: u8) -> Option<(usize, usize)> {
    let mut length = usize::from(first);
    if first == 15 {
        loop {
            let byte = *block.get(at)?;
            at += 1;
            length = length.saturating_add(usize::from(byte));
            if byte != 255 {
                break;
            }
        }
    }
    Some((length, at))
}

/// A last sequence.
fn add_literals(block: &mut Vec<u8>, literals: &[u8]) {
    block.push((literals.len().min(15) as u8) << 4);
    if let Some(mut rest) = literals.len().checked_sub(15) {
        while rest >= 255 {
            block.push(255);
            rest -= 255;
        }
        block.push(rest as u8);
    }
    block.extend(literals);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

    use super::*;

    fn contents() -> Vec<u8> {
        // Literals and copies, long and short ones of both.
        let mut bytes = Vec::new();
        let mut state = 1_u32;
        while bytes.len() < 150_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let length = (state >> 20) as usize % 600;
            let start = (state >> 3) as usize % (bytes.len() + 1);
            let copy: Vec<u8> = bytes[start..bytes.len().min(start + length)].to_vec();
            bytes.extend(copy);
            let random = (0..(state >> 8) % 400).map(|n| (state.rotate_left(n) ^ n) as u8);
            bytes.extend(random);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<u8>, io::Result<usize>) {
        let mut out = Vec::new();
        let result = Lz4::new(bytes).read_to_end(&mut out);
        (out, result)
    }

    #[test]
    fn a_stream_gives_what_it_has_wherever_it_is_cut() {
        let contents = contents();
        for checksums in [false, true] {
            for mode in [BlockMode::Independent, BlockMode::Linked] {
                let info = FrameInfo::new()
                    .block_size(BlockSize::Max64KB)
                    .block_mode(mode)
                    .block_checksums(checksums)
                    .content_checksum(checksums);
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&contents).expect("memory");
                let packed = encoder.finish().expect("memory");
                assert_eq!(read(&packed).0, contents);
                assert!(read(&packed).1.is_ok());
                let mut before = 0;
                let near = (0..1000).chain(packed.len() - 20..packed.len());
                let mut cuts: Vec<usize> = near.chain((1000..packed.len()).step_by(997)).collect();
                cuts.sort_unstable();
                for cut in cuts {
                    let (out, result) = read(&packed[..cut]);
                    assert!(contents.starts_with(&out), "{cut}");
                    assert!(result.is_err() || cut == 0, "{cut} is said");
                    assert!(out.len() >= before, "{cut}: {} after {before}", out.len());
                    before = out.len();
                    // Each byte of a literal counts.
                    assert!(cut < 900 || out.len() + 2000 > cut, "{cut}: {}", out.len());
                }
                assert_eq!(before, contents.len());
            }
        }
    }

    #[test]
    fn damage_is_no_panic() {
        let mut encoder = FrameEncoder::new(Vec::new());
        encoder.write_all(&contents()[..30_000]).expect("memory");
        let packed = encoder.finish().expect("memory");
        for place in 0..packed.len().min(2000) {
            let mut damaged = packed.clone();
            damaged[place] ^= 0xff;
            let _ = read(&damaged);
            let _ = read(&damaged[..packed.len() - 100]);
        }
    }

    #[test]
    fn frames_follow_each_other() {
        let mut encoder = FrameEncoder::new(Vec::new());
        encoder.write_all(b"one").expect("memory");
        let one = encoder.finish().expect("memory");
        let two = [&one[..], &one].concat();
        assert_eq!(read(&two).0, b"oneone");
        let (out, result) = read(&two[..one.len() + 2]);
        assert!(out == b"one" && result.is_err());
    }
}
