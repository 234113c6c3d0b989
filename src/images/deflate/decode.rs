//! Decodes blocks.
use super::Bad;
use super::tables::{DISTANCE_BITS, END, LITERAL, LITERAL_BITS, LONG, SIZE, SPECIAL, Table};

/// How far back a match may reach, in bytes.
pub(super) const WINDOW: usize = 1 << 15;
/// Output that is made before it is handed on.
const PIECE: usize = 1 << 17;
/// Longest match, and what a copy may write beyond its end.
const SLACK: usize = 258 + 2 * STEP;
/// Copied at a time.
const STEP: usize = 16;

/// One place of output: a byte; or, where the output before is not known yet, a byte or its place there.
pub(super) trait Place: Copy + Default + From<u8> + Send + 'static {
    /// What was before the first block.
    fn before() -> Vec<Self>;
}

impl Place for u8 {
    fn before() -> Vec<u8> {
        Vec::new()
    }
}

/// From 256 on: the place in the unknown output before.
impl Place for u16 {
    fn before() -> Vec<u16> {
        (256..256 + WINDOW as u16).collect()
    }
}

/// Takes output as it comes.
pub(super) trait Sink<T> {
    /// `start`: place of the first in all output; false ends the decoding.
    fn take(&mut self, start: u64, places: &[T]) -> bool;
    /// A block begins at a bit of the input and a place of the output, after `window`; false ends
    /// the decoding there.
    fn block(&mut self, bit: u64, start: u64, window: &[T]) -> bool;
}

/// How decoding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// After the last block; with the bytes of output.
    End(u64),
    /// The sink wanted no more.
    Asked,
}

pub(super) struct Bits<'d> {
    pub(super) input: &'d [u8],
    at: usize,
    bits: u64,
    left: u32,
}

impl<'d> Bits<'d> {
    pub(super) fn new(input: &'d [u8], bit: u64) -> Bits<'d> {
        let mut bits = Bits { input, at: (bit / 8) as usize, bits: 0, left: 0 };
        bits.refill();
        bits.bits >>= bit % 8;
        bits.left -= (bit % 8) as u32;
        bits
    }

    /// At least 56 bits; zeros after the end of the input.
    #[inline(always)]
    fn refill(&mut self) {
        let word = match self.input.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.last_bytes(),
        };
        self.bits |= word << self.left;
        self.at += ((63 - self.left) >> 3) as usize;
        self.left |= 56;
    }

    #[cold]
    fn last_bytes(&self) -> u64 {
        let mut bytes = [0; 8];
        let rest = self.input.get(self.at..).unwrap_or(&[]);
        bytes[..rest.len().min(8)].copy_from_slice(&rest[..rest.len().min(8)]);
        u64::from_le_bytes(bytes)
    }

    #[inline(always)]
    fn drop(&mut self, count: u32) {
        self.bits >>= count;
        self.left -= count;
    }

    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        if self.left < count {
            self.refill();
        }
        let value = (self.bits & ((1 << count) - 1)) as u32;
        self.drop(count);
        value
    }

    pub(super) fn position(&self) -> u64 {
        self.at as u64 * 8 - u64::from(self.left)
    }

    fn ended(&self) -> bool {
        self.position() > self.input.len() as u64 * 8
    }
}

pub(super) struct Decoder<'d, T> {
    bits: Bits<'d>,
    /// Output, after some of what was before.
    out: Vec<T>,
    /// What of `out` is filled, and what of that was handed on.
    filled: usize,
    given: usize,
    /// Place of `out[given]` in all output.
    place: u64,
    codes: Codes,
}

/// The codes of one block.
pub(super) struct Codes {
    literals: Table,
    distances: Table,
}

