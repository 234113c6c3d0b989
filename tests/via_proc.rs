//! Dumps that stop nothing: the same frames of threads that wait, nothing made up about others, and a
//! target that does not notice.
mod support;
mod via;

use std::path::PathBuf;
use std::process::Command;

use nix::unistd::geteuid;
use serde_json::Value;

use support::process::{Running, settle, states, wait_until};
use support::record::skip;
use support::{find_program, has_program};
use via::{dump, dump_by, functions, programs, start};

macro_rules! programs {
    () => {
        match programs() {
            Some(programs) => programs,
            None => return skip(module_path!(), "no C compiler"),
        }
    };
}

fn target(argument: &str) -> Option<Running> {
    Some(start(Command::new(&programs()?.target).arg(argument)))
}

/// What a frame is, without what tells how sure it is.
fn frames(thread: &Value) -> Vec<(Value, Value, Value)> {
    let frames = thread["frames"].as_array().expect("an array");
    let fields = |frame: &Value| (frame["pc"].clone(), frame["function"].clone(), frame["inlined"].clone());
    frames.iter().map(fields).collect()
}

/// Compares both ways on a process whose threads all wait; gives the number of frames.
fn compare(pid: i32) -> usize {
    assert!(settle(pid), "the target gets quiet");
    let without = dump(pid, &["--via", "proc"]);
    assert_eq!(without.status, 0, "{}\n{:#}", without.messages, without.report);
    assert_eq!((&without.report["source"], &without.report["pause_ns"]), (&"proc".into(), &Value::Null));
    assert_eq!(without.report["fallback_reason"], Value::Null, "it was asked for");
    assert!(settle(pid), "the target gets quiet");
    let with = dump(pid, &["--via", "ptrace"]);
    assert_eq!(with.report["source"], "ptrace", "{}", with.messages);
    assert_eq!(without.threads().len(), with.threads().len());
    for (one, other) in without.threads().iter().zip(with.threads()) {
        assert_eq!((&one["stopped"], &other["stopped"]), (&false.into(), &true.into()));
        assert_eq!(frames(one), frames(other), "{one:#}\n{other:#}");
        let registers = one["registers"].as_object().expect("an object");
        assert!(registers.contains_key("rip") && !registers.contains_key("rbp"), "{registers:?}");
        for (name, value) in registers {
            assert_eq!(*value, other["registers"][name], "{name}: {one:#}");
        }
        assert_eq!(one["syscall"], other["syscall"]);
    }
    with.threads().iter().map(|thread| frames(thread).len()).sum()
}

#[test]
fn threads_that_wait_have_the_same_frames_as_with_a_stop() {
    let programs = programs!();
    let (target, _input) =
        Running::start_ready_with_pipe(Command::new(&programs.target).arg("sleep"), "the target", "ready")
            .unwrap_or_else(|error| panic!("{error}"));
    // Before the first stop, which would change the name of one.
    let dump = dump(target.pid(), &["--via", "proc"]);
    compare(target.pid());
    for name in ["poll", "nanosleep", "epoll", "futex"] {
        let thread = dump.thread(name);
        assert!(functions(thread).contains(&format!("in_{name}").as_str()), "{thread:#}");
        assert_eq!(thread["end"], "root");
    }
    let main = dump.thread("target");
    assert!(functions(main).contains(&"main") && main["syscall"]["name"] == "read", "{main:#}");
}

#[test]
fn real_programs_have_the_same_frames_as_with_a_stop() {
    let script = "import select, threading, time\n\
                  for work in (lambda: time.sleep(9999), lambda: select.poll().poll(), threading.Event().wait):\n\
                  \x20   threading.Thread(target=work, daemon=True).start()\n\
                  print('ready', flush=True)\n\
                  threading.Event().wait()";
    match find_program("python3") {
        None => skip("via_proc: python3", "not installed"),
        Some(_) => {
            let target =
                Running::start_ready(Command::new("python3").args(["-c", script]), "python3", "ready")
                    .unwrap_or_else(|error| panic!("{error}"));
            println!("python3: {} frames", compare(target.pid()));
        }
    }
    match find_program("redis-server") {
        None => skip("via_proc: redis", "not installed"),
        Some(program) => {
            // Its main thread wakes ten times in a second, so compare the others.
            let arguments = ["--port", "0", "--save", "", "--unixsocket"];
            let socket: PathBuf = support::scratch("via").join("redis.sock");
            let mut command = Command::new(program);
            let target =
                Running::start_ready(command.args(arguments).arg(&socket), "redis", "eady to accept")
                    .unwrap_or_else(|error| panic!("{error}"));
            let without = dump(target.pid(), &["--via", "proc"]);
            let with = dump(target.pid(), &["--via", "ptrace"]);
            assert!(with.threads().len() >= 4, "{}", with.messages);
            for (one, other) in without.threads().iter().zip(with.threads()).skip(1) {
                assert_eq!(frames(one), frames(other), "{one:#}\n{other:#}");
            }
        }
    }
}

