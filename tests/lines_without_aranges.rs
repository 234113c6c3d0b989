//! Compilers other than GCC write no `.debug_aranges`, and link-time optimisation loses it: lines and
//! inlined functions must not depend on it. eu-stack, which does, is the measure.
mod support;

use std::process::Command;

use support::process::{Running, Stopped, bounded, settle};
use support::targets::{Target, all};
use support::{Stop, dump, record};

/// Frames, those with a line, and those of inlined functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    frames: usize,
    lines: usize,
    inlined: usize,
}

const PROGRAMS: [&str; 9] = [
    "deep_inlining[clang]",
    "deep_inlining[clang-aranges]",
    "deep_inlining[clang-lto]",
    "deep_inlining[clang-thin-lto]",
    "deep_inlining[lto]",
    "rust_closures[v0]",
    "rust_closures[fat-lto]",
    "rust_closures[thin-lto]",
    "go_routines",
];

#[test]
fn lines_and_inlined_functions_do_not_depend_on_aranges() {
    let targets = all();
    let mut seen = Vec::new();
    for title in PROGRAMS {
        let target = targets.iter().find(|target| target.title() == title).expect("it is in tests/targets");
        match count(target) {
            Ok(counts) => seen.push((title, counts)),
            Err(Stop::Skip(reason)) => record::skip(&format!("{title} without aranges"), &reason),
            Err(Stop::Fail(text)) => panic!("{title}: {text}"),
        }
    }
    let of = |title: &str| seen.iter().find(|(name, _)| *name == title).map(|(_, counts)| *counts);
    if let (Some(without), Some(with)) = (of("deep_inlining[clang]"), of("deep_inlining[clang-aranges]")) {
        assert_eq!(without, with, "the same code with and without .debug_aranges");
    }
}

fn count(target: &Target) -> Result<Counts, Stop> {
    let program = target.build()?;
    let title = target.title();
    let running = Running::start_ready(&mut Command::new(program), &title, "ready")?;
    let pid = running.pid();
    settle(pid);
    // Both see the same instant.
    let _stopped = Stopped::new(pid);
    let report = dump::run(pid, &dump::Ask::default())?.report;
    let ours = of_report(&report);
    let Some(theirs) = of_eu_stack(pid)? else {
        record::skip(
            &format!("{title} against eu-stack"),
            "eu-stack is not installed (Debian package elfutils)",
        );
        return Ok(ours);
    };
    record::summary(&format!(
        "{title} without aranges: threaddump {} frames, {} lines, {} inlined; eu-stack {}, {}, {}",
        ours.frames, ours.lines, ours.inlined, theirs.frames, theirs.lines, theirs.inlined
    ));
    if ours.lines < theirs.lines || ours.inlined < theirs.inlined {
        return Err(Stop::Fail(format!("{ours:?} where eu-stack has {theirs:?}")));
    }
    Ok(ours)
}

fn of_report(report: &dump::Report) -> Counts {
    let mut counts = Counts::default();
    for frame in report.threads.iter().flat_map(|thread| &thread.frames) {
        counts.frames += 1;
        counts.lines += usize::from(frame.line.is_some());
        counts.inlined += usize::from(frame.inlined);
    }
    counts
}

/// A frame is `#N  ADDRESS NAME`, its place in the source a line of its own; what was inlined has the
/// address of the frame it is in.
fn of_eu_stack(pid: i32) -> Result<Option<Counts>, String> {
    if !support::has_program("eu-stack") {
        return Ok(None);
    }
    let mut command = bounded("eu-stack");
    command.args(["-i", "-s", "-n", "0", "-p"]).arg(pid.to_string()).env("DEBUGINFOD_URLS", "");
    let output = command.output().map_err(|error| format!("eu-stack: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut counts = Counts::default();
    let mut before = None;
    for line in text.lines() {
        if line.starts_with("TID") {
            before = None;
        } else if line.starts_with('#') {
            let address = line.split_whitespace().nth(1).map(str::to_owned);
            counts.frames += 1;
            counts.inlined += usize::from(address == before);
            before = address;
        } else {
            counts.lines += usize::from(line.starts_with("    "));
        }
    }
    Ok(Some(counts))
}
