//! Unwind rules of 32-bit ARM code ("Exception Handling ABI for the Arm Architecture", sections 5, 6, 9 and 10).
//!
//! `.ARM.exidx` is a sorted table of functions; what it says of one is a few instructions that pop a
//! virtual stack. They hold at calls, not within prologues.
use threaddump_arch::{Arch, RegisterId};

use crate::address::FileAddress;
use crate::row::{Cfa, Row, Rule};

const ENTRY: usize = 8;
const CANNOT_UNWIND: u32 = 1;
/// Words of instructions of one function; real ones have one or two.
const MAX_WORDS: usize = 16;

/// The row of an address by the table `exidx`, whose first byte has the file address `start`. `at` gives the bytes
/// from a file address on (of `.ARM.extab`). `None` if the table has no rules for it, or such as a row
/// cannot express.
pub fn exidx_row<'s>(
    exidx: &[u8],
    start: u64,
    address: FileAddress,
    at: impl Fn(u64) -> Option<&'s [u8]>,
) -> Option<Row> {
    let (mut low, mut high) = (0, exidx.len() / ENTRY);
    while low < high {
        let middle = low + (high - low) / 2;
        if function(exidx, start, middle)? <= address.0 { low = middle + 1 } else { high = middle }
    }
    let place = low.checked_sub(1)? * ENTRY;
    let entry = word(exidx, place + 4)?;
    let mut code = Code { bytes: [0; 4 * MAX_WORDS], length: 0, next: 0 };
    if entry == CANNOT_UNWIND {
        return None;
    }
    if entry >> 31 == 1 {
        code.push(entry, 3);
    } else {
        code.read(at(relative(start + place as u64 + 4, entry))?)?;
    }
    Pops::run(code)?.row()
}

