//! ELF symbols: which one holds an address.
use object::elf::{self, Sym32, Sym64};
use object::pod::{self, Pod};
use object::read::elf::Sym;
use object::{BigEndian as BE, LittleEndian as LE};
use threaddump_arch::Arch;

/// How far behind a symbol without a size an address may still be called by its name, in bytes.
/// Assembly seldom says how long a function is; a wrong name is worse than none.
const REACH: u64 = 4096;
/// Symbols looked at; the largest browsers have two million.
const MAX_SYMBOLS: usize = 1 << 22;
/// So many entries of zeros in a row are no symbols but a hole in a file.
const MAX_EMPTY: usize = 4096;
/// Comparisons one pass may make. Real symbols hardly overlap, so a pass makes about one per
/// address; only a crafted table in which all symbols hold all addresses comes near.
const MAX_COMPARISONS: usize = 1 << 20;
/// Bytes of a name that are compared. Symbols at one address that differ later are as good as each
/// other.
const MAX_COMPARED: usize = 256;
/// Ranges of code that overlap where an address is looked for; real ones do not.
const MAX_OVERLAP: usize = 8;

/// A piece of the file's address space that holds code: an executable section, or an executable
/// segment where there are no sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Section index as symbols name it; `None` fits any symbol.
    pub section: Option<u32>,
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
}

/// A symbol table (`.symtab` or `.dynsym`) with its strings.
#[derive(Clone, Debug)]
pub struct SymbolTable<'s> {
    symbols: Symbols<'s>,
    /// Bits of a function's value that are not part of its address.
    marks: u64,
    /// Section indexes that do not fit into a symbol (`SHT_SYMTAB_SHNDX`).
    extended: &'s [u8],
    strings: &'s [u8],
    code: Vec<Code>,
}

