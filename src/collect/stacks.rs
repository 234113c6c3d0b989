//! Copying stacks without knowing how to unwind them.
use threaddump_arch::{Arch, Registers};

use super::arena::{Arena, ArenaPiece};
use super::memory::ReadMemory;
use crate::ids::Tid;
use crate::snapshot::Mapping;

/// Bytes copied at once of each stack.
const FIRST: usize = 64 << 10;
/// Most bytes of a stack that is known to be a thread's own.
const STACK_LIMIT: u64 = 16 << 20;
/// Most bytes above a guard page: the kernel joins a stack with whatever happens to lie above it.
const GUARDED_LIMIT: u64 = 1 << 20;
/// Most bytes above the thread pointer that can be of interest: one page.
const ABOVE_POINTER: u64 = 4096;
/// Most bytes where a stack cannot be told from other memory: coroutines, heaps, unknown mappings.
const OTHER_LIMIT: u64 = 256 << 10;
/// All stacks of a process together; beyond it each thread gets [`FIRST`] bytes.
const BUDGET: u64 = 1 << 30;
/// Bytes below the stack pointer that a function without a frame may use (System V ABI, red zone).
const RED_ZONE: u64 = 128;
/// The guard below a stack: a page for threads, 1 MiB for the main stack (`stack_guard_gap`). One
/// frame may step that far into it.
const MAX_GAP: u64 = 1 << 20;
/// Stacks of one thread: its own, and those that signal handlers interrupted.
const PIECES: usize = 4;
/// Signal frames looked at on each of them.
const FRAMES: usize = 256;

/// Memory that can be a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
    kind: Kind,
}

/// What a range of memory is, as far as the maps tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The stack of the first thread, or of a thread whose thread pointer is above.
    Stack,
    /// Memory that begins with a stack, since there is a guard page below.
    Guarded,
    Other,
}

/// Readable memory of a process, as it was before the stop.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    /// Joins what belongs together: one stack may be several mappings with different flags.
    pub(super) fn new(mappings: &[Mapping]) -> Ranges {
        let mut ranges: Vec<Range> = Vec::new();
        let mut before: Option<&Mapping> = None;
        for mapping in mappings {
            let previous = before.replace(mapping).filter(|before| before.end == mapping.start);
            if !mapping.permissions.read {
                continue;
            }
            let continues = previous.is_some_and(|before| is_plain(before) && before.path == mapping.path);
            match ranges.last_mut() {
                Some(last) if continues && is_plain(mapping) => last.end = mapping.end,
                _ => {
                    let kind = match previous.is_some_and(is_guard) && is_plain(mapping) {
                        _ if mapping.path == b"[stack]" => Kind::Stack,
                        true => Kind::Guarded,
                        false => Kind::Other,
                    };
                    ranges.push(Range { start: mapping.start, end: mapping.end, kind });
                }
            }
        }
        Ranges(ranges)
    }

    fn at(&self, address: u64) -> Option<Range> {
        let after = self.0.partition_point(|range| range.start <= address);
        self.0[..after].last().copied().filter(|range| address < range.end)
    }

    /// The stack that has overflowed if the stack pointer is in the gap below it.
    fn overflowed(&self, sp: u64) -> Option<Range> {
        let above = self.0.get(self.0.partition_point(|range| range.start <= sp))?;
        (above.kind != Kind::Other && above.start - sp <= MAX_GAP).then_some(*above)
    }

    /// The stack at an address. C libraries put the thread pointer's block at the upper end of the
    /// stacks they make (glibc, musl), so it tells where a stack ends that is one mapping with other
    /// memory.
    fn stack_at(&self, address: u64, thread_pointer: Option<u64>) -> Option<Range> {
        let range = self.at(address).or_else(|| self.overflowed(address))?;
        // Of a stack that has overflowed, the address is in the gap below it.
        let on_it = address.max(range.start)..range.end;
        let Some(pointer) = thread_pointer.filter(|pointer| on_it.contains(pointer)) else {
            return Some(range);
        };
        let end = pointer.saturating_add(ABOVE_POINTER).min(range.end);
        Some(Range { end, kind: Kind::Stack, ..range })
    }
}

fn is_plain(mapping: &Mapping) -> bool {
    let rights = mapping.permissions;
    !mapping.has_file() && rights.read && rights.write && !rights.shared
}

fn is_guard(mapping: &Mapping) -> bool {
    let rights = mapping.permissions;
    !(mapping.has_file() || rights.read || rights.write || rights.execute)
}