fn word(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// A place-relative offset of 31 bits.
fn relative(place: u64, value: u32) -> u64 {
    place.wrapping_add_signed(i64::from((value << 1) as i32 >> 1)) & 0xffff_ffff
}

fn function(exidx: &[u8], start: u64, index: usize) -> Option<u64> {
    let place = index * ENTRY;
    Some(relative(start + place as u64, word(exidx, place)?) & !1)
}

/// Instructions in their order: the highest byte of a word is the first.
struct Code {
    bytes: [u8; 4 * MAX_WORDS],
    length: usize,
    next: usize,
}

impl Code {
    /// Adds the lowest `count` bytes of a word.
    fn push(&mut self, word: u32, count: usize) {
        for byte in &word.to_be_bytes()[4 - count..] {
            if let Some(slot) = self.bytes.get_mut(self.length) {
                *slot = *byte;
                self.length += 1;
            }
        }
    }

    /// An entry of `.ARM.extab`: a compact one, or one of a language's own, which C++ and Rust begin with the same.
    fn read(&mut self, entry: &[u8]) -> Option<()> {
        let first = word(entry, 0)?;
        let (mut place, more) = match (first >> 31, first >> 24 & 15) {
            (1, 0) => {
                self.push(first, 3);
                (4, 0)
            }
            (1, 1 | 2) => {
                self.push(first, 2);
                (4, first >> 16 & 0xff)
            }
            (1, _) => return None,
            _ => {
                let second = word(entry, 4)?;
                self.push(second, 3);
                (8, second >> 24)
            }
        };
        if more as usize >= MAX_WORDS {
            return None;
        }
        for _ in 0..more {
            self.push(word(entry, place)?, 4);
            place += 4;
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes[..self.length].get(self.next)?;
        self.next += 1;
        Some(byte)
    }

    fn uleb(&mut self) -> Option<i64> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// Where the virtual stack pointer is, and what has been popped.
struct Pops {
    base: u8,
    offset: i64,
    /// Offsets from the base.
    saved: [Option<i64>; 16],
}

impl Pops {
    fn run(mut code: Code) -> Option<Pops> {
        let mut pops = Pops { base: 13, offset: 0, saved: [None; 16] };
        while let Some(byte) = code.byte() {
            match byte {
                0x00..=0x3f => pops.offset += i64::from(byte & 0x3f) * 4 + 4,
                0x40..=0x7f => pops.offset -= i64::from(byte & 0x3f) * 4 + 4,
                0x80..=0x8f => {
                    let mask = u16::from(byte & 15) << 8 | u16::from(code.byte()?);
                    // No register at all: the function cannot be unwound.
                    pops.pop(Some(mask).filter(|mask| *mask != 0)? << 4);
                }
                0x9d | 0x9f => return None,
                0x90..=0x9e => pops.begin_at(byte & 15)?,
                0xa0..=0xa7 => pops.pop(low(byte)),
                0xa8..=0xaf => pops.pop(low(byte) | 1 << 14),
                0xb0 => break,
                0xb1 => pops.pop(u16::from(code.byte().filter(|mask| (1..16).contains(mask))?)),
                0xb2 => pops.offset += 0x204 + code.uleb()? * 4,
                0xb3 => pops.offset += i64::from(code.byte()? & 15) * 8 + 12,
                // The code that authenticates the return address.
                0xb4 => pops.offset += 4,
                0xb8..=0xbf => pops.offset += i64::from(byte & 7) * 8 + 12,
                0xc8 | 0xc9 => pops.offset += i64::from(code.byte()? & 15) * 8 + 8,
                0xd0..=0xd7 => pops.offset += i64::from(byte & 7) * 8 + 8,
                _ => return None,
            }
        }
        Some(pops)
    }

    /// Takes the stack pointer from a register. What was popped before stands relative to another.
    fn begin_at(&mut self, register: u8) -> Option<()> {
        let nothing = self.saved.iter().all(Option::is_none);
        (self.base, self.offset) = (register, 0);
        nothing.then_some(())
    }

    fn pop(&mut self, mask: u16) {
        for (register, slot) in self.saved.iter_mut().enumerate() {
            if mask >> register & 1 == 1 {
                *slot = Some(self.offset);
                self.offset += 4;
            }
        }
    }

    fn row(&self) -> Option<Row> {
        let id = |number: u8| -> Option<RegisterId> { Arch::Arm.from_dwarf(u16::from(number)) };
        let (link, pc) = (14, 15);
        let mut row = Row::new(id(link)?);
        row.cfa = Cfa::RegisterOffset(id(self.base)?, self.offset);
        for (number, place) in (0..).zip(self.saved) {
            let Some(place) = place else { continue };
            // What is popped into the pc is the return address.
            let number = if number == pc { link } else { number };
            row.set(id(number)?, Rule::Offset(place - self.offset));
        }
        Some(row)
    }
}

/// r4 to r4 + n.
fn low(byte: u8) -> u16 {
    ((1 << (u32::from(byte & 7) + 1)) - 1) << 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: u64 = 0x2000;
    const EXTRA: u64 = 0x3000;

    /// A table of functions at 0x1000, 0x1100, …, with these second words.
    fn table(entries: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, entry) in (0_u32..).zip(entries) {
            let place = TABLE as u32 + index * 8;
            bytes.extend(((0x1000 + index * 0x100).wrapping_sub(place) & 0x7fff_ffff).to_le_bytes());
            bytes.extend(entry.to_le_bytes());
        }
        bytes
    }

    fn row(entries: &[u32], address: u64, extra: &'static [u8]) -> Option<Row> {
        exidx_row(&table(entries), TABLE, FileAddress(address), |at| (at == EXTRA).then_some(extra))
    }

    fn rules(row: &Row) -> (Cfa, Vec<(&'static str, i64)>) {
        let saved = Arch::Arm.iter().filter_map(|(id, info)| match row.get(id) {
            Rule::Offset(offset) => Some((info.name, offset)),
            _ => None,
        });
        (row.cfa, saved.collect())
    }

    fn based_on(number: u16, offset: i64) -> Cfa {
        Cfa::RegisterOffset(Arch::Arm.from_dwarf(number).expect("a register"), offset)
    }

    #[test]
    fn inline_entries_are_found_by_their_function() {
        // add sp, #8; pop {r4, r5, lr}; finish. Then: sp = r7; pop {r7, lr} (mask 0x408).
        let entries = [0x8001_a9b0, 0x8097_8408, CANNOT_UNWIND];
        let first = row(&entries, 0x1010, &[]).expect("it has rules");
        assert_eq!(rules(&first), (based_on(13, 20), vec![("r4", -12), ("r5", -8), ("lr", -4)]));
        let second = row(&entries, 0x11ff, &[]).expect("it has rules");
        assert_eq!(rules(&second), (based_on(7, 8), vec![("r7", -8), ("lr", -4)]));
        assert_eq!(row(&entries, 0x1200, &[]), None, "cannot be unwound");
        assert_eq!(row(&entries, 0xfff, &[]), None, "before the first");
    }

    #[test]
    fn longer_entries_stand_elsewhere() {
        let entry = ((EXTRA - TABLE - 4) as u32) & 0x7fff_ffff;
        // Compact model 1 with one more word: vsp += 0x204 + (1 << 2); pop {r4-r7, lr}; finish.
        let bytes: &[u8] = &[0x01, 0xb2, 0x01, 0x81, 0xb0, 0xb0, 0xb0, 0xab];
        let found = row(&[entry], 0x1000, bytes).expect("it has rules");
        let saved = vec![("r4", -20), ("r5", -16), ("r6", -12), ("r7", -8), ("lr", -4)];
        assert_eq!(rules(&found), (based_on(13, 0x208 + 20), saved));
        // A personality routine, then its three bytes: pop {r4, pc} (mask 0x801).
        let bytes: &[u8] = &[0x10, 0, 0, 0, 0xb0, 0x01, 0x88, 0];
        let found = row(&[entry], 0x1000, bytes).expect("it has rules");
        assert_eq!(rules(&found), (based_on(13, 8), vec![("r4", -8), ("lr", -4)]));
    }

    #[test]
    fn a_leaf_keeps_its_return_address_in_the_link_register() {
        let found = row(&[0x80b0_b0b0], 0x1000, &[]).expect("it has rules");
        assert_eq!(rules(&found), (based_on(13, 0), vec![]));
    }

    #[test]
    fn arbitrary_tables_are_survived() {
        let mut state = 1_u32;
        let mut bytes = [0_u8; 64];
        for round in 0..100_000_usize {
            for byte in &mut bytes {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
            let extra = bytes;
            let address = FileAddress(u64::from(state));
            for start in [TABLE, u64::from(u32::MAX), u64::MAX >> 1] {
                exidx_row(&bytes[..round % 65], start, address, |_| Some(&extra[..]));
            }
        }
    }
}
