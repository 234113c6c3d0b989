//! Snapshot, images, walks and names → [`Report`].
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use threaddump_arch::Arch;

use super::escape::readable;
use super::outermost::is_outermost;
use super::{
    END_EXITED, END_NOT_STOPPED, END_ROOT, Frame, Hex, Omitted, Process, Report, ReportModule, ReportSyscall,
    Signal, Text, Thread, Tool, Tracer, codes,
};
use crate::images::{Image, Images};
use crate::snapshot::{self, Problem, ProcessFacts, SignalFacts, Snapshot, Source, Syscall, ThreadSnapshot};
use crate::symbolize::{Named, Symbolizer};
use crate::unwind::{RawFrame, Walk};

/// What a report holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportOptions {
    /// The registers of every thread.
    pub registers: bool,
    /// Return addresses with their signature beside those without.
    pub signed: bool,
}

impl Default for ReportOptions {
    fn default() -> ReportOptions {
        ReportOptions { registers: true, signed: false }
    }
}

/// What can be said before anything is unwound or looked up: threads have no frames, and neither modules nor
/// problems are known.
pub fn outline(snapshot: &Snapshot, options: &ReportOptions) -> Report {
    Report {
        schema: "threaddump/1",
        tool: Tool::own(),
        captured_at: time(snapshot.captured_at_ns).to_string(),
        source: snapshot.source,
        fallback_reason: snapshot.fallback_reason.clone(),
        fallback_advice: snapshot.fallback_advice.clone(),
        pause_ns: snapshot.pause_ns,
        complete: false,
        process: process(&snapshot.process),
        signal: snapshot.signal.as_ref().map(signal),
        modules: Vec::new(),
        threads: threads(snapshot, options),
        problems: Vec::new(),
    }
}

/// Puts everything together that is to be printed. `walks` are those of the snapshot's threads, in
/// their order.
pub fn build(
    snapshot: &Snapshot,
    images: &Images<'_>,
    walks: &[Walk],
    symbolizer: &mut Symbolizer<'_, '_>,
    options: &ReportOptions,
) -> Report {
    let lookups: BTreeSet<u64> =
        walks.iter().flat_map(|walk| &walk.frames).map(|frame| frame.lookup).collect();
    symbolizer.prepare(&lookups.into_iter().collect::<Vec<u64>>());
    let mut frames = Frames {
        images,
        symbolizer,
        modules: HashMap::new(),
        texts: HashSet::new(),
        known: HashMap::new(),
        signed: options.signed,
    };
    let mut report = outline(snapshot, options);
    for (shown, walk) in report.threads.iter_mut().zip(walks) {
        (shown.frames, shown.omitted) = frames.of(walk);
        if shown.end != END_EXITED {
            let at_start = ENDS_AT_START.contains(&walk.end) && is_outermost(&shown.frames);
            shown.end = if at_start { END_ROOT } else { walk.end }.to_owned();
            shown.end_detail = walk.end_detail.clone().filter(|_| !at_start);
        }
    }
    report.modules = images.iter().map(module).collect();
    report.problems = problems(snapshot, images, symbolizer);
    report.complete =
        report.incomplete_threads().next().is_none() && !report.problems.iter().any(hides_threads);
    report
}

/// Ends of walks that are none if the last function has no caller.
const ENDS_AT_START: [&str; 2] = ["no_unwind_info", "bad_return_address"];

/// Whether a problem of the process means that threads, or their stacks in the kernel, are not in the report
/// at all.
fn hides_threads(problem: &Problem) -> bool {
    problem.tid.is_some() || matches!(problem.stage.as_str(), "attach" | "stop" | "threads" | "kernel")
}

fn problems(snapshot: &Snapshot, images: &Images<'_>, symbolizer: &Symbolizer<'_, '_>) -> Vec<Problem> {
    let mut problems = snapshot.problems.clone();
    problems.extend(images.problems());
    problems.extend(symbolizer.problems());
    let mut seen = HashSet::new();
    problems.retain(|problem| seen.insert((problem.stage.clone(), problem.tid, problem.message.clone())));
    problems
}

fn time(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(ns))
        .expect("64 bits of nanoseconds are times between the years 1677 and 2262")
}