impl<'d, T: Place> Decoder<'d, T> {
    /// Begins with a block at a bit of the input, which makes the output from `place` on.
    pub(super) fn new(input: &'d [u8], bit: u64, place: u64, window: &[T]) -> Decoder<'d, T> {
        let window = &window[window.len().saturating_sub(WINDOW)..];
        let mut out = vec![T::default(); WINDOW + PIECE + SLACK];
        out[..window.len()].copy_from_slice(window);
        let (filled, given) = (window.len(), window.len());
        let codes = Codes { literals: Table::new(), distances: Table::new() };
        Decoder { bits: Bits::new(input, bit), out, filled, given, place, codes }
    }

    pub(super) fn run(&mut self, sink: &mut impl Sink<T>) -> Result<Stop, Bad> {
        loop {
            let start = self.place + (self.filled - self.given) as u64;
            let window = &self.out[self.filled.saturating_sub(WINDOW)..self.filled];
            if !sink.block(self.bits.position(), start, window) {
                return Ok(Stop::Asked);
            }
            let last = self.bits.take(1) == 1;
            let goes_on = match self.bits.take(2) {
                0 => self.stored(sink)?,
                kind @ 1..=2 => {
                    if kind == 1 {
                        self.codes.fixed()?
                    } else {
                        self.codes.read(&mut self.bits)?
                    }
                    self.coded(sink)?
                }
                _ => return Err(Bad),
            };
            if !goes_on {
                return Ok(Stop::Asked);
            }
            if self.bits.ended() {
                return Err(Bad);
            }
            if last {
                let more = self.hand_on(sink);
                return Ok(if more { Stop::End(self.place) } else { Stop::Asked });
            }
        }
    }

    /// Hands output on, and makes room for more.
    fn hand_on(&mut self, sink: &mut impl Sink<T>) -> bool {
        let new = &self.out[self.given..self.filled];
        let goes_on = sink.take(self.place, new);
        self.place += new.len() as u64;
        let kept = self.filled.min(WINDOW);
        self.out.copy_within(self.filled - kept..self.filled, 0);
        (self.filled, self.given) = (kept, kept);
        goes_on
    }

    fn stored(&mut self, sink: &mut impl Sink<T>) -> Result<bool, Bad> {
        self.bits.take((self.bits.left) % 8);
        let (length, inverse) = (self.bits.take(16), self.bits.take(16));
        if length != !inverse & 0xffff {
            return Err(Bad);
        }
        let start = (self.bits.position() / 8) as usize;
        let end = start + length as usize;
        let mut bytes = self.bits.input.get(start..end).ok_or(Bad)?;
        while !bytes.is_empty() {
            if self.filled >= WINDOW + PIECE && !self.hand_on(sink) {
                return Ok(false);
            }
            let (now, later) = bytes.split_at(bytes.len().min(WINDOW + PIECE - self.filled));
            let places = &mut self.out[self.filled..][..now.len()];
            places.iter_mut().zip(now).for_each(|(place, &byte)| *place = byte.into());
            self.filled += now.len();
            bytes = later;
        }
        self.bits = Bits::new(self.bits.input, end as u64 * 8);
        Ok(true)
    }

    fn coded(&mut self, sink: &mut impl Sink<T>) -> Result<bool, Bad> {
        loop {
            if self.filled >= WINDOW + PIECE && !self.hand_on(sink) {
                return Ok(false);
            }
            let end = self.codes.decode(&mut self.bits, &mut self.out, &mut self.filled)?;
            if end {
                return Ok(true);
            }
            if self.bits.ended() {
                return Err(Bad);
            }
        }
    }
}

#[inline(always)]
fn low(bits: u64, count: u32) -> u64 {
    bits & ((1_u64 << (count & 63)) - 1)
}

impl Codes {
    /// Until the end of the block (true), or until the output is nearly full or the input over.
    #[inline(never)]
    fn decode<T: Place>(
        &self,
        source: &mut Bits<'_>,
        out: &mut [T],
        filled: &mut usize,
    ) -> Result<bool, Bad> {
        let mut bits = Bits { ..*source };
        let mut at = *filled;
        let result = self.decode_into(&mut bits, out, &mut at);
        *source = bits;
        *filled = at;
        result
    }

    #[inline(always)]
    fn decode_into<T: Place>(&self, bits: &mut Bits<'_>, out: &mut [T], at: &mut usize) -> Result<bool, Bad> {
        const LITERAL_MASK: usize = (1 << LITERAL_BITS) - 1;
        const DISTANCE_MASK: usize = (1 << DISTANCE_BITS) - 1;
        let (literals, distances) = (&*self.literals.0, &*self.distances.0);
        let room = out.len().min(WINDOW + PIECE + SLACK) - SLACK;
        bits.refill();
        let mut entry = literals[bits.bits as usize & LITERAL_MASK];
        while *at < room {
            // Three short literals at most, so that a refill has enough for what follows.
            if entry & LITERAL != 0 {
                bits.drop(entry & 31);
                out[*at] = ((entry >> 16) as u8).into();
                *at += 1;
                entry = literals[bits.bits as usize & LITERAL_MASK];
                if entry & LITERAL != 0 {
                    bits.drop(entry & 31);
                    out[*at] = ((entry >> 16) as u8).into();
                    *at += 1;
                    entry = literals[bits.bits as usize & LITERAL_MASK];
                    if entry & LITERAL != 0 {
                        bits.drop(entry & 31);
                        out[*at] = ((entry >> 16) as u8).into();
                        *at += 1;
                        entry = literals[bits.bits as usize & LITERAL_MASK];
                        bits.refill();
                        continue;
                    }
                }
                bits.refill();
            }
            if entry & SPECIAL != 0 {
                if entry & LONG != 0 {
                    bits.drop(entry & 31);
                    let place = (entry >> 16) as usize + low(bits.bits, entry >> 8 & 15) as usize;
                    entry = literals[place & (SIZE - 1)];
                    if entry & LITERAL != 0 {
                        bits.drop(entry & 31);
                        out[*at] = ((entry >> 16) as u8).into();
                        *at += 1;
                        entry = literals[bits.bits as usize & LITERAL_MASK];
                        bits.refill();
                        continue;
                    }
                }
                if entry & SPECIAL != 0 {
                    bits.drop(entry & 31);
                    return if entry & END != 0 { Ok(true) } else { Err(Bad) };
                }
            }
            let length = (entry >> 16) as usize + (low(bits.bits, entry & 31) >> (entry >> 8 & 15)) as usize;
            bits.drop(entry & 31);
            let mut far = distances[bits.bits as usize & DISTANCE_MASK];
            if far & SPECIAL != 0 {
                bits.drop(far & 31);
                let place = (far >> 16) as usize + low(bits.bits, far >> 8 & 15) as usize;
                let second = distances[place & (SIZE - 1)];
                if far & LONG == 0 || second & SPECIAL != 0 {
                    return Err(Bad);
                }
                far = second;
            }
            let distance = (far >> 16) as usize + (low(bits.bits, far & 31) >> (far >> 8 & 15)) as usize;
            bits.drop(far & 31);
            // The next lookup waits for memory while the copy is made.
            bits.refill();
            entry = literals[bits.bits as usize & LITERAL_MASK];
            copy(out, *at, distance, length)?;
            *at += length;
        }
        Ok(false)
    }

