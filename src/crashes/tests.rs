//! Stores in temporary folders; what needs other users and other processes is in tests/crashes.rs.
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::ids::{Pid, Tid};
use crate::report::{Frame, Hex, Process, Report, Signal, Thread, Tool};
use crate::snapshot::Source;

/// A report with a crash in its second thread.
pub(super) fn report() -> Report {
    let process = Process {
        pid: Pid(4711),
        ns_pid: None,
        ppid: None,
        uid: Some(user()),
        name: "server".to_owned(),
        exe: Some("/usr/bin/server".to_owned()),
        cmdline: vec!["server".to_owned(), "--port".to_owned(), "80".to_owned()],
        arch: "x86_64",
        start_time: None,
        cgroup: None,
        kernel: None,
        tracer: None,
    };
    let signal = Signal {
        number: 11,
        name: "SIGSEGV".to_owned(),
        code: Some(1),
        code_name: Some("SEGV_MAPERR"),
        address: Some(Hex(0)),
        tid: Some(Tid(4712)),
    };
    Report {
        schema: "threaddump/1",
        tool: Tool { name: "threaddump", version: "0" },
        captured_at: "2026-01-02T03:04:05Z".to_owned(),
        source: Source::Core,
        fallback_reason: None,
        fallback_advice: None,
        pause_ns: None,
        complete: true,
        process,
        signal: Some(signal),
        modules: Vec::new(),
        threads: vec![thread(4712, "fail"), thread(4711, "wait")],
        problems: Vec::new(),
    }
}

fn thread(tid: i32, function: &str) -> Thread {
    Thread {
        tid: Tid(tid),
        ns_tid: None,
        index: 0,
        name: Some("worker".to_owned()),
        state: None,
        syscall: None,
        stopped: true,
        cpu_ns: None,
        wait_channel: None,
        kernel_stack: None,
        wait: None,
        registers: Vec::new(),
        frames: vec![frame(Some(function), "/usr/bin/server"), frame(Some("main"), "/usr/bin/server")],
        omitted: None,
        end: "root".to_owned(),
        end_detail: None,
        problems: Vec::new(),
    }
}

pub(super) fn frame(function: Option<&str>, module: &str) -> Frame {
    Frame {
        index: 0,
        pc: Hex(0x1000),
        signed_pc: None,
        module: Some(module.into()),
        module_offset: Some(Hex(0)),
        build_id: None,
        function: function.map(Into::into),
        function_from: None,
        function_offset: None,
        file: None,
        line: None,
        column: None,
        source: None,
        inlined: false,
        how: "cfi",
    }
}

pub(super) fn facts(function: &str) -> Facts {
    let mut report = report();
    report.threads[0].frames[0] = frame(Some(function), "/usr/bin/server");
    Facts::of(&report).expect("it is a crash")
}

fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("threaddump-crashes-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Scratch(path)
    }

    fn store(&self, limits: Limits) -> Store {
        Store::create(&self.0, limits).expect("it is ours")
    }

    fn folder(&self) -> PathBuf {
        self.0.join(user().to_string())
    }

    fn names(&self, path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keeps whatever is free on the machine of the test.
fn limits() -> Limits {
    Limits { keep_free: Some(0), ..Limits::default() }
}

fn put(store: &Store, facts: &Facts, text: &str) -> Stored {
    let mut new = store.begin(user()).expect("it can be begun");
    new.json().write_all(b"{}\n").expect("there is room");
    new.text().write_all(text.as_bytes()).expect("there is room");
    new.commit(facts).expect("it can be stored")
}

fn read(store: &Store, crash: &Crash, seen: &Seen) -> String {
    let mut text = String::new();
    store
        .document(crash, seen, Kind::Text)
        .expect("it is there")
        .read_to_string(&mut text)
        .expect("it is text");
    text
}

#[test]
fn what_was_stored_is_found_again() {
    let scratch = Scratch::new("again");
    let store = scratch.store(limits());
    let stored = put(&store, &facts("fail"), "the text\n");
    assert_eq!((stored.count, stored.removed), (1, 0));
    let listing = store.list().expect("it can be read");
    assert_eq!(listing.problems, Vec::<String>::new());
    let [crash] = &listing.crashes[..] else { panic!("{listing:?}") };
    assert_eq!((crash.id, crash.owner, crash.count), (stored.id, user(), 1));
    assert_eq!(crash.latest.facts, facts("fail"));
    assert_eq!(read(&store, crash, &crash.latest), "the text\n");
    assert_eq!(scratch.names(&scratch.0.join(".new")), Vec::<String>::new());
    for name in scratch.names(&scratch.folder()) {
        let meta = fs::metadata(scratch.folder().join(&name)).expect("it is there");
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o400, user()), "{name}");
    }
    assert_eq!(fs::metadata(scratch.folder()).expect("it is there").mode() & 0o7777, 0o700);
}

