//! Stops a process once and says what was copied and how long each step took.
use std::time::Instant;

use threaddump::collect::{Options, live};
use threaddump::ids::Pid;

fn main() {
    let pid = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let Some(pid) = pid.map(Pid) else {
        eprintln!("usage: capture PID");
        std::process::exit(64);
    };
    let start = Instant::now();
    let prepared = match live::prepare(pid, &Options::default()) {
        Ok(prepared) => prepared,
        Err(error) => fail(&error),
    };
    let between = Instant::now();
    let snapshot = match prepared.capture() {
        Ok(snapshot) => snapshot,
        Err(error) => fail(&error),
    };
    let (prepare, capture) = (between - start, between.elapsed());
    let pause = snapshot.pause_ns.unwrap_or(0) / 1000;
    let stacks: usize =
        snapshot.threads.iter().flat_map(|thread| &thread.stacks).map(|piece| piece.bytes.len()).sum();
    println!(
        "{} threads, {} modules, {stacks} bytes of stacks, {} pieces of code; prepare {} µs, capture {} µs, pause {pause} µs",
        snapshot.threads.len(),
        snapshot.modules.len(),
        snapshot.memory.len(),
        prepare.as_micros(),
        capture.as_micros(),
    );
    if std::env::args().nth(2).is_some() {
        println!("{snapshot:#x?}");
    }
    for problem in snapshot.problems.iter().chain(snapshot.threads.iter().flat_map(|t| &t.problems)) {
        println!("{}: {}", problem.stage, problem.message);
    }
}

fn fail(error: &threaddump::collect::CollectError) -> ! {
    eprintln!("capture: {error}");
    if let Some(advice) = error.advice() {
        eprintln!("{advice}");
    }
    std::process::exit(2)
}
