//! Building reports from hand-made snapshots.
use std::path::PathBuf;

use threaddump_arch::{Arch, Registers};
use threaddump_dwarf::How;

use super::*;
use crate::ids::{Pid, Tid};
use crate::images::{FileAccess, ImageOptions, Images, Store};
use crate::snapshot::{Problem, ProcessFacts, SignalFacts, Snapshot, Source, Syscall, ThreadSnapshot};
use crate::symbolize::{SymbolOptions, Symbolizer};
use crate::unwind::{RawFrame, Walk};

fn thread(tid: i32, state: char, registers: bool) -> ThreadSnapshot {
    let arch = Arch::X86_64;
    let mut set = Registers::new(arch);
    set.set(arch.pc(), 0x1000);
    ThreadSnapshot {
        name: b"n\xff".to_vec(),
        state: Some(state),
        syscall: Some(Syscall { number: 202, args: [1; 6] }),
        registers: registers.then_some(set),
        ..ThreadSnapshot::unknown(Tid(tid))
    }
}

fn walk(frames: u64, end: &'static str, omitted: Option<Omitted>) -> Walk {
    let frames = (0..frames).map(|pc| RawFrame { pc, lookup: pc, how: How::Cfi, signed: None }).collect();
    Walk { frames, omitted, end, end_detail: None }
}

fn report(threads: Vec<ThreadSnapshot>, walks: &[Walk], problems: Vec<Problem>) -> Report {
    let process = ProcessFacts {
        pid: Pid(10),
        ns_pid: None,
        ppid: None,
        uid: None,
        name: b"n".to_vec(),
        exe: None,
        cmdline: Vec::new(),
        arch: Arch::X86_64,
        start_time_ns: Some(i64::MIN),
        cgroup: None,
        kernel: None,
        tracer: None,
    };
    let snapshot = Snapshot {
        captured_at_ns: i64::MAX,
        source: Source::Ptrace,
        fallback_reason: None,
        fallback_advice: None,
        pause_ns: None,
        process,
        signal: Some(SignalFacts { number: 11, code: None, address: None, tid: None }),
        mappings: Vec::new(),
        modules: Vec::new(),
        threads,
        memory: Vec::new(),
        code_names: Vec::new(),
        problems,
    };
    let (store, options) = (Store::new(), ImageOptions { debug_dirs: Vec::<PathBuf>::new() });
    let images = Images::open(&store, Arch::X86_64, &[], &FileAccess::Host, &options);
    let mut symbolizer = Symbolizer::new(&images, SymbolOptions::default());
    build(&snapshot, &images, walks, &mut symbolizer, &ReportOptions::default())
}

#[test]
fn threads_of_the_kernel_and_ended_leaders_are_not_missing() {
    let threads = vec![thread(10, 'Z', false), thread(11, 'S', true), thread(12, 'S', true)];
    let walks = [walk(0, END_NOT_STOPPED, None), walk(0, END_KERNEL_WORKER, None), walk(1, END_ROOT, None)];
    let report = report(threads, &walks, Vec::new());
    let ends: Vec<&str> = report.threads.iter().map(|thread| thread.end.as_str()).collect();
    assert_eq!(ends, [END_EXITED, END_KERNEL_WORKER, END_ROOT]);
    assert!(report.complete);
    assert_eq!(report.threads[2].syscall.as_ref().and_then(|call| call.name), Some("futex"));
    assert_eq!(report.threads[2].name.as_deref(), Some("n\\xff"));
    assert_eq!(report.signal.map(|signal| signal.name).as_deref(), Some("SIGSEGV"));
}

#[test]
fn a_thread_without_registers_or_without_root_is_incomplete() {
    for (registers, end) in [(false, END_NOT_STOPPED), (true, "no_unwind_info")] {
        let report = report(vec![thread(10, 'S', registers)], &[walk(1, end, None)], Vec::new());
        assert!(!report.complete, "{end}");
    }
    let missing = Problem::of_thread("attach", Tid(12), "process 10 has no thread 12");
    let report =
        report(vec![thread(10, 'S', true)], &[walk(1, END_ROOT, None)], vec![missing.clone(), missing]);
    assert!(!report.complete);
    assert_eq!(report.problems.len(), 1, "once is enough");
}

#[test]
fn frames_that_are_left_out_are_counted() {
    let gap = |before| Some(Omitted { before, count: 100 });
    let walks = [walk(4, END_ROOT, gap(2)), walk(1, END_ROOT, gap(1))];
    let report = report(vec![thread(11, 'R', true), thread(12, 'R', true)], &walks, Vec::new());
    let indexes = |place: usize| -> Vec<usize> {
        report.threads[place].frames.iter().map(|frame| frame.index).collect()
    };
    assert_eq!(indexes(0), [0, 1, 102, 103]);
    assert_eq!(report.threads[0].omitted, gap(2));
    assert_eq!(indexes(1), [0]);
    assert_eq!(report.threads[1].omitted, gap(1));
    assert!(report.complete, "a limit was asked for");
    assert_eq!(report.threads[0].index, 1, "0 is the leader, which is not here");
}
