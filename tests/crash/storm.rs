//! Many crashes at once, handlers that are killed, and settings: each crash is stored, or counted and logged with its
//! reason.
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use threaddump::core_pattern::{open_log, skipped_in};
use threaddump::handler::LostCrash;

use crate::Test;
use crate::hard::{handlers, in_time, start};
use crate::programs::{crash, crasher, lost, report, reports, stored, wait};
use crate::setting::Settings;
use crate::support::{Stop, record};

pub(crate) const ALL: &[(&str, Test)] = &[
    ("of_a_hundred_crashes_at_once_each_is_stored_or_counted", storm),
    ("crashes_for_which_there_is_no_turn_are_counted_and_logged", no_turn),
    ("others_go_on_when_a_handler_is_killed", killed_in_turn),
    ("crashes_that_the_kernel_skips_are_counted_by_its_log", skipped_by_the_kernel),
    ("a_handler_that_waits_for_ever_is_ended", stuck),
    ("threads_that_stop_too_late_for_ptrace_are_let_go", late_stops),
    ("settings_are_read_from_a_file_and_lose_nothing", settings_file),
];

const CRASHES: u64 = 100;
/// As many as are copied at the same time if nothing else is said.
const PARALLEL: u64 = 16;
const LIMIT: &str = "/proc/sys/kernel/core_pipe_limit";
/// Where handlers have their locks, and that of the first place among those that copy.
const SLOTS: &str = "/run/threaddump/slots";
const FIRST_HELD: i64 = (2 << 20) + 1;
const FIRST_WORK: i64 = (3 << 20) + 1;

fn text(error: impl std::fmt::Display) -> Stop {
    error.to_string().into()
}

/// The kernel's log from now on.
fn log() -> Result<File, Stop> {
    let mut log =
        open_log().map_err(|error| Stop::Skip(format!("the kernel's log cannot be read: {error}")))?;
    log.seek(SeekFrom::End(0)).map_err(text)?;
    Ok(log)
}

/// Lets so many programs crash at once; their ids.
fn crash_all(count: u64) -> Result<Vec<i32>, Stop> {
    let clock = Instant::now();
    let children: Result<Vec<Child>, Stop> = (0..count).map(|_| start(&["segv", "2"])).collect();
    let mut ids = Vec::new();
    for mut child in children? {
        let status = child.wait().map_err(text)?;
        if status.signal() != Some(11) {
            return Err(format!("it ended by {status}").into());
        }
        ids.push(child.id() as i32);
    }
    in_time(clock.elapsed())?;
    Ok(ids)
}

/// Waits until each of so many crashes is stored or counted; how many were stored, and those that were not.
fn account(settings: &Settings, count: u64) -> Result<(u64, Vec<LostCrash>), Stop> {
    wait("the end of all handlers", || handlers(settings).is_empty().then_some(()))?;
    let (kept, lost) = (stored(settings, 0), lost(settings));
    let numbers: Vec<u64> = lost.iter().map(|crash| crash.number).collect();
    if kept + lost.len() as u64 != count || numbers != (1..=lost.len() as u64).collect::<Vec<_>>() {
        return Err(format!("{kept} stored of {count}, lost: {lost:#?}").into());
    }
    Ok((kept, lost))
}

fn check_facts(lost: &[LostCrash], ids: &[i32]) -> Result<(), Stop> {
    let program = crasher()?.display().to_string();
    let is_whole = |crash: &LostCrash| {
        ids.contains(&crash.pid)
            && (crash.name.as_str(), crash.uid, crash.signal) == ("crasher", 0, 11)
            && crash.exe.as_ref() == Some(&program)
            && crash.time.as_second() > 1_700_000_000
            && !crash.reason.is_empty()
    };
    match lost.iter().find(|crash| !is_whole(crash)) {
        Some(crash) => Err(format!("{crash:#?}").into()),
        None => Ok(()),
    }
}

/// Where neither journal nor syslog is, the kernel's log has a line for each.
fn check_log(lost: &[LostCrash], mut log: File) -> Result<(), Stop> {
    if Path::new("/run/systemd/journal/socket").exists() || Path::new("/dev/log").exists() {
        return Ok(());
    }
    let (mut all, mut record) = (String::new(), [0; 8192]);
    while let Ok(length) = log.read(&mut record) {
        all += &String::from_utf8_lossy(&record[..length]);
    }
    let missing =
        lost.iter().find(|crash| !all.contains(&format!("threaddump: lost: process {} (", crash.pid)));
    match missing {
        Some(crash) => Err(format!("no line in the log about {crash:?}").into()),
        None => Ok(()),
    }
}

