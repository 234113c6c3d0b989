//! Huffman codes of one block as tables that are looked up with the next bits.
use super::Bad;

/// Bits that the first lookup of a literal or length takes; longer codes need a second one.
pub(super) const LITERAL_BITS: u32 = 11;
/// The same for distances.
pub(super) const DISTANCE_BITS: u32 = 9;
/// Bits of an entry that hold how many bits to take off: the code and what follows it.
pub(super) const LITERAL: u32 = 1 << 15;
/// No literal, length or distance: one of the following three.
pub(super) const SPECIAL: u32 = 1 << 14;
/// The end of the block.
pub(super) const END: u32 = 1 << 13;
/// A second lookup, from the place in the upper half.
pub(super) const LONG: u32 = 1 << 7;

/// Longest code, in bits.
const MAX_LENGTH: usize = 15;
/// Room for the first lookup and all second ones, a power of two.
pub(super) const SIZE: usize = 4096;

/// A table. In an entry, from the lowest bit: how many bits to take off (5 bits), how many of them are
/// the code (bits 8 to 11), flags, and in the upper half the literal, or the least length or distance.
pub(super) struct Table(pub(super) Box<[u32; SIZE]>);

/// Lengths from symbol 257 on: the least one, and how many bits are added to it.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// The same for distances.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

impl Table {
    pub(super) fn new() -> Table {
        Table(vec![0; SIZE].into_boxed_slice().try_into().expect("a vector of that length"))
    }

    /// Reads the code of literals and lengths.
    pub(super) fn literals(&mut self, lengths: &[u8]) -> Result<(), Bad> {
        self.fill(lengths, LITERAL_BITS, false, |symbol| match symbol {
            0..256 => LITERAL | (symbol as u32) << 16,
            256 => SPECIAL | END,
            _ => LENGTHS
                .get(symbol - 257)
                .map_or(SPECIAL, |&(least, more)| u32::from(least) << 16 | u32::from(more)),
        })
    }

    /// Reads the code of distances.
    pub(super) fn distances(&mut self, lengths: &[u8]) -> Result<(), Bad> {
        self.fill(lengths, DISTANCE_BITS, true, |symbol| {
            DISTANCES.get(symbol).map_or(SPECIAL, |&(least, more)| u32::from(least) << 16 | u32::from(more))
        })
    }

    /// `entry` gives an entry without the bits of its code.
    fn fill(
        &mut self,
        lengths: &[u8],
        first: u32,
        may_lack: bool,
        entry: impl Fn(usize) -> u32,
    ) -> Result<(), Bad> {
        let mut count = [0_u16; MAX_LENGTH + 1];
        lengths.iter().for_each(|&length| count[usize::from(length) & MAX_LENGTH] += 1);
        count[0] = 0;
        if !is_complete(&count) {
            let lone = count[1] == 1 && count[2..].iter().all(|&count| count == 0);
            let none = count.iter().all(|&count| count == 0);
            if !may_lack || !(lone || none) {
                return Err(Bad);
            }
            self.0[..1 << first].fill(SPECIAL);
        }
        // Symbols by length of their code, in the order of their codes.
        let mut next = [0_u16; MAX_LENGTH + 2];
        for length in 1..=MAX_LENGTH {
            next[length + 1] = next[length] + count[length];
        }
        let mut sorted = [0_u16; 320];
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let place = &mut next[usize::from(length) & MAX_LENGTH];
            *sorted.get_mut(usize::from(*place)).ok_or(Bad)? = symbol as u16;
            *place += 1;
        }
        self.spread(&sorted, &count, first, entry);
        Ok(())
    }

    fn spread(
        &mut self,
        sorted: &[u16; 320],
        count: &[u16; MAX_LENGTH + 1],
        first: u32,
        entry: impl Fn(usize) -> u32,
    ) {
        let (mut code, mut at) = (0_u32, 0);
        let (mut free, mut begun, mut width) = (1_usize << first, u32::MAX, 0);
        for length in 1..=MAX_LENGTH as u32 {
            for left in (1..=count[length as usize]).rev() {
                let symbol = usize::from(sorted[at]);
                at += 1;
                // Codes come with their first bit lowest.
                let reversed = code.reverse_bits() >> (32 - length);
                let plain = entry(symbol);
                if length <= first {
                    let full = plain + length | length << 8;
                    let places = self.0[..1 << first].iter_mut().skip(reversed as usize).step_by(1 << length);
                    places.for_each(|place| *place = full);
                } else {
                    let root = reversed & ((1 << first) - 1);
                    if root != begun {
                        begun = root;
                        width = second_width(count, length, first, u32::from(left));
                        self.0[root as usize] = SPECIAL | LONG | first | width << 8 | (free as u32) << 16;
                        free += 1 << width;
                    }
                    let rest = length - first;
                    let full = plain + rest | rest << 8;
                    let start = free - (1 << width);
                    let end = free.min(SIZE);
                    let places = self.0[start.min(end)..end].iter_mut();
                    places
                        .skip((reversed >> first) as usize)
                        .step_by(1 << rest)
                        .for_each(|place| *place = full);
                }
                code += 1;
            }
            code <<= 1;
        }
    }
}

/// Bits that a second lookup takes: enough for the codes that begin in the same way, of which `left` have
/// this length.
fn second_width(count: &[u16; MAX_LENGTH + 1], length: u32, first: u32, left: u32) -> u32 {
    let mut width = length - first;
    let mut used = left;
    while used < 1 << width {
        width += 1;
        let Some(&more) = count.get((first + width) as usize) else { return width - 1 };
        used = (used << 1) + u32::from(more);
    }
    width
}

/// Whether every sequence of bits is some code.
pub(super) fn is_complete(count: &[u16; MAX_LENGTH + 1]) -> bool {
    let space = count.iter().enumerate().skip(1);
    space.map(|(length, &count)| u32::from(count) << (MAX_LENGTH - length)).sum::<u32>() == 1 << MAX_LENGTH
}
