//! Code that is in no file (made by a JIT compiler): the bytes around every address on a stack that
//! points into it, so that a return address can be told from other values later.
use threaddump_arch::{Arch, Registers};

use super::memory::ReadMemory;
use crate::snapshot::{Mapping, MemoryPiece, Module, ThreadSnapshot};

/// Bytes copied before each address: the longest call instruction, and room for alignment.
const BEFORE: u64 = 16;
/// Bytes copied from each address on.
const AFTER: u64 = 32;
/// All code of a process together.
const LIMIT: u64 = 16 << 20;
/// Different addresses that are looked at.
const MAX_POINTERS: usize = 1 << 20;

/// What registers and stacks hold that may be an address of such code.
#[derive(Debug)]
pub(super) struct Pointers {
    /// Where such code is, by ascending address.
    pub(super) ranges: Vec<(u64, u64)>,
    /// By ascending address.
    pub(super) addresses: Vec<u64>,
}

impl Pointers {
    /// The pointers of all threads; none if there is no such code.
    pub(super) fn of(mappings: &[Mapping], modules: &[Module], threads: &[ThreadSnapshot]) -> Pointers {
        let ranges = fileless_code(mappings, modules);
        let mut addresses = Vec::new();
        let mut full = MAX_POINTERS;
        for thread in threads.iter().filter(|_| !ranges.is_empty()) {
            let registers = thread.registers.iter().flat_map(Registers::iter).map(|(_, _, value)| value);
            let Some(arch) = thread.registers.as_ref().map(Registers::arch) else { continue };
            let words = thread.stacks.iter().flat_map(|piece| aligned_words(arch, piece));
            for word in registers.chain(words).filter(|&word| range_of(&ranges, word).is_some()) {
                addresses.push(word);
                if addresses.len() >= full {
                    addresses.sort_unstable();
                    addresses.dedup();
                    full = MAX_POINTERS.max(2 * addresses.len());
                }
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_POINTERS);
        Pointers { ranges, addresses }
    }

    /// The addresses, and the byte before each: a caller is looked up there.
    pub(super) fn lookups(&self) -> Vec<u64> {
        let pairs = self.addresses.iter().flat_map(|&address| [address.saturating_sub(1), address]);
        let mut lookups: Vec<u64> = pairs.collect();
        lookups.sort_unstable();
        lookups.dedup();
        lookups
    }
}

/// Whether there is code in no file.
pub(super) fn is_generated(mappings: &[Mapping], modules: &[Module]) -> bool {
    !fileless_code(mappings, modules).is_empty()
}

/// Copies the code that the stacks and registers of the threads point to.
pub(super) fn copy(memory: &dyn ReadMemory, pointers: &Pointers) -> Vec<MemoryPiece> {
    let ranges = &pointers.ranges;
    let addresses = pointers.addresses.iter();
    let addresses: Vec<_> =
        addresses.filter_map(|&address| Some((address, range_of(ranges, address)?))).collect();
    let mut pieces = Vec::new();
    for (start, end) in merge(&addresses) {
        let mut bytes = vec![0; (end - start) as usize];
        let length = memory.read(start, &mut bytes);
        bytes.truncate(length);
        if !bytes.is_empty() {
            pieces.push(MemoryPiece { start, bytes });
        }
    }
    pieces
}

/// Executable memory that no module covers, by ascending address.
fn fileless_code(mappings: &[Mapping], modules: &[Module]) -> Vec<(u64, u64)> {
    let in_module = |mapping: &Mapping| {
        let after = modules.partition_point(|module| module.start <= mapping.start);
        modules[..after].last().is_some_and(|module| mapping.start < module.end)
    };
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for mapping in mappings {
        if !(mapping.permissions.execute && mapping.permissions.read) || in_module(mapping) {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.1 == mapping.start => last.1 = mapping.end,
            _ => ranges.push((mapping.start, mapping.end)),
        }
    }
    ranges
}

fn range_of(ranges: &[(u64, u64)], address: u64) -> Option<(u64, u64)> {
    let after = ranges.partition_point(|&(start, _)| start <= address);
    // A return address may stand right behind the last call of a range.
    ranges[..after].last().copied().filter(|&(_, end)| address <= end)
}

fn aligned_words(arch: Arch, piece: &MemoryPiece) -> impl Iterator<Item = u64> + '_ {
    let size = usize::from(arch.pointer_size());
    let skip = (piece.start.wrapping_neg() & (size as u64 - 1)) as usize;
    let words = piece.bytes.get(skip..).unwrap_or_default().chunks_exact(size);
    words.map(move |bytes| arch.number(bytes))
}

/// The surroundings of sorted addresses within their ranges, neighbours merged, up to the limit.
fn merge(addresses: &[(u64, (u64, u64))]) -> Vec<(u64, u64)> {
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    let mut total = 0;
    for &(address, (low, high)) in addresses {
        let start = address.saturating_sub(BEFORE).max(low);
        let end = address.saturating_add(AFTER).min(high);
        let more = match pieces.last_mut() {
            Some(last) if start <= last.1 => {
                let more = end.saturating_sub(last.1);
                last.1 = last.1.max(end);
                more
            }
            _ => {
                pieces.push((start, end));
                end - start
            }
        };
        total += more;
        if total >= LIMIT {
            break;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::parse_maps;

    #[test]
    fn only_code_outside_of_modules_counts() {
        let mappings = parse_maps(
            b"1000-2000 r-xp 0 8:1 5 /lib/x\n3000-4000 rwxp 0 0:0 0\n4000-5000 r-xp 0 0:0 0\n\
              6000-7000 rw-p 0 0:0 0\n7000-8000 --xp 0 0:0 0 [vsyscall]\n",
        );
        assert_eq!(fileless_code(&mappings, &[]), [(0x1000, 0x2000), (0x3000, 0x5000)]);
    }

    #[test]
    fn neighbours_are_one_piece_and_ranges_are_kept() {
        let range = (0x1000, 0x2000);
        let addresses = [(0x1004, range), (0x1020, range), (0x1100, range), (0x2000, range)];
        assert_eq!(merge(&addresses), [(0x1000, 0x1040), (0x10f0, 0x1120), (0x1ff0, 0x2000)]);
        assert_eq!(merge(&[]), []);
    }

    #[test]
    fn the_copy_is_limited() {
        let range = (0, u64::MAX);
        let addresses: Vec<_> = (0..1_000_000).map(|index| (index * 4096, range)).collect();
        let total: u64 = merge(&addresses).iter().map(|(start, end)| end - start).sum();
        assert!((LIMIT..LIMIT + 64).contains(&total));
    }

    #[test]
    fn words_are_taken_at_aligned_addresses() {
        let piece =
            MemoryPiece { start: 0x1004, bytes: [vec![0xff; 4], vec![1, 0, 0, 0, 0, 0, 0, 0, 9]].concat() };
        assert_eq!(aligned_words(Arch::X86_64, &piece).collect::<Vec<_>>(), [1]);
        let short = MemoryPiece { start: 0x1001, bytes: vec![0; 3] };
        assert_eq!(aligned_words(Arch::X86_64, &short).count(), 0);
    }
}