fn storm(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let (mut kernel, clock) = (log()?, Instant::now());
    let ids = crash_all(CRASHES)?;
    let took = clock.elapsed();
    let (kept, lost) = account(settings, CRASHES)?;
    let all = clock.elapsed();
    check_facts(&lost, &ids)?;
    let skipped = skipped_in(&mut kernel);
    record::summary(&format!(
        "crash storm: {CRASHES} gone in {took:.1?}, {kept} stored and {} counted as lost in {all:.1?}",
        lost.len()
    ));
    if kept < PARALLEL || skipped.count > 0 {
        return Err(format!("only {kept} are stored, {skipped:?}: {lost:#?}").into());
    }
    Ok(())
}

fn no_turn(settings: &Settings) -> Result<(), Stop> {
    settings.install(&["--parallel", "1", "--hold", "200ms"])?;
    // Somebody else has the only place, so that not one has a turn.
    let kernel = log()?;
    std::fs::create_dir_all("/run/threaddump").map_err(text)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let slots = options.open(SLOTS).map_err(text)?;
    fcntl(&slots, FcntlArg::F_OFD_SETLK(&range(libc::F_WRLCK))).map_err(text)?;
    let ids = crash_all(20)?;
    let (kept, lost) = account(settings, 20)?;
    check_facts(&lost, &ids)?;
    check_log(&lost, kernel)?;
    drop(slots);
    if kept > 0 || !lost.iter().all(|crash| crash.reason.contains("no turn")) {
        return Err(format!("{kept} stored, {lost:#?}").into());
    }
    let said = settings.command(&["crashes", "list", "--dir"]).arg(&settings.store).output().map_err(text)?;
    let status = settings.command(&["core-pattern", "status"]).output().map_err(text)?;
    let (said, status) = (String::from_utf8_lossy(&said.stderr), String::from_utf8_lossy(&status.stdout));
    if !said.contains("20 crashes not stored") || !status.contains("lost             20 crashes") {
        return Err(format!("{said}{status}").into());
    }
    // Then there is a turn again.
    crash_all(1)?;
    let (kept, _) = account(settings, 21)?;
    if kept == 1 { Ok(()) } else { Err("it is not stored".to_owned().into()) }
}

fn range(kind: i32) -> libc::flock {
    let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
    libc::flock { l_type, l_whence, l_start: FIRST_HELD, l_len: 1, l_pid: 0 }
}

/// Whether a handler has the first place among those that copy.
fn is_copying() -> bool {
    let Ok(slots) = File::options().read(true).write(true).open(SLOTS) else { return false };
    fcntl(&slots, FcntlArg::F_OFD_SETLK(&range(libc::F_WRLCK))) == Err(Errno::EAGAIN)
}

/// A program that crashes, and its handler, which has stopped while it copies.
fn stopped_handler(settings: &Settings) -> Result<(Child, Pid), Stop> {
    for _ in 0..20 {
        let mut child = start(&["segv", "1000"])?;
        loop {
            if let Some(&handler) = handlers(settings).first()
                && is_copying()
            {
                kill(handler, Signal::SIGSTOP).map_err(text)?;
                if is_copying() {
                    return Ok((child, handler));
                }
                let _ = kill(handler, Signal::SIGCONT);
            }
            if child.try_wait().map_err(text)?.is_some() {
                break;
            }
        }
        wait("the end of the handler", || handlers(settings).is_empty().then_some(()))?;
    }
    Err("no handler was met while it copied".to_owned().into())
}

/// Handlers that the kernel has started, without what they have started.
fn firsts(settings: &Settings) -> Vec<Pid> {
    let of_kernel = |pid: &Pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        text.lines().any(|line| line == "PPid:\t2")
    };
    handlers(settings).into_iter().filter(of_kernel).collect()
}

fn killed_in_turn(settings: &Settings) -> Result<(), Stop> {
    settings.install(&["--parallel", "1", "--hold", "60s"])?;
    let (mut first, handler) = stopped_handler(settings)?;
    let before = stored(settings, 0);
    let mut others: Vec<Child> = (0..4).map(|_| start(&["segv", "2"])).collect::<Result<_, _>>()?;
    let waiting = wait("handlers that wait", || Some(firsts(settings)).filter(|all| all.len() == 5))?;
    if others.iter_mut().any(|child| child.try_wait().is_ok_and(|status| status.is_some())) {
        return Err("one did not wait for its turn".to_owned().into());
    }
    // One of those that wait, then the one for which they wait.
    let victim = waiting.into_iter().find(|&pid| pid != handler).ok_or_else(|| text("there is no other"))?;
    let clock = Instant::now();
    kill(victim, Signal::SIGKILL).and_then(|()| kill(handler, Signal::SIGKILL)).map_err(text)?;
    for child in others.iter_mut().chain([&mut first]) {
        child.wait().map_err(text)?;
    }
    in_time(clock.elapsed())?;
    // The last handler counts what others left; one that was killed after it is counted by who asks.
    wait("the end of all handlers", || handlers(settings).is_empty().then_some(()))?;
    settings.command(&["core-pattern", "status"]).output().map_err(text)?;
    let (kept, lost) = account(settings, before + 5)?;
    let ended = lost.iter().filter(|crash| crash.reason.contains("handler was ended")).count();
    if (kept - before, ended) != (3, 2) || !lost.iter().any(|crash| crash.pid == first.id() as i32) {
        return Err(format!("{} stored, {lost:#?}", kept - before).into());
    }
    Ok(())
}

