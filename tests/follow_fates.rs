//! Programs under `run` and `watch` end as they do without: the same exit status or signal, the same core,
//! the same output. What crashes is dumped, and nothing else is.
mod hurt;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use hurt::{build, comes, scratch_file, summary, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("fates"))
}

/// A new folder, so that cores do not lie about.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = scratch_file(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("it can be made");
        Folder(path)
    }

    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).expect("it is there").flatten();
        let mut paths: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        paths
    }

    fn take(&self, prefix: &str) -> Vec<String> {
        let texts = self.files(prefix).into_iter().map(|path| {
            let text = std::fs::read(&path).expect("it is there");
            std::fs::remove_file(path).expect("it is ours");
            String::from_utf8_lossy(&text).into_owned()
        });
        texts.collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A shell that allows cores, and becomes the command.
fn with_cores(folder: &Folder, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited && exec \"$@\"", "sh"]).args(words);
    command.current_dir(&folder.0).stdin(Stdio::null());
    command
}

fn run(folder: &Folder, options: &[&str], arguments: &[&str]) -> Output {
    let (tool, program) = (tool(), program());
    let mut words = vec![tool.to_str().expect("text"), "run"];
    words.extend(options);
    words.extend(["--", program.to_str().expect("text")]);
    words.extend(arguments);
    with_cores(folder, &words).output().expect("it starts")
}

fn directly(folder: &Folder, arguments: &[&str]) -> Output {
    let mut words = vec![program().to_str().expect("text")];
    words.extend(arguments);
    with_cores(folder, &words).output().expect("it starts")
}

const CRASHES: [(&str, &str); 6] = [
    ("segv", "SIGSEGV"),
    ("bus", "SIGBUS"),
    ("fpe", "SIGFPE"),
    ("ill", "SIGILL"),
    ("trap", "SIGTRAP"),
    ("abort", "SIGABRT"),
];

#[test]
fn a_program_ends_under_run_as_it_does_without() {
    let folder = Folder::new("fates-run");
    let mut fates: Vec<Vec<String>> = Vec::new();
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
    for status in [0, 1, 2, 77, 125, 255] {
        fates.push(words(&format!("exit {status}")));
    }
    // SIGSTOP and its like would not end it; SIGQUIT has a test of its own.
    for signal in (1..=31).filter(|signal| ![3, 17, 18, 19, 20, 21, 22, 23, 28].contains(signal)) {
        fates.push(words(&format!("signal {signal}")));
    }
    fates.push(words("signal 34"));
    fates.push(words("signal 64"));
    for (kind, _) in CRASHES {
        fates.push(words(kind));
        fates.push(words(&format!("{kind} thread")));
    }
    fates.push(words("handled"));
    let (mut cores, mut dumps) = (0, 0);
    for fate in &fates {
        let fate: Vec<&str> = fate.iter().map(String::as_str).collect();
        let expected = directly(&folder, &fate);
        let expected_cores = folder.take("core").len();
        let got = run(&folder, &["-o", "dump.%p.%n"], &fate);
        let status =
            expected.status.code().unwrap_or_else(|| 128 + expected.status.signal().expect("killed"));
        assert_eq!(got.status.code(), Some(status), "{fate:?}");
        assert_eq!(got.stdout, expected.stdout, "{fate:?}");
        assert_eq!(
            String::from_utf8_lossy(&got.stderr),
            String::from_utf8_lossy(&expected.stderr),
            "{fate:?}"
        );
        assert_eq!(folder.take("core").len(), expected_cores, "{fate:?}: cores");
        let texts = folder.take("dump");
        // SIGQUIT dumps also where it is handled.
        let is_dumped = expected.status.core_dumped() || fate == ["handled"];
        assert_eq!(texts.len(), usize::from(is_dumped), "{fate:?}: dumps");
        cores += expected_cores;
        dumps += texts.len();
    }
    summary(&format!(
        "run: {} ways to end, the same status, output and {cores} cores as without; {dumps} crashes dumped",
        fates.len()
    ));
}