    fn fixed(&mut self) -> Result<(), Bad> {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.literals.literals(&lengths)?;
        self.distances.distances(&[5; 32])
    }

    fn read(&mut self, bits: &mut Bits<'_>) -> Result<(), Bad> {
        let lengths = read_lengths(bits)?;
        self.literals.literals(&lengths.0[..lengths.1])?;
        self.distances.distances(&lengths.0[lengths.1..lengths.2])
    }
}

/// Copies from `distance` before, which the copy itself may have written.
#[inline(always)]
fn copy<T: Place>(out: &mut [T], at: usize, distance: usize, length: usize) -> Result<(), Bad> {
    let from = at.checked_sub(distance).ok_or(Bad)?;
    if distance >= STEP {
        let mut done = 0;
        loop {
            // As arrays, which are a move or two; slices may become a call.
            let step = *out.get(from + done..).and_then(|rest| rest.first_chunk::<STEP>()).ok_or(Bad)?;
            let rest = out.get_mut(at + done..).ok_or(Bad)?;
            *rest.first_chunk_mut::<STEP>().ok_or(Bad)? = step;
            done += STEP;
            if done >= length {
                return Ok(());
            }
        }
    }
    if distance == 1 {
        let value = out[from];
        out[at..][..length].fill(value);
        return Ok(());
    }
    let region = &mut out[from..at + length];
    for place in distance..region.len() {
        region[place] = region[place - distance];
    }
    Ok(())
}

/// Lengths of codes; how many are for literals and lengths, and where those for distances end.
pub(super) fn read_lengths(bits: &mut Bits<'_>) -> Result<([u8; 320], usize, usize), Bad> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literals = bits.take(5) as usize + 257;
    let distances = bits.take(5) as usize + 1;
    let given = bits.take(4) as usize + 4;
    if literals > 286 || distances > 30 {
        return Err(Bad);
    }
    let mut short = [0_u8; 19];
    let mut space = 0;
    for &place in &ORDER[..given] {
        let length = bits.take(3);
        short[place] = length as u8;
        space += if length > 0 { 128 >> length } else { 0 };
    }
    if space != 128 {
        return Err(Bad);
    }
    let table = short_table(&short);
    let mut lengths = [0_u8; 320];
    let (mut at, all) = (0, literals + distances);
    while at < all {
        bits.refill();
        let (symbol, length) = table[(bits.bits & 127) as usize];
        bits.drop(u32::from(length));
        let (value, times) = match symbol {
            16 => (lengths[at.checked_sub(1).ok_or(Bad)?], 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            plain => (plain, 1),
        };
        let end = at + times as usize;
        if end > all {
            return Err(Bad);
        }
        lengths[at..end].fill(value);
        at = end;
    }
    if lengths[256] == 0 { Err(Bad) } else { Ok((lengths, literals, all)) }
}

fn short_table(lengths: &[u8; 19]) -> [(u8, u8); 128] {
    let mut table = [(0, 0); 128];
    let mut code = 0_u32;
    for length in 1..=7_u8 {
        for symbol in (0..19_u8).filter(|&symbol| lengths[usize::from(symbol)] == length) {
            let reversed = (code.reverse_bits() >> (32 - u32::from(length))) as usize;
            table.iter_mut().skip(reversed).step_by(1 << length).for_each(|place| *place = (symbol, length));
            code += 1;
        }
        code <<= 1;
    }
    table
}
