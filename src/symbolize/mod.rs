//! From addresses to names.
//!
//! DWARF is asked first, because it knows inlined functions and lines; then `.symtab`, then
//! `.dynsym`.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use threaddump_dwarf::symbols::{DebugInfo, Function, SourceFrame, UnitJob, display_name};

#[cfg(test)]
mod tests;

use crate::images::{self, Image, Images};
use crate::parallel;
use crate::snapshot::{CodeName, Problem};

/// What to look up.
#[derive(Clone, Copy, Debug)]
pub struct SymbolOptions {
    /// Functions that were inlined.
    pub inlines: bool,
    /// Source files, lines and columns.
    pub lines: bool,
}

impl Default for SymbolOptions {
    fn default() -> SymbolOptions {
        SymbolOptions { inlines: true, lines: true }
    }
}

/// One function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Demangled and length-limited.
    pub function: Option<String>,
    /// Process address of its start; `None` for an inlined function.
    pub function_start: Option<u64>,
    /// Source file.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
    /// Whether it was inlined into the next one.
    pub inlined: bool,
    /// Where the name comes from.
    pub origin: Origin,
}

/// Where the name of a function comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The module's file, or its debug file.
    #[default]
    File,
    /// An object that a JIT compiler registered for debuggers.
    Jit,
    /// The file that a JIT compiler writes for perf(1).
    PerfMap,
}

impl Origin {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::File => "file",
            Origin::Jit => "jit",
            Origin::PerfMap => "perf_map",
        }
    }
}

/// Finds names; remembers every answer.
#[derive(Debug)]
pub struct Symbolizer<'i, 's> {
    images: &'i Images<'s>,
    options: SymbolOptions,
    /// By the start of the image.
    sources: HashMap<u64, Source<'s>>,
    symbols: HashMap<u64, Option<Symbol>>,
    answers: HashMap<u64, Rc<[Named]>>,
    nothing: Rc<[Named]>,
    /// Inlined functions that may still be shown.
    inlined_left: usize,
    /// Names of code that is in no module, by ascending address.
    code_names: &'i [CodeName],
}

/// Inlined functions of all frames of a dump. Crafted debug information can have hundreds at every
/// address.
const MAX_INLINED: usize = 50_000;

/// Bytes of all units together before another thread is worth its start.
const WORTH: usize = 64 << 10;

/// The DWARF of one image.
#[derive(Debug, Default)]
struct Source<'s> {
    info: Option<DebugInfo<'s>>,
    failure: Option<String>,
}

/// An ELF symbol.
#[derive(Clone, Debug)]
struct Symbol {
    raw: String,
    /// File address.
    start: u64,
}

impl<'i, 's> Symbolizer<'i, 's> {
    /// A symbolizer that knows nothing yet.
    pub fn new(images: &'i Images<'s>, options: SymbolOptions) -> Symbolizer<'i, 's> {
        Symbolizer {
            images,
            options,
            sources: HashMap::new(),
            symbols: HashMap::new(),
            answers: HashMap::new(),
            nothing: Rc::new([]),
            inlined_left: MAX_INLINED,
            code_names: &[],
        }
    }

    /// Uses these names for code that is in no module; they ascend.
    pub fn with_code_names(self, code_names: &'i [CodeName]) -> Symbolizer<'i, 's> {
        Symbolizer { code_names, ..self }
    }

    /// Announces addresses that will be asked for. Their symbols are then found in one pass over
    /// each table instead of one pass per address.
    pub fn prepare(&mut self, lookups: &[u64]) {
        let mut wanted: BTreeMap<u64, (&'i Image<'s>, BTreeSet<u64>)> = BTreeMap::new();
        for &lookup in lookups.iter().filter(|lookup| !self.symbols.contains_key(lookup)) {
            let Some(image) = self.images.at(lookup) else { continue };
            wanted.entry(image.start()).or_insert_with(|| (image, BTreeSet::new())).1.insert(lookup);
        }
        for (image, lookups) in wanted.values() {
            self.find_symbols(image, lookups);
        }
        if self.options.inlines || self.options.lines {
            self.read_debug_info(wanted.into_values());
        }
    }

    /// The functions at an address: the innermost inlined one first, the one that was compiled
    /// last. Empty if nothing is known. `lookup` is a process address inside the instruction: for
    /// a caller the return address minus one.
    pub fn resolve(&mut self, lookup: u64) -> Rc<[Named]> {
        if let Some(known) = self.answers.get(&lookup) {
            return Rc::clone(known);
        }
        let answer = match self.images.at(lookup) {
            Some(image) if image.is_generated() => {
                let names = self.name(image, lookup).into_iter();
                names.map(|named| Named { origin: Origin::Jit, ..named }).collect()
            }
            Some(image) => self.name(image, lookup).into(),
            None => match named_by_compiler(self.code_names, lookup) {
                Some(named) => Rc::new([named]),
                None => Rc::clone(&self.nothing),
            },
        };
        self.answers.insert(lookup, Rc::clone(&answer));
        answer
    }