#[test]
fn the_dump_of_a_crash_tells_signal_address_and_thread() {
    let folder = Folder::new("fates-json");
    for (kind, name) in CRASHES {
        for thread in [&[][..], &["thread"]] {
            let arguments = [&[kind], thread].concat();
            let output = run(&folder, &["-f", "json", "-o", "dump.%n"], &arguments);
            let texts = folder.take("dump");
            assert_eq!(texts.len(), 1, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            folder.take("core");
            let report: serde_json::Value = serde_json::from_str(&texts[0]).expect("it is JSON");
            let signal = &report["signal"];
            assert_eq!(signal["name"], name, "{arguments:?}");
            assert_eq!(report["complete"], true, "{arguments:?}");
            let threads = report["threads"].as_array().expect("a list");
            assert_eq!(threads.len(), 2 + thread.len(), "{arguments:?}");
            let culprit = threads.iter().find(|thread| thread["tid"] == signal["tid"]).expect("it is there");
            assert_eq!(threads[0]["tid"], signal["tid"], "{arguments:?}");
            assert_eq!(culprit["index"] == 0, thread.is_empty(), "{arguments:?}");
            let functions = culprit["frames"].as_array().expect("a list");
            assert!(functions.iter().any(|frame| frame["function"] == "fault"), "{arguments:?}: {culprit}");
            let has_address = !matches!(kind, "trap" | "abort");
            assert_eq!(signal["address"].is_string(), has_address, "{arguments:?}: {signal}");
            if kind == "segv" {
                assert_eq!((&signal["address"], &signal["code"]), (&"0x10".into(), &1.into()));
            }
        }
    }
}

#[test]
fn the_parent_of_a_watched_program_is_told_the_same_end() {
    let folder = Folder::new("fates-watch");
    let (mut ends, mut cores) = (0, 0);
    for signal in [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 24, 25, 31, 34, 64] {
        for watched in [false, true] {
            let program = program().to_str().expect("text");
            let mut child = with_cores(&folder, &[program, "wait"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts");
            let pid = child.id().cast_signed();
            assert!(comes(|| hurt::threads(pid).len() == 2), "it has started a thread");
            let mut watch = watched.then(|| watch(pid, &folder, &["-o", "dump.%n", "--forward"]));
            // Real-time ones too, which nix has no names for.
            let status = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status();
            assert!(status.expect("there is kill").success());
            let status = child.wait().expect("it is our child");
            assert_eq!(status.signal(), Some(signal), "watched: {watched}");
            let core = matches!(signal, 3..=8 | 11 | 24 | 25 | 31);
            assert_eq!(status.core_dumped(), core, "signal {signal}, watched: {watched}");
            assert_eq!(folder.take("core").len(), usize::from(core), "signal {signal}, watched: {watched}");
            if let Some(watch) = &mut watch {
                assert!(watch.wait().expect("it is our child").success(), "signal {signal}");
                assert_eq!(folder.take("dump").len(), usize::from(core), "signal {signal}");
                ends += 1;
                cores += usize::from(core);
            }
        }
    }
    summary(&format!("watch: {ends} signals ended programs as without, {cores} with a core and a dump"));
}

fn watch(pid: i32, folder: &Folder, options: &[&str]) -> std::process::Child {
    let mut command = Command::new(tool());
    command.arg("watch").args(options).arg(pid.to_string()).current_dir(&folder.0).stdin(Stdio::null());
    let child = command.spawn().expect("it starts");
    assert!(comes(|| hurt::threads(pid).iter().all(|thread| thread.tracer != 0)), "it is traced");
    child
}

#[test]
fn a_child_is_dumped_where_that_is_asked_for() {
    let folder = Folder::new("fates-child");
    let expected = directly(&folder, &["child"]);
    folder.take("core");
    for (options, dumps) in [(&["-o", "dump.%p"][..], 0), (&["--children", "-o", "dump.%p"], 1)] {
        let got = run(&folder, options, &["child"]);
        assert_eq!((got.status.code(), &got.stdout), (Some(3), &expected.stdout), "{options:?}");
        assert_eq!(folder.take("core").len(), 1, "{options:?}");
        let texts = folder.take("dump");
        assert_eq!(texts.len(), dumps, "{options:?}");
        assert!(texts.iter().all(|text| text.contains("at address 0x10, in thread")), "{texts:?}");
    }
}

#[test]
fn sigquit_dumps_and_reaches_the_program_only_if_that_is_meant() {
    let folder = Folder::new("fates-quit");
    // What the program does, options, and how it ends.
    let cases: [(&str, &[&str], i32); 3] =
        [("wait", &[], 128 + 15), ("wait", &["--forward"], 128 + 3), ("catch", &[], 5)];
    for (kind, options, status) in cases {
        let mut command = Command::new(tool());
        command.arg("run").args(options).args(["-o", "dump.%n", "--"]).arg(program()).arg(kind);
        command.current_dir(&folder.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut tool = command.spawn().expect("it starts");
        let pid = child_of(tool.id().cast_signed());
        kill(Pid::from_raw(pid), Signal::SIGQUIT).expect("it lives");
        assert!(comes(|| !folder.files("dump").is_empty()), "{kind} {options:?}: a dump");
        if status == 128 + 15 {
            kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it lives on");
        }
        assert_eq!(tool.wait().expect("it is our child").code(), Some(status), "{kind} {options:?}");
        folder.take("core");
        assert_eq!(folder.take("dump").len(), 1, "{kind} {options:?}");
    }
}

/// The program that a tool has started, once it has two threads.
fn child_of(tool: i32) -> i32 {
    let mut found = 0;
    let path = format!("/proc/{tool}/task");
    assert!(comes(|| {
        let tasks = std::fs::read_dir(&path).expect("it lives").flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        found = children.flat_map(|text| text.trim().parse().ok()).next().unwrap_or(0);
        found != 0 && hurt::threads(found).len() == 2
    }));
    found
}

#[test]
fn signals_to_the_tool_alone_are_handed_on() {
    let folder = Folder::new("fates-handed-on");
    for (signal, status) in
        [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129), (Signal::SIGUSR1, 138)]
    {
        for options in [&[][..], &["--once"]] {
            let mut command = Command::new(tool());
            command.arg("run").args(options).args(["-o", "dump.%n", "--"]).arg(program()).arg("wait");
            command.current_dir(&folder.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut tool = command.spawn().expect("it starts");
            let leader = Pid::from_raw(tool.id().cast_signed());
            let pid = child_of(leader.as_raw());
            // Handed on like any other, it dumps.
            kill(leader, Signal::SIGQUIT).expect("it lives");
            assert!(comes(|| !folder.files("dump").is_empty()), "{signal} {options:?}: a dump");
            let is_traced = options.is_empty();
            assert!(comes(|| hurt::threads(pid).iter().all(|thread| (thread.tracer != 0) == is_traced)));
            kill(leader, signal).expect("it lives");
            assert_eq!(tool.wait().expect("it is our child").code(), Some(status), "{signal} {options:?}");
            assert_eq!(folder.take("dump").len(), 1);
        }
    }
}

#[test]
fn what_cannot_be_run_has_its_own_status() {
    let folder = Folder::new("fates-none");
    let run = |words: &[&str]| {
        let mut command = Command::new(tool());
        let output = command.arg("run").args(words).current_dir(&folder.0).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, text) = run(&["--", "/nonexistent/program"]);
    assert_eq!(status, Some(127));
    assert!(text.starts_with("threaddump: cannot run /nonexistent/program: no such file"), "{text}");
    assert_eq!(run(&["--", "/etc/passwd"]).0, Some(126));
    assert_eq!(run(&[]).0, Some(64));
    assert_eq!(run(&["-o", "%z", "--", "true"]).0, Some(64));
}

#[test]
fn a_link_in_the_place_of_a_dump_is_not_followed() {
    let folder = Folder::new("fates-link");
    let precious = folder.0.join("precious");
    std::fs::write(&precious, "keep this").expect("it can be written");
    std::os::unix::fs::symlink(&precious, folder.0.join("dump")).expect("it can be made");
    let got = run(&folder, &["-o", "dump"], &["abort"]);
    assert_eq!(got.status.code(), Some(134));
    let errors = String::from_utf8_lossy(&got.stderr);
    assert!(errors.contains("it is a symbolic link"), "{errors}");
    assert!(
        errors.contains("got SIGABRT"),
        "a crash comes only once, so its dump is not thrown away: {errors}"
    );
    assert_eq!(std::fs::read_to_string(&precious).expect("it is there"), "keep this");
}