#[test]
fn nothing_is_stopped_and_no_system_call_is_disturbed() {
    let Some(target) = target("sleep") else { return skip("via_proc: disturbance", "no C compiler") };
    let pid = target.pid();
    let disturbed = || {
        states(pid).iter().any(|(tid, _)| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm"));
            name.is_ok_and(|name| name.trim() == "disturbed")
        })
    };
    for _ in 0..20 {
        assert_eq!(dump(pid, &["--via", "proc", "--kernel", "--no-lines"]).report["source"], "proc");
    }
    assert!(!disturbed());
    if has_program("strace") {
        let log = support::scratch("via").join("ptrace.log");
        let log = log.to_str().expect("a path of ours");
        let traced =
            dump_by(&["strace", "-f", "-e", "trace=ptrace,kill,tgkill", "-o", log], pid, &["--via", "proc"]);
        assert_eq!(traced.status, 0, "{}", traced.messages);
        let calls = std::fs::read_to_string(log).expect("strace wrote it");
        assert!(!calls.contains("ptrace(") && !calls.contains("kill("), "{calls}");
    } else {
        skip("via_proc: system calls", "no strace");
    }
    // The check itself: a stop is noticed.
    dump(pid, &["--via", "ptrace"]);
    assert!(wait_until(disturbed), "epoll_wait returns EINTR after a stop");
}

#[test]
fn of_a_thread_that_runs_nothing_is_made_up() {
    let Some(target) = target("spin") else { return skip("via_proc: spin", "no C compiler") };
    let dump = dump(target.pid(), &["--via", "proc"]);
    let spin = dump.thread("spin");
    assert_eq!((&spin["end"], &spin["state"]), (&"running".into(), &"R".into()));
    assert_eq!((&spin["frames"], &spin["registers"]), (&Value::Array(vec![]), &serde_json::json!({})));
    assert_eq!(dump.thread("target")["end"], "root");
    assert_eq!((dump.status, &dump.report["complete"]), (1, &false.into()));
}

#[test]
fn a_thread_that_does_not_hold_still_has_its_own_frames_or_says_so() {
    let Some(target) = target("restless") else { return skip("via_proc: restless", "no C compiler") };
    let (mut whole, mut rounds) = (0, 0);
    while rounds < 60 {
        let dump = dump(target.pid(), &["--via", "proc", "--no-lines"]);
        let thread = dump.thread("restless");
        rounds += 1;
        let problems = thread["problems"].as_array().expect("an array");
        if thread["end"] == "running" || problems.iter().any(|problem| problem["stage"] == "moved") {
            assert_eq!(dump.status, 1);
            continue;
        }
        whole += 1;
        // Frames of wander in one run, nothing else between: not two moments mixed.
        let names = functions(thread);
        let wander = names.iter().filter(|name| **name == "wander").count();
        let first = names.iter().position(|name| *name == "wander").unwrap_or(names.len());
        assert!(names[first..].iter().take(wander).all(|name| *name == "wander"), "{names:?}");
        assert!(thread["end"] == "root" && wander <= 50, "{thread:#}");
    }
    println!("{whole} of {rounds} dumps caught it at rest");
}

#[test]
fn code_that_needs_a_register_that_nobody_knows_says_which() {
    let programs = programs!();
    let target = start(Command::new(&programs.plain).arg("pause"));
    let found = dump(target.pid(), &["--via", "proc"]);
    let main = found.thread("plain");
    assert_eq!(main["end"], "unknown_register", "{main:#}");
    assert!(main["end_detail"].as_str().is_some_and(|text| text.contains("rbp")), "{main:#}");
    assert_eq!(found.status, 1);
    let searched = dump(target.pid(), &["--via", "proc", "--scan"]);
    let main = searched.thread("plain");
    assert!(frames(main).len() > frames(found.thread("plain")).len(), "{main:#}");
}

