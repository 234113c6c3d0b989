//! Core files of programs nobody here wrote, each compared with what gdb says of the same file, thread by
//! thread and frame by frame; and with a dump of the living process, stopped all the while.
mod programs;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use support::compare::{Comparison, Outcome};
use support::dump::Report;
use support::process::{Stopped, states};
use support::{Stop, cores, dump, gdb, record, scratch};

/// Of [`programs::ALL`]. Cores of browsers have gigabytes.
const PROGRAMS: [&str; 7] = ["busybox", "go", "nginx", "postgres", "python3", "redis", "rust"];

fn main() {
    let mut arguments = Arguments::from_args();
    // Debuggers and core files need memory and disk.
    arguments.test_threads = Some(1);
    let chosen = programs::ALL.iter().filter(|(name, _)| PROGRAMS.contains(name));
    let trials = chosen.map(|&(name, start)| Trial::test(name, move || run(name, start)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn run(name: &str, start: programs::Start) -> Result<(), Failed> {
    Ok(record::outcome(&format!("core of {name}"), compare(name, start))?)
}

fn compare(name: &str, start: programs::Start) -> Result<(), Stop> {
    let program = start()?;
    std::thread::sleep(Duration::from_secs(1));
    let mut total = Outcome::default();
    for pid in program.processes() {
        let _stopped = Stopped::new(pid);
        if states(pid).iter().all(|(_, state)| matches!(state, 'Z' | 'X')) {
            continue;
        }
        let ask = dump::Ask { max_frames: Some("0".to_owned()), ..Default::default() };
        let live = dump::run(pid, &ask)?;
        let core = cores::gcore(pid, &scratch("core-real"))?;
        let compared = dump::run_core(&core, &ask).map_err(Stop::from).and_then(|dump| {
            same_as_live(&live.report, &dump.report)?;
            let debugger = gdb::run_core(pid, &core, &gdb::Ask::default())?;
            Ok(Comparison::run(name, &dump.report, &debugger, &[], None)?)
        });
        let _ = std::fs::remove_file(&core);
        total.add(compared?);
    }
    Ok(total.finish(&format!("core of {name}"))?)
}

/// pc, function and line.
type Place = (u64, Option<String>, Option<u32>);

/// Places and names of all frames, by thread.
fn frames(report: &Report) -> BTreeMap<i32, Vec<Place>> {
    let threads = report.threads.iter().map(|thread| {
        let frames = thread.frames.iter().map(|frame| (frame.pc, frame.function.clone(), frame.line));
        (thread.tid, frames.collect())
    });
    threads.collect()
}

fn same_as_live(live: &Report, core: &Report) -> Result<(), Stop> {
    let (mut live, core) = (frames(live), frames(core));
    // A thread that has ended, or belongs to the kernel, has no frames and may be missing in the core.
    live.retain(|tid, frames| !frames.is_empty() || core.contains_key(tid));
    for (tid, frames) in &live {
        if core.get(tid) != Some(frames) {
            let text = format!("thread {tid}: live {frames:#x?}\nin the core {:#x?}", core.get(tid));
            return Err(Stop::Fail(text));
        }
    }
    Ok(())
}
