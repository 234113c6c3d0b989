//! Compares threaddump's view of a stopped process with gdb's, frame by frame.
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use super::accepted::Accepted;
use super::cfi::{Covered, Executable};
use super::dump::{self, Module, Report};
use super::frames::{Group, Level, of_dump, of_gdb};
use super::llvm::{Llvm, Place};
use super::names;
use super::symbols::Symbols;
use super::{gdb, record};

/// Something the two do not agree on.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    program: String,
    kind: &'static str,
    function: String,
    place: String,
    text: String,
}

/// The counts of one comparison.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    threads: usize,
    frames: usize,
    /// Of these frames: functions that both name, lines that both give, frames with inlined functions.
    functions: usize,
    lines: usize,
    chains: usize,
    llvm_agrees: usize,
    accepted: usize,
    guessed: usize,
    /// threaddump's frames after the last one that both have.
    beyond: usize,
    /// Those in no list.
    differences: Vec<Difference>,
    notes: Vec<String>,
}

/// Compares one process.
pub(crate) struct Comparison<'a> {
    program: &'a str,
    report: &'a Report,
    debug_dirs: &'a [PathBuf],
    accepted: Accepted,
    symbols: Symbols,
    llvm: Llvm,
    covered: Covered,
    executable: Executable,
    outcome: Outcome,
}

impl<'a> Comparison<'a> {
    /// Compares all threads. `program` is the name used in summaries and in the list of accepted
    /// differences.
    /// `reference`: a program, and the file that llvm-symbolizer reads for it.
    pub(crate) fn run(
        program: &'a str,
        report: &'a Report,
        debugger: &BTreeMap<i32, gdb::Thread>,
        debug_dirs: &'a [PathBuf],
        reference: Option<(PathBuf, PathBuf)>,
    ) -> Result<Outcome, String> {
        let executable = Executable::of(report.process.pid);
        Comparison::new(program, report, debug_dirs, Llvm::with(reference), executable)?.all(debugger)
    }

    /// The same for a process that is no more, with what was executable in it.
    pub(crate) fn run_with(
        program: &'a str,
        report: &'a Report,
        debugger: &BTreeMap<i32, gdb::Thread>,
        executable: Executable,
    ) -> Result<Outcome, String> {
        Comparison::new(program, report, &[], Llvm::default(), executable)?.all(debugger)
    }

