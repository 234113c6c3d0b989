//! Times threaddump beside gdb and eu-stack on the same process, in turns, and asks the process
//! itself how long it stood still. Prints medians and ratios; asserts nothing.
//!
//! `cargo bench --bench peers [-- THREADS...]` (default: 1 100 1000)
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const DEPTH: &str = "20";
const RUNS: usize = 7;

struct Peer {
    name: &'static str,
    command: Vec<String>,
}

/// A process to dump; killed at the end.
struct Target {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Target {
    fn start(program: &Path, threads: usize, probe: bool) -> Target {
        let mut command = Command::new(program);
        command.args([&threads.to_string(), DEPTH]);
        if probe {
            command.arg("probe");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the target starts");
        let mut output = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the target says when it is ready");
        assert_eq!(line.trim(), "ready");
        Target { child, output }
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// The longest gap since the last call, as the spinning thread saw it.
    fn gap(&mut self) -> Duration {
        let sent = Command::new("kill").args(["-USR1", &self.pid()]).status().expect("kill runs");
        assert!(sent.success());
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the target answers");
        let nanoseconds = line.trim().strip_prefix("gap ").and_then(|text| text.parse().ok());
        Duration::from_nanos(nanoseconds.expect("a number of nanoseconds"))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn build_target() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/manythreads.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manythreads");
    let built =
        Command::new("cc").args(["-O2", "-g", "-pthread"]).arg(source).arg("-o").arg(&program).status();
    assert!(built.expect("a C compiler is installed").success());
    program
}

fn peers(pid: &str) -> Vec<Peer> {
    let own = env!("CARGO_BIN_EXE_threaddump");
    let peer = |name, parts: &[&str]| Peer {
        name,
        command: parts.iter().map(|part| part.replace("PID", pid)).collect(),
    };
    let gdb = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-p", "PID", "-ex"];
    let mut all = vec![
        peer("threaddump", &[own, "PID"]),
        peer("threaddump --no-lines", &[own, "--no-lines", "--no-registers", "PID"]),
        peer("eu-stack (names)", &["eu-stack", "-n", "0", "-p", "PID"]),
        peer("eu-stack -i -s (lines)", &["eu-stack", "-n", "0", "-i", "-s", "-p", "PID"]),
        peer("gdb, all bt", &[&gdb[..], &["thread apply all bt"]].concat()),
    ];
    let installed = |name: &str| Command::new(name).arg("--version").output().is_ok();
    all.retain(|peer| peer.name.starts_with("threaddump") || installed(&peer.command[0]));
    all
}

fn run(peer: &Peer) -> Duration {
    let start = Instant::now();
    let status = Command::new(&peer.command[0])
        .args(&peer.command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let time = start.elapsed();
    if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
        eprintln!("{}: {status:?}", peer.name);
    }
    time
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn compare(program: &Path, threads: usize) {
    let quiet = Target::start(program, threads, false);
    let mut probed = Target::start(program, threads, true);
    let (on_quiet, on_probed) = (peers(&quiet.pid()), peers(&probed.pid()));
    let mut walls = vec![Vec::new(); on_quiet.len()];
    let mut gaps = vec![Vec::new(); on_quiet.len()];
    for round in 0..=RUNS {
        for (index, peer) in on_quiet.iter().enumerate() {
            let wall = run(peer);
            if round > 0 {
                walls[index].push(wall); // the first round warms the caches
            }
        }
    }
    for _ in 0..RUNS.min(5) {
        for (index, peer) in on_probed.iter().enumerate() {
            let _ = probed.gap();
            let _ = run(peer);
            gaps[index].push(probed.gap());
        }
    }
    println!("\n{threads} threads and main, {DEPTH} calls deep: medians in ms (ratio to threaddump)");
    println!("{:24} {:>10} {:>8}   {:>18} {:>8}", "", "wall", "", "longest standstill", "");
    let base = (median(&mut walls[0]), median(&mut gaps[0]));
    for (index, peer) in on_quiet.iter().enumerate() {
        let (wall, gap) = (median(&mut walls[index]), median(&mut gaps[index]));
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let ratio = |time: Duration, base: Duration| time.as_secs_f64() / base.as_secs_f64();
        println!(
            "{:24} {:>10.2} {:>7.1}x   {:>18.2} {:>7.1}x",
            peer.name,
            ms(wall),
            ratio(wall, base.0),
            ms(gap),
            ratio(gap, base.1)
        );
    }
}

fn main() {
    let counts: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let program = build_target();
    for threads in if counts.is_empty() { vec![1, 100, 1000] } else { counts } {
        compare(&program, threads);
    }
}
