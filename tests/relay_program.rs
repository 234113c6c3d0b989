//! What a program with the relay in it sees of itself: its handlers, stacks, children and files, and how it dies.
mod relay;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use relay::{Outcome, again_for_i386, build, parse, preload, run, run_with_relay, unique};

const SIGSEGV: i32 = 11;

/// Without and with the relay the same is written, and it ends in the same way.
fn same(program: &Path, arguments: &[&str]) -> (Outcome, String) {
    let without = run(program, arguments, None);
    let (with, text) = run_with_relay(program, arguments, "registers=no");
    assert_eq!(plain(&with), plain(&without));
    (with, text)
}

#[test]
fn what_a_child_of_vfork_sets_is_its_own_and_goes_with_it_through_exec() {
    let (outcome, text) = same(&build("vforks"), &[]);
    assert_eq!(outcome.status, 0);
    // SIGSEGV, SIGQUIT and 61 are ignored by the first program, none of them by the second.
    const ALL: u64 = 1 << 60 | 1 << 10 | 1 << 2;
    let ignored = outcome.stdout.lines().filter_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = ignored.map(|set| u64::from_str_radix(set, 16).expect("a set") & ALL);
    assert_eq!(ignored.collect::<Vec<u64>>(), [ALL, 0], "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("quit 1 fault 1 count 3003\n"), "{}", outcome.stdout);
    // The parent still makes its dump.
    assert_eq!(parse(&text).len(), 1, "{text}");
}

#[test]
fn a_child_of_fork_with_a_child_of_vfork_still_dumps_itself() {
    let program = build("vforks");
    let folder = unique("vforks");
    fs::create_dir(&folder).expect("a new name");
    let settings = format!("helper=none,out={}/%p", folder.display());
    let (without, with) = (run(&program, &["fork"], None), run(&program, &["fork"], Some(&settings)));
    assert_eq!(plain(&with), plain(&without));
    let dumps: Vec<_> = fs::read_dir(&folder).expect("it is there").flatten().collect();
    assert_eq!(dumps.len(), 2, "{dumps:?}");
    for dump in dumps {
        assert_eq!(parse(&fs::read_to_string(dump.path()).expect("readable")).len(), 1);
    }
    fs::remove_dir_all(&folder).expect("ours");
}

#[test]
fn handlers_interrupt_system_calls_as_the_program_has_asked() {
    let (outcome, _) = same(&build("interrupts"), &[]);
    assert_eq!(outcome.stdout.matches("Interrupted system call").count(), 4, "{}", outcome.stdout);
}

#[test]
fn handlers_run_on_no_stack_that_the_program_has_not_set() {
    let (outcome, _) = same(&build("onstack"), &[]);
    assert!(!outcome.stdout.contains("another"), "{}", outcome.stdout);
    // SA_ONSTACK, and on x86_64 what the C library adds.
    let flags = if relay::is_i386() { "8000000" } else { "c000000" };
    for what in ["first: 3 on the thread's", "with its own: 3 on the program's"] {
        assert!(outcome.stdout.contains(&format!("{what}, flags {flags}")), "{}", outcome.stdout);
    }
}

/// Without what /proc says of a process that differs from run to run.
fn plain(outcome: &Outcome) -> (i32, Vec<&str>, &str) {
    let varies = |line: &&str| line.contains(":\t") && !line.starts_with("SigIgn");
    (outcome.status, outcome.stdout.lines().filter(|line| !varies(line)).collect(), &outcome.stderr)
}

/// Runs it for some seconds at most; `None` if it did not end.
fn run_briefly(program: &Path, arguments: &[&str], settings: Option<&str>) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(settings) = settings {
        preload(&mut command, settings);
    }
    let mut child = command.spawn().expect("it can be started");
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("ours") {
            return Some(status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)));
        }
        if start.elapsed() > Duration::from_secs(8) {
            child.kill().expect("ours");
            child.wait().expect("ours");
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_fault_ends_as_without_us_even_where_no_signal_may_be_queued() {
    let program = build("faults");
    let faults = [
        ("segv", 11),
        ("general", 11),
        ("bus", 7),
        ("fpe", 8),
        ("ill", 4),
        ("trap", 5),
        ("sys", 31),
        ("abort", 6),
    ];
    let others = [("alone", 11), ("raise", 7), ("kill", 11), ("frame", 11)];
    for (how, signal) in faults.into_iter().chain(others) {
        assert_eq!(run_briefly(&program, &[how], None), Some(-signal), "{how} without us");
        let dump = unique("fault");
        let settings = format!("helper=none,out={}", dump.display());
        assert_eq!(run_briefly(&program, &[how], Some(&settings)), Some(-signal), "{how}");
        let text = fs::read_to_string(&dump).expect("a dump");
        assert!(text.starts_with("SIG") && !parse(&text).is_empty(), "{how}: {text}");
        fs::remove_file(&dump).expect("ours");
    }
    for (how, signal) in faults {
        let settings = "helper=none,out=/dev/null";
        assert_eq!(run_briefly(&program, &[how, "filter"], None), Some(-signal), "{how} without us");
        assert_eq!(run_briefly(&program, &[how, "filter"], Some(settings)), Some(-signal), "{how} filtered");
    }
}

#[test]
fn a_crash_has_the_same_signal_place_and_registers() {
    let (fates, faults) = (build("fates"), build("faults"));
    let faults = faults.to_str().expect("a plain path");
    let kinds =
        ["segv", "general", "bus", "fpe", "ill", "trap", "sys", "abort", "raise", "kill", "frame", "alone"];
    for how in kinds {
        let said = |settings| run(&fates, &[faults, how], settings).stdout;
        let (without, with) = (said(None), said(Some("helper=none,out=/dev/null")));
        assert!(without.contains("ended by "), "{how}: {without}");
        assert_eq!(with, without, "{how}");
        if matches!(how, "segv" | "general" | "ill" | "trap") {
            assert!(!with.contains(" 0 registers kept"), "{how}: {with}");
        }
    }
}

#[test]
fn a_program_that_adopts_orphans_does_not_see_the_helper() {
    let program = build("adopting");
    for arguments in [&[][..], &["subreaper"]] {
        let path = unique("adopting");
        let outcome = run(&program, arguments, Some(&format!("out={}", path.display())));
        assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "0 ended, 0 found, -1 left\n"));
        let text = fs::read_to_string(&path).expect("dumps");
        assert_eq!(text.matches(" by ptrace, held for ").count(), 5, "{text}");
        fs::remove_file(&path).expect("ours");
    }
}