/// Stopped is what comes nearest to one that waits for ever.
fn stuck(settings: &Settings) -> Result<(), Stop> {
    settings.install(&["--hold", "1s"])?;
    let (mut child, handler) = stopped_handler(settings)?;
    let clock = Instant::now();
    child.wait().map_err(text)?;
    in_time(clock.elapsed())?;
    wait("its end", || handlers(settings).is_empty().then_some(()))?;
    settings.command(&["core-pattern", "status"]).output().map_err(text)?;
    let lost = lost(settings);
    let is_counted = |crash: &LostCrash| crash.pid == child.id() as i32 && crash.reason.contains("was ended");
    if lost.iter().any(is_counted) { Ok(()) } else { Err(format!("{handler}: {lost:#?}").into()) }
}

fn skipped_by_the_kernel(settings: &Settings) -> Result<(), Stop> {
    settings.install(&["--hold", "60s"])?;
    let (mut first, handler) = stopped_handler(settings)?;
    let before = stored(settings, 0);
    std::fs::write(LIMIT, "1").map_err(text)?;
    // The kernel counts for five seconds, and says the number with the next one. What it did not say before this
    // test comes with the first one.
    let pause = || std::thread::sleep(Duration::from_secs(6));
    pause();
    crash_all(1)?;
    pause();
    let mut kernel = log()?;
    crash_all(39)?;
    pause();
    let started = crash_all(1);
    let _ = kill(handler, Signal::SIGCONT);
    first.wait().map_err(text)?;
    started?;
    let (kept, _) = account(settings, before + 1)?;
    let skipped = skipped_in(&mut kernel);
    if skipped.count == 40 && !skipped.more && kept == before + 1 {
        Ok(())
    } else {
        Err(format!("{skipped:?}").into())
    }
}

fn late_stops(settings: &Settings) -> Result<(), Stop> {
    settings.install(&["--via", "ptrace", "--hold", "10ms", "--parallel", "2"])?;
    // So that the places are there.
    crash(std::process::Command::new(crasher()?).args(["segv", "2"]))?;
    account(settings, 1)?;
    // Nobody may unwind, so the handler stays.
    let slots = File::options().read(true).write(true).open(SLOTS).map_err(text)?;
    let (l_type, l_whence) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    let all = libc::flock { l_type, l_whence, l_start: FIRST_WORK, l_len: 100, l_pid: 0 };
    fcntl(&slots, FcntlArg::F_OFD_SETLK(&all)).map_err(text)?;
    let mut child = start(&["segv", "1000"])?;
    let clock = Instant::now();
    child.wait().map_err(text)?;
    in_time(clock.elapsed())?;
    let is_there = !handlers(settings).is_empty();
    drop(slots);
    account(settings, 2)?;
    if is_there { Ok(()) } else { Err("the handler did not wait".to_owned().into()) }
}

fn settings_file(settings: &Settings) -> Result<(), Stop> {
    let file = settings.program.parent().expect("it is in a folder").join("conf");
    let name = file.display().to_string();
    let write = |text: &str| std::fs::write(&file, text).map_err(self::text);
    write("max-crashes = 1\nmax-bytes = 0\n")?;
    if settings.install(&["--config", &name]).is_ok() {
        return Err("wrong settings were installed".to_owned().into());
    }
    write("# test\nmax-crashes = 1\nparallel = 2\n")?;
    settings.install(&["--config", &name])?;
    crash(std::process::Command::new(crasher()?).args(["segv", "2"]))?;
    account(settings, 1)?;
    // What is wrong now loses nothing, is told, and the rest counts.
    write("max-crashes = 1\nparallel = many\n")?;
    crash(std::process::Command::new(crasher()?).args(["abort", "2"]))?;
    wait("the end of all handlers", || handlers(settings).is_empty().then_some(()))?;
    let (report, all) = (report(settings, 0)?, reports(settings, 0));
    if all.len() != 1 || report["signal"]["name"] != "SIGABRT" {
        return Err(format!("{} reports, {report:#}", all.len()).into());
    }
    let status = settings.command(&["core-pattern", "status"]).output().map_err(text)?;
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    let is_told = |text: &str| text.contains("line 2: parallel: ");
    if !is_told(&report["problems"].to_string()) || !is_told(&said) || status.status.code() != Some(1) {
        return Err(format!("{said}{:#}", report["problems"]).into());
    }
    // One of somebody else is not obeyed.
    std::os::unix::fs::chown(&file, Some(65533), None).map_err(text)?;
    let status = settings.command(&["core-pattern", "status"]).output().map_err(text)?;
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    if said.contains("does not belong to root") { Ok(()) } else { Err(said.into()) }
}
