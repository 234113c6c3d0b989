//! Programs nobody here wrote, each compared with gdb: every process, every thread, every frame.
//! Servers listen on Unix sockets in folders of their own; everything is killed at the end.
mod programs;
mod support;

use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use support::compare::{Comparison, Outcome};
use support::process::{Stopped, states};
use support::{Stop, dump, gdb, record};

fn main() {
    let mut arguments = Arguments::from_args();
    // One at a time: a debugger and a browser together are enough for a small machine.
    arguments.test_threads = Some(1);
    let trials = programs::ALL.iter().map(|&(name, start)| Trial::test(name, move || run(name, start)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn run(name: &str, start: programs::Start) -> Result<(), Failed> {
    Ok(record::outcome(name, compare(name, start))?)
}

fn compare(name: &str, start: programs::Start) -> Result<(), Stop> {
    let program = start()?;
    // Servers wake up many times a second and never get quiet; this is for what they do once.
    std::thread::sleep(Duration::from_secs(1));
    let mut total = Outcome::default();
    let mut troubles = Vec::new();
    for pid in program.processes() {
        // Stopped, so that both see the same instant even where something runs.
        let _stopped = Stopped::new(pid);
        if states(pid).iter().all(|(_, state)| matches!(state, 'Z' | 'X')) {
            continue;
        }
        let dump = dump::run(pid, &dump::Ask { max_frames: Some("0".to_owned()), ..Default::default() })?;
        for thread in dump.report.threads.iter().filter(|thread| thread.end != "root") {
            let detail = thread.end_detail.as_deref().unwrap_or("-");
            troubles.push(format!("{pid}/{} {}: {} ({detail})", thread.tid, thread.name, thread.end));
        }
        let debugger = gdb::run(pid, &gdb::Ask::default())?;
        total.add(Comparison::run(name, &dump.report, &debugger, &[], None)?);
    }
    for trouble in &troubles {
        println!("  not at its root: {trouble}");
    }
    Ok(total.finish(name)?)
}
