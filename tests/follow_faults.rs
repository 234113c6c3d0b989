//! What goes wrong around `run` and `watch` stays with them: nobody reads the output, files may not become
//! larger, standard descriptors are closed, the program stops, or the tool is the first process of a container.
mod hurt;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hurt::{comes, scratch_file, skip, summary, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Compiled once: tests run at the same time.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| hurt::build("fates"))
}

fn pipe_file(name: &str) -> PathBuf {
    let path = scratch_file(name);
    let _ = std::fs::remove_file(&path);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)
        .expect("it can be made");
    path
}

fn children(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    texts.flat_map(|text| text.split_whitespace().flat_map(str::parse).collect::<Vec<i32>>()).collect()
}

/// The program that the tool has started, once it has two threads.
fn child_of(tool: i32) -> i32 {
    let mut found = 0;
    assert!(comes(|| {
        found = children(tool).first().copied().unwrap_or(0);
        hurt::threads(found).len() == 2
    }));
    found
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it lives");
}

/// The status of a child that ends in this time; it is killed if it does not.
fn ends_within(child: &mut Child, time: Duration) -> Option<i32> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Whether a thread of the tool waits in this system call.
fn waits_in(pid: i32, number: &str) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut calls = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("syscall")).ok());
    calls.any(|call| call.split(' ').next() == Some(number))
}

fn blocked_in_open(pid: i32) -> bool {
    waits_in(pid, &nix::libc::SYS_openat.to_string())
}

fn blocked_in_write(pid: i32) -> bool {
    waits_in(pid, &nix::libc::SYS_write.to_string())
}

#[test]
fn output_that_nobody_reads_neither_holds_the_program_nor_keeps_the_tool() {
    let program = program();
    let pipe = pipe_file("nobody");
    let mut ended = 0;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        for once in [&[][..], &["--once"]] {
            let mut command = Command::new(tool());
            command.arg("run").args(once).arg("-o").arg(&pipe).arg("--").arg(program).arg("wait");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut run = command.spawn().expect("it starts");
            let leader = run.id().cast_signed();
            let pid = child_of(leader);
            for _ in 0..if once.is_empty() { 7 } else { 1 } {
                send(pid, Signal::SIGQUIT);
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(comes(|| blocked_in_open(leader)), "it waits for a reader");
            assert!(comes(|| hurt::threads(pid).iter().all(|thread| thread.state == 'S')), "nobody is held");
            send(leader, signal);
            let status = ends_within(&mut run, Duration::from_secs(10));
            assert_eq!(status, Some(128 + signal as i32), "{signal} {once:?}");
            assert!(hurt::threads(pid).is_empty(), "{signal} {once:?}: the program ended");
            ended += 1;
        }
    }
    let mut program = Command::new(program).arg("wait").stdout(Stdio::null()).spawn().expect("it starts");
    let pid = program.id().cast_signed();
    assert!(comes(|| hurt::threads(pid).len() == 2));
    for to_file in [true, false] {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let mut command = Command::new(tool());
            command.args(["watch", "--no-lines"]).arg(pid.to_string());
            if to_file {
                command.arg("-o").arg(&pipe);
            }
            let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
            let leader = watch.id().cast_signed();
            assert!(comes(|| hurt::threads(pid).iter().all(|thread| thread.tracer != 0)));
            assert!(comes(|| {
                send(pid, Signal::SIGQUIT);
                std::thread::sleep(Duration::from_millis(20));
                if to_file { blocked_in_open(leader) } else { blocked_in_write(leader) }
            }));
            send(leader, signal);
            let status = ends_within(&mut watch, Duration::from_secs(10));
            assert!(matches!(status, Some(1 | 2)), "{signal}, {to_file}: {status:?}");
            hurt::check_released(pid, false).unwrap_or_else(|error| panic!("{signal}: {error}"));
            ended += 1;
        }
    }
    let _ = program.kill();
    let _ = program.wait();
    let _ = std::fs::remove_file(pipe);
    summary(&format!("run, watch: ended {ended} times by one signal while nobody read the output"));
}

