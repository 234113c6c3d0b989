//! Times threaddump beside eu-stack and gdb on processes with much debug information, in turns, and
//! samples how much memory each of them has for itself (pages of files apart). Prints medians and
//! ratios; asserts nothing. `benches/heavy.sh` starts such processes.
//!
//! `cargo bench --bench heavy -- PID...` (`THREADDUMP_BENCH_RUNS`: runs of each, 5 by default)
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at the memory of a process.
const PAUSE: Duration = Duration::from_millis(1);

/// A program, and how it is told to show all threads with lines and inlined functions.
const PEERS: [(&str, &[&str]); 3] = [
    (env!("CARGO_BIN_EXE_threaddump"), &["PID"]),
    ("eu-stack", &["-n", "0", "-i", "-s", "-p", "PID"]),
    (
        "gdb",
        &["-nx", "-batch", "-ex", "set debuginfod enabled off", "-p", "PID", "-ex", "thread apply all bt"],
    ),
];

#[derive(Default)]
struct Figures {
    wall: Vec<Duration>,
    /// User and system time.
    work: Vec<Duration>,
    /// Most anonymous memory, in KiB.
    memory: Vec<u64>,
}

fn start(program: &str, arguments: &[&str], pid: &str) -> Child {
    let arguments = arguments.iter().map(|argument| argument.replace("PID", pid));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("cannot run {program}: {error}"))
}

/// Anonymous memory of a process, in KiB; 0 once it has ended.
fn anonymous(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// User and system time of all children that have ended.
fn children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(13).take(2).filter_map(|text| text.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn run(program: &str, arguments: &[&str], pid: &str, timed: bool, figures: &mut Figures) {
    let (begin, before) = (Instant::now(), children());
    let mut child = start(program, arguments, pid);
    if timed {
        let status = child.wait().expect("it was started");
        figures.wall.push(begin.elapsed());
        figures.work.push(children() - before);
        assert!(status.code() == Some(0) || status.code() == Some(1), "{program}: {status}");
        return;
    }
    let mut most = 0;
    while child.try_wait().expect("it was started").is_none() {
        most = most.max(anonymous(child.id()));
        std::thread::sleep(PAUSE);
    }
    figures.memory.push(most);
}

fn median<T: Ord + Copy + Default>(values: &mut [T]) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn compare(pid: &str, runs: usize) {
    let mut figures: Vec<Figures> = PEERS.iter().map(|_| Figures::default()).collect();
    for round in 0..=runs {
        for ((program, arguments), figures) in PEERS.iter().zip(&mut figures) {
            // The first round warms the caches. Memory is sampled in runs of its own.
            let mut unused = Figures::default();
            run(program, arguments, pid, true, if round == 0 { &mut unused } else { figures });
            if round % 2 == 1 {
                run(program, arguments, pid, false, figures);
            }
        }
    }
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    println!("\n{} (pid {pid}): medians of {runs} runs (ratio to threaddump)", name.trim());
    println!("{:12} {:>9} {:>7}  {:>9} {:>7}  {:>9} {:>7}", "", "wall ms", "", "cpu ms", "", "anon MiB", "");
    let mut base = None;
    for ((program, _), figures) in PEERS.iter().zip(&mut figures) {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let wall = ms(median(&mut figures.wall));
        let work = ms(median(&mut figures.work));
        let memory = median(&mut figures.memory) as f64 / 1024.0;
        let (a, b, c) = *base.get_or_insert((wall, work, memory));
        let name = program.rsplit('/').next().unwrap_or(program);
        let ratios = (wall / a, work / b, memory / c);
        println!(
            "{name:12} {wall:>9.1} {:>6.1}x  {work:>9.1} {:>6.1}x  {memory:>9.1} {:>6.1}x",
            ratios.0, ratios.1, ratios.2
        );
    }
}

fn main() {
    let runs = std::env::var("THREADDUMP_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(5);
    let pids: Vec<String> = std::env::args().skip(1).filter(|text| text.parse::<u32>().is_ok()).collect();
    if pids.is_empty() {
        println!("no process ids given; benches/heavy.sh starts processes with much debug information");
    }
    pids.iter().for_each(|pid| compare(pid, runs));
}
