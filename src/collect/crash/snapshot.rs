//! Making a snapshot of a crashed process, by a program without rights.
use std::collections::HashMap;
use std::io::Read;
use std::time::Instant;

use super::super::corefile::beginning::{self, CoreNotes};
use super::super::memory::Memory;
use super::super::modules::Finder;
use super::super::stacks::{Ranges, StackCopier};
use super::super::{code, facts};
use super::{Caught, Held, Limits, Origin};
use crate::ids::Tid;
use crate::proc::parse_maps;
use crate::snapshot::{Mapping, Problem, SignalFacts, Snapshot, Source, Syscall, ThreadSnapshot};

/// Bytes of arguments that are read.
const MAX_ARGUMENTS: u64 = 1 << 20;
/// Bytes of stacks of all threads together.
const MAX_STACKS: usize = 1 << 30;

impl Held {
    /// Copies what later steps need of the process, which can be let go after that. Never fails: what is
    /// missing is said.
    pub fn snapshot(&mut self, origin: Origin, limits: &Limits) -> Snapshot {
        let mut problems = std::mem::take(&mut self.problems);
        let (caught, signal) = self.registers(origin, &mut problems);
        let mappings = parse_maps(&self.maps);
        let memory = self.memory.take().map(|file| Memory::from_file(file, self.event.tid));
        if memory.is_none() {
            problems.push(Problem::new("stack", "the memory of the process cannot be read"));
        }
        let threads = self.threads(caught, memory.as_ref(), &mappings, limits, &mut problems);
        let mut modules = Vec::new();
        let mut code = Vec::new();
        if let Some(memory) = &memory {
            let mut finder = Finder::of_held(memory, self.root_path.clone());
            modules = finder.find(&mappings, &[]);
            problems.append(&mut finder.problems);
            code = code::copy(memory, &code::Pointers::of(&mappings, &modules, &threads));
        }
        self.reader = memory;
        let text = self.cmdline.take().map(|file| {
            let mut text = Vec::new();
            // What can be had of it counts.
            let _ = file.take(MAX_ARGUMENTS).read_to_end(&mut text);
            text
        });
        let mut process = self.facts.clone();
        process.cmdline = facts::cmdline(&text.unwrap_or_default());
        Snapshot {
            captured_at_ns: self.began_ns,
            source: Source::Crash,
            fallback_reason: None,
            fallback_advice: None,
            pause_ns: None,
            process,
            signal: Some(signal),
            mappings,
            modules,
            threads,
            memory: code,
            code_names: Vec::new(),
            problems,
        }
    }

    /// Registers by our thread ids, the culprit first, and the signal.
    fn registers(&mut self, origin: Origin, problems: &mut Vec<Problem>) -> (Vec<Caught>, SignalFacts) {
        let tid = self.event.tid;
        let bare = SignalFacts { number: self.event.signal, code: None, address: None, tid: Some(tid) };
        match origin {
            Origin::ExitStops(mut caught) => {
                caught.sort_by_key(|thread| (thread.tid != tid, thread.tid));
                if let Some(first) = caught.first() {
                    self.facts.arch = first.registers.arch();
                }
                (caught, bare)
            }
            Origin::Notes(bytes) => match beginning::read(&bytes) {
                Ok(notes) => self.of_notes(notes, bare, problems),
                Err(error) => {
                    let what = format!(
                        "there are no registers: the core that the kernel wrote cannot be used: {error}"
                    );
                    problems.push(Problem::new("registers", what));
                    (Vec::new(), bare)
                }
            },
        }
    }