    fn new(
        program: &'a str,
        report: &'a Report,
        debug_dirs: &'a [PathBuf],
        llvm: Llvm,
        executable: Executable,
    ) -> Result<Comparison<'a>, String> {
        Ok(Comparison {
            program,
            report,
            debug_dirs,
            accepted: Accepted::read(program)?,
            symbols: Symbols::default(),
            llvm,
            covered: Covered::default(),
            executable,
            outcome: Outcome::default(),
        })
    }

    fn all(mut self, debugger: &BTreeMap<i32, gdb::Thread>) -> Result<Outcome, String> {
        let report = self.report;
        for (tid, theirs) in debugger {
            match report.threads.iter().find(|thread| thread.tid == *tid) {
                Some(ours) => self.thread(ours, theirs),
                None => self.differ("threads", None, format!("thread {tid} is not in the dump")),
            }
        }
        // A thread that has ended has no frames, and gdb does not list it.
        let shown = report.threads.iter().filter(|thread| !thread.frames.is_empty());
        for ours in shown.filter(|thread| !debugger.contains_key(&thread.tid)) {
            let text = format!("gdb has no thread {} ({})", ours.tid, ours.name);
            self.differ("threads", None, text);
        }
        let unused = self.accepted.unused().map(|entry| {
            format!("unused: {} | {} | {} | {}", entry.program, entry.kind, entry.function, entry.place)
        });
        self.outcome.notes = unused.collect();
        Ok(self.outcome)
    }

    fn thread(&mut self, ours: &dump::Thread, theirs: &gdb::Thread) {
        self.outcome.threads += 1;
        let (mine, other) = (of_dump(ours), of_gdb(theirs));
        let common = mine.iter().zip(&other).take_while(|(a, b)| a.pc == b.pc).count();
        self.outcome.frames += common;
        self.outcome.beyond += mine.len() - common;
        for index in 0..common {
            let exact = index == 0 || other[index - 1].kind == "sigtramp" || other[index].kind == "sigtramp";
            if other[index].kind != "sigtramp" {
                self.outcome.count_compared(&mine[index], &other[index]);
                self.names_and_lines(ours.tid, index, &mine[index], &other[index], exact);
            }
        }
        if common < mine.len().max(other.len()) {
            let last = common.checked_sub(1).map(|index| &mine[index]);
            let listed = last.is_some_and(|last| self.is_accepted("pcs", last));
            // Ours is at the end, or says that nothing tells what is above.
            let ended = ["root", "no_unwind_info"].contains(&&*ours.end);
            if !listed && ended && self.gdb_guesses(last, other.get(common), common == 1) {
                self.outcome.guessed += 1;
                return;
            }
            let text = different_pcs(ours, theirs, &mine, &other, common);
            self.differ("pcs", last, text);
        }
    }

    /// Whether gdb can be shown to be wrong after a frame: there is no call frame information for it,
    /// and gdb stops there or takes for the caller what is no code.
    fn gdb_guesses(&mut self, last: Option<&Group>, next: Option<&Group>, exact: bool) -> bool {
        let Some(last) = last else { return false };
        let place = self.lookup(last, exact);
        !self.covered.in_module(place) && next.is_none_or(|next| !self.executable.holds(next.pc))
    }

    fn names_and_lines(&mut self, tid: i32, index: usize, mine: &Group, other: &Group, exact: bool) {
        let at = format!("thread {tid}, frame {index}, {:#x} {}", mine.pc, mine.place());
        let kind = if mine.levels.len() != other.levels.len() {
            "inlines"
        } else if !self.same_names(mine, other, exact) {
            if mine.levels.len() > 1 { "inlines" } else { "names" }
        } else if mine.levels.iter().zip(&other.levels).any(|(a, b)| (&a.file, a.line) != (&b.file, b.line)) {
            "lines"
        } else {
            return;
        };
        if self.llvm_agrees(mine, exact) {
            self.outcome.llvm_agrees += 1;
            return;
        }
        let third = self.places(mine, exact).map_or("nothing".to_owned(), |places| show_places(&places));
        let text = format!(
            "{at}\n    threaddump      {}\n    gdb             {}\n    llvm-symbolizer {third}",
            show(&mine.levels),
            show(&other.levels),
        );
        self.differ(kind, Some(mine), text);
    }

    fn same_names(&mut self, mine: &Group, other: &Group, exact: bool) -> bool {
        let last = mine.levels.len() - 1;
        (0..=last).all(|level| match (&mine.levels[level].function, &other.levels[level].function) {
            (None, None) => true,
            // gdb makes up names for stubs, and names code after the variable it runs over.
            (None, Some(b)) => b.ends_with("@plt") || self.is_data(mine, b),
            (Some(a), Some(b)) if names::same(a, b) => true,
            // Only the physical function has other names in the symbol table.
            (Some(a), Some(b)) if level == last => {
                let all = self.aliases(mine, exact);
                let known = |name: &str| all.iter().any(|alias| names::same(alias, name));
                known(a) && known(b)
            }
            _ => false,
        })
    }

    fn is_data(&mut self, group: &Group, name: &str) -> bool {
        let Some((module, address)) = self.lookup(group, true) else { return false };
        self.symbols.data_at(module, address, self.debug_dirs).iter().any(|variable| variable == name)
    }

    fn aliases(&mut self, group: &Group, exact: bool) -> Vec<String> {
        let Some((module, address)) = self.lookup(group, exact) else { return Vec::new() };
        self.symbols.at(module, address, self.debug_dirs)
    }

    fn places(&mut self, group: &Group, exact: bool) -> Option<Vec<Place>> {
        let (module, address) = self.lookup(group, exact)?;
        self.llvm.at(module, address, self.debug_dirs)
    }

    fn lookup(&self, group: &Group, exact: bool) -> Option<(&'a Module, u64)> {
        let report: &'a Report = self.report;
        let module = report.modules.iter().find(|module| Some(&module.path) == group.module.as_ref())?;
        Some((module, group.module_offset?.checked_sub(u64::from(!exact))?))
    }

    /// Whether llvm-symbolizer says the same as threaddump, level by level.
    fn llvm_agrees(&mut self, mine: &Group, exact: bool) -> bool {
        let Some(places) = self.places(mine, exact) else { return false };
        let last = mine.levels.len() - 1;
        let aliases = self.aliases(mine, exact);
        places.len() == mine.levels.len()
            && mine.levels.iter().zip(&places).enumerate().all(|(index, (level, place))| {
                let name = level.function.as_deref().unwrap_or_default();
                let alias = |other: &str| aliases.iter().any(|alias| names::same(alias, other));
                let named = names::same(name, &place.function_name)
                    || (index == last && alias(name) && alias(&place.function_name));
                let file = place.file_name.rsplit('/').next().unwrap_or_default();
                named && level.line.unwrap_or(0) == place.line && level.file.as_deref().unwrap_or("") == file
            })
    }

    fn is_accepted(&mut self, kind: &'static str, frame: &Group) -> bool {
        self.accepted.covers(kind, &function_of(Some(frame)), &frame.place())
    }

    fn differ(&mut self, kind: &'static str, frame: Option<&Group>, text: String) {
        let function = function_of(frame);
        let place = frame.map_or("-".to_owned(), Group::place);
        if self.accepted.covers(kind, &function, &place) {
            self.outcome.accepted += 1;
            return;
        }
        self.outcome.differences.push(Difference {
            program: self.program.to_owned(),
            kind,
            function,
            place,
            text,
        });
    }
}

