//! Following a process through storms of signals, threads that come and go, programs that replace each other,
//! and a tool that is killed at any moment: no signal is lost or doubled, and nobody is left held.
mod hurt;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hurt::counter::Counter;
use hurt::{
    Running, Words, build, check_released, comes, number, one_at_a_time, scratch_file, summary, tool,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn quit(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGQUIT).expect("it lives");
}

/// A tool that watches, once it does.
struct Watch(Child);

impl Watch {
    fn start(pid: i32, dumps: &Path) -> Watch {
        let mut command = Command::new(tool());
        command.args(["watch", "--no-lines", "-o"]).arg(dumps).arg(pid.to_string()).stdin(Stdio::null());
        let watch = Watch(command.spawn().expect("it starts"));
        assert!(comes(|| hurt::threads(pid).iter().all(|thread| thread.tracer != 0)), "all are traced");
        watch
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).expect("it is our child");
        self.0.wait().expect("it is our child").code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a thread of a process has started another process.
fn has_children(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let started = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
    tasks.filter_map(|task| started(task).ok()).any(|children| !children.is_empty())
}

/// A pseudo-random number below a limit, from a state that is not zero.
fn below(state: &mut u64, limit: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % limit
}

#[test]
fn a_storm_of_signals_reaches_a_watched_program_while_it_is_dumped() {
    let _lock = one_at_a_time();
    let dumps = scratch_file("storm.dump");
    let mut counter = Counter::start(8);
    let mut watch = Watch::start(counter.pid, &dumps);
    let rounds = number("THREADDUMP_KILL_ROUNDS", 1) * 20;
    for round in 0..rounds {
        counter.wait_for_more(500);
        let _ = std::fs::remove_file(&dumps);
        quit(counter.pid);
        assert!(comes(|| dumps.exists()), "round {round}: a dump");
        counter.check_goes_on().unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert_eq!(watch.end(Signal::SIGTERM), Some(0));
    counter.check_state(false).unwrap_or_else(|error| panic!("after the end: {error}"));
    let signals = counter.finish().unwrap_or_else(|error| panic!("in the end: {error}"));
    let _ = std::fs::remove_file(&dumps);
    summary(&format!("watch: {signals} signals arrived once under {rounds} dumps of a watched program"));
}

#[test]
fn a_reader_that_does_not_read_keeps_nobody() {
    let _lock = one_at_a_time();
    let mut counter = Counter::start(8);
    let mut command = Command::new(tool());
    // The pipe takes 64 KiB, and nobody empties it.
    command.args(["watch", "--no-lines"]).arg(counter.pid.to_string()).stdin(Stdio::null());
    let watch = Watch(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
    assert!(comes(|| hurt::threads(counter.pid).iter().all(|thread| thread.tracer != 0)), "all are traced");
    for _ in 0..60 {
        quit(counter.pid);
        std::thread::sleep(Duration::from_millis(20));
    }
    // Also from what is still in line.
    assert!(comes(|| hurt::threads(counter.pid).iter().all(|thread| thread.state != 't')), "all go on");
    counter.check_goes_on().unwrap_or_else(|error| panic!("amid the dumps: {error}"));
    drop(watch);
    counter.finish().unwrap_or_else(|error| panic!("in the end: {error}"));
    summary("watch: a target goes on although nobody reads what was asked for 60 times");
}

#[test]
fn a_watching_tool_may_be_killed_at_any_moment() {
    let _lock = one_at_a_time();
    let dumps = scratch_file("killed.dump");
    let mut counter = Counter::start(6);
    let rounds = number("THREADDUMP_KILL_ROUNDS", 1) * 60;
    let mut seed = u64::from(std::process::id()) | 1;
    let mut stopped_rounds = 0;
    for round in 0..rounds {
        let stopped = round % 4 == 3;
        if stopped {
            counter.stop();
            stopped_rounds += 1;
        }
        let mut watch = Watch::start(counter.pid, &dumps);
        if !stopped {
            counter.wait_for_more(20);
        }
        // Asked of the tool, so that no SIGQUIT can be on its way to the program when the tool dies.
        if round % 2 == 0 {
            quit(watch.0.id().cast_signed());
        }
        std::thread::sleep(Duration::from_micros(below(&mut seed, 15_000)));
        watch.end(Signal::SIGKILL);
        counter.check_state(stopped).unwrap_or_else(|error| panic!("round {round}: {error}"));
        if stopped {
            counter.go_on();
        }
        counter.check_goes_on().unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    let signals = counter.finish().unwrap_or_else(|error| panic!("in the end: {error}"));
    let _ = std::fs::remove_file(&dumps);
    summary(&format!(
        "watch: killed {rounds} times ({stopped_rounds} with a stopped program), {signals} signals arrived once"
    ));
}

#[test]
fn a_watched_program_stops_and_goes_on_as_alone() {
    let _lock = one_at_a_time();
    let dumps = scratch_file("stops.dump");
    let mut counter = Counter::start(4);
    let mut watch = Watch::start(counter.pid, &dumps);
    for round in 0..10 {
        kill(Pid::from_raw(counter.pid), Signal::SIGSTOP).expect("it lives");
        assert!(
            comes(|| counter.is_told_of_stops(round + 1)),
            "round {round}: its parent is told of the stop"
        );
        let work = counter.work();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(counter.work(), work, "round {round}: it works though it is stopped");
        let _ = std::fs::remove_file(&dumps);
        quit(watch.0.id().cast_signed());
        assert!(comes(|| dumps.exists()), "round {round}: a dump of the stopped program");
        std::thread::sleep(Duration::from_millis(10));
        assert_eq!(counter.work(), work, "round {round}: it works after a dump, though it is stopped");
        kill(Pid::from_raw(counter.pid), Signal::SIGCONT).expect("it lives");
        counter.check_goes_on().unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert_eq!(watch.end(Signal::SIGINT), Some(0));
    let _ = std::fs::remove_file(&dumps);
    check_released(counter.pid, false).unwrap_or_else(|error| panic!("{error}"));
    summary("watch: a program was stopped and continued 10 times, with a dump each time, as if alone");
}

/// Whether a process blocks SIGQUIT, as the tool does once it is ready for it.
fn takes_quit(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap_or("0").trim();
    u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & (1 << 2) != 0)
}

const DONE: u64 = 6;
const RECEIVED: u64 = 3;
const SENT: u64 = 2;
const DOUBLED: u64 = 4;
const STRANGE: u64 = 5;
const SEEN: u64 = 512 * 8;

#[test]
fn a_storm_under_run_with_children_arrives_once() {
    let _lock = one_at_a_time();
    let wanted = number("THREADDUMP_STORM_SIGNALS", 200_000) / 10;
    let path = scratch_file("storm-run.words");
    let dumps = scratch_file("storm-run.dump");
    let _ = std::fs::remove_file(&path);
    let mut command = Command::new(tool());
    command.args(["run", "--children", "--no-lines", "-o"]).arg(&dumps).arg("--").arg(build("storm"));
    let running = Running::start(command.arg(&path).arg(wanted.to_string()));
    assert!(comes(|| std::fs::metadata(&path).is_ok_and(|facts| facts.len() > SEEN)));
    let words = Words::open(&path);
    assert!(comes(|| takes_quit(running.pid())), "it starts");
    let mut asked = 0;
    assert!(comes(|| {
        // To the tool: it hands it on, and the program, which does not catch it, is dumped.
        quit(running.pid());
        asked += 1;
        std::thread::sleep(Duration::from_millis(20));
        words.get(DONE) != 0
    }));
    assert!(comes(|| words.get(RECEIVED) >= wanted));
    let seen = words.bytes(SEEN, wanted);
    let wrong = seen.iter().filter(|&&times| times != 1).count();
    assert_eq!((wrong, words.get(DOUBLED), words.get(STRANGE)), (0, 0, 0));
    assert_eq!((words.get(SENT), words.get(RECEIVED)), (wanted, wanted));
    assert!(dumps.exists(), "there was a dump");
    for path in [path, dumps] {
        let _ = std::fs::remove_file(path);
    }
    summary(&format!("run: {wanted} signals and children arrived once under {asked} requests for dumps"));
}

#[test]
fn programs_that_replace_each_other_are_followed_and_survive_the_tool() {
    let _lock = one_at_a_time();
    let program = build("exec_loop");
    let dumps = scratch_file("exec.dump");
    let count = number("THREADDUMP_CHURN_ATTACHES", 1000) / 10;
    let mut command = Command::new(tool());
    command
        .args(["run", "--no-lines", "-q", "-o"])
        .arg(&dumps)
        .arg("--")
        .arg(&program)
        .arg(count.to_string());
    let begin = Instant::now();
    let mut running = Running::start(command.stdout(Stdio::piped()));
    let (mut asked, pid) = (0, running.pid());
    assert!(comes(|| takes_quit(pid)), "it starts");
    let status = loop {
        if let Some(status) = running.0.try_wait().expect("it is our child") {
            break status;
        }
        assert!(begin.elapsed() < hurt::PATIENCE, "the chain of programs ends");
        let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        asked += 1;
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(42), "{status}");
    let mut seed = u64::from(std::process::id()) | 1;
    let rounds = number("THREADDUMP_KILL_ROUNDS", 1) * 15;
    for round in 0..rounds {
        let mut command = Command::new(tool());
        command.args(["run", "--no-lines", "-q", "-o"]).arg(&dumps).arg("--").arg(&program).arg("40");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        // Before that there is no program that could go on.
        assert!(comes(|| has_children(child.id())), "it starts the program");
        std::thread::sleep(Duration::from_micros(below(&mut seed, 60_000)));
        child.kill().expect("it is our child");
        // Its output ends when the last of the chain does, which has no tool any more.
        let output = child.wait_with_output().expect("it is our child");
        assert_eq!(output.stdout, b"done\n", "round {round}");
    }
    let _ = std::fs::remove_file(&dumps);
    summary(&format!(
        "run: {count} programs replaced each other under {asked} requests for dumps; {rounds} chains went on to \
         their end when the tool was killed"
    ));
}

#[test]
fn threads_that_come_and_go_are_followed() {
    let _lock = one_at_a_time();
    let program = build("churn");
    let dumps = scratch_file("churn.dump");
    for mode in ["threads", "leaderless", "vfork"] {
        let mut command = Command::new(&program);
        let mut running = Running::start(command.arg(mode).stdout(Stdio::piped()));
        let mut word = [0; 6];
        let output = running.0.stdout.as_mut().expect("it is piped");
        std::io::Read::read_exact(output, &mut word).expect("it says that it is ready");
        let pid = running.pid();
        let mut command = Command::new(tool());
        command.args(["watch", "--no-lines", "-q", "-o"]).arg(&dumps).arg(pid.to_string());
        let mut watch = Watch(command.spawn().expect("it starts"));
        assert!(comes(|| hurt::threads(pid).iter().any(|thread| thread.tracer != 0)));
        let count = number("THREADDUMP_CHURN_ATTACHES", 1000) / 50;
        for index in 0..count {
            let _ = std::fs::remove_file(&dumps);
            quit(watch.0.id().cast_signed());
            assert!(comes(|| dumps.exists()), "{mode}: dump {index}");
        }
        let code = watch.end(Signal::SIGTERM);
        // Some threads of a vfork parent do not stop.
        assert!(matches!(code, Some(0 | 1)), "{mode}: {code:?}");
        check_released(pid, false).unwrap_or_else(|error| panic!("{mode}: {error}"));
        summary(&format!("watch: {mode}: {count} dumps"));
    }
    let _ = std::fs::remove_file(&dumps);
}
