//! Processes that are asked for a dump from outside, by way of the relay in them: what is shown, and that none is
//! disturbed that has no relay.
mod programs;
mod relay;
mod support;
mod via;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nix::unistd::geteuid;
use relay::again_for_i386;
use serde_json::Value;

use support::process::Running;
use support::record::{skip, summary};
use support::{Stop, has_program};
use via::{Dump, Programs, dump, dump_by, programs, start};

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const WITHOUT_PTRACE: [&str; 3] = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"];

/// The library and the target, where every user can load them.
fn library_and_target(programs: &Programs) -> &'static [PathBuf; 2] {
    static PLACED: OnceLock<[PathBuf; 2]> = OnceLock::new();
    PLACED.get_or_init(|| {
        [relay::library(), relay::build("asked")].map(|file| {
            let place = programs.folder.join(file.file_name().expect("a file"));
            fs::copy(file, &place).expect("the folder is ours");
            place
        })
    })
}

/// Starts that target with the relay in it.
fn start_with_relay(programs: &Programs, prefix: &[&str], argument: &str) -> Running {
    let [library, target] = library_and_target(programs);
    let preload = format!("LD_PRELOAD={}", library.display());
    let mut command = Command::new(prefix.first().copied().unwrap_or("env"));
    command.args(prefix.get(1..).unwrap_or_default());
    if !prefix.is_empty() {
        command.arg("env");
    }
    start(command.arg(preload).arg("THREADDUMP=helper=none").arg(target).arg(argument))
}

fn tids(dump: &Dump) -> BTreeSet<i64> {
    dump.threads().iter().filter_map(|thread| thread["tid"].as_i64()).collect()
}

fn tasks(pid: i32) -> BTreeSet<i64> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn names(thread: &Value) -> Vec<&str> {
    via::functions(thread)
}

/// The processes, once some that a server starts for a moment have ended.
fn settled(server: &programs::Program) -> Vec<i32> {
    let mut before = server.processes();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(500));
        let now = server.processes();
        if now == before {
            break;
        }
        before = now;
    }
    before
}

/// Everything is there, and comes from the relay.
fn check_whole(dump: &Dump, pid: i32) {
    assert_eq!(dump.report["source"], "relay", "{:#} {}", dump.report, dump.messages);
    assert_eq!(dump.status, 0, "{:#} {}", dump.report, dump.messages);
    assert_eq!(tids(dump), tasks(pid));
    for thread in dump.threads() {
        assert_eq!(thread["end"], "root", "{thread:#}");
        let wanted = if relay::is_i386() { ["eip", "gs"] } else { ["rip", "fs_base"] };
        assert!(wanted.iter().all(|name| thread["registers"][name].is_string()), "{thread:#}");
    }
}

#[test]
fn a_process_that_holds_the_relay_is_dumped_as_by_ptrace() {
    let Some(programs) = programs() else { return skip("relay asked", "no C compiler") };
    let target = start_with_relay(programs, &[], "sleep");
    for _ in 0..20 {
        check_whole(&dump(target.pid(), &["--via", "relay"]), target.pid());
    }
    let (relay, ptrace) = (dump(target.pid(), &["--via", "relay"]), dump(target.pid(), &["--via", "ptrace"]));
    assert_eq!(relay.text("fallback_reason"), "");
    let frames = |dump: &Dump| -> Vec<String> {
        dump.threads().iter().map(|thread| names(thread).join(" ")).collect()
    };
    assert_eq!(frames(&relay), frames(&ptrace));
    summary(&format!("asked: {} threads, the same functions by relay and by ptrace", relay.threads().len()));
}