fn process(facts: &ProcessFacts) -> Process {
    Process {
        pid: facts.pid,
        ns_pid: facts.ns_pid,
        ppid: facts.ppid,
        uid: facts.uid,
        name: readable(&facts.name),
        exe: facts.exe.as_deref().map(readable),
        cmdline: facts.cmdline.iter().map(|argument| readable(argument)).collect(),
        arch: facts.arch.name(),
        start_time: facts.start_time_ns.map(|ns| time(ns).to_string()),
        cgroup: facts.cgroup.clone(),
        kernel: facts.kernel.clone(),
        tracer: facts.tracer.as_ref().map(|(pid, name)| Tracer { pid: *pid, name: name.clone() }),
    }
}

fn signal(facts: &SignalFacts) -> Signal {
    Signal {
        number: facts.number,
        name: signal_name(facts.number),
        code: facts.code,
        code_name: facts.code.and_then(|code| codes::name(facts.number, code)),
        address: facts.address.map(Hex),
        tid: facts.tid,
    }
}

/// `SIGSEGV`, …, or its number for one that has no name.
pub fn signal_name(number: i32) -> String {
    let known = nix::sys::signal::Signal::try_from(number);
    known.map_or_else(|_| format!("SIG{number}"), |known| known.as_str().to_owned())
}

fn module(image: &Image<'_>) -> ReportModule {
    ReportModule {
        path: readable(image.path()),
        build_id: image.build_id().map(snapshot::hex),
        start: Hex(image.start()),
        end: Hex(image.end()),
        bias: image.bias().map(Hex),
        debug_file: image.debug_file().map(|path| readable(path.as_os_str().as_encoded_bytes())),
    }
}

fn threads(snapshot: &Snapshot, options: &ReportOptions) -> Vec<Thread> {
    let leader = snapshot.process.pid.leader();
    // Of a crash, the thread that got the signal comes first, with the number it has all the same.
    let mut order: Vec<usize> = (0..snapshot.threads.len()).collect();
    let tid = |place: &usize| snapshot.threads[*place].tid;
    order.sort_by_key(|place| (tid(place) != leader, tid(place)));
    let first = usize::from(order.first().is_none_or(|place| tid(place) != leader));
    let mut indexes = vec![0; order.len()];
    order.iter().enumerate().for_each(|(index, place)| indexes[*place] = first + index);
    let numbered = snapshot.threads.iter().zip(indexes);
    numbered.map(|(thread, index)| Thread { index, ..facts(thread, snapshot, options) }).collect()
}

/// A thread as far as it is known without its walk.
fn facts(thread: &ThreadSnapshot, snapshot: &Snapshot, options: &ReportOptions) -> Thread {
    let arch = snapshot.process.arch;
    // Core files have no names of threads; a living one that was seen may have an empty one.
    let was_seen = snapshot.source != Source::Core && thread.state.is_some();
    let is_named = was_seen || !thread.name.is_empty();
    let exited = thread.registers.is_none() && matches!(thread.state, Some('Z' | 'X'));
    let registers = thread.registers.iter().filter(|_| options.registers);
    Thread {
        tid: thread.tid,
        index: 0,
        name: is_named.then(|| readable(&thread.name)),
        state: thread.state,
        syscall: thread.syscall.as_ref().map(|call| system_call(arch, call)),
        stopped: thread.stopped,
        ns_tid: thread.ns_tid,
        cpu_ns: thread.cpu_ns,
        wait_channel: thread.wait_channel.clone(),
        kernel_stack: thread.kernel_stack.clone(),
        wait: None,
        registers: registers
            .flat_map(|set| set.iter())
            .map(|(_, info, value)| (info.name, Hex(value)))
            .collect(),
        frames: Vec::new(),
        omitted: None,
        end: if exited { END_EXITED } else { END_NOT_STOPPED }.to_owned(),
        end_detail: None,
        problems: thread.problems.clone(),
    }
}

fn system_call(arch: Arch, call: &Syscall) -> ReportSyscall {
    let name = usize::try_from(call.number).ok().and_then(|number| call_name(arch, number));
    ReportSyscall { number: call.number, name, args: call.args.map(Hex) }
}

fn call_name(arch: Arch, number: usize) -> Option<&'static str> {
    use syscalls::{aarch64, arm, loongarch64, powerpc64, riscv64, s390x, x86, x86_64};
    match arch {
        Arch::X86_64 => x86_64::Sysno::new(number).map(|known| known.name()),
        Arch::I386 => x86::Sysno::new(number).map(|known| known.name()),
        Arch::Aarch64 => aarch64::Sysno::new(number).map(|known| known.name()),
        Arch::Arm => arm::Sysno::new(number).map(|known| known.name()),
        Arch::Riscv64 => riscv64::Sysno::new(number).map(|known| known.name()),
        Arch::Ppc64le => powerpc64::Sysno::new(number).map(|known| known.name()),
        Arch::S390x => s390x::Sysno::new(number).map(|known| known.name()),
        Arch::Loongarch64 => loongarch64::Sysno::new(number).map(|known| known.name()),
        _ => None,
    }
}