#[test]
fn a_crash_is_not_held_by_dumps_that_nobody_reads() {
    let program = program();
    let pipe = pipe_file("crash");
    let mut command = Command::new(tool());
    command.args(["run", "-o"]).arg(&pipe).arg("--").arg(program).arg("wait");
    let mut run =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let pid = child_of(run.id().cast_signed());
    for _ in 0..6 {
        send(pid, Signal::SIGQUIT);
        std::thread::sleep(Duration::from_millis(300));
    }
    let begin = Instant::now();
    send(pid, Signal::SIGSEGV);
    let is_gone = || hurt::threads(pid).iter().all(|thread| thread.state == 'Z');
    assert!(comes(is_gone), "it ends");
    assert!(begin.elapsed() < Duration::from_millis(400), "held for {:?}", begin.elapsed());
    send(run.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(ends_within(&mut run, Duration::from_secs(10)), Some(128 + 11));
    let _ = std::fs::remove_file(pipe);
}

/// Output that is read slowly is complete, although somebody has asked the tool to end.
#[test]
fn a_slow_reader_gets_everything() {
    let program = program();
    let mut command = Command::new(tool());
    command.args(["run", "--", program.to_str().expect("text"), "wait"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut run = command.spawn().expect("it starts");
    let pid = child_of(run.id().cast_signed());
    for _ in 0..4 {
        send(pid, Signal::SIGQUIT);
        std::thread::sleep(Duration::from_millis(300));
    }
    send(run.id().cast_signed(), Signal::SIGTERM);
    let mut stderr = run.stderr.take().expect("it is piped");
    let (mut text, mut piece) = (Vec::new(), [0; 2048]);
    loop {
        let read = std::io::Read::read(&mut stderr, &mut piece).expect("it can be read");
        if read == 0 {
            break;
        }
        text.extend_from_slice(&piece[..read]);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(run.wait().expect("it is our child").code(), Some(128 + 15));
    let text = String::from_utf8_lossy(&text);
    assert_eq!(text.matches("thread 0 (tid").count(), 4, "{text}");
    assert!(!text.contains("not written"), "{text}");
}

/// A shell that sets limits, or closes descriptors, and becomes the command.
fn by_shell(script: &str, words: &[&str]) -> std::process::Output {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).args(words).stdin(Stdio::null());
    command.output().expect("there is a shell")
}

#[test]
fn a_file_that_may_not_become_larger_is_an_error_and_leaves_nothing() {
    let folder = scratch_file("limit");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("it can be made");
    let output = folder.join("dump");
    let (tool, path) = (tool(), output.to_str().expect("text"));
    let tool = tool.to_str().expect("text");
    let program = program().to_str().expect("text");
    let own = std::process::id().to_string();
    // The limit counts blocks of 512 bytes.
    let dump = by_shell("ulimit -c 0; ulimit -f 1 && exec \"$@\"", &[tool, "-o", path, &own]);
    let snapshot = by_shell("ulimit -f 1 && exec \"$@\"", &[tool, "--save-snapshot", path, &own]);
    let run = by_shell(
        "ulimit -c 0; ulimit -f 1 && exec \"$@\"",
        &[tool, "run", "-o", path, "--", program, "segv"],
    );
    for (output, status) in [(&dump, 2), (&snapshot, 1), (&run, 128 + 11)] {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert!(text.contains("cannot write") && text.contains("file too large"), "{text}");
    }
    assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 0, "nothing is left");
    let _ = std::fs::remove_dir_all(&folder);
    // The program itself has the action that we were given.
    for (before, ignored) in [("", false), ("trap '' XFSZ; ", true)] {
        let words = ["sh", "-c", "grep SigIgn /proc/self/status"];
        let alone = by_shell(&format!("{before}exec \"$@\""), &words);
        let under = by_shell(&format!("{before}exec \"$@\""), &[&[tool, "run", "--"], &words[..]].concat());
        // Those of the C library for itself, which it catches once there are threads, do not count.
        let mask = |output: &std::process::Output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let digits = text.split_whitespace().nth(1).expect("a mask");
            u64::from_str_radix(digits, 16).expect("digits") & !(3 << 31)
        };
        assert_eq!(mask(&under), mask(&alone), "{before}");
        let mask = mask(&under);
        assert_eq!(mask & (1 << (Signal::SIGXFSZ as i32 - 1)) != 0, ignored, "{before}");
    }
}

#[test]
fn descriptors_that_were_closed_are_so_for_the_program() {
    let tool = tool();
    let tool = tool.to_str().expect("text");
    let look = "exec ls -l /proc/self/fd >&2";
    for closed in ["<&-", ">&-", "<&- >&-", ""] {
        // ls has the lowest free one for the folder.
        let alone = by_shell(&format!("exec \"$@\" {closed}"), &["sh", "-c", look]);
        let under = by_shell(&format!("exec \"$@\" {closed}"), &[tool, "run", "--", "sh", "-c", look]);
        let kinds = |output: &std::process::Output| {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let links = text.lines().filter_map(|line| line.split_once(" -> "));
            let number = |left: &str| left.rsplit(' ').next().unwrap_or("").to_owned();
            // The folder has the process id in its name, and pipes have numbers.
            let kind = |right: &str| right.replace(|character: char| character.is_ascii_digit(), "");
            links.map(|(left, right)| (number(left), kind(right))).collect::<Vec<_>>()
        };
        assert!(!kinds(&alone).is_empty(), "{alone:?}");
        assert_eq!(kinds(&under), kinds(&alone), "{closed}");
    }
    let mark = scratch_file("closed");
    let script = format!("[ -e /proc/self/fd/2 ] && echo open > {0} || echo closed > {0}", mark.display());
    by_shell("exec \"$@\" 2>&-", &[tool, "run", "--", "sh", "-c", &script]);
    assert_eq!(std::fs::read_to_string(&mark).expect("it was written"), "closed\n");
    let _ = std::fs::remove_file(mark);
}

#[test]
fn a_closed_standard_output_is_an_error() {
    let tool = tool();
    let own = std::process::id().to_string();
    let words: [&[&str]; 3] = [&[&own], &["watch", &own], &["completions", "bash"]];
    for words in words {
        let words = [&[tool.to_str().expect("text")], words].concat();
        let output = by_shell("exec \"$@\" >&-", &words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text, "threaddump: cannot write to standard output: bad file descriptor\n", "{words:?}");
    }
}

#[test]
fn a_program_that_stops_gives_the_terminal_back_to_the_shell() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hurt/suspend.py");
    let output = Command::new("python3").arg(script).arg(tool()).arg(program()).output();
    let Ok(output) = output else {
        skip("stops in a shell", "python3 is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let shell = |traced: &str| format!("suspended: T T\nalive {traced}\n").repeat(2);
    let stopped = "stopped: T T\ncontinued: True\n".repeat(2);
    let expected = format!(
        "{}dumped\nstatus 7\n{}status 7\n{stopped}status 130\nin a script: True\nscript 143\n",
        shell("traced"),
        shell("not traced")
    );
    assert_eq!(text, expected, "{}", String::from_utf8_lossy(&output.stderr));
    summary(
        "run: a shell was suspended 4 times and a program stopped 2 times; the shell had its terminal back",
    );
}

#[test]
fn the_first_process_of_a_container_collects_what_nobody_else_does() {
    // A hundred processes whose parents have ended, of which the script is not one.
    let script = "i=0; while [ $i -lt 100 ]; do (sleep 0.2 &); i=$((i+1)); done; sleep 1.5; \
                  grep -l '^State:.Z' /proc/[0-9]*/status | wc -l; exit 9";
    for once in [false, true] {
        let mut command = Command::new("unshare");
        command.args(["--fork", "--pid", "--mount-proc", "--kill-child", "--"]).arg(tool());
        command.arg("run").args(once.then_some("--once")).args(["--", "sh", "-c"]);
        command.arg(if once { format!("kill -QUIT $$; {script}") } else { script.to_owned() });
        let output = command.process_group(0).stderr(Stdio::null()).output().expect("there is unshare");
        if output.status.code() == Some(1) && output.stdout.is_empty() {
            skip("the first process of a container", "namespaces cannot be made here");
            return;
        }
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0", "zombies; once: {once}");
        assert_eq!(output.status.code(), Some(9), "once: {once}");
    }
    summary(
        "run: as the first process of a container it collected 200 processes, and gave its program's status",
    );
}