#[test]
fn a_worker_of_io_uring_is_named_as_one() {
    let Some(target) = target("ring") else { return skip("via_proc: io_uring", "no C compiler") };
    let pid = target.pid();
    if states(pid).len() < 2 {
        return skip("via_proc: io_uring", "this kernel or sandbox has no io_uring");
    }
    for way in ["proc", "ptrace"] {
        let dump = dump(pid, &["--via", way]);
        let worker = dump.thread(&format!("iou-sqp-{pid}"));
        assert_eq!(worker["end"], "kernel_worker", "{way}: {worker:#}");
    }
}

#[test]
fn a_thread_that_would_not_stop_has_its_stacks_all_the_same() {
    let Some(target) = target("vfork") else { return skip("via_proc: vfork", "no C compiler") };
    assert!(wait_until(|| states(target.pid()).iter().any(|(_, state)| *state == 'D')));
    for way in ["auto", "proc"] {
        let dump = dump(target.pid(), &["--via", way]);
        let main = dump.thread("target");
        assert!(functions(main).contains(&"main"), "{main:#}");
        assert_eq!((&main["state"], &main["stopped"]), (&"D".into(), &false.into()));
        assert_eq!(main["syscall"]["name"], "vfork");
        if geteuid().is_root() {
            assert!(main["wait_channel"].is_string(), "{main:#}");
            let stack = main["kernel_stack"].as_array().expect("root may read it");
            assert!(stack.iter().any(|line| line.as_str().is_some_and(|line| line.contains("clone"))));
        }
        // A process that could be stopped, but for this thread, was not shown as a whole.
        assert_eq!(dump.status, i32::from(way == "auto"), "{}", dump.messages);
    }
}

#[test]
fn kernel_stacks_are_shown_or_it_is_said_why_not() {
    let Some(target) = target("sleep") else { return skip("via_proc: kernel", "no C compiler") };
    for way in ["proc", "ptrace"] {
        let dump = dump(target.pid(), &["--via", way, "--kernel"]);
        let problems = dump.report["problems"].as_array().expect("an array");
        let refused = problems.iter().any(|problem| {
            problem["stage"] == "kernel"
                && problem["message"].as_str().is_some_and(|text| text.contains("CAP_SYS_ADMIN"))
        });
        let shown = dump.threads().iter().all(|thread| {
            let stack = thread["kernel_stack"].as_array();
            stack.is_some_and(|stack| stack.iter().any(|line| line.as_str().is_some()))
        });
        assert!(shown != refused, "{:#}", dump.report);
        assert_eq!(dump.status, i32::from(refused), "{}", dump.messages);
    }
    if !(geteuid().is_root() && has_program("setpriv")) {
        return skip("via_proc: kernel without rights", "needs root and setpriv");
    }
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = Command::new(nobody[0]);
    let other = start(command.args(&nobody[1..]).arg(&programs().expect("built").target).arg("sleep"));
    let dump = dump_by(&nobody, other.pid(), &["--kernel"]);
    assert_eq!(dump.status, 1, "they were asked for: {}", dump.messages);
    let problem = &dump.report["problems"][0];
    assert!(problem["message"].as_str().is_some_and(|text| text.contains("CAP_SYS_ADMIN")), "{problem}");
    assert!(dump.threads().iter().all(|thread| thread["end"] == "root" && thread["kernel_stack"].is_null()));
}

#[test]
fn a_snapshot_without_a_stop_gives_the_same_output_again() {
    let programs = programs!();
    let target = start(Command::new(&programs.target).arg("spin"));
    let path = support::scratch("via").join("snapshot");
    let path = path.to_str().expect("a path of ours");
    for format in ["text", "json"] {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&programs.threaddump);
            command.args(arguments).args(["--format", format]).output().expect("it was built")
        };
        let pid = target.pid().to_string();
        let live = run(&["--via", "proc", "--kernel", "--save-snapshot", path, &pid]);
        let again = run(&["replay", path]);
        assert!(!live.stdout.is_empty());
        assert_eq!(String::from_utf8_lossy(&live.stdout), String::from_utf8_lossy(&again.stdout));
        assert_eq!(live.status.code(), again.status.code());
    }
}