type ModuleTexts = (Text, Option<Text>);

/// Makes frames; each address is looked up once, and texts are shared.
struct Frames<'a, 'm, 'i, 's> {
    images: &'a Images<'m>,
    symbolizer: &'a mut Symbolizer<'i, 's>,
    /// Path and build ID, by the start of the image.
    modules: HashMap<u64, ModuleTexts>,
    texts: HashSet<Text>,
    /// Frames by pc and lookup address.
    known: HashMap<(u64, u64), Arc<[Frame]>>,
    signed: bool,
}

impl Frames<'_, '_, '_, '_> {
    /// The frames of a walk, and their gap: a walk counts physical frames, a report inlined ones too.
    fn of(&mut self, walk: &Walk) -> (Vec<Frame>, Option<Omitted>) {
        let mut frames = Vec::with_capacity(walk.frames.len());
        let mut omitted = None;
        let mut index = 0;
        let (first, last) =
            walk.frames.split_at(walk.omitted.map_or(0, |gap| gap.before).min(walk.frames.len()));
        for raw in first {
            self.push(raw, &mut index, &mut frames);
        }
        if let Some(gap) = walk.omitted {
            omitted = Some(Omitted { before: frames.len(), count: gap.count });
            index += gap.count;
        }
        for raw in last {
            self.push(raw, &mut index, &mut frames);
        }
        (frames, omitted)
    }

    fn push(&mut self, raw: &RawFrame, index: &mut usize, frames: &mut Vec<Frame>) {
        for known in self.at(raw).iter() {
            let signed_pc = raw.signed.filter(|_| self.signed).map(Hex);
            frames.push(Frame { index: *index, how: raw.how.as_str(), signed_pc, ..known.clone() });
            *index += 1;
        }
    }

    fn at(&mut self, raw: &RawFrame) -> Arc<[Frame]> {
        let key = (raw.pc, raw.lookup);
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let base = self.place(raw);
        let named = self.symbolizer.resolve(raw.lookup);
        // Inlined functions are always part of something, even if that has no name.
        let nameless = named.last().is_none_or(|last| last.inlined).then(|| base.clone());
        let frames: Vec<Frame> = named.iter().map(|named| self.name(base.clone(), named)).collect();
        let frames: Arc<[Frame]> = frames.into_iter().chain(nameless).collect();
        self.known.insert(key, Arc::clone(&frames));
        frames
    }

    /// A frame with its module, and no names.
    fn place(&mut self, raw: &RawFrame) -> Frame {
        let image = self.images.at(raw.lookup);
        let texts = image.map(|image| self.module_texts(image));
        let (module, build_id) = texts.map_or((None, None), |(path, id)| (Some(path), id));
        Frame {
            index: 0,
            pc: Hex(raw.pc),
            module,
            module_offset: image.and_then(|image| image.file_address(raw.pc)).map(Hex),
            build_id,
            function: None,
            function_from: None,
            function_offset: None,
            file: None,
            line: None,
            column: None,
            source: None,
            inlined: false,
            how: raw.how.as_str(),
            signed_pc: None,
        }
    }

    fn module_texts(&mut self, image: &Image<'_>) -> ModuleTexts {
        let texts = || (readable(image.path()).into(), image.build_id().map(|id| snapshot::hex(id).into()));
        self.modules.entry(image.start()).or_insert_with(texts).clone()
    }

    fn name(&mut self, frame: Frame, named: &Named) -> Frame {
        let pc = frame.pc.0;
        let start = named.function_start.filter(|_| !named.inlined);
        Frame {
            function: named.function.as_deref().map(|text| self.shared(text)),
            function_from: named.function.is_some().then(|| named.origin.as_str()),
            function_offset: start.and_then(|start| pc.checked_sub(start)),
            file: named.file.as_deref().map(|text| self.shared(text)),
            line: named.line,
            column: named.column,
            inlined: named.inlined,
            ..frame
        }
    }

    fn shared(&mut self, text: &str) -> Text {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let text: Text = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }
}
