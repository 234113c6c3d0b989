//! From a snapshot, its frames and their names to the report.
use jiff::Timestamp;

use super::model::*;
use crate::images::{Image, Images};
use crate::snapshot::{Snapshot, Syscall, ThreadSnapshot, hex};
use crate::symbolize::Symbolizer;
use crate::unwind::{RawFrame, Walk};

/// What to put into a report.
#[derive(Clone, Copy, Debug)]
pub struct ReportOptions {
    /// The registers of every thread.
    pub registers: bool,
}

/// Joins everything into one value. Looks nothing up but names.
pub fn build(
    snapshot: &Snapshot,
    images: &Images<'_>,
    walks: &[Walk],
    symbolizer: &mut Symbolizer<'_, '_>,
    options: &ReportOptions,
) -> Report {
    let lookups: Vec<u64> = walks.iter().flat_map(|walk| &walk.frames).map(|frame| frame.lookup).collect();
    symbolizer.prepare(&lookups);
    let threads: Vec<Thread> = snapshot
        .threads
        .iter()
        .zip(walks)
        .enumerate()
        .map(|(index, (thread, walk))| Builder { images, symbolizer, options }.thread(index, thread, walk))
        .collect();
    let mut problems = snapshot.problems.clone();
    problems.extend(images.problems());
    problems.extend(symbolizer.problems());
    Report {
        schema: "threaddump/1",
        tool: Tool { name: "threaddump", version: env!("CARGO_PKG_VERSION") },
        captured_at: time(snapshot.captured_at_ns),
        source: snapshot.source,
        fallback_reason: snapshot.fallback_reason.clone(),
        pause_ns: snapshot.pause_ns,
        complete: is_complete(snapshot, &threads),
        process: process(snapshot),
        signal: None,
        modules: images.iter().map(module).collect(),
        threads,
        problems,
    }
}

/// Whether no thread and no frame is missing. A kernel worker has no frames to miss.
fn is_complete(snapshot: &Snapshot, threads: &[Thread]) -> bool {
    let thread_missing = snapshot
        .problems
        .iter()
        .any(|problem| problem.tid.is_some() || matches!(problem.stage.as_str(), "attach" | "stop" | "maps"));
    let whole = |thread: &Thread| matches!(thread.end.as_str(), "root" | "kernel_worker");
    !thread_missing && threads.iter().all(whole)
}

fn time(nanoseconds: i64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    time.to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn process(snapshot: &Snapshot) -> Process {
    let facts = &snapshot.process;
    let tracer = facts.tracer.clone();
    Process {
        pid: facts.pid,
        ns_pid: facts.ns_pid,
        ppid: facts.ppid,
        uid: facts.uid,
        name: text(&facts.name),
        exe: facts.exe.as_deref().map(text),
        cmdline: facts.cmdline.iter().map(|argument| text(argument)).collect(),
        arch: facts.arch.name(),
        start_time: facts.start_time_ns.map(time),
        cgroup: facts.cgroup.clone(),
        kernel: facts.kernel.clone(),
        tracer: tracer.map(|(pid, name)| Tracer { pid, name }),
    }
}

fn module(image: &Image<'_>) -> ReportModule {
    ReportModule {
        path: text(image.path()),
        build_id: image.build_id().map(hex),
        start: Hex(image.start()),
        end: Hex(image.end()),
        bias: image.bias().map(Hex),
        debug_file: image.debug_file().map(|path| path.display().to_string()),
    }
}

fn syscall(call: &Syscall) -> ReportSyscall {
    let number = usize::try_from(call.number).ok();
    let name = number.and_then(syscalls::x86_64::Sysno::new).map(|known| known.name());
    ReportSyscall { number: call.number, name, args: call.args.map(Hex) }
}

struct Builder<'b, 'x, 'i, 's> {
    images: &'b Images<'x>,
    symbolizer: &'b mut Symbolizer<'i, 's>,
    options: &'b ReportOptions,
}

impl Builder<'_, '_, '_, '_> {
    fn thread(mut self, index: usize, thread: &ThreadSnapshot, walk: &Walk) -> Thread {
        let mut frames = Vec::with_capacity(walk.frames.len());
        let mut gap = None;
        let mut skipped = 0;
        for (place, raw) in walk.frames.iter().enumerate() {
            if let Some(omitted) = walk.omitted.filter(|omitted| omitted.before == place) {
                gap = Some(Omitted { before: frames.len(), count: omitted.count });
                skipped = omitted.count;
            }
            self.physical(raw, &mut frames, skipped);
        }
        if gap.is_none() {
            let at_end = walk.omitted.map(|omitted| Omitted { before: frames.len(), count: omitted.count });
            gap = at_end;
        }
        let registers = thread.registers.iter().filter(|_| self.options.registers);
        let registers = registers.flat_map(|registers| registers.iter());
        Thread {
            tid: thread.tid,
            index,
            name: text(&thread.name),
            state: thread.state,
            syscall: thread.syscall.as_ref().map(syscall),
            wait: None,
            registers: registers.map(|(_, info, value)| (info.name, Hex(value))).collect(),
            frames,
            omitted: gap,
            end: walk.end.to_owned(),
            end_detail: walk.end_detail.clone(),
            problems: thread.problems.clone(),
        }
    }

    /// The frames of one pc: the inlined ones first.
    fn physical(&mut self, raw: &RawFrame, frames: &mut Vec<Frame>, skipped: usize) {
        let image = self.images.at(raw.lookup);
        let plain = Frame {
            index: 0,
            pc: Hex(raw.pc),
            module: image.map(|image| text(image.path())),
            module_offset: image.and_then(|image| image.file_address(raw.pc)).map(Hex),
            build_id: image.and_then(Image::build_id).map(hex),
            function: None,
            function_offset: None,
            file: None,
            line: None,
            column: None,
            inlined: false,
            how: raw.how.as_str(),
        };
        let names = self.symbolizer.resolve(raw.lookup);
        let named = names.iter().map(|named| Frame {
            function: named.function.clone(),
            function_offset: named.function_start.and_then(|start| raw.pc.checked_sub(start)),
            file: named.file.clone(),
            line: named.line,
            column: named.column,
            inlined: named.inlined,
            ..plain.clone()
        });
        let before = frames.len();
        frames.extend(named);
        if frames.len() == before {
            frames.push(plain);
        }
        for (index, frame) in frames.iter_mut().enumerate().skip(before) {
            frame.index = index + skipped;
        }
    }
}