/// Copies stacks of one process.
#[derive(Debug)]
pub(super) struct StackCopier<'a> {
    memory: &'a dyn ReadMemory,
    ranges: &'a Ranges,
    limit: Option<u64>,
    budget: u64,
    pub(super) arena: Arena,
}

/// The stacks of one thread.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    pub(super) pieces: Vec<ArenaPiece>,
    pub(super) cut: bool,
}

impl<'a> StackCopier<'a> {
    /// For so many threads; `limit` replaces the limits of each stack.
    pub(super) fn new(
        threads: usize,
        memory: &'a dyn ReadMemory,
        ranges: &'a Ranges,
        limit: Option<u64>,
    ) -> StackCopier<'a> {
        StackCopier { memory, ranges, limit, budget: BUDGET, arena: Arena::new(threads, FIRST) }
    }

    /// Copies the stack at the stack pointer, and those that signal frames on it lead to.
    pub(super) fn copy(&mut self, tid: Tid, arch: Arch, registers: &Registers) -> Stacks {
        let mut stacks = Stacks::default();
        let Some(sp) = registers.sp().filter(|&sp| sp != 0) else { return stacks };
        let pointer = thread_pointer(arch, registers);
        self.copy_piece(tid, sp, pointer, &mut stacks);
        let mut looked_at = 0;
        while looked_at < stacks.pieces.len() && stacks.pieces.len() < PIECES {
            let piece = stacks.pieces[looked_at];
            let frames = arch.find_signal_frames(self.arena.bytes(piece.place), piece.start);
            let sps: Vec<u64> = frames.filter_map(|frame| frame.registers.sp()).take(FRAMES).collect();
            for sp in sps {
                let known = stacks.pieces.iter().any(|piece| (piece.start..piece.end()).contains(&sp));
                if !known && stacks.pieces.len() < PIECES {
                    self.copy_piece(tid, sp, pointer, &mut stacks);
                }
            }
            looked_at += 1;
        }
        stacks
    }

    /// Copies from just below `sp` up to the limit, the end of the stack, a hole, or a piece that is
    /// there already.
    fn copy_piece(&mut self, tid: Tid, sp: u64, pointer: Option<u64>, stacks: &mut Stacks) {
        let below = sp.saturating_sub(RED_ZONE) & !7;
        let range = self.ranges.stack_at(below, pointer).or_else(|| self.ranges.stack_at(sp, pointer));
        // A stack made after the maps were read can lie right below a known one; then it has not
        // overflowed, and can be read.
        let is_new = |range: &Range| sp < range.start && self.memory.read_by(tid, sp & !7, &mut [0; 8]) > 0;
        let range = range.filter(|range| !is_new(range));
        let mut low = range.map_or(below, |range| below.max(range.start));
        let above = stacks.pieces.iter().map(|piece| piece.start).filter(|&start| start > low).min();
        let end = range.map_or(u64::MAX, |range| range.end).min(above.unwrap_or(u64::MAX));
        let wanted = end.saturating_sub(low).min(self.limit(range)) as usize;
        let mut piece = self.read(tid, low, wanted);
        if piece.is_none() && low < sp & !7 {
            // Nothing is mapped below sp: the pointer stands at the very start of a stack.
            low = sp & !7;
            piece = self.read(tid, low, wanted.saturating_sub(RED_ZONE as usize));
        }
        let Some(piece) = piece else { return };
        stacks.cut |= piece.end() - low == wanted as u64 && piece.end() < end;
        stacks.pieces.push(piece);
    }

    fn limit(&self, range: Option<Range>) -> u64 {
        let limit = match (self.limit, range) {
            (Some(limit), _) => limit.max(RED_ZONE),
            (None, Some(Range { kind: Kind::Stack, .. })) => STACK_LIMIT,
            (None, Some(Range { kind: Kind::Guarded, .. })) => GUARDED_LIMIT,
            (None, _) => OTHER_LIMIT,
        };
        // Where the end is not known, nothing but a hole would stop a very large limit.
        let limit = if range.is_none() { limit.min(STACK_LIMIT) } else { limit };
        limit.min(self.budget.max(FIRST as u64))
    }

    /// Reads a little first, since most stacks end soon and large rooms cost time.
    fn read(&mut self, tid: Tid, low: u64, wanted: usize) -> Option<ArenaPiece> {
        let first = wanted.min(FIRST);
        let mut copied = self.memory.read_by(tid, low, self.arena.room(first));
        if copied == first && first < wanted {
            copied = self.memory.read_by(tid, low, self.arena.room(wanted));
        }
        self.budget = self.budget.saturating_sub(copied as u64);
        (copied > 0).then(|| ArenaPiece { start: low, place: self.arena.keep(copied) })
    }
}

