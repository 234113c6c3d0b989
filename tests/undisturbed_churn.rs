//! Attaches to processes that are never the same for long: threads that come and go, exec, exit, vfork
//! parents, a leader that has ended. Each gives a dump or says why not, in bounded time, and nothing is
//! left behind.
mod hurt;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hurt::{Running, build, check_released, number, one_at_a_time, summary};
use threaddump::collect::{CollectError, Options, live};
use threaddump::ids::Pid;
use threaddump::snapshot::Snapshot;

fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("churn"))
}

fn start(arguments: &[&str]) -> Running {
    let mut running = Running::start(Command::new(program()).args(arguments).stdout(Stdio::piped()));
    let mut word = [0; 6];
    let output = running.0.stdout.as_mut().expect("it is piped");
    output.read_exact(&mut word).expect("it says that it is ready");
    running
}

fn attach(pid: i32) -> Result<Snapshot, CollectError> {
    let pid = Pid(pid);
    live::start_over(pid, || live::prepare(pid, &Options::default()).and_then(live::Prepared::capture))
}

fn threads_with_registers(snapshot: &Snapshot) -> usize {
    snapshot.threads.iter().filter(|thread| thread.registers.is_some()).count()
}

/// Runs the program for a limited time; gives its status and what it said.
fn run_tool(pid: i32) -> (i32, String) {
    let mut command = Command::new(hurt::tool());
    command.arg(pid.to_string()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let status = wait_for(&mut child, "threaddump");
    let mut text = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut text).expect("it writes text");
    (status, text)
}

/// The exit status of a program that must end soon.
fn wait_for(child: &mut Child, name: &str) -> i32 {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status.code().unwrap_or_else(|| panic!("{name} was killed: {status}"));
        }
        if begin.elapsed() > hurt::PATIENCE {
            let _ = child.kill();
            panic!("{name} does not end");
        }
        std::thread::sleep(Duration::from_micros(300));
    }
}

#[test]
fn a_thousand_attaches_in_a_row_to_threads_that_come_and_go() {
    let _lock = one_at_a_time();
    let running = start(&["threads"]);
    let pid = running.pid();
    let count = number("THREADDUMP_CHURN_ATTACHES", 1000);
    let (mut threads, mut longest, mut incomplete) = (0, Duration::ZERO, 0);
    for index in 0..count {
        let begin = Instant::now();
        if index % 10 == 0 {
            let (status, text) = run_tool(pid);
            assert!(status == 0 || status == 1, "attach {index}: status {status}: {text}");
            incomplete += status;
        } else {
            let snapshot = attach(pid).unwrap_or_else(|error| panic!("attach {index}: {error}"));
            assert!(threads_with_registers(&snapshot) >= 5, "attach {index}: the creators are there");
            threads += threads_with_registers(&snapshot);
            longest = longest.max(begin.elapsed());
            let problems: Vec<_> = snapshot.threads.iter().flat_map(|thread| &thread.problems).collect();
            assert!(problems.is_empty(), "attach {index}: {problems:?}");
        }
        check_released(pid, false).unwrap_or_else(|error| panic!("attach {index}: {error}"));
    }
    summary(&format!(
        "threads that come and go: {count} attaches in a row, none failed ({incomplete} dumps by the program \
         were incomplete); {threads} threads copied, the longest took {longest:?}"
    ));
}

#[test]
fn vfork_parents_and_an_ended_leader() {
    let _lock = one_at_a_time();
    for mode in ["leaderless", "vfork"] {
        let running = start(&[mode]);
        let pid = running.pid();
        let count = number("THREADDUMP_CHURN_ATTACHES", 1000) / 5;
        let mut unstopped = 0;
        for index in 0..count {
            let snapshot = attach(pid).unwrap_or_else(|error| panic!("{mode} {index}: {error}"));
            assert!(threads_with_registers(&snapshot) >= 2, "{mode} {index}");
            unstopped += snapshot.threads.iter().flat_map(|thread| &thread.problems).count();
            check_released(pid, false).unwrap_or_else(|error| panic!("{mode} {index}: {error}"));
        }
        summary(&format!("{mode}: {count} attaches, none failed, {unstopped} threads did not stop"));
    }
}

#[test]
fn exec_in_a_loop_gives_a_dump_or_a_clear_message() {
    let _lock = one_at_a_time();
    for mode in ["exec", "exec-threads"] {
        let running = start(&[mode]);
        let pid = running.pid();
        let count = number("THREADDUMP_CHURN_ATTACHES", 1000) / 10;
        let mut refused = BTreeMap::new();
        for index in 0..count {
            let (status, text) = run_tool(pid);
            let is_clear = text.contains("started another program") || text.contains("ended while");
            assert!(matches!(status, 0 | 1) || is_clear, "{mode} {index}: status {status}: {text}");
            if status == 2 {
                *refused.entry(text).or_insert(0_u64) += 1;
            }
            check_released(pid, false).unwrap_or_else(|error| panic!("{mode} {index}: {error}"));
        }
        let failed: u64 = refused.values().sum();
        summary(&format!("{mode}: {count} attaches, {} dumps, {failed} clear messages", count - failed));
        assert!(failed < count / 2, "{refused:?}");
    }
}

#[test]
fn exit_during_the_attach_keeps_its_status() {
    let _lock = one_at_a_time();
    let count = number("THREADDUMP_CHURN_ATTACHES", 1000) / 5;
    let mut said: BTreeMap<i32, u64> = BTreeMap::new();
    for index in 0..count {
        // Spread over the time from the start of the tool to the end of its attach.
        let time = (500 + index * 37 % 12_000).to_string();
        let mut command = Command::new(program());
        let mut running = Running::start(command.args(["exit", &time]).stdout(Stdio::null()));
        let (status, text) = run_tool(running.pid());
        assert!(matches!(status, 0..=2), "{index}: status {status}: {text}");
        assert!(status != 2 || text.starts_with("threaddump: "), "{index}: {text}");
        *said.entry(status).or_default() += 1;
        // The parent gets the status, and gets it although another process had attached.
        assert_eq!(wait_for(&mut running.0, "the target"), 7);
    }
    summary(&format!(
        "exit during the attach: {count} processes ended with their status; dumps by status {said:?}"
    ));
    assert!(said.len() > 1, "some ended before and some after: {said:?}");
}