#[test]
fn of_those_that_look_alike_the_first_and_the_latest_are_kept() {
    let scratch = Scratch::new("alike");
    let store = scratch.store(limits());
    for number in 1..=5 {
        assert_eq!(put(&store, &facts("fail"), &format!("{number}")).count, number);
    }
    put(&store, &facts("other"), "x");
    let listing = store.list().expect("it can be read");
    assert_eq!(listing.crashes.len(), 2);
    let crash = listing.crashes.iter().find(|crash| crash.count == 5).expect("five look alike");
    assert_eq!(read(&store, crash, &crash.first), "1");
    assert_eq!(read(&store, crash, &crash.latest), "5");
    assert_eq!(scratch.names(&scratch.folder()).len(), 9, "three files each");
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let scratch = Scratch::new("unfinished");
    let store = scratch.store(limits());
    let mut new = store.begin(user()).expect("it can be begun");
    new.json().write_all(b"half").expect("there is room");
    assert_eq!(scratch.names(&scratch.0.join(".new")).len(), 2);
    drop(new);
    assert_eq!(scratch.names(&scratch.0.join(".new")), Vec::<String>::new());
    assert_eq!(store.list().expect("it can be read").crashes.len(), 0);
}

#[test]
fn a_commit_that_fails_leaves_nothing() {
    let scratch = Scratch::new("fails");
    let store = scratch.store(limits());
    let wrong = Facts { pid: 0, ..facts("fail") };
    let error = store.begin(user()).expect("it can be begun").commit(&wrong).expect_err("no process has it");
    assert_eq!(error.to_string(), "facts of a crash are damaged: a process id is not positive");
    // Something that cannot be replaced is where its last file has to go.
    let id = Id::of(facts("fail").fingerprint, user());
    fs::create_dir_all(scratch.folder().join(format!("{id}-1.facts"))).expect("it is new");
    let error =
        store.begin(user()).expect("it can be begun").commit(&facts("fail")).expect_err("it is in the way");
    assert!(error.to_string().contains(&format!("{id}-1.facts: is a directory")), "{error}");
    assert_eq!(scratch.names(&scratch.0.join(".new")), Vec::<String>::new());
    assert_eq!(scratch.names(&scratch.folder()), [format!("{id}-1.facts")]);
}

#[test]
fn parts_of_a_crash_are_not_shown_and_go() {
    let scratch = Scratch::new("parts");
    let store = scratch.store(limits());
    let stored = put(&store, &facts("fail"), "1");
    let part = scratch.folder().join(format!("{}-2.json", stored.id));
    fs::write(&part, "{}").expect("it is our folder");
    let other = scratch.folder().join("0123456789ab-7.txt");
    fs::write(&other, "").expect("it is our folder");
    assert_eq!(store.list().expect("it can be read").crashes[0].count, 1);
    store.clean().expect("it is ours");
    assert!(!part.exists() && !other.exists());
    assert_eq!(store.list().expect("it can be read").crashes.len(), 1);
}

