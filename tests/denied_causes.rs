//! Every reason for which a process may not be traced, made for real: each is told from the others, and
//! what can be shown without the right is shown.
mod support;
mod via;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use support::has_program;
use support::process::{Running, wait_until};
use support::record::skip;
use via::{Dump, Programs, dump, dump_by, programs, start};

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

macro_rules! programs {
    () => {
        match programs() {
            Some(programs) => programs,
            None => return skip(module_path!(), "no C compiler"),
        }
    };
    (root) => {
        match programs() {
            _ if !geteuid().is_root() => return skip(module_path!(), "not root"),
            _ if !has_program("setpriv") => return skip(module_path!(), "no setpriv"),
            Some(programs) => programs,
            None => return skip(module_path!(), "no C compiler"),
        }
    };
}

/// Starts a target by way of other programs.
fn start_by(prefix: &[&str], program: &PathBuf, argument: &str) -> Running {
    let mut command = Command::new(prefix[0]);
    start(command.args(&prefix[1..]).arg(program).arg(argument))
}

/// The cause and the next step are named; there are no stacks, but all threads, and the status says so.
fn check_facts(dump: &Dump, cause: &str, advice: &str) {
    check_cause(dump, cause, advice);
    assert_eq!((dump.status, &dump.report["complete"]), (1, &false.into()));
    let thread = &dump.threads()[0];
    assert!(thread["name"].is_string() && thread["state"].is_string(), "{thread:#}");
    assert!(thread["frames"].as_array().is_some_and(Vec::is_empty), "{thread:#}");
    let problem = dump.report["problems"][0]["message"].as_str().unwrap_or_default();
    assert!(problem.contains("stacks are missing") && problem.contains(cause), "{problem}");
}

/// The cause is named, and everything is shown all the same.
fn check_whole(dump: &Dump, cause: &str, advice: &str) {
    check_cause(dump, cause, advice);
    assert_eq!(dump.status, 0, "{}{:#}", dump.messages, dump.report);
    assert!(dump.threads().iter().all(|thread| thread["end"] == "root"), "{:#}", dump.report);
}

fn check_cause(dump: &Dump, cause: &str, advice: &str) {
    assert_eq!(dump.report["source"], "proc", "{}", dump.messages);
    assert!(dump.text("fallback_reason").contains(cause), "{:#} {}", dump.report, dump.messages);
    assert!(dump.text("fallback_advice").contains(advice), "{:#}", dump.report);
}

/// By ptrace or not at all: the error has the same cause.
fn check_forced(prefix: &[&str], pid: i32, cause: &str, advice: &str) {
    let dump = dump_by(prefix, pid, &["--via", "ptrace"]);
    assert_eq!((dump.status, dump.report.is_null()), (2, true), "{:#}", dump.report);
    assert!(dump.messages.contains(cause) && dump.messages.contains(advice), "{}", dump.messages);
}

fn filter(programs: &Programs) -> [&str; 1] {
    [programs.filter.to_str().expect("a path of ours")]
}

#[test]
fn a_seccomp_filter_on_our_side() {
    let programs = programs!();
    let target = start(Command::new(&programs.target).arg("sleep"));
    let (cause, advice) = ("under a seccomp filter without ptrace", "seccomp profile");
    check_whole(&dump_by(&filter(programs), target.pid(), &[]), cause, advice);
    check_forced(&filter(programs), target.pid(), cause, advice);
    let asked = dump_by(&filter(programs), target.pid(), &["--via", "proc"]);
    assert_eq!((asked.status, asked.text("fallback_reason")), (0, ""), "that was asked for");
}

#[test]
fn a_seccomp_filter_that_is_not_the_cause() {
    let programs = programs!(root);
    let target = start(Command::new(&programs.target).arg("sleep"));
    let prefix = [&NOBODY[..], &filter(programs)].concat();
    check_facts(&dump_by(&prefix, target.pid(), &[]), "it belongs to user 0", "CAP_SYS_PTRACE");
}

#[test]
fn another_user() {
    let programs = programs!(root);
    let target = start(Command::new(&programs.target).arg("sleep"));
    let (cause, advice) = ("it belongs to user 0, this program runs as user 65534", "sudo");
    let dump = dump_by(&NOBODY, target.pid(), &[]);
    check_facts(&dump, cause, advice);
    assert_eq!(dump.threads().len(), 5, "all of them");
    check_forced(&NOBODY, target.pid(), cause, advice);
    let asked = dump_by(&NOBODY, target.pid(), &["--via", "proc"]);
    assert_eq!((asked.status, asked.text("fallback_reason")), (1, ""));
    assert!(asked.text("fallback_advice").contains(advice));
}