    /// The MD5 of a source file by the name that was given for this address, if DWARF has it.
    pub fn checksum(&mut self, lookup: u64, file: &str) -> Option<[u8; 16]> {
        let image = self.images.at(lookup)?;
        let info = self.sources.get_mut(&image.start())?.info.as_mut()?;
        info.checksum(image.file_address(lookup)?, file)
    }

    /// What could not be used so far.
    pub fn problems(&self) -> Vec<Problem> {
        let failed = |image: &Image<'s>| {
            let failure = self.sources.get(&image.start())?.failure.as_ref()?;
            let path = match image.debug_file() {
                Some(path) => path.display().to_string(),
                None => String::from_utf8_lossy(image.path()).into_owned(),
            };
            Some(Problem::new("symbols", format!("names from {path} may be missing: {failure}")))
        };
        self.images.iter().filter_map(failed).collect()
    }

    /// Looks addresses up in DWARF, files and units at the same time where there are several processors.
    fn read_debug_info(&mut self, wanted: impl Iterator<Item = (&'i Image<'s>, BTreeSet<u64>)>) {
        let mut needs = Vec::new();
        let mut files = Vec::new();
        for (image, lookups) in wanted {
            let source = self.sources.entry(image.start()).or_insert_with(|| Source::open(image));
            let Some(info) = &source.info else { continue };
            let mut addresses: Vec<u64> =
                lookups.iter().filter_map(|&lookup| image.file_address(lookup)).collect();
            addresses.sort_unstable();
            needs.extend(image.needs(info.parts(&addresses)));
            files.push((image.start(), addresses));
        }
        images::inflate(needs);
        let (mut jobs, mut counts) = (Vec::new(), Vec::new());
        for (start, addresses) in files {
            let Some(info) = self.sources.get_mut(&start).and_then(|source| source.info.as_mut()) else {
                continue;
            };
            let of_file = info.jobs(&addresses);
            counts.push((start, of_file.len()));
            jobs.extend(of_file);
        }
        let enough = jobs.iter().map(UnitJob::size).sum::<usize>() >= WORTH;
        let workers = if enough { parallel::workers() } else { 1 };
        let mut answers = parallel::run(workers, jobs, UnitJob::size, UnitJob::run).into_iter();
        for (start, count) in counts {
            let answers = answers.by_ref().take(count).collect();
            if let Some(info) = self.sources.get_mut(&start).and_then(|source| source.info.as_mut()) {
                info.accept(answers);
            }
        }
    }

    fn find_symbols(&mut self, image: &Image<'s>, lookups: &BTreeSet<u64>) {
        let mut open: Vec<(u64, u64)> =
            lookups.iter().filter_map(|&lookup| Some((image.file_address(lookup)?, lookup))).collect();
        self.symbols.extend(lookups.iter().map(|&lookup| (lookup, None)));
        open.sort_unstable();
        for table in image.symbol_tables() {
            let addresses: Vec<u64> = open.iter().map(|&(address, _)| address).collect();
            let mut unknown = Vec::new();
            for (&(address, lookup), found) in open.iter().zip(table.resolve(&addresses)) {
                // What comes before a signal trampoline without a symbol (musl's) is another function.
                let misleads = |start| start != address && image.is_signal_trampoline(lookup);
                match found {
                    Some(symbol) if !symbol.sized && misleads(symbol.start) => {}
                    Some(symbol) => {
                        let raw = String::from_utf8_lossy(symbol.name).into_owned();
                        self.symbols.insert(lookup, Some(Symbol { raw, start: symbol.start }));
                    }
                    None => unknown.push((address, lookup)),
                }
            }
            open = unknown;
        }
        for (address, lookup) in open {
            let Some((name, start)) = image.plt_target(address) else { continue };
            let raw = format!("{}@plt", display_name(&String::from_utf8_lossy(name)));
            self.symbols.insert(lookup, Some(Symbol { raw, start }));
        }
    }

    fn symbol(&mut self, image: &Image<'s>, lookup: u64) -> Option<Symbol> {
        if !self.symbols.contains_key(&lookup) {
            self.find_symbols(image, &BTreeSet::from([lookup]));
        }
        self.symbols.get(&lookup).cloned().flatten()
    }

    fn name(&mut self, image: &Image<'s>, lookup: u64) -> Vec<Named> {
        let Some(bias) = image.bias() else { return Vec::new() };
        let Some(address) = image.file_address(lookup) else { return Vec::new() };
        let symbol = self.symbol(image, lookup);
        if let Some(symbol) = symbol.as_ref().filter(|_| !self.options.inlines && !self.options.lines) {
            // Nothing of DWARF is wanted, and it is what takes the time.
            return vec![Named::of_symbol(symbol, bias)];
        }
        let source = self.sources.entry(image.start()).or_insert_with(|| Source::open(image));
        let function = source.at(image, address);
        let options = self.options;
        let mut frames: Vec<Named> =
            function.frames.iter().map(|frame| named(frame, options.lines)).collect();
        let Some(outer) = frames.last_mut() else {
            return symbol.iter().map(|symbol| Named::of_symbol(symbol, bias)).collect();
        };
        let start = symbol.as_ref().map(|symbol| symbol.start).or(function.start);
        outer.function_start = start.map(|start| start.wrapping_add(bias));
        outer.inlined = false;
        if let Some(better) = better_name(function.frames.last(), symbol.as_ref()) {
            outer.function = Some(better);
        }
        let inlined = frames.len() - 1;
        let shown = options.inlines && inlined <= self.inlined_left;
        self.inlined_left -= if shown { inlined } else { 0 };
        if !shown {
            // The line that goes with the compiled function is that of the inlined call.
            frames.drain(..frames.len() - 1);
        }
        frames.retain(|frame| frame.function.is_some() || frame.file.is_some() || frame.line.is_some());
        frames
    }
}