    fn of_notes(
        &mut self,
        mut notes: CoreNotes,
        bare: SignalFacts,
        problems: &mut Vec<Problem>,
    ) -> (Vec<Caught>, SignalFacts) {
        problems.append(&mut notes.problems);
        self.facts.arch = notes.arch;
        let known = self.threads.iter().filter_map(|thread| Some((thread.ns_tid?, thread.tid)));
        let known: HashMap<i32, Tid> = known.collect();
        let mut unknown = 0;
        let culprit = self.event.tid;
        for (place, thread) in notes.threads.iter_mut().enumerate() {
            thread.tid = match known.get(&thread.tid.0) {
                Some(&tid) => tid,
                // The kernel writes it first.
                None if place == 0 => culprit,
                None => {
                    unknown += 1;
                    thread.tid
                }
            };
        }
        if unknown > 0 && !known.is_empty() {
            let what = format!(
                "{unknown} threads have the ids that the process itself saw: /proc did not list them"
            );
            problems.push(Problem::new("threads", what));
        }
        if let [_, others @ ..] = &mut notes.threads[..] {
            others.sort_by_key(|thread| thread.tid);
        }
        let told = notes.signal.filter(|told| told.number == bare.number);
        let signal = told.map_or_else(|| bare.clone(), |told| SignalFacts { tid: bare.tid, ..told });
        (notes.threads, signal)
    }

    fn threads(
        &mut self,
        caught: Vec<Caught>,
        memory: Option<&Memory>,
        mappings: &[Mapping],
        limits: &Limits,
        problems: &mut Vec<Problem>,
    ) -> Vec<ThreadSnapshot> {
        let listed = std::mem::take(&mut self.threads);
        let order: Vec<Tid> = listed.iter().map(|thread| thread.tid).collect();
        let mut facts: HashMap<Tid, ThreadSnapshot> =
            listed.into_iter().map(|thread| (thread.tid, thread)).collect();
        let ranges = Ranges::new(mappings);
        let mut copier = memory.map(|memory| Copier {
            memory,
            // The arena is emptied after each thread.
            stacks: StackCopier::new(1, memory, &ranges, limits.stack_bytes),
            left: MAX_STACKS,
            deadline: limits.deadline,
            late: 0,
        });
        let mut threads = Vec::with_capacity(caught.len());
        for one in caught {
            let mut thread = facts.remove(&one.tid).unwrap_or_else(|| ThreadSnapshot::unknown(one.tid));
            if let Some(copier) = &mut copier {
                copier.copy(&one, &mut thread);
            }
            let call = one.registers.arch().system_call(&one.registers);
            thread.syscall = call.map(|(number, args)| Syscall { number, args });
            thread.cpu_ns = one.cpu_ns.or(thread.cpu_ns);
            thread.stopped = true;
            thread.registers = Some(one.registers);
            threads.push(thread);
        }
        if let Some(late) = copier.map(|copier| copier.late).filter(|&late| late > 0) {
            let what =
                format!("the stacks of {late} threads were not copied in the time the process may be held");
            problems.push(Problem::new("stack", what));
        }
        // A first thread that has ended, and those that the kernel left out.
        threads.extend(order.iter().filter_map(|tid| facts.remove(tid)));
        threads
    }
}

/// Copies stacks until it is too late.
struct Copier<'a> {
    memory: &'a Memory,
    stacks: StackCopier<'a>,
    left: usize,
    deadline: Instant,
    late: usize,
}

impl Copier<'_> {
    fn copy(&mut self, one: &Caught, thread: &mut ThreadSnapshot) {
        if self.left == 0 || Instant::now() >= self.deadline {
            self.late += 1;
            thread.problems.push(Problem::of_thread("stack", one.tid, "the stack was not copied in time"));
            return;
        }
        let stacks = self.stacks.copy(one.tid, one.registers.arch(), &one.registers);
        thread.stacks = self.stacks.arena.take(&stacks.pieces);
        thread.stack_cut = stacks.cut;
        self.stacks.arena.clear();
        let copied: usize = thread.stacks.iter().map(|piece| piece.bytes.len()).sum();
        self.left = self.left.saturating_sub(copied);
        let Some(sp) = one.registers.sp().filter(|&sp| sp != 0 && thread.stacks.is_empty()) else { return };
        if self.memory.read(sp, &mut [0; 8]) == 0 {
            let what = format!("the stack of thread {} at {sp:#x} cannot be read", one.tid);
            thread.problems.push(Problem::of_thread("stack", one.tid, what));
        }
    }
}