#[test]
fn another_group() {
    let programs = programs!(root);
    let prefix = ["setpriv", "--reuid=65534", "--regid=1", "--clear-groups"];
    let target = start_by(&prefix, &programs.target, "sleep");
    check_facts(&dump_by(&NOBODY, target.pid(), &[]), "it runs with group 1", "sudo");
}

#[test]
fn root_without_the_capability() {
    let programs = programs!(root);
    let without = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"];
    let advice = "--cap-add SYS_PTRACE";
    let own = start(Command::new(&programs.target).arg("sleep"));
    let cause = "it has capabilities that this program lacks: CAP_SYS_PTRACE";
    check_facts(&dump_by(&without, own.pid(), &[]), cause, advice);
    check_forced(&without, own.pid(), cause, advice);
    let other = start_by(&NOBODY, &programs.target, "sleep");
    check_facts(&dump_by(&without, other.pid(), &[]), "it belongs to user 65534", advice);
    // Between two that both lack it nothing stands.
    let same = start_by(&without, &programs.target, "sleep");
    assert_eq!(dump_by(&without, same.pid(), &[]).report["source"], "ptrace");
}

#[test]
fn a_process_that_asked_not_to_be_looked_at() {
    let programs = programs!(root);
    for (argument, prefix) in [("nondumpable", &NOBODY[..]), ("daemon", &["env"])] {
        let target = start_by(prefix, &programs.target, argument);
        let (cause, advice) = ("it is non-dumpable", "CAP_SYS_PTRACE");
        check_facts(&dump_by(&NOBODY, target.pid(), &[]), cause, advice);
        check_forced(&NOBODY, target.pid(), cause, advice);
        assert_eq!(dump(target.pid(), &[]).report["source"], "ptrace", "root may");
    }
}

/// A copy of the target that nobody else uses.
fn copy(programs: &Programs, name: &str, mode: u32) -> PathBuf {
    let path = programs.folder.join(name);
    let _ = fs::remove_file(&path);
    fs::copy(&programs.target, &path).expect("it is our folder");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
    path
}

#[test]
fn a_set_user_id_program() {
    let programs = programs!(root);
    let path = copy(programs, "setuid", 0o4755);
    let target = start_by(&NOBODY, &path, "sleep");
    // It is not left behind for others to run.
    fs::remove_file(&path).expect("it is ours");
    let status = fs::read_to_string(format!("/proc/{}/status", target.pid())).expect("it lives");
    if !status.contains("Uid:\t65534\t0\t") {
        return skip("denied_causes: set-user-ID", "the file system is mounted without it");
    }
    let cause = "it is a set-user-ID program and runs as user 0";
    check_facts(&dump_by(&NOBODY, target.pid(), &[]), cause, "sudo");
}

#[test]
fn a_program_with_file_capabilities() {
    let programs = programs!(root);
    let path = copy(programs, "capable", 0o755);
    let set = Command::new("setcap").arg("cap_net_bind_service+ep").arg(&path).stderr(Stdio::null()).status();
    if !set.is_ok_and(|status| status.success()) {
        return skip("denied_causes: file capabilities", "no setcap, or the file system has none");
    }
    let target = start_by(&NOBODY, &path, "sleep");
    fs::remove_file(&path).expect("it is ours");
    let cause = "it has capabilities that this program lacks: CAP_NET_BIND_SERVICE";
    check_facts(&dump_by(&NOBODY, target.pid(), &[]), cause, "CAP_SYS_PTRACE");
}