/// The symbols in the form of their file.
#[derive(Clone, Copy, Debug)]
enum Symbols<'s> {
    Wide(&'s [Sym64<LE>]),
    WideBig(&'s [Sym64<BE>]),
    Narrow(&'s [Sym32<LE>]),
}

/// One symbol, decoded.
#[derive(Clone, Copy)]
struct Entry {
    name: u32,
    kind: elf::SymbolType,
    bind: elf::SymbolBind,
    section: elf::SymbolSection,
    value: u64,
    size: u64,
}

impl Entry {
    #[inline(always)]
    fn new<S: Sym>(symbol: &S, order: S::Endian) -> Entry {
        Entry {
            name: symbol.st_name(order),
            kind: symbol.st_type(),
            bind: symbol.st_bind(),
            section: symbol.st_shndx(order),
            value: symbol.st_value(order).into(),
            size: symbol.st_size(order).into(),
        }
    }

    /// Whether all of it is zeros.
    fn is_nothing(&self) -> bool {
        let numbers = self.value | self.size | u64::from(self.name);
        numbers == 0
            && self.section == elf::SHN_UNDEF
            && self.kind == elf::STT_NOTYPE
            && self.bind == elf::STB_LOCAL
    }
}

#[inline]
fn each<S: Sym>(symbols: &[S], order: S::Endian, mut visit: impl FnMut(usize, &Entry) -> bool) {
    for (index, symbol) in symbols.iter().enumerate() {
        if !visit(index, &Entry::new(symbol, order)) {
            return;
        }
    }
}

fn entries<T: Pod>(bytes: &[u8]) -> &[T] {
    let count = (bytes.len() / size_of::<T>()).min(MAX_SYMBOLS);
    // Fails only for a misaligned table, which no linker writes.
    pod::slice_from_bytes(bytes, count).map_or(&[][..], |(symbols, _)| symbols)
}

/// A symbol that holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'s> {
    /// The name without a version suffix.
    pub name: &'s [u8],
    /// First address (file address).
    pub start: u64,
    /// Whether its size says that it holds the address; otherwise it is the nearest one before.
    pub sized: bool,
}

impl<'s> SymbolTable<'s> {
    /// A table of the given contents. `code` are the places where functions can be.
    pub fn new(symbols: &'s [u8], extended: &'s [u8], strings: &'s [u8], code: Vec<Code>) -> Self {
        SymbolTable::with(Symbols::Wide(entries(symbols)), extended, strings, code)
    }

    /// The same for a file of any architecture.
    pub fn of_arch(
        arch: Arch,
        symbols: &'s [u8],
        extended: &'s [u8],
        strings: &'s [u8],
        code: Vec<Code>,
    ) -> Self {
        let symbols = match (arch.pointer_size(), arch.is_big_endian()) {
            (8, true) => Symbols::WideBig(entries(symbols)),
            (8, false) => Symbols::Wide(entries(symbols)),
            _ => Symbols::Narrow(entries(symbols)),
        };
        let table = SymbolTable::with(symbols, extended, strings, code);
        // Thumb functions.
        SymbolTable { marks: u64::from(arch == Arch::Arm), ..table }
    }

    fn with(symbols: Symbols<'s>, extended: &'s [u8], strings: &'s [u8], mut code: Vec<Code>) -> Self {
        code.sort_unstable_by_key(|code| (code.section, code.start));
        SymbolTable { symbols, marks: 0, extended, strings, code }
    }

    /// Whether there is nothing in the table.
    pub fn is_empty(&self) -> bool {
        match self.symbols {
            Symbols::Wide(symbols) => symbols.is_empty(),
            Symbols::WideBig(symbols) => symbols.is_empty(),
            Symbols::Narrow(symbols) => symbols.is_empty(),
        }
    }

    /// The best symbol for an address, if one holds it.
    pub fn at(&self, address: u64) -> Option<Symbol<'s>> {
        self.resolve(&[address])[0]
    }

    /// The best symbol for each of `addresses` (file addresses, ascending), in one pass over the
    /// table, or two where symbols lack a size. Nothing is sorted or stored, because a table may have
    /// a million symbols and a dump asks for a few dozen.
    pub fn resolve(&self, addresses: &[u64]) -> Vec<Option<Symbol<'s>>> {
        debug_assert!(addresses.is_sorted(), "addresses must ascend");
        let found = self.nearest(addresses);
        // A label in a function that has a size does not reach beyond the function.
        let is_label = |best: &Candidate| best.start == best.end && !best.is_function;
        let mut labels: Vec<u64> =
            found.iter().flatten().filter(|best| is_label(best)).map(|best| best.start).collect();
        labels.dedup();
        let ends = if labels.is_empty() { Vec::new() } else { self.ends_around(&labels) };
        let reaches = |best: &Candidate, address: u64| {
            let place = labels.binary_search(&best.start).ok().filter(|_| is_label(best));
            place.and_then(|place| ends[place]).is_none_or(|end| address < end)
        };
        let symbol = |(best, &address): (Option<Candidate>, &u64)| {
            let best = best.filter(|best| reaches(best, address))?;
            let name = self.name(&best.symbol);
            let sized = address < best.end;
            (!name.is_empty()).then_some(Symbol { name, start: best.start, sized })
        };
        found.into_iter().zip(addresses).map(symbol).collect()
    }

    /// Where the largest symbol with a size ends that holds each of `starts`.
    fn ends_around(&self, starts: &[u64]) -> Vec<Option<u64>> {
        let mut ends = vec![None; starts.len()];
        let mut comparisons = 0;
        self.each(|index, symbol| {
            let Some(holder) = self.candidate(index, symbol) else { return true };
            let first = starts.partition_point(|&start| start < holder.start);
            for (end, _) in
                ends[first..].iter_mut().zip(&starts[first..]).take_while(|(_, start)| **start < holder.end)
            {
                *end = (*end).max(Some(holder.end));
                comparisons += 1;
            }
            comparisons <= MAX_COMPARISONS
        });
        ends
    }

    fn nearest(&self, addresses: &[u64]) -> Vec<Option<Candidate>> {
        let mut pass = Pass {
            addresses,
            sized: vec![None; addresses.len()],
            before: vec![None; addresses.len()],
            comparisons: 0,
        };
        let mut empty = 0;
        self.each(|index, symbol| {
            if let Some(candidate) = self.candidate(index, symbol) {
                pass.offer(self, candidate);
                empty = 0;
            } else if symbol.is_nothing() {
                empty += 1;
            } else {
                empty = 0;
            }
            pass.comparisons <= MAX_COMPARISONS && empty <= MAX_EMPTY
        });
        pass.finish()
    }

    /// All symbols with their indexes, until `visit` says that it is enough.
    #[inline]
    fn each(&self, visit: impl FnMut(usize, &Entry) -> bool) {
        match self.symbols {
            Symbols::Wide(symbols) => each(symbols, LE, visit),
            Symbols::WideBig(symbols) => each(symbols, BE, visit),
            Symbols::Narrow(symbols) => each(symbols, LE, visit),
        }
    }

    /// The symbol if it can name code.
    #[inline(always)]
    fn candidate(&self, index: usize, symbol: &Entry) -> Option<Candidate> {
        let kind = symbol.kind;
        let is_function = kind == elf::STT_FUNC || kind == elf::STT_GNU_IFUNC;
        if !is_function && kind != elf::STT_NOTYPE {
            return None;
        }
        let start = if is_function { symbol.value & !self.marks } else { symbol.value };
        let section = self.section_of(index, symbol)?;
        let code = self.code_at(section, start)?;
        // A compiler's local labels are no functions, and an empty name says nothing.
        if !is_function && symbol.bind == elf::STB_LOCAL && self.is_label(symbol) {
            return None;
        }
        let end = start.saturating_add(symbol.size).min(code.end);
        Some(Candidate { symbol: *symbol, start, end, is_function, code_end: code.end })
    }

    fn section_of(&self, index: usize, symbol: &Entry) -> Option<u32> {
        let section = symbol.section;
        if section == elf::SHN_XINDEX {
            let at = index.checked_mul(4)?;
            let bytes = self.extended.get(at..at.checked_add(4)?)?;
            let bytes: [u8; 4] = bytes.try_into().ok()?;
            let is_big = matches!(self.symbols, Symbols::WideBig(_));
            return Some(if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) });
        }
        section.index().filter(|&index| index != 0).map(u32::from)
    }

    fn code_at(&self, section: u32, address: u64) -> Option<Code> {
        let in_section = |section: Option<u32>| {
            let after = self.code.partition_point(|code| (code.section, code.start) <= (section, address));
            let near = self.code[..after].iter().rev().take_while(|code| code.section == section);
            near.take(MAX_OVERLAP).find(|code| address < code.end)
        };
        in_section(Some(section)).or_else(|| in_section(None)).copied()
    }

    /// Local NOTYPE symbols like `.L12`, `$x` or nothing at all.
    fn is_label(&self, symbol: &Entry) -> bool {
        let name = self.name_within(symbol, MAX_COMPARED);
        name.is_empty() || name.starts_with(b".L") || name.starts_with(b"$")
    }

    /// Name up to the version suffix (`@VERSION`, `@@VERSION`).
    fn name(&self, symbol: &Entry) -> &'s [u8] {
        let name = self.full_name(symbol);
        match name.iter().position(|&byte| byte == b'@') {
            Some(at) if at > 0 => &name[..at],
            _ => name,
        }
    }

    fn full_name(&self, symbol: &Entry) -> &'s [u8] {
        // The demanglers' input limit, with room to see that it is exceeded.
        self.name_within(symbol, super::demangle::MAX_MANGLED + 1)
    }

    fn name_within(&self, symbol: &Entry, limit: usize) -> &'s [u8] {
        let start = symbol.name as usize;
        let rest = self.strings.get(start..).unwrap_or(&[]);
        let rest = &rest[..rest.len().min(limit)];
        rest.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    /// Smaller is better among symbols with one start.
    fn rank(&self, candidate: &Candidate) -> impl Ord + use<'s> {
        let full = self.name_within(&candidate.symbol, MAX_COMPARED);
        let bind = match candidate.symbol.bind {
            elf::STB_GLOBAL | elf::STB_GNU_UNIQUE => 0,
            elf::STB_WEAK => 1,
            _ => 2,
        };
        let underscores = full.iter().take_while(|&&byte| byte == b'_').count();
        let versioned = full.contains(&b'@');
        (full.is_empty(), !candidate.is_function, underscores, versioned, bind, full.len(), full)
    }

    fn better(&self, new: &Candidate, old: &Candidate) -> bool {
        // The innermost symbol: the one that starts last.
        match new.start.cmp(&old.start) {
            std::cmp::Ordering::Equal => self.rank(new) < self.rank(old),
            order => order.is_gt(),
        }
    }
}

