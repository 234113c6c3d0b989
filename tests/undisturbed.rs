//! The test of all tests, never to be skipped: programs with known results have the same results under a
//! thousand dumps.
mod hurt;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hurt::{Running, build, check_released, number, one_at_a_time, summary};
use threaddump::collect::{Options, live};
use threaddump::ids::Pid;

/// Dumps a process; every fourth time by the program, else by the library, which is faster.
fn dump(pid: i32, count: u64, mut check: impl FnMut(u64)) -> Duration {
    let begin = Instant::now();
    for index in 0..count {
        if index % 4 == 0 {
            let mut tool = Command::new(hurt::tool());
            let output = tool.args(["--quiet", &pid.to_string()]).stdout(Stdio::null()).output();
            let output = output.expect("it starts");
            // Incomplete if a thread is just being born: it has no callers yet.
            assert!(matches!(output.status.code(), Some(0 | 1)), "dump {index}: {output:?}");
        } else {
            let prepared = live::prepare(Pid(pid), &Options::default()).expect("it can be read");
            let snapshot = prepared.capture().expect("it can be stopped");
            assert!(snapshot.threads.iter().all(|thread| thread.registers.is_some()), "dump {index}");
        }
        check_released(pid, false).unwrap_or_else(|error| panic!("dump {index}: {error}"));
        check(index);
    }
    begin.elapsed()
}

fn third_of_dumps() -> u64 {
    number("THREADDUMP_DUMPS", 1002) / 3
}

#[test]
fn a_sum_of_eight_threads_is_the_same() {
    let _lock = one_at_a_time();
    let program = build("checksum");
    let mut running = Running::start_with_pipes(Command::new(&program).arg("-"));
    let count = third_of_dumps();
    let time = dump(running.pid(), count, |_| {});
    let line = running.ask(1).remove(0);
    let (rounds, _) = line.split_once(' ').expect("rounds and sum");
    let again = Command::new(&program).arg(rounds).output().expect("it starts");
    assert_eq!(String::from_utf8_lossy(&again.stdout).trim_end(), line, "undisturbed, and disturbed");
    assert!(rounds.parse::<u64>().expect("a number") > count, "it got on: {line}");
    summary(&format!(
        "checksum: the same after {rounds} rounds of 8 threads under {count} dumps in {time:.1?}"
    ));
}

#[test]
fn a_server_gives_every_answer() {
    let _lock = one_at_a_time();
    let mut running = Running::start_with_pipes(&mut Command::new(build("server")));
    let count = third_of_dumps();
    let time = dump(running.pid(), count, |_| {});
    let line = running.ask(1).remove(0);
    let (right, wrong) = line.split_once(' ').expect("right and wrong");
    assert_eq!(wrong, "0", "of {line}");
    assert!(right.parse::<u64>().expect("a number") > count, "it got on: {line}");
    summary(&format!("server: {right} answers, all right, under {count} dumps in {time:.1?}"));
}

#[test]
fn a_program_full_of_timeouts_keeps_them() {
    let _lock = one_at_a_time();
    let mut running = Running::start_with_pipes(&mut Command::new(build("timeouts")));
    let count = third_of_dumps();
    let time = dump(running.pid(), count, |_| {});
    let lines = running.ask(100);
    assert!(lines.len() >= 14, "one for each way to wait: {lines:?}");
    let (mut right, mut interrupted) = (0, Vec::new());
    for line in &lines {
        let (name, counts) = line.split_once(": ").expect("name and counts");
        let counts: Vec<u64> = counts.split(' ').map(|word| word.parse().expect("a number")).collect();
        assert!(counts[0] > 10 && counts[1] == 0, "{line} (right, wrong, interrupted)");
        right += counts[0];
        if counts[2] > 0 {
            interrupted.push(format!("{name} {}", counts[2]));
        }
    }
    summary(&format!(
        "timeouts: {right} waits in {} ways as long as asked for under {count} dumps in {time:.1?}; EINTR, as \
         documented: {}",
        lines.len(),
        interrupted.join(", "),
    ));
}