#[test]
fn another_tracer() {
    let programs = programs!();
    for (name, arguments) in [("strace", &["-f", "-o", "/dev/null", "-p"][..]), ("gdb", &["-q", "-nx", "-p"])]
    {
        if !has_program(name) {
            skip("denied_causes: tracer", &format!("no {name}"));
            continue;
        }
        let target = start(Command::new(&programs.target).arg("sleep"));
        let mut command = Command::new(name);
        command.args(arguments).arg(target.pid().to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        let (tracer, _input) =
            Running::start_with_pipe(&mut command, name).unwrap_or_else(|error| panic!("{error}"));
        let stands = |state| if name == "gdb" { state == 't' } else { true };
        assert!(wait_until(|| {
            let traced = |tid| {
                let status = fs::read_to_string(format!("/proc/{}/task/{tid}/status", target.pid()));
                status.is_ok_and(|text| text.contains(&format!("TracerPid:\t{}\n", tracer.pid())))
            };
            let threads = support::process::states(target.pid());
            threads.iter().all(|&(tid, state)| traced(tid) && stands(state))
        }));
        let cause = format!("it is traced by {} ({name})", tracer.pid());
        let advice = format!("end {name} ({}) or let it detach first", tracer.pid());
        let found = dump(target.pid(), &[]);
        check_whole(&found, &cause, &advice);
        assert_eq!(found.report["process"]["tracer"]["pid"], tracer.pid());
        let state = &found.thread("poll")["state"];
        assert_eq!(state == "t", name == "gdb", "{state}");
        check_forced(&["env"], target.pid(), &cause, &advice);
    }
}

#[test]
fn a_proc_that_hides_processes() {
    let programs = programs!(root);
    let target = start(Command::new(&programs.target).arg("sleep"));
    for level in ["1", "2", "4"] {
        let script =
            format!("mount -t proc -o hidepid={level} proc /proc && exec {} \"$@\"", NOBODY.join(" "));
        let prefix = ["unshare", "-m", "sh", "-c", &script, "sh"];
        let dump = dump_by(&prefix, target.pid(), &[]);
        if dump.messages.contains("mount") && dump.status != 2 {
            return skip("denied_causes: hidepid", "proc cannot be mounted");
        }
        assert_eq!(dump.status, 2, "nothing can be shown: {}", dump.messages);
        assert!(dump.messages.contains("/proc is mounted with hidepid"), "{level}: {}", dump.messages);
        assert!(dump.messages.contains("run it as root"), "{}", dump.messages);
        let none = dump_by(&prefix, i32::MAX, &[]);
        assert!(none.messages.contains("no process 2147483647"), "{}", none.messages);
    }
}

#[test]
fn a_user_namespace() {
    let programs = programs!(root);
    let target = start_by(&NOBODY, &programs.target, "sleep");
    for arguments in
        [&["unshare", "--user", "--map-root-user"][..], &["unshare", "--user", "--map-current-user"]]
    {
        let prefix = [&NOBODY[..], arguments].concat();
        let dump = dump_by(&prefix, target.pid(), &[]);
        if dump.report.is_null() && dump.messages.contains("unshare") {
            skip("denied_causes: user namespace", "they cannot be made here");
            continue;
        }
        check_facts(&dump, "this program runs in a user namespace", "outside of the namespace");
    }
}

#[test]
fn the_capability_alone_opens_no_files() {
    let programs = programs!(root);
    let target = start(Command::new(&programs.target).arg("sleep"));
    let caps = ["--inh-caps=+sys_ptrace", "--ambient-caps=+sys_ptrace"];
    let prefix = [&NOBODY[..], &caps].concat();
    assert_eq!(dump_by(&prefix, target.pid(), &[]).report["source"], "ptrace", "it may trace");
    let dump = dump_by(&prefix, target.pid(), &["--via", "proc"]);
    assert_eq!(dump.status, 1, "{}", dump.messages);
    let problem = dump.report["problems"][0]["message"].as_str().unwrap_or_default();
    assert!(problem.contains("may be read by user 0 only"), "{:#}", dump.report);
    assert!(dump.text("fallback_advice").contains("use ptrace"), "{:#}", dump.report);
}

#[test]
fn facts_are_saved_and_printed_again() {
    let programs = programs!(root);
    let target = start(Command::new(&programs.target).arg("sleep"));
    let folder = programs.folder.join("snapshots");
    fs::create_dir_all(&folder).expect("it is our folder");
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("it is ours");
    let path = folder.join("facts");
    let _ = fs::remove_file(&path);
    let snapshot = path.to_str().expect("a path of ours");
    let run = |prefix: &[&str], arguments: &[&str]| {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).arg(&programs.threaddump).args(arguments).output().expect("it can be run")
    };
    let pid = target.pid().to_string();
    let live = run(&NOBODY, &["--save-snapshot", snapshot, &pid]);
    let again = run(&["env"], &["replay", snapshot]);
    let text = String::from_utf8_lossy(&live.stdout).into_owned();
    assert!(text.contains("because") && text.contains("advice") && text.contains("\"poll\""), "{text}");
    assert_eq!(text, String::from_utf8_lossy(&again.stdout));
}