#[test]
fn no_means_of_debuggers_is_used() {
    let Some(programs) = programs() else { return skip("relay asked", "no C compiler") };
    if !has_program("strace") {
        return skip("relay asked", "no strace");
    }
    let target = start_with_relay(programs, &[], "sleep");
    let log = relay::unique("asked.strace");
    let path = log.to_str().expect("a plain path");
    let prefix = ["strace", "-f", "-qq", "-o", path];
    check_whole(&dump_by(&prefix, target.pid(), &["--via", "relay"]), target.pid());
    let log = fs::read_to_string(&log).expect("strace wrote it");
    assert!(log.contains("connect(") && log.contains("openat"), "{log}");
    for call in ["ptrace(", "process_vm_readv(", "/mem\"", "\"mem\"", " kill(", "tgkill", "sigqueueinfo"] {
        assert!(!log.contains(call), "{call}: {log}");
    }
}

#[test]
fn where_ptrace_is_denied_the_relay_is_asked() {
    let Some(programs) = programs() else { return skip("relay asked", "no C compiler") };
    if !geteuid().is_root() || !has_program("setpriv") {
        return skip("relay asked", "not root, or no setpriv");
    }
    // A process that asked not to be looked at; one with capabilities that we lack.
    let hidden = start_with_relay(programs, &NOBODY, "nondumpable");
    let capable = start_with_relay(programs, &[], "sleep");
    let cases =
        [(&hidden, &NOBODY[..], "it is non-dumpable"), (&capable, &WITHOUT_PTRACE[..], "CAP_SYS_PTRACE")];
    for (target, prefix, cause) in cases {
        let asked = dump_by(prefix, target.pid(), &[]);
        check_whole(&asked, target.pid());
        let reason = asked.text("fallback_reason");
        assert!(reason.starts_with("ptrace denied: ") && reason.contains(cause), "{reason}");
        let by_root = dump(target.pid(), &["--via", "ptrace"]);
        assert_eq!(tids(&by_root), tids(&asked));
    }
    // Others are not answered.
    let refused = dump_by(&NOBODY, capable.pid(), &["--via", "relay"]);
    assert_eq!((refused.status, refused.report.is_null()), (2, true));
    assert!(refused.messages.contains("it answers only user 0 and root"), "{}", refused.messages);
}

#[test]
fn a_filter_on_our_side_needs_no_help_of_the_process() {
    let Some(programs) = programs() else { return skip("relay asked", "no C compiler") };
    let target = start_with_relay(programs, &[], "sleep");
    let filter = [programs.filter.to_str().expect("a path of ours")];
    assert_eq!(dump_by(&filter, target.pid(), &[]).report["source"], "proc");
    check_whole(&dump_by(&filter, target.pid(), &["--via", "relay"]), target.pid());
}

#[test]
fn servers_without_the_relay_go_on_serving() {
    let Some(_programs) = programs() else { return skip("relay asked", "no C compiler") };
    if !geteuid().is_root() || !has_program("setpriv") {
        return skip("relay asked", "not root, or no setpriv");
    }
    for name in ["nginx", "postgres", "sleep"] {
        let (_, begin) = programs::ALL.iter().find(|(known, _)| *known == name).expect("it is listed");
        let server = match begin() {
            Ok(server) => server,
            Err(Stop::Skip(why)) => {
                skip(name, &why);
                continue;
            }
            Err(Stop::Fail(why)) => panic!("{name}: {why}"),
        };
        let before = settled(&server);
        for &pid in &before {
            for prefix in [&NOBODY[..], &WITHOUT_PTRACE] {
                let asked = dump_by(prefix, pid, &["--via", "relay"]);
                assert_eq!((asked.status, asked.report.is_null()), (2, true), "{name}: {}", asked.messages);
                let what = "it has not identified itself as holding the relay";
                let said = &asked.messages;
                assert!(said.contains(what) && said.contains("LD_PRELOAD"), "{name} {pid}: {said}");
                let auto = dump_by(prefix, pid, &[]);
                assert_ne!(auto.report["source"], "relay", "{name}");
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(server.processes(), before, "{name}: all of them live");
        summary(&format!("asked: {} processes of {name} without the relay go on", before.len()));
    }
}

#[test]
fn all_of_this_again_in_i386_programs() {
    if let Err(why) = again_for_i386("all_of_this_again_in_i386_programs") {
        skip("relay in i386 programs", &why);
    }
}