impl Outcome {
    fn count_compared(&mut self, mine: &Group, other: &Group) {
        self.chains += usize::from(mine.levels.len() > 1 && other.levels.len() > 1);
        for (a, b) in mine.levels.iter().zip(&other.levels) {
            self.functions += usize::from(a.function.is_some() && b.function.is_some());
            self.lines += usize::from(a.line.is_some() && b.line.is_some());
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.differences.iter().filter(|difference| difference.kind == kind).count()
    }

    /// Adds the counts of another process of the same program.
    pub(crate) fn add(&mut self, other: Outcome) {
        self.threads += other.threads;
        self.frames += other.frames;
        self.functions += other.functions;
        self.lines += other.lines;
        self.chains += other.chains;
        self.llvm_agrees += other.llvm_agrees;
        self.accepted += other.accepted;
        self.guessed += other.guessed;
        self.beyond += other.beyond;
        self.differences.extend(other.differences);
        self.notes.extend(other.notes);
    }

    /// Prints the summary line; an error if anything differs that is not accepted.
    pub(crate) fn finish(&self, title: &str) -> Result<(), String> {
        record::summary(&format!(
            "{title}: {} threads, {} frames the same ({} functions, {} lines, {} with inlined ones), {} more where \
             gdb ends; different: {} threads, {} pcs, {} names, {} lines, {} inlines; gdb wrong: \
             {} says llvm-symbolizer, {} without CFI, {} accepted",
            self.threads,
            self.frames,
            self.functions,
            self.lines,
            self.chains,
            self.beyond,
            self.count("threads"),
            self.count("pcs"),
            self.count("names"),
            self.count("lines"),
            self.count("inlines"),
            self.llvm_agrees,
            self.guessed,
            self.accepted,
        ));
        for note in &self.notes {
            println!("  {note}");
        }
        if self.differences.is_empty() {
            return Ok(());
        }
        let mut text = format!("{title} differs from gdb:\n");
        for difference in &self.differences {
            let Difference { program, kind, function, place, text: what } = difference;
            let _ = writeln!(text, "  {program} | {kind} | {function} | {place}\n    {what}");
        }
        Err(text)
    }
}

fn function_of(frame: Option<&Group>) -> String {
    frame.and_then(Group::function).map_or("?".to_owned(), names::normalise)
}

fn different_pcs(
    ours: &dump::Thread,
    theirs: &gdb::Thread,
    mine: &[Group],
    other: &[Group],
    common: usize,
) -> String {
    let mut text = format!("thread {} ({}): the same up to frame {}\n", ours.tid, ours.name, common);
    let from = common.saturating_sub(2);
    let side = |name: &str, groups: &[Group], end: &str| {
        let mut out = format!("    {name}:\n");
        for (index, group) in groups.iter().enumerate().skip(from).take(8) {
            let function = group.function().unwrap_or("?");
            let _ = writeln!(out, "      #{index} {:#x} {function} ({})", group.pc, group.kind);
        }
        let _ = writeln!(out, "      {} frames; {end}", groups.len());
        out
    };
    let end = format!("end {}: {}", ours.end, ours.end_detail.as_deref().unwrap_or("-"));
    text.push_str(&side("threaddump", mine, &end));
    text.push_str(&side("gdb", other, theirs.stop.as_deref().unwrap_or("end")));
    text
}

fn show(levels: &[Level]) -> String {
    let one = |level: &Level| {
        let name = level.function.as_deref().unwrap_or("?");
        match (&level.file, level.line) {
            (Some(file), Some(line)) => format!("{name} {file}:{line}"),
            _ => name.to_owned(),
        }
    };
    levels.iter().map(one).collect::<Vec<_>>().join(" < ")
}

fn show_places(places: &[Place]) -> String {
    let one = |place: &Place| {
        let file = place.file_name.rsplit('/').next().unwrap_or_default();
        format!("{} {file}:{}", place.function_name, place.line)
    };
    places.iter().map(one).collect::<Vec<_>>().join(" < ")
}
