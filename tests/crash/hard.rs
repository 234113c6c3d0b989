//! Large processes, a full disk, and handlers that are killed: the process that crashes goes away in time,
//! and its report is whole or not there.
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Test;
use crate::programs::{BOUND, crash, crasher, has, lost, report, reports, threads, wait};
use crate::setting::Settings;
use crate::support::{Stop, record};

pub(crate) const ALL: &[(&str, Test)] = &[
    ("a_process_whose_handler_is_killed_goes_away", killed),
    ("a_report_is_stored_without_stacks_if_the_worker_crashes", worker_crashes),
    ("a_full_disk_is_said", full_disk),
    ("a_store_that_cannot_be_is_no_trap", no_store),
    ("five_thousand_threads_are_shown", crowd),
    ("a_large_process_is_held_as_briefly_as_a_small_one", large),
    ("a_process_is_let_go_at_the_deadline", deadline),
];

pub(crate) fn in_time(took: Duration) -> Result<(), Stop> {
    if took < BOUND { Ok(()) } else { Err(format!("it took {took:?}").into()) }
}

pub(crate) fn start(arguments: &[&str]) -> Result<Child, Stop> {
    let mut command = Command::new(crasher()?);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn().map_err(|error| error.to_string())?)
}

/// Processes that run the handler, the first one before its children.
pub(crate) fn handlers(settings: &Settings) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let program = settings.program.to_string_lossy().into_owned();
    let ours = ids.filter(|id| {
        let text = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        text.starts_with(program.as_bytes()) && String::from_utf8_lossy(&text).contains("handle-core")
    });
    let mut all: Vec<Pid> = ours.map(Pid::from_raw).collect();
    // Asked once for each, since it changes while they end.
    all.sort_by_cached_key(|pid| (parent(*pid) > 2, *pid));
    all
}

fn parent(pid: Pid) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = text.rsplit(')').next().unwrap_or_default();
    rest.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()).unwrap_or(0)
}

fn killed(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    for (round, pause) in [0, 1, 2, 5, 10, 20, 40, 80].into_iter().enumerate() {
        let mut child = start(&["segv", "500"])?;
        let first = wait("the handler", || handlers(settings).first().copied())?;
        std::thread::sleep(Duration::from_millis(pause));
        let clock = Instant::now();
        let signal = if round % 2 == 0 { Signal::SIGKILL } else { Signal::SIGILL };
        let _ = kill(first, signal);
        child.wait().map_err(|error| error.to_string())?;
        in_time(clock.elapsed())?;
        wait("the end of the handler's children", || handlers(settings).is_empty().then_some(()))?;
    }
    // What is there is whole.
    let whole = reports(settings, 0).iter().all(|report| threads(report).len() == 501);
    if whole { Ok(()) } else { Err("half a report is in the store".to_owned().into()) }
}

fn worker_crashes(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let mut child = start(&["segv", "2000"])?;
    // The handler, its broker, and the worker, which is the last that is started.
    let worker = wait("the worker", || handlers(settings).get(2).copied())?;
    // Rust's runtime takes the first SIGSEGV for itself.
    let _ = kill(worker, Signal::SIGILL);
    let clock = Instant::now();
    child.wait().map_err(|error| error.to_string())?;
    in_time(clock.elapsed())?;
    let report = report(settings, 0)?;
    let named = threads(&report).iter().filter(|thread| !thread["registers"]["rip"].is_null()).count();
    let said = report["problems"].to_string();
    if named != 2001 || !said.contains("was ended by SIGILL") {
        return Err(format!("{named} threads with registers, {said}").into());
    }
    Ok(())
}

fn full_disk(settings: &Settings) -> Result<(), Stop> {
    let store = settings.store.display().to_string();
    std::fs::create_dir_all(&settings.store).map_err(|error| error.to_string())?;
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k,mode=755", "none", &store]).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return Err(Stop::Skip("a small file system cannot be mounted".to_owned()));
    }
    let result = settings.install(&[]).map_err(Stop::from).and_then(|_| {
        let (_, took) = crash(Command::new(crasher()?).args(["segv", "100"]))?;
        in_time(took)?;
        wait("a word about it", || lost(settings).first().map(|crash| crash.reason.clone()))
    });
    let left = reports(settings, 0).len();
    let _ = Command::new("umount").arg(&store).status();
    let said = result?;
    if left > 0 || !(said.contains("space") || said.contains("No space")) {
        return Err(format!("{left} reports, {said}").into());
    }
    Ok(())
}

fn no_store(settings: &Settings) -> Result<(), Stop> {
    // A file is where the folder should be.
    std::fs::write(&settings.store, b"").map_err(|error| error.to_string())?;
    settings.install(&[])?;
    let (_, took) = crash(Command::new(crasher()?).args(["segv", "3"]))?;
    let _ = wait("the end of the handler", || handlers(settings).is_empty().then_some(()));
    std::fs::remove_file(&settings.store).map_err(|error| error.to_string())?;
    in_time(took)
}

fn crowd(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let (_, took) = crash(Command::new(crasher()?).args(["segv", "5000"]))?;
    in_time(took)?;
    let report = report(settings, 0)?;
    let shown = threads(&report).iter().filter(|thread| has(thread, "wait_here")).count();
    record::summary(&format!(
        "crash of 5,001 threads: held {} ms",
        report["pause_ns"].as_u64().unwrap_or(0) / 1_000_000
    ));
    if shown == 5000 { Ok(()) } else { Err(format!("{shown} of 5000 were shown").into()) }
}

fn large(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let mib = std::env::var("THREADDUMP_CRASH_MIB").unwrap_or_else(|_| "2048".to_owned());
    crash(Command::new(crasher()?).args(["segv", "3", &mib]))?;
    let held = report(settings, 0)?["pause_ns"].as_u64().unwrap_or(u64::MAX) / 1_000_000;
    record::summary(&format!("crash of {mib} MiB: held {held} ms"));
    if held < 1000 { Ok(()) } else { Err(format!("it was held for {held} ms").into()) }
}

fn deadline(settings: &Settings) -> Result<(), Stop> {
    settings.install(&["--hold", "1ms"])?;
    let (_, took) = crash(Command::new(crasher()?).args(["segv", "3000"]))?;
    in_time(took)?;
    let report = report(settings, 0)?;
    let said = report["problems"].to_string();
    if report["complete"] == true || !said.contains("time") {
        return Err(format!("{} threads, {said}", threads(&report).len()).into());
    }
    Ok(())
}