#[test]
fn what_a_killed_writer_left_goes_and_what_is_being_written_stays() {
    let scratch = Scratch::new("killed");
    let store = scratch.store(limits());
    let new = store.begin(user()).expect("it can be begun");
    let left = scratch.0.join(".new/1-2-3.json");
    fs::write(&left, "half").expect("it is our folder");
    store.clean().expect("it is ours");
    assert!(left.exists(), "it may just have been made");
    std::thread::sleep(Duration::from_secs(7));
    store.clean().expect("it is ours");
    assert!(!left.exists());
    assert_eq!(scratch.names(&scratch.0.join(".new")).len(), 2);
    new.commit(&facts("fail")).expect("it is still there");
}

#[test]
fn the_oldest_goes_when_there_are_too_many() {
    let scratch = Scratch::new("many");
    let store = scratch.store(Limits { crashes: 3, ..limits() });
    for number in 0..5_u64 {
        let stored = put(&store, &facts(&format!("f{number}")), "x");
        assert_eq!(stored.removed, usize::from(number >= 3));
        // Times of files have seconds here.
        let time = SystemTime::now() - Duration::from_secs(100 - number);
        let path = scratch.folder().join(format!("{}-1.facts", stored.id));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(time))
            .expect("it is ours");
    }
    let listing = store.list().expect("it can be read");
    let functions: Vec<_> = listing.crashes.iter().map(|crash| crash.latest.facts.function.clone()).collect();
    for kept in ["f2", "f3", "f4"] {
        assert!(functions.contains(&Some(kept.to_owned())), "{functions:?}");
    }
    assert_eq!(functions.len(), 3);
}

#[test]
fn without_free_space_nothing_is_stored_and_nothing_goes_in_vain() {
    let scratch = Scratch::new("space");
    put(&scratch.store(limits()), &facts("fail"), "x");
    let store = scratch.store(Limits { keep_free: Some(u64::MAX), ..Limits::default() });
    let error = store.begin(user()).expect_err("so much is not free");
    assert!(matches!(error, StoreError::NoSpace { keep: u64::MAX, .. }), "{error}");
    assert_eq!(store.list().expect("it can be read").crashes.len(), 1);
}

#[test]
fn a_lock_that_is_held_is_not_waited_for_for_ever() {
    let scratch = Scratch::new("lock");
    let store = scratch.store(limits()).with_wait(Duration::from_millis(50));
    let new = store.begin(user()).expect("it can be begun");
    let other = scratch.store(limits());
    let lock = other.lock().expect("nobody holds it");
    let error = new.commit(&facts("fail")).expect_err("it is locked");
    assert!(matches!(error, StoreError::Busy { waited } if waited >= Duration::from_millis(50)), "{error}");
    drop(lock);
    put(&store, &facts("fail"), "x");
}

#[test]
fn a_document_has_a_longest_length() {
    let scratch = Scratch::new("long");
    let store = scratch.store(limits());
    let mut new = store.begin(user()).expect("it can be begun");
    new.text().written_is(256 << 20);
    let error = new.text().write_all(b"x").expect_err("it is one too many");
    assert_eq!(error.to_string(), "report of a crash is longer than 256 MiB");
}

#[test]
fn links_and_pipes_in_a_store_are_not_followed() {
    let scratch = Scratch::new("links");
    let store = scratch.store(limits());
    let stored = put(&store, &facts("fail"), "x");
    let crash = store.list().expect("it can be read").crashes.remove(0);
    let text = scratch.folder().join(format!("{}-1.txt", stored.id));
    let secret = scratch.0.join("secret");
    fs::write(&secret, "secret").expect("it is ours");
    fs::remove_file(&text).expect("it is ours");
    symlink(&secret, &text).expect("it is ours");
    store.document(&crash, &crash.latest, Kind::Text).expect_err("it is a link");
    assert_eq!(store.list().expect("it can be read").crashes.len(), 0, "a link is no document");
    fs::remove_file(&text).expect("it is ours");
    nix::unistd::mkfifo(&text, nix::sys::stat::Mode::S_IRUSR).expect("it is ours");
    store.document(&crash, &crash.latest, Kind::Text).expect_err("it is a pipe");
    // A folder that is a link leads nowhere either.
    fs::remove_dir_all(scratch.folder()).expect("it is ours");
    symlink(&scratch.0, scratch.folder()).expect("it is ours");
    store.begin(user()).expect("it can be begun").commit(&facts("fail")).expect_err("it is a link");
    let link = scratch.0.with_extension("link");
    symlink(&scratch.0, &link).expect("it is new");
    let opened = Store::open(&link, limits());
    fs::remove_file(&link).expect("it is ours");
    opened.expect_err("it is a link");
}

