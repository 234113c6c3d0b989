//! Code that JIT compilers made: named by what they write for perf, and found without it.
mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;
use serde_json::Value;
use support::process::{Running, settle};
use support::targets::all;
use support::{find_program, record, scratch};

/// Bytes of the code that the target `jit_code` makes, up to the return address in it.
const RETURNS_AT: u64 = 10;

/// A file that is removed with the test.
struct Map(PathBuf);

impl Map {
    fn of(pid: i32) -> Map {
        Map(PathBuf::from(format!("/tmp/perf-{pid}.map")))
    }

    fn write(&self, text: &[u8]) {
        fs::write(&self.0, text).expect("/tmp can be written");
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The target `jit_code`, and where its code is.
fn jit_code() -> Option<(Running, u64)> {
    let target = all().into_iter().find(|target| target.source.name == "jit_code")?;
    let Ok(program) = target.build() else {
        record::skip("generated code", "no C compiler");
        return None;
    };
    let running = Running::start_ready(&mut Command::new(program), "jit_code", "ready").expect("it starts");
    settle(running.pid());
    let maps = fs::read_to_string(format!("/proc/{}/maps", running.pid())).expect("it lives");
    let line = maps.lines().find(|line| line.contains("rwxp")).expect("the code is in it");
    let start = u64::from_str_radix(line.split('-').next()?, 16).expect("an address");
    Some((running, start))
}

fn threaddump(arguments: &[&str]) -> Output {
    let program = std::env::var_os("THREADDUMP_UNDER_TEST");
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_threaddump").into());
    Command::new(program).args(arguments).args(["-q", "--no-registers"]).output().expect("it can be started")
}

fn json(pid: i32, arguments: &[&str]) -> Value {
    let output = threaddump(&[arguments, &["-f", "json", &pid.to_string()]].concat());
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

fn frames(report: &Value) -> Vec<&Value> {
    let threads = report["threads"].as_array().expect("there are threads");
    threads.iter().flat_map(|thread| thread["frames"].as_array().expect("a list")).collect()
}

/// Name and offset of the frame in the generated code, and the notes about the file.
fn named(pid: i32) -> (Option<(String, u64)>, Vec<String>) {
    let report = json(pid, &[]);
    let frame = frames(&report).into_iter().find(|frame| frame["module"].is_null()).expect("it is found");
    let name = frame["function"].as_str().map(|name| {
        assert_eq!(frame["function_from"], "perf_map");
        (name.to_owned(), frame["function_offset"].as_u64().expect("it is known"))
    });
    let problems = report["problems"].as_array().expect("a list").iter();
    let notes = problems.filter(|problem| problem["stage"] == "jit");
    (name, notes.map(|note| note["message"].as_str().expect("a text").to_owned()).collect())
}

fn named_as(name: &str, offset: u64) -> (Option<(String, u64)>, Vec<String>) {
    (Some((name.to_owned(), offset)), Vec::new())
}

fn is_refused(pid: i32, why: &str) {
    let (name, notes) = named(pid);
    assert_eq!((name, notes.len()), (None, 1), "{notes:?}");
    assert!(notes[0].contains(why), "{notes:?} does not say {why:?}");
}

#[test]
fn the_last_line_of_a_perf_map_names_the_code() {
    let Some((target, start)) = jit_code() else { return };
    let (pid, map) = (target.pid(), Map::of(target.pid()));
    assert_eq!(named(pid), (None, Vec::new()));
    map.write(format!("{:x} 400 around\n{start:x} 40 old\n{start:x} c new one\n", start - 0x10).as_bytes());
    assert_eq!(named(pid), named_as("new one", RETURNS_AT));
    map.write(format!("{start:x} c old\n{:x} 400 around\n1000 10 f\n{start:x} 9 x", start - 16).as_bytes());
    assert_eq!(named(pid), named_as("around", RETURNS_AT + 16));
    // The names of files stay: the executable's code is in the file, too, and libc's.
    map.write(b"0 ffffffffffffffff everything\n");
    let report = json(pid, &[]);
    let all = frames(&report);
    let everything = all.iter().filter(|frame| frame["function"] == "everything").count();
    assert_eq!((everything, all.len() > 5), (1, true));
}

#[test]
fn a_snapshot_keeps_the_names_of_generated_code() {
    let Some((target, start)) = jit_code() else { return };
    let map = Map::of(target.pid());
    map.write(format!("{start:x} c lazily \u{202e}\x1b[31m compiled\n").as_bytes());
    let folder = scratch("generated");
    let file = folder.join("snapshot").display().to_string();
    let _ = fs::remove_file(&file);
    let live = threaddump(&["--save-snapshot", &file, &target.pid().to_string()]);
    drop((map, target));
    let later = threaddump(&["replay", &file]);
    assert_eq!(String::from_utf8_lossy(&live.stdout), String::from_utf8_lossy(&later.stdout));
    let text = String::from_utf8_lossy(&live.stdout).into_owned();
    assert!(text.contains("lazily \u{202e}\\e[31m compiled+0xa  in [perf map]"), "{text}");
}

#[test]
fn a_perf_map_of_others_is_refused() {
    let Some((target, start)) = jit_code() else { return };
    let (pid, map) = (target.pid(), Map::of(target.pid()));
    let text = format!("{start:x} c name\n");
    map.write(text.as_bytes());
    let started = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(&map.0).and_then(|file| file.set_modified(started)).expect("it is ours");
    is_refused(pid, "before the process was started");
    map.write(text.as_bytes());
    assert_eq!(named(pid), named_as("name", RETURNS_AT));
    if nix::unistd::geteuid().is_root() {
        chown(&map.0, Some(65534), None).expect("root may");
        is_refused(pid, "belongs to user 65534");
        chown(&map.0, Some(0), None).expect("root may");
    } else {
        record::skip("a perf map of another user", "needs root");
    }
    let elsewhere = scratch("generated").join(format!("map-{pid}"));
    fs::rename(&map.0, &elsewhere).or_else(|_| fs::copy(&map.0, &elsewhere).map(|_| ())).expect("it is ours");
    let _ = fs::remove_file(&map.0);
    symlink(&elsewhere, &map.0).expect("/tmp can be written");
    is_refused(pid, "not a regular file");
    fs::remove_file(&map.0).expect("it is ours");
    let _ = fs::remove_file(elsewhere);
    nix::unistd::mkfifo(&map.0, Mode::S_IRWXU).expect("/tmp can be written");
    is_refused(pid, "a pipe");
}

#[test]
fn a_hostile_perf_map_costs_its_names_only() {
    let Some((target, start)) = jit_code() else { return };
    let (pid, map) = (target.pid(), Map::of(target.pid()));
    map.write(&[b"\0\n\xff \xff \xff\n1".as_slice(), &vec![b'f'; 20 << 20], b" 1 x\n"].concat());
    assert_eq!(named(pid), (None, Vec::new()));
    // Terabytes, and a name at their end.
    map.write(b"");
    let mut file = File::options().append(true).open(&map.0).expect("it is ours");
    file.set_len(1 << 40).expect("it is sparse");
    write!(file, "\n{start:x} c at the end\n").expect("it is ours");
    let clock = std::time::Instant::now();
    let (name, notes) = named(pid);
    assert_eq!(name, Some(("at the end".to_owned(), RETURNS_AT)));
    assert!(notes[0].contains("is too large"), "{notes:?}");
    assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", clock.elapsed());
    map.write(format!("{start:x} c {}\n", "long".repeat(1 << 20)).as_bytes());
    let (name, _) = named(pid);
    assert!(name.is_some_and(|(name, _)| name.len() < 10_000));
    fs::set_permissions(&map.0, fs::Permissions::from_mode(0o666)).expect("it is ours");
    assert_eq!(fs::metadata(&map.0).expect("it is there").mode() & 0o777, 0o666);
}

#[test]
fn a_perf_map_is_looked_for_where_the_process_is() {
    let Some((outside, _)) = jit_code() else { return };
    let program = fs::read_link(format!("/proc/{}/exe", outside.pid())).expect("it lives");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount", "--kill-child", "sh", "-c"]);
    command.arg("mount -t tmpfs none /tmp && exec \"$0\"").arg(program);
    let Ok(running) = Running::start_ready(&mut command, "unshare", "ready") else {
        record::skip("a perf map in other namespaces", "the kernel refuses them");
        return;
    };
    let pid = *running.tree().last().expect("it has a child");
    settle(pid);
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it lives");
    let line = maps.lines().find(|line| line.contains("rwxp")).expect("the code is in it");
    let start = &line[..line.find('-').expect("a range")];
    let here = Map::of(pid);
    here.write(format!("{start} c outside\n").as_bytes());
    assert_eq!(named(pid), (None, Vec::new()));
    let tmp = PathBuf::from(format!("/proc/{pid}/root/tmp"));
    for (number, name) in [(pid, "by the outer id"), (1, "by the inner id")] {
        let text = format!("{start} c {name}\n");
        fs::write(tmp.join(format!("perf-{number}.map")), text).expect("root may");
        assert_eq!(named(pid), named_as(name, RETURNS_AT));
    }
    // A link out of its root leads to what is in it.
    let inner = tmp.join("perf-1.map");
    fs::remove_file(&inner).expect("root may");
    symlink(&here.0, &inner).expect("root may");
    let (name, notes) = named(pid);
    assert_eq!((name, notes.len()), (named_as("by the outer id", RETURNS_AT).0, 1));
}

/// A program that has code registered by GDB's JIT interface, in a variant.
fn registered(variant: &str) -> Option<Running> {
    let targets = all().into_iter();
    let target =
        targets.into_iter().find(|known| known.source.name == "gdb_jit" && known.variant == variant)?;
    let Ok(program) = target.build() else {
        record::skip("registered code", "no C compiler");
        return None;
    };
    Some(Running::start_ready(&mut Command::new(program), "gdb_jit", "ready").expect("it starts"))
}

#[test]
fn registered_code_is_named_while_the_list_changes() {
    let Some(target) = registered("churn") else { return };
    let (mut notes, mut longest) = (0, 0);
    for _ in 0..50 {
        let report = json(target.pid(), &[]);
        let all = frames(&report);
        let names: Vec<&str> = all.iter().filter_map(|frame| frame["function"].as_str()).collect();
        assert!(names.contains(&"piece_inner") && names.contains(&"piece_outer"), "{report:#}");
        let jit: Vec<&&Value> = all.iter().filter(|frame| frame["module"] == "[jit]").collect();
        assert!(jit.len() == 2 && jit.iter().all(|frame| frame["function_from"] == "jit"), "{report:#}");
        assert_eq!(report["threads"][0]["end"], "root", "{report:#}");
        let problems = report["problems"].as_array().expect("a list").iter();
        notes += problems.filter(|problem| problem["stage"] == "jit").count();
        longest = longest.max(report["pause_ns"].as_u64().expect("it was stopped"));
    }
    println!("a list that changes: 50 dumps, {notes} notes, held for {} µs at most", longest / 1000);
}

#[test]
fn without_a_stop_and_from_a_snapshot_registered_code_is_the_same() {
    let Some(target) = registered("stale") else { return };
    settle(target.pid());
    let pid = target.pid().to_string();
    let file = scratch("generated").join("registered").display().to_string();
    let _ = fs::remove_file(&file);
    let live = threaddump(&["--save-snapshot", &file, &pid]);
    let quiet = threaddump(&["--via", "proc", &pid]);
    drop(target);
    let later = threaddump(&["replay", &file]);
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text(&live), text(&later));
    let frames = |text: String| text.lines().filter(|line| line.starts_with("  #")).collect::<String>();
    assert_eq!(frames(text(&live)), frames(text(&quiet)));
    assert!(text(&live).contains("piece_outer+0x"), "{}", text(&live));
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(name)
}

/// The program, unless it is not installed.
fn installed(name: &str) -> Option<PathBuf> {
    let program = find_program(name);
    if program.is_none() {
        record::skip(&format!("generated code of {name}"), "it is not installed");
    }
    program
}

/// Frames of generated code in the thread of a name, which must have a whole stack: name or `None`, and
/// how each was found.
fn generated(report: &Value, thread: &str) -> Vec<(Option<String>, String)> {
    let threads = report["threads"].as_array().expect("a list");
    let thread = threads.iter().find(|known| known["name"] == thread).expect("it has the thread");
    assert_eq!(thread["end"], "root", "{thread:#}");
    let frames = thread["frames"].as_array().expect("a list").iter();
    let frames = frames.filter(|frame| frame["module"].is_null());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    frames.map(|frame| (text(&frame["function"]), text(&frame["how"]).expect("a text"))).collect()
}

#[test]
fn functions_of_node_have_their_own_names() {
    let Some(node) = installed("node") else { return };
    // Compiled, and not compiled again and again.
    let arguments = ["--always-sparkplug", "--no-opt"];
    let start = |more: &[&str]| {
        let mut command = Command::new(&node);
        // It writes a log where it is.
        command.current_dir(scratch("generated"));
        command.args(arguments).args(more).arg(script("waits.js"));
        let running = Running::start_ready(&mut command, "node", "ready").expect("it starts");
        settle(running.pid());
        running
    };
    let running = start(&["--perf-basic-prof"]);
    let map = Map::of(running.pid());
    let found = generated(&json(running.pid(), &[]), "node");
    let names: Vec<String> = found.into_iter().filter_map(|(name, _)| name).collect();
    for wanted in ["waitsAtLast", "callsOften"] {
        assert!(names.iter().any(|name| name.contains(wanted) && name.contains("waits.js")), "{names:?}");
    }
    println!("node: {} frames of generated code, {}", names.len(), names.join(" < "));
    drop((map, running));
    let running = start(&[]);
    let found = generated(&json(running.pid(), &[]), "node");
    assert!(found.len() >= 2, "{found:?}");
    assert!(found.iter().all(|(name, how)| name.is_none() && how != "scan"), "{found:?}");
    assert!(found.iter().any(|(_, how)| how == "frame_pointer"), "{found:?}");
}

#[test]
fn methods_of_a_jvm_have_their_own_names() {
    let (Some(java), Some(jcmd)) = (installed("java"), installed("jcmd")) else { return };
    let mut command = Command::new(java);
    command.args(["-Xmx128m", "-XX:+PreserveFramePointer", "-Xcomp", "-XX:-Inline"]);
    command.arg("-XX:CompileCommand=quiet").arg("-XX:CompileCommand=compileonly,Compiled::*");
    command.arg(script("Compiled.java"));
    let running = Running::start_ready(&mut command, "java", "ready").expect("it starts");
    settle(running.pid());
    let pid = running.pid();
    let before = generated(&json(pid, &[]), "waits");
    assert!(before.len() >= 5 && before.iter().all(|(name, _)| name.is_none()), "{before:?}");
    let map = Map::of(pid);
    let asked = Command::new(jcmd).args([&pid.to_string(), "Compiler.perfmap"]).output();
    assert!(asked.is_ok_and(|output| output.status.success()) && map.0.exists(), "jcmd writes the map");
    let after = generated(&json(pid, &[]), "waits");
    let count = |wanted: &str| {
        let has = |name: &str| name.contains(wanted);
        after.iter().filter(|(name, _)| name.as_deref().is_some_and(has)).count()
    };
    // The innermost may be interpreted still.
    let (parked, outermost) = (count("Compiled.parked(int)"), count("Compiled.outermost(int)"));
    assert!((3..=4).contains(&parked) && outermost == 1, "{after:?}");
    assert_eq!(after.len(), before.len());
    println!("java: {} frames of generated code, {after:?}", after.len());
}