#[test]
fn the_first_process_of_a_container_does_not_see_the_helper() {
    let path = unique("first");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "env"]);
    let library = relay::library();
    command.arg(format!("LD_PRELOAD={}", library.display()));
    command.arg(format!("THREADDUMP=out={}", path.display())).arg(build("adopting"));
    let output = command.stdin(Stdio::null()).output().expect("unshare is there");
    if String::from_utf8_lossy(&output.stderr).contains("unshare failed") {
        println!("skipped: first process: namespaces cannot be made here");
        return;
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 ended, 0 found, -1 left\n", "{output:?}");
    let text = fs::read_to_string(&path).expect("dumps");
    assert_eq!(text.matches(" by ptrace, held for ").count(), 5, "{text}");
    fs::remove_file(&path).expect("ours");
}

#[test]
fn what_takes_the_place_of_standard_error_is_not_written_to() {
    let program = build("replaced");
    let data = unique("data");
    let name = data.to_str().expect("a plain path");
    for (settings, arguments) in [
        ("helper=none", &[name][..]),
        ("helper=none", &[name, "crash"]),
        ("", &[name]),
        ("helper=none,out=/nonexistent/x", &[name]),
        ("helper=none,out=/nonexistent/x", &[name, "crash"]),
    ] {
        let outcome = run(&program, arguments, Some(settings));
        let status = if arguments.len() > 1 { -SIGSEGV } else { 0 };
        assert_eq!(outcome, Outcome { status, stdout: "went on\n".into(), stderr: String::new() });
        assert_eq!(fs::read_to_string(&data).expect("readable"), "data\n", "{settings}");
    }
    fs::remove_file(&data).expect("ours");
    let outcome = run(&program, &[], Some("helper=none,out=/nonexistent/%p.x"));
    let (first, rest) = outcome.stderr.split_once('\n').expect("lines");
    assert!(first.starts_with("threaddump relay: cannot open '/nonexistent/"), "{first}");
    assert!(first.ends_with(".x': ENOENT") && !first.contains('%'), "{first}");
    assert!(rest.starts_with("SIGQUIT: quit\n"), "{rest}");
    for (path, error) in [("/", "EISDIR"), ("/etc/passwd/x", "ENOTDIR")] {
        let outcome = run(&program, &[], Some(&format!("helper=none,out={path}")));
        let message = format!("threaddump relay: cannot open '{path}': {error}\n");
        assert!(outcome.stderr.starts_with(&message), "{path}: {outcome:?}");
    }
    let outcome = run(&program, &[], Some("helper=none,out=/dev/full"));
    assert_eq!(outcome.stderr, "threaddump relay: cannot write to '/dev/full': ENOSPC\n");
}

#[test]
fn descriptors_are_kept_below_whatever_limit_there_is() {
    let program = build("locks");
    for limit in [1024, 204, 203, 64, 20, 12, 6] {
        let path = unique("limited");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {limit}; exec \"$0\" fds"));
        command.arg(&program).env("LD_PRELOAD", relay::library());
        command.env("THREADDUMP", format!("helper=none,out={}", path.display()));
        let outcome: Outcome = command.stdin(Stdio::null()).output().expect("sh is there").into();
        assert_eq!((outcome.status, outcome.stdout.as_str()), (7, "went on\n"), "{limit}: {outcome:?}");
        if limit >= 12 {
            assert_eq!(parse(&fs::read_to_string(&path).expect("a dump")).len(), 2, "{limit}");
        }
        let _ = fs::remove_file(&path);
    }
}

#[test]
fn settings_that_cannot_be_met_are_named_once() {
    let program = build("stacks");
    for wrong in ["out=/tmp/%x", "out=/tmp/%", "relay=3", "signal=61", "what=ever", "quit=maybe"] {
        let outcome = run(&program, &[], Some(&format!("helper=none,quit=go,{wrong}")));
        let (first, rest) = outcome.stderr.split_once('\n').expect("lines");
        assert_eq!(first, format!("threaddump relay: cannot understand the setting '{wrong}'"));
        assert!(rest.starts_with("SIGQUIT: quit\n") && !rest.contains("setting"), "{rest}");
        assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "went on\n"), "{wrong}");
    }
    let outcome = run(&program, &[], Some("helper=none,relay=34,signal=34"));
    assert!(outcome.stderr.starts_with("threaddump relay: cannot understand the setting 'signal=34'\nSIG"));
}

#[test]
fn all_of_this_again_in_i386_programs() {
    if let Err(why) = again_for_i386("all_of_this_again_in_i386_programs") {
        println!("skipped: relay in i386 programs: {why}");
    }
}