impl Named {
    fn of_symbol(symbol: &Symbol, bias: u64) -> Named {
        let start = symbol.start.wrapping_add(bias);
        Named { function: Some(display_name(&symbol.raw)), function_start: Some(start), ..Named::default() }
    }
}

impl<'s> Source<'s> {
    fn open(image: &Image<'s>) -> Source<'s> {
        Source { info: image.debug_info(), failure: None }
    }

    fn at(&mut self, image: &Image<'s>, address: u64) -> Function {
        let Some(info) = &mut self.info else { return Function::default() };
        image.look_up(info, address).unwrap_or_else(|error| {
            self.failure.get_or_insert_with(|| error.to_string());
            Function::default()
        })
    }
}

fn named_by_compiler(names: &[CodeName], lookup: u64) -> Option<Named> {
    let after = names.partition_point(|name| name.from <= lookup);
    let found = names[..after].last().filter(|name| lookup < name.to)?;
    let function = Some(limited(&display_name(&String::from_utf8_lossy(&found.name))));
    Some(Named { function, function_start: Some(found.start), origin: Origin::PerfMap, ..Named::default() })
}

fn named(frame: &SourceFrame, lines: bool) -> Named {
    Named {
        function: frame.function.as_deref().map(display_name),
        function_start: None,
        file: frame.file.clone().filter(|_| lines).map(|file| limited(&file)),
        line: frame.line.filter(|_| lines),
        column: frame.column.filter(|_| lines),
        inlined: true,
        origin: Origin::File,
    }
}

/// The symbol's name where DWARF has none, or has only the last part of it: C++ compilers leave the
/// linkage name out for functions of one file, rustc where only line tables were asked for.
fn better_name(frame: Option<&SourceFrame>, symbol: Option<&Symbol>) -> Option<String> {
    let symbol = symbol?;
    let Some(plain) = frame.and_then(|frame| frame.function.as_deref()) else {
        return Some(display_name(&symbol.raw));
    };
    let is_plain = !plain.starts_with("_Z") && !plain.starts_with("_R");
    let readable = threaddump_dwarf::symbols::demangle(&symbol.raw).filter(|_| is_plain)?;
    // Scopes and type arguments differ in spelling, so only the name itself is looked for.
    readable.contains(last_name(plain)).then_some(readable)
}

/// `run` of `a::Box<b::C>::run<d::E>`.
fn last_name(name: &str) -> &str {
    if let Some(at) = name.find("operator") {
        return &name[at..];
    }
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'<' | b'(' => depth += 1,
            b'>' | b')' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    let last = &name[start..];
    last.split(['<', '(']).next().filter(|last| !last.is_empty()).unwrap_or(last)
}

/// A path as text of sensible length.
fn limited(path: &str) -> String {
    let end = (0..=path.len().min(threaddump_dwarf::symbols::MAX_NAME)).rev();
    let end = end.into_iter().find(|&end| path.is_char_boundary(end)).unwrap_or(0);
    if end == path.len() { path.to_owned() } else { format!("{}…", &path[..end]) }
}