fn thread_pointer(arch: Arch, registers: &Registers) -> Option<u64> {
    let name = match arch {
        Arch::X86_64 => "fs_base",
        Arch::Riscv64 => "tp",
        Arch::Ppc64le => "r13",
        Arch::Loongarch64 => "r2",
        // It is in a register that the general set does not have.
        _ => return None,
    };
    let (id, _) = arch.iter().find(|(_, info)| info.name == name)?;
    registers.get(id)
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::Kind::{Guarded, Other, Stack};
    use super::*;
    use crate::proc::parse_maps;
    use crate::snapshot::MemoryPiece;

    fn ranges(text: &str) -> Vec<(u64, u64, Kind)> {
        Ranges::new(&parse_maps(text.as_bytes())).0.iter().map(|r| (r.start, r.end, r.kind)).collect()
    }

    #[test]
    fn a_mapping_behind_a_guard_is_a_stack() {
        let text = "1000-2000 ---p 0 0:0 0\n2000-9000 rw-p 0 0:0 0\n9000-a000 ---p 0 0:0 0\n\
                    a000-c000 rw-p 0 0:0 0\nd000-e000 rw-p 0 0:0 0\n";
        assert_eq!(
            ranges(text),
            [(0x2000, 0x9000, Guarded), (0xa000, 0xc000, Guarded), (0xd000, 0xe000, Other)]
        );
    }

    #[test]
    fn a_stack_of_several_mappings_is_one() {
        let text = "1000-2000 ---p 0 0:0 0\n2000-3000 rw-p 0 0:0 0\n3000-4000 rwxp 0 0:0 0\n\
                    5000-6000 rw-p 0 0:0 0 [stack]\n";
        assert_eq!(ranges(text), [(0x2000, 0x4000, Guarded), (0x5000, 0x6000, Stack)]);
    }

    #[test]
    fn files_and_shared_memory_are_no_stacks() {
        let text = "1000-2000 ---p 0 8:1 5 /lib/x\n2000-3000 rw-p 0 8:1 5 /lib/x\n3000-4000 ---p 0 0:0 0\n\
                    4000-5000 rw-s 0 0:0 0\n";
        assert_eq!(ranges(text), [(0x2000, 0x3000, Other), (0x4000, 0x5000, Other)]);
    }

    fn own_id() -> Tid {
        Tid(std::process::id() as i32)
    }

    fn own_memory() -> Memory {
        Memory::of(own_id())
    }

    /// A piece of our own memory that plays the stack of a thread.
    struct Own {
        memory: Vec<u64>,
        ranges: Ranges,
    }

    impl Own {
        fn new(words: usize, kind: Kind) -> Own {
            let memory: Vec<u64> = (0..words as u64).collect();
            let start = memory.as_ptr() as u64;
            let range = Range { start, end: start + words as u64 * 8, kind };
            Own { memory, ranges: Ranges(vec![range]) }
        }

        fn copy(&self, word: usize, limit: Option<u64>) -> (u64, Vec<MemoryPiece>, bool) {
            let sp = self.memory.as_ptr() as u64 + word as u64 * 8;
            let mut registers = Registers::new(Arch::X86_64);
            registers.set(Arch::X86_64.sp(), sp);
            let memory = own_memory();
            let mut copier = StackCopier::new(1, &memory, &self.ranges, limit);
            let stacks = copier.copy(own_id(), Arch::X86_64, &registers);
            (sp, copier.arena.take(&stacks.pieces), stacks.cut)
        }

        fn check(&self, piece: &MemoryPiece) {
            let first = ((piece.start - self.memory.as_ptr() as u64) / 8) as usize;
            for (index, bytes) in piece.bytes.chunks_exact(8).enumerate() {
                assert_eq!(bytes, self.memory[first + index].to_le_bytes());
            }
        }
    }

    #[test]
    fn a_shallow_stack_is_copied_with_its_red_zone() {
        let own = Own::new(4096, Stack);
        let (sp, pieces, cut) = own.copy(4000, None);
        assert_eq!((pieces.len(), cut), (1, false));
        assert_eq!(pieces[0].start, sp - 128);
        assert_eq!(pieces[0].bytes.len(), 128 + 96 * 8);
        own.check(&pieces[0]);
    }

    #[test]
    fn a_stack_deeper_than_the_buffer_is_copied_whole() {
        for words in [2000, 9000, 20_000, 400_000] {
            let own = Own::new(words, Stack);
            let (_, pieces, cut) = own.copy(16, None);
            assert_eq!((pieces[0].bytes.len(), cut), (words * 8, false));
            own.check(&pieces[0]);
        }
    }

    #[test]
    fn other_memory_is_cut_and_said_to_be() {
        let own = Own::new(100_000, Other);
        let (_, pieces, cut) = own.copy(16, None);
        assert_eq!((pieces[0].bytes.len() as u64, cut), (OTHER_LIMIT, true));
        let (_, pieces, cut) = own.copy(16, Some(1000));
        assert_eq!((pieces[0].bytes.len(), cut), (1000, true));
        let (_, pieces, cut) = own.copy(16, Some(1 << 30));
        assert_eq!((pieces[0].bytes.len(), cut), (800_000, false));
    }

    #[test]
    fn the_thread_pointer_ends_a_stack_that_is_joined_with_other_memory() {
        let ranges = Ranges::new(&parse_maps(b"1000-2000 ---p 0 0:0 0\n2000-90000000 rw-p 0 0:0 0\n"));
        let end = |pointer| ranges.stack_at(0x5000, pointer).map(|range| (range.end, range.kind));
        assert_eq!(end(Some(0x8_0740)), Some((0x8_1740, Stack)));
        assert_eq!(end(Some(0x8fff_f740)), Some((0x9000_0000, Stack)));
        for elsewhere in [None, Some(0x4000), Some(0x9000_0000), Some(u64::MAX)] {
            assert_eq!(end(elsewhere), Some((0x9000_0000, Guarded)));
        }
        let overflowed = ranges.stack_at(0x1f00, Some(0x1f80)).map(|range| (range.start, range.end));
        assert_eq!(overflowed, Some((0x2000, 0x9000_0000)), "there is no thread's block in a guard");
    }

    #[test]
    fn a_new_stack_right_below_a_known_one_has_not_overflowed() {
        let mut own = Own::new(40_000, Stack);
        let base = own.memory.as_ptr() as u64;
        own.ranges = Ranges(vec![Range { start: base + 20_000 * 8, end: base + 40_000 * 8, kind: Guarded }]);
        let (sp, pieces, _) = own.copy(19_000, None);
        assert_eq!(pieces[0].start, sp - 128);
        own.check(&MemoryPiece { start: sp, bytes: pieces[0].bytes[128..128 + 8000].to_vec() });
    }

    #[test]
    fn wild_stack_pointers_give_no_stack() {
        let ranges = Ranges::default();
        let memory = own_memory();
        let mut copier = StackCopier::new(1, &memory, &ranges, None);
        for sp in [0, 1, 127, 128, 4096, 1 << 63, u64::MAX - 7, u64::MAX] {
            let mut registers = Registers::new(Arch::X86_64);
            for (id, _) in Arch::X86_64.iter() {
                registers.set(id, sp);
            }
            let stacks = copier.copy(own_id(), Arch::X86_64, &registers);
            assert!(stacks.pieces.is_empty(), "{sp:#x}");
        }
    }

    #[test]
    fn the_stack_a_signal_handler_interrupted_is_copied_too() {
        let mut own = Own::new(4096, Stack);
        let base = own.memory.as_ptr() as u64;
        // A handler at word 100 on an alternate stack that ends at word 1000; the frame at word 200
        // says that the interrupted code has its sp at word 3000.
        own.ranges = Ranges(vec![
            Range { start: base, end: base + 8000, kind: Other },
            Range { start: base + 16_000, end: base + 4096 * 8, kind: Stack },
        ]);
        own.memory[200 + 20] = base + 3000 * 8;
        own.memory[200 + 23] = 0x002b_0000_0000_0033;
        own.memory[200 + 28] = 0;
        let (_, pieces, cut) = own.copy(100, None);
        assert_eq!((pieces.len(), cut), (2, false));
        assert_eq!(pieces[1].start, base + 3000 * 8 - 128);
        assert_eq!(pieces[1].end(), base + 4096 * 8);
        own.check(&pieces[1]);
    }
}