#[test]
fn a_store_that_others_may_write_to_is_refused() {
    let scratch = Scratch::new("foreign");
    scratch.store(limits());
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let error = Store::open(&scratch.0, limits()).expect_err("it is not safe");
    assert!(error.to_string().ends_with("others than its owner may write to it"), "{error}");
}

#[test]
fn facts_that_are_damaged_are_told_and_the_rest_is_listed() {
    let scratch = Scratch::new("damaged");
    let store = scratch.store(limits());
    let [first, _] = ["fail", "other"].map(|function| put(&store, &facts(function), "x"));
    let path = scratch.folder().join(format!("{}-1.facts", first.id));
    for bytes in [b"{".to_vec(), facts("third").encode(), vec![b' '; 70_000]] {
        fs::remove_file(&path).expect("it is ours");
        fs::write(&path, bytes).expect("it is ours");
        let listing = store.list().expect("it can be read");
        assert_eq!(listing.crashes.len(), 1);
        assert!(
            listing.problems[0].starts_with(&format!("cannot list crash {}: facts", first.id)),
            "{listing:?}"
        );
    }
}

#[test]
fn facts_survive_the_way_to_another_process() {
    let mut report = report();
    report.process.cmdline = vec!["ä".repeat(5000); 300];
    report.process.exe = Some("x".repeat(5000));
    report.threads[0].name = None;
    let facts = Facts::of(&report).expect("it is a crash");
    assert_eq!(Facts::decode(&facts.encode()).expect("they are within the limits"), facts);
    let known = Known { pid: 7, tid: 8, uid: 9, gid: 10, signal: 6, time: jiff::Timestamp::UNIX_EPOCH };
    let facts = facts.with(known);
    assert_eq!((facts.pid, facts.tid, facts.uid, facts.signal_name.as_str()), (7, Some(8), 9, "SIGABRT"));
    for wrong in [&b""[..], b"null", b"{}", b"\xff", &[b'['; 60_000]] {
        Facts::decode(wrong).expect_err("these are none");
    }
}

#[test]
fn the_place_of_a_crash_is_not_where_the_library_aborts() {
    let mut report = report();
    let names = ["__pthread_kill_implementation", "raise", "abort", "__assert_fail", "check", "main"];
    report.threads[0].frames = names.iter().map(|name| frame(Some(name), "/lib/libc.so.6")).collect();
    assert_eq!(Facts::of(&report).expect("it is a crash").function.as_deref(), Some("check"));
    report.threads[0].frames = vec![frame(None, "/lib/libc.so.6"), frame(Some("main"), "/bin/x")];
    assert_eq!(Facts::of(&report).expect("it is a crash").function.as_deref(), Some("[libc.so.6]"));
}

#[test]
fn stripped_code_that_aborts_is_told_by_its_module() {
    let mut report = report();
    let (libc, vdso) = ("/lib/libc.so.6", "[vdso]");
    let aborts = [frame(Some("__kernel_vsyscall"), vdso), frame(None, libc), frame(Some("abort"), libc)];
    let mut place = |rest: &[Frame]| {
        report.threads[0].frames = aborts.iter().chain(rest).cloned().collect();
        Facts::of(&report).expect("it is a crash").function
    };
    let start = frame(Some("__libc_start_call_main"), libc);
    assert_eq!(place(&[frame(None, "/bin/x"), start.clone()]).as_deref(), Some("[x]"));
    assert_eq!(place(&[frame(Some("check"), "/bin/x"), start]).as_deref(), Some("check"));
}
