//! Threads that will not stop: the others are shown and released within one deadline, the stuck ones are
//! listed with what `/proc` knows, and afterwards the process is free for the next tool.
mod hurt;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hurt::{
    Running, Words, build, check_released, comes, one_at_a_time, scratch_file, skip, summary, threads,
};
use serde_json::Value;

// Words of the file that stuck.c maps.
const READY: u64 = 0;
const ENDED: u64 = 1;
const TIDS: u64 = 2;
const COUNTS: u64 = 8;
const THREADS: u64 = 6;

fn start(name: &str, seconds: &str) -> (Running, Words) {
    let path = scratch_file(&format!("{name}.words"));
    let _ = std::fs::remove_file(&path);
    let mut command = Command::new(build("stuck"));
    let running = Running::start(command.arg(&path).arg(seconds));
    assert!(comes(|| std::fs::metadata(&path).is_ok_and(|facts| facts.len() > COUNTS * 8)));
    let words = Words::open(&path);
    assert!(comes(|| words.get(READY) == 1), "it starts");
    (running, words)
}

fn state(pid: i32, tid: i32) -> Option<char> {
    threads(pid).into_iter().find(|thread| thread.tid == tid).map(|thread| thread.state)
}

/// Dumps, and checks that these threads, and only these, did not stop, and what is said about them.
fn dump(pid: i32, stuck: &[i32]) -> Duration {
    let begin = Instant::now();
    let mut command = Command::new(hurt::tool());
    let output = command.args(["--format", "json", &pid.to_string()]).output().expect("it starts");
    let time = begin.elapsed();
    assert_eq!(output.status.code(), Some(1), "incomplete: {output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let shown = report["threads"].as_array().expect("threads");
    assert_eq!(shown.len() as u64, THREADS + 1);
    for thread in shown {
        let tid = thread["tid"].as_i64().expect("an id") as i32;
        let frames = thread["frames"].as_array().expect("frames").len();
        let problems = thread["problems"].to_string();
        if stuck.contains(&tid) {
            for part in ["did not stop", "state D", "waits in", "system call", "pc 0x", "sp 0x"] {
                assert!(problems.contains(part), "{part:?} of thread {tid}: {thread}");
            }
        } else {
            assert!(frames > 1 && problems == "[]", "thread {tid} is shown: {thread}");
        }
    }
    check_released(pid, false).expect("all were let go");
    time
}

/// The counting threads other than these count on.
fn check_counts(words: &Words, except: &[i32]) {
    let free = (0..THREADS).filter(|index| !except.contains(&(words.get(TIDS + index) as i32)));
    let before: Vec<(u64, u64)> = free.map(|index| (index, words.get(COUNTS + index))).collect();
    assert!(comes(|| before.iter().all(|&(index, count)| words.get(COUNTS + index) > count)));
}

/// gdb attaches and goes away again.
fn try_gdb(pid: i32) {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "60", "gdb", "-q", "-batch", "-nx", "-p", &pid.to_string(), "-ex", "bt 1"]);
    match command.stdin(Stdio::null()).stderr(Stdio::null()).output() {
        Ok(output) if output.status.code() == Some(127) => skip("gdb after stuck threads", "no gdb"),
        Ok(output) => assert!(String::from_utf8_lossy(&output.stdout).contains("#0"), "{output:?}"),
        Err(error) => skip("gdb after stuck threads", &error.to_string()),
    }
}

#[test]
fn the_parent_of_a_vfork_is_listed_and_the_others_are_shown() {
    let _lock = one_at_a_time();
    let (running, words) = start("vfork", "6");
    let pid = running.pid();
    assert!(comes(|| state(pid, pid) == Some('D')));
    let times = [dump(pid, &[pid]), dump(pid, &[pid]), dump(pid, &[pid])];
    assert_eq!(words.get(ENDED), 0, "all of that was during the vfork");
    assert!(times.iter().all(|time| *time < Duration::from_secs(2)), "{times:?}");
    check_counts(&words, &[pid]);
    assert!(comes(|| words.get(ENDED) == 1), "the vfork ends as if nothing had been");
    try_gdb(pid);
    check_counts(&words, &[]);
    check_released(pid, false).expect("gdb lets it go");
    summary(&format!("parent of a vfork: 3 dumps one after the other, in {times:.1?}; then gdb"));
}

/// A cgroup of the version 1 freezer, which holds threads so that ptrace cannot stop them.
struct Freezer(PathBuf);

impl Freezer {
    fn new() -> Result<Freezer, String> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let mut places = mounts.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let has_it = fields[2] == "cgroup" && fields[3].split(',').any(|option| option == "freezer");
            has_it.then(|| PathBuf::from(fields[1]))
        });
        let place = places.next().ok_or("no cgroup version 1 freezer is mounted")?;
        let folder = place.join(format!("threaddump-test-{}", std::process::id()));
        std::fs::create_dir(&folder).map_err(|error| format!("cannot make a cgroup: {error}"))?;
        Ok(Freezer(folder))
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("the cgroup is ours");
    }

    fn freeze(&self, tids: &[i32]) {
        tids.iter().for_each(|tid| self.write("tasks", &tid.to_string()));
        self.write("freezer.state", "FROZEN");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.write("freezer.state", "THAWED");
        let tasks = std::fs::read_to_string(self.0.join("tasks")).unwrap_or_default();
        for tid in tasks.lines() {
            let _ = std::fs::write(self.0.with_file_name("tasks"), tid);
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn frozen_threads_are_listed_and_the_others_are_shown() {
    let _lock = one_at_a_time();
    let freezer = match Freezer::new() {
        Ok(freezer) => freezer,
        Err(reason) => return skip("frozen threads", &reason),
    };
    let (running, words) = start("frozen", "0");
    let pid = running.pid();
    let frozen = [1, 4].map(|index| words.get(TIDS + index) as i32);
    freezer.freeze(&frozen);
    assert!(comes(|| frozen.iter().all(|&tid| state(pid, tid) == Some('D'))));
    let times = [dump(pid, &frozen), dump(pid, &frozen), dump(pid, &frozen)];
    assert!(times.iter().all(|time| *time < Duration::from_secs(2)), "{times:?}");
    check_counts(&words, &frozen);
    drop(freezer);
    check_counts(&words, &[]);
    check_released(pid, false).expect("nothing is left of the attach");
    try_gdb(pid);
    check_counts(&words, &[]);
    summary(&format!("2 frozen threads of 7: 3 dumps one after the other, in {times:.1?}; then gdb"));
}