#[derive(Clone, Copy)]
struct Candidate {
    symbol: Entry,
    start: u64,
    /// Start plus size.
    end: u64,
    is_function: bool,
    code_end: u64,
}

/// One pass over a table.
struct Pass<'a> {
    addresses: &'a [u64],
    /// For each address the best symbol whose size covers it.
    sized: Vec<Option<Candidate>>,
    /// For each address the last symbol that starts between the address before and this one.
    before: Vec<Option<Candidate>>,
    comparisons: usize,
}

impl Pass<'_> {
    fn offer(&mut self, table: &SymbolTable<'_>, candidate: Candidate) {
        let first = self.addresses.partition_point(|&address| address < candidate.start);
        if let Some(slot) = self.before.get_mut(first) {
            self.comparisons += 1;
            let better = |old: &Candidate| {
                // A size known at this start holds for every alias.
                let key = |candidate: &Candidate| (candidate.start, candidate.end > candidate.start);
                match key(&candidate).cmp(&key(old)) {
                    std::cmp::Ordering::Equal => table.better(&candidate, old),
                    order => order.is_gt(),
                }
            };
            if slot.as_ref().is_none_or(better) {
                *slot = Some(candidate);
            }
        }
        for (slot, &address) in self.sized[first..].iter_mut().zip(&self.addresses[first..]) {
            if address >= candidate.end || self.comparisons > MAX_COMPARISONS {
                break;
            }
            self.comparisons += 1;
            if slot.as_ref().is_none_or(|old| table.better(&candidate, old)) {
                *slot = Some(candidate);
            }
        }
    }

    fn finish(self) -> Vec<Option<Candidate>> {
        let mut last: Option<Candidate> = None;
        let mut found = Vec::with_capacity(self.addresses.len());
        for ((sized, before), &address) in self.sized.into_iter().zip(self.before).zip(self.addresses) {
            last = before.or(last);
            // Only the nearest symbol before the address, and only if it says no size.
            let near = last.filter(|candidate| {
                candidate.start == candidate.end
                    && address < candidate.code_end
                    && address - candidate.start < REACH
            });
            let best = match (sized, near) {
                // A label inside a function that has a size does not end the function.
                (Some(sized), Some(near)) if near.start > sized.start && near.is_function => Some(near),
                (Some(sized), _) => Some(sized),
                (None, near) => near,
            };
            found.push(best);
        }
        found
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
