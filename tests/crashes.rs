//! The store of crashes, with programs that crash, other users, many writers, and full disks.
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use support::{Stop, has_program, record};
use threaddump::crashes::{Facts, Kind, Known, Limits, Store};

/// A user who owns nothing, and another one.
const NOBODY: u32 = 65534;
const OTHER: u32 = 65533;

/// Runs a test that may have to be left out.
fn test(what: &str, body: impl FnOnce() -> Result<(), Stop>) {
    if let Err(text) = record::outcome(what, body()) {
        panic!("{text}");
    }
}

/// A folder that all users can reach, with a copy of the program in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("threaddump-crashes-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("there is a folder for temporary files");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::copy(env!("CARGO_BIN_EXE_threaddump"), path.join("threaddump")).expect("it was built");
        Folder(path)
    }

    fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    fn open(&self) -> Store {
        Store::create(&self.store(), limits()).expect("it is ours")
    }

    fn threaddump(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.0.join("threaddump"));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .env_remove("XDG_STATE_HOME")
            .env("HOME", self.0.join("home"));
        command
    }

    fn crashes(&self, user: u32, arguments: &[&str]) -> Output {
        let mut command = self.threaddump(&["crashes"]);
        command.args(arguments).arg("--dir").arg(self.store());
        if user != geteuid().as_raw() {
            command.uid(user).gid(user);
        }
        command.output().expect("it was built")
    }

    /// What a user sees in the list.
    fn list(&self, user: u32) -> Vec<Value> {
        let output = self.crashes(user, &["list", "-f", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn limits() -> Limits {
    Limits { keep_free: Some(0), ..Limits::default() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn facts(user: u32, function: &str) -> Facts {
    let wire = format!(
        r#"{{"pid":1,"tid":1,"uid":0,"gid":null,"signal":11,"signal_name":"SIGSEGV","time":"2026-01-02T03:04:05Z",
        "name":"server","exe":"/usr/bin/server","cmdline":["server"],"cgroup":null,"thread":"server",
        "function":"{function}","threads":1,"complete":true,"fingerprint":"{:0>32x}"}}"#,
        function.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
    );
    let time = "2026-11-25T12:00:00Z".parse().expect("it is a time");
    let facts = Facts::decode(wire.as_bytes()).expect("they are right");
    facts.with(Known { pid: 4711, tid: 4712, uid: user, gid: user, signal: 11, time })
}

fn put(store: &Store, user: u32, function: &str) -> Result<String, String> {
    let mut new = store.begin(user).map_err(|error| error.to_string())?;
    writeln!(new.json(), "{{\"function\":\"{function}\"}}").map_err(|error| error.to_string())?;
    writeln!(new.text(), "crash in {function}").map_err(|error| error.to_string())?;
    let stored = new.commit(&facts(user, function)).map_err(|error| error.to_string())?;
    Ok(stored.id.to_string())
}

fn needs_root() -> Result<(), Stop> {
    if geteuid().is_root() {
        Ok(())
    } else {
        Err(Stop::Skip("it needs other users, so it needs root".to_owned()))
    }
}

/// A program that crashes in a known place, in a thread.
fn crasher(folder: &Folder) -> PathBuf {
    let source = folder.0.join("crasher.c");
    let code = "#include <pthread.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
        __attribute__((noinline)) static void broken(volatile int *where) { *where = 1; }\n\
        static void *work(void *way) { if (way) abort(); broken((int *)8); return 0; }\n\
        int main(int count, char **words) { pthread_t thread; (void)words;\n\
        pthread_create(&thread, 0, work, count > 1 ? (void *)1 : 0); for (;;) pause(); }\n";
    fs::write(&source, code).expect("it is ours");
    let program = folder.0.join("crasher");
    let status = Command::new("cc").args(["-g", "-O1", "-pthread", "-o"]).arg(&program).arg(&source).status();
    assert!(status.expect("there is a compiler").success());
    program
}

#[test]
fn a_program_that_crashes_under_run_is_listed_and_shown() {
    let folder = Folder::new("run");
    let program = crasher(&folder);
    let store = format!("--store={}", folder.store().display());
    let user = geteuid().as_raw();
    for words in [&[][..], &[], &["abort"]] {
        let mut command = folder.threaddump(&["run", &store, "-o", "/dev/null", "--"]);
        let status =
            command.arg(&program).args(words).stderr(Stdio::inherit()).status().expect("it was built");
        assert!(matches!(status.code(), Some(139 | 134)), "{status}");
    }
    let list = folder.list(user);
    assert_eq!(list.len(), 2, "{list:?}");
    let by = |name: &str| list.iter().find(|one| one["signal_name"] == name).expect("it crashed so");
    let (fault, abort) = (by("SIGSEGV"), by("SIGABRT"));
    assert_eq!((fault["count"].as_u64(), abort["count"].as_u64()), (Some(2), Some(1)));
    assert_eq!((fault["function"].as_str(), abort["function"].as_str()), (Some("broken"), Some("work")));
    assert_eq!((fault["threads"].as_u64(), fault["complete"].as_bool()), (Some(2), Some(true)));
    let id = fault["id"].as_str().expect("it has one");
    for arguments in [&["show", id][..], &["show", &id[..6]], &["show", "--first", id]] {
        let shown = folder.crashes(user, arguments);
        assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
        let shown = text(&shown.stdout);
        assert!(shown.contains("crasher (pid ") && shown.contains(" broken+0x"), "{shown}");
        assert!(shown.contains(" main+0x"), "all threads are there: {shown}");
    }
    let shown = folder.crashes(user, &["show", "-f", "json", "latest"]);
    let report: Value = serde_json::from_slice(&shown.stdout).expect("it is JSON");
    assert_eq!((&report["schema"], &report["signal"]["name"]), (&"threaddump/1".into(), &"SIGABRT".into()));
    let table = text(&folder.crashes(user, &["list", "--signal", "SEGV"]).stdout);
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("ID") && lines[1].starts_with(id) && lines[1].ends_with("broken"),
        "{table}"
    );
    assert_eq!(lines.len(), 2);
}

#[test]
fn lists_are_filtered_and_crashes_removed() {
    let folder = Folder::new("filter");
    let user = geteuid().as_raw();
    let store = folder.open();
    let [first, second] = ["one", "two"].map(|function| put(&store, user, function).expect("there is room"));
    let count = |arguments: &[&str]| {
        let output = folder.crashes(user, &[&["list", "-f", "json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).lines().count()
    };
    for (arguments, expected) in [
        (&["--program", "server"][..], 2),
        (&["--program", "/usr/bin/server"], 2),
        (&["--program", "serv"], 0),
        (&["--signal", "11"], 2),
        (&["--signal", "ABRT"], 0),
        (&["--since", "2026-11-25 12:00"], 2),
        (&["--since", "2026-11-25T12:00:01Z"], 0),
    ] {
        assert_eq!(count(arguments), expected, "{arguments:?}");
    }
    let status = |arguments: &[&str]| folder.crashes(user, arguments).status.code();
    assert_eq!(status(&["show", "ffffffffffff"]), Some(2));
    assert_eq!(status(&["show", "fff"]), Some(64), "too short");
    assert_eq!(status(&["remove", &first, "ffffffffffff"]), Some(1));
    assert_eq!(status(&["remove", "ffffffffffff"]), Some(2));
    assert_eq!(count(&[]), 1);
    assert_eq!(status(&["clean", "--older-than", "1d"]), Some(0));
    assert_eq!(status(&["show", &second]), Some(0), "it was stored just now");
    assert_eq!(
        text(&folder.crashes(user, &["clean", "--all"]).stdout).split(',').next(),
        Some("removed 1 crash")
    );
    assert_eq!(count(&[]), 0);
    assert_eq!(status(&["list"]), Some(0));
    assert_eq!(status(&["show", "latest"]), Some(2));
    assert_eq!(fs::read_dir(folder.store().join(".new")).expect("it is there").count(), 0);
}

#[test]
fn each_user_sees_his_own_crashes_and_root_sees_all() {
    test("crashes of several users", || {
        needs_root()?;
        let folder = Folder::new("users");
        let store = folder.open();
        for user in [0, NOBODY, OTHER] {
            put(&store, user, "same")?;
        }
        assert_eq!(folder.list(0).len(), 3);
        let list = folder.list(NOBODY);
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!(list[0]["uid"], NOBODY);
        let id = list[0]["id"].as_str().expect("it has one").to_owned();
        assert_eq!(text(&folder.crashes(NOBODY, &["show", &id]).stdout), "crash in same\n");
        // What he may not even know of, he does not find.
        let others: Vec<Value> = folder.list(OTHER);
        let other = others[0]["id"].as_str().expect("it has one");
        assert_eq!(folder.crashes(NOBODY, &["show", other]).status.code(), Some(2));
        for (path, mode, owner) in
            [("", 0o755, 0), (".new", 0o700, 0), (".lock", 0o600, 0), ("65534", 0o700, NOBODY)]
        {
            let meta = fs::metadata(folder.store().join(path)).expect("it is there");
            assert_eq!((meta.mode() & 0o7777, meta.uid()), (mode, owner), "{path}");
        }
        let files = fs::read_dir(folder.store().join("65534")).expect("root may").flatten();
        for file in files {
            let meta = file.metadata().expect("it is there");
            assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o400, NOBODY, 0));
        }
        assert_eq!(folder.crashes(NOBODY, &["remove", &id]).status.code(), Some(0));
        assert_eq!((folder.list(NOBODY).len(), folder.list(0).len()), (0, 2));
        // And cannot store anything for others.
        let error = Store::open(&folder.store(), limits()).map(|store| store.begin(OTHER).is_ok());
        assert!(error.is_ok_and(|began| began), "root may");
        Ok(())
    });
}

/// Runs a shell command as a user who means harm.
fn harm(folder: &Folder, command: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder.store().join("65534")).uid(NOBODY).gid(NOBODY);
    assert!(shell.status().expect("there is a shell").success(), "{command}");
}

#[test]
fn a_user_cannot_make_root_write_or_remove_anything_elsewhere() {
    test("a hostile user of the store", || {
        needs_root()?;
        let folder = Folder::new("hostile");
        let store = folder.open();
        let id = put(&store, NOBODY, "same")?;
        let victim = folder.0.join("victim");
        fs::create_dir(&victim).map_err(|error| error.to_string())?;
        for name in [format!("{id}-1.txt"), format!("{id}-2.txt"), "precious".to_owned()] {
            fs::write(victim.join(name), "precious").map_err(|error| error.to_string())?;
        }
        let kept = || {
            let entries = fs::read_dir(&victim).expect("it is there").flatten();
            let texts: Vec<String> =
                entries.map(|entry| fs::read_to_string(entry.path()).expect("it is there")).collect();
            assert_eq!(texts, ["precious"; 3]);
        };
        // Links where the next files go, and where old ones are.
        let precious = victim.join("precious");
        let link = |name: &str| harm(&folder, &format!("ln -sf {} {name}", precious.display()));
        for kind in ["txt", "json", "facts"] {
            link(&format!("{id}-2.{kind}"));
            link(&format!("{id}-1.{kind}"));
        }
        put(&store, NOBODY, "same")?;
        store.clean().map_err(|error| error.to_string())?;
        kept();
        // Numbers that nobody reaches, names that are none, a folder and a pipe in the way.
        harm(&folder, &format!("for kind in txt json facts; do echo > {id}-1000000000000000.$kind; done"));
        harm(
            &folder,
            "mkfifo 0123456789ab-1.facts 0123456789ab-1.txt 0123456789ab-1.json; touch -- '-rf' ../65534/x; mkdir 0123456789ab-2.facts",
        );
        put(&store, NOBODY, "same")?;
        put(&store, 0, "same")?;
        let began = Instant::now();
        let output = folder.crashes(0, &["list"]);
        assert!(began.elapsed() < Duration::from_secs(10), "a pipe is not waited for");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", text(&output.stderr));
        // A text for root's terminal.
        harm(
            &folder,
            &format!("rm -f {id}-*; printf 'x\\033[2Jy\\n' > {id}-1.txt; cp {id}-1.txt {id}-1.json"),
        );
        fs::write(folder.0.join("facts"), facts(NOBODY, "sa\\u001b[2Jme").encode())
            .map_err(|error| error.to_string())?;
        let hostile = facts(NOBODY, "same").encode();
        let hostile = text(&hostile).replace("\"function\":\"same\"", "\"function\":\"a\\u001b[2J\\u202e\"");
        fs::write(folder.0.join("facts"), hostile).map_err(|error| error.to_string())?;
        harm(&folder, &format!("cp {} {id}-1.facts", folder.0.join("facts").display()));
        for arguments in [&["list"][..], &["show", &id]] {
            let output = folder.crashes(0, arguments);
            assert!(!output.stdout.contains(&0x1b), "{}", text(&output.stdout));
            assert!(text(&output.stdout).contains("\\e[2J"), "{}", text(&output.stdout));
        }
        // He says that it is somebody else's.
        let forged = text(&facts(NOBODY, "same").encode()).replace("\"uid\":65534", "\"uid\":0");
        assert!(forged.contains("\"uid\":0"), "{forged}");
        fs::write(folder.0.join("facts"), forged).map_err(|error| error.to_string())?;
        harm(&folder, &format!("cp {} {id}-1.facts", folder.0.join("facts").display()));
        let listed = text(&folder.crashes(0, &["list"]).stdout);
        let line = listed.lines().find(|line| line.starts_with(&id)).expect("it is listed");
        assert_eq!(line.split_whitespace().nth(4), Some("65534"), "{listed}");
        // A link to what only root can read.
        fs::set_permissions(&precious, fs::Permissions::from_mode(0o600))
            .map_err(|error| error.to_string())?;
        harm(&folder, &format!("rm -f {id}-1.txt; ln -s {} {id}-1.txt", precious.display()));
        assert!(!text(&folder.crashes(0, &["show", &id]).stdout).contains("precious"));
        // His whole folder as a link. He cannot do this; root's mistake must not matter either.
        store.clean().map_err(|error| error.to_string())?;
        fs::remove_dir_all(folder.store().join("65534")).map_err(|error| error.to_string())?;
        symlink(&victim, folder.store().join("65534")).map_err(|error| error.to_string())?;
        put(&store, NOBODY, "same").expect_err("it is a link");
        assert!(store.clean().is_err() || store.clean().is_ok());
        kept();
        Ok(())
    });
}

#[test]
fn a_hundred_writers_at_once_lose_nothing() {
    let folder = Folder::new("hundred");
    let user = geteuid().as_raw();
    folder.open();
    let path = folder.store();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..100 {
            let path = &path;
            scope.spawn(move || {
                let store = Store::create(path, limits()).expect("it is ours");
                put(&store, user, &format!("f{}", number % 10)).expect("there is room, and time");
            });
        }
    });
    let took = began.elapsed();
    let list = folder.list(user);
    assert_eq!(list.len(), 10);
    assert!(list.iter().all(|one| one["count"] == 10), "{list:?}");
    let files = fs::read_dir(path.join(user.to_string())).expect("it is there").count();
    assert_eq!(files, 60, "first and latest of ten, three files each");
    record::summary(&format!("crashes: 100 writers at once stored 100 crashes in {} ms", took.as_millis()));
}

/// What the next test starts, and kills.
#[test]
fn writer_that_is_killed() {
    let Some(path) = std::env::var_os("THREADDUMP_WRITER") else { return };
    let store = Store::create(Path::new(&path), limits()).expect("it is ours");
    loop {
        put(&store, geteuid().as_raw(), "killed").expect("there is room");
    }
}

#[test]
fn a_writer_that_is_killed_leaves_whole_crashes_only() {
    let folder = Folder::new("killed");
    let user = geteuid().as_raw();
    let store = folder.open();
    let (mut latest, mut left) = (0, 0);
    for round in 0..40_u64 {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.args(["--exact", "writer_that_is_killed"]).env("THREADDUMP_WRITER", folder.store());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_millis(30 + 7 * (round % 13)));
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).expect("it is ours");
        child.wait().expect("it is ours");
        left += fs::read_dir(folder.store().join(".new")).map_or(0, Iterator::count);
        let listing = store.list().expect("it can be read");
        assert_eq!(listing.problems, Vec::<String>::new());
        for crash in &listing.crashes {
            assert!(crash.count >= latest, "a count does not go back");
            latest = crash.count;
            for seen in [&crash.first, &crash.latest] {
                for (kind, expected) in
                    [(Kind::Text, "crash in killed\n"), (Kind::Json, "{\"function\":\"killed\"}\n")]
                {
                    let file = store.document(crash, seen, kind).expect("what is listed is there");
                    assert_eq!(std::io::read_to_string(file).expect("it is text"), expected);
                }
            }
        }
    }
    assert!(latest > 0);
    std::thread::sleep(Duration::from_secs(7));
    store.clean().expect("it is ours");
    assert_eq!(fs::read_dir(folder.store().join(".new")).expect("it is there").count(), 0);
    let files = fs::read_dir(folder.store().join(user.to_string())).expect("it is there").count();
    assert_eq!(files, 6, "first and latest");
    record::summary(&format!(
        "crashes: 40 writers killed after {latest} crashes left {left} unfinished files, and no half crash"
    ));
}

/// What the next test starts on a small file system.
#[test]
fn writer_on_a_full_disk() {
    let Some(path) = std::env::var_os("THREADDUMP_SMALL") else { return };
    let (path, user) = (Path::new(&path), geteuid().as_raw());
    let everything = Store::create(&path.join("full"), limits()).expect("it is ours");
    let stored = put(&everything, user, "first").expect("there is room");
    let mut new = everything.begin(user).expect("there is room for the names");
    let big = vec![b'x'; 4 << 20];
    let error = new.json().write_all(&big).expect_err("it does not fit");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    // Not a byte is free now.
    assert!(put(&everything, user, "second").is_err());
    drop(new);
    let listing = everything.list().expect("it can be read");
    assert_eq!(listing.crashes.iter().map(|crash| crash.id.to_string()).collect::<Vec<_>>(), [stored]);
    assert_eq!(fs::read_dir(path.join("full/.new")).expect("it is there").count(), 0);
    everything.clean().expect("it is ours");
    // With 1 MiB of 2 to be kept free, old crashes give way.
    let half = Limits { keep_free: Some(1 << 20), ..limits() };
    let store = Store::create(&path.join("half"), half).expect("it is ours");
    for number in 0..10 {
        let mut new = store.begin(user).expect("it can be begun");
        new.json().write_all(&big[..300 << 10]).expect("there is room");
        new.commit(&facts(user, &format!("f{number}"))).expect("old ones give way");
        let free = nix::sys::statvfs::statvfs(path).expect("it is mounted");
        assert!(free.blocks_available() * free.fragment_size() >= 1 << 20);
    }
    let left = store.list().expect("it can be read").crashes.len();
    assert!((1..=3).contains(&left), "{left}");
}

#[test]
fn on_a_full_disk_a_crash_is_stored_whole_or_not_at_all() {
    test("a full disk", || {
        needs_root()?;
        if !has_program("unshare") {
            return Err(Stop::Skip("there is no unshare".to_owned()));
        }
        let folder = Folder::new("disk");
        let small = folder.0.join("small");
        fs::create_dir(&small).map_err(|error| error.to_string())?;
        let mount = "mount -t tmpfs -o size=2m none \"$THREADDUMP_SMALL\" || exit 77; exec \"$0\" --exact writer_on_a_full_disk";
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", mount]).arg(program).env("THREADDUMP_SMALL", &small);
        let output = command.output().map_err(|error| error.to_string())?;
        match output.status.code() {
            Some(0) => Ok(()),
            Some(77) => Err(Stop::Skip("nothing can be mounted".to_owned())),
            _ => Err(Stop::Fail(text(&output.stdout) + &text(&output.stderr))),
        }
    });
}

/// A folder in the store that belongs to a user, as after his first crash.
fn folder_of(folder: &Folder, user: u32) -> PathBuf {
    let path = folder.store().join(user.to_string());
    fs::create_dir(&path).expect("it is new");
    std::os::unix::fs::chown(&path, Some(user), None).expect("we are root");
    path
}

/// With a look at the folder for each name that goes, this would take minutes, in which nobody else stores anything.
#[test]
fn a_user_who_fills_his_folder_with_names_holds_nobody_up() {
    test("crashes: a folder full of names", || {
        needs_root()?;
        let folder = Folder::new("names");
        let store = folder.open();
        let his = folder_of(&folder, NOBODY);
        for number in 0..20_000 {
            fs::File::create(his.join(format!("{number:012x}-1.facts"))).expect("there is room");
        }
        put(&store, OTHER, "fail").expect("it is stored");
        assert_eq!(folder.list(OTHER).len(), 1);
        let left = fs::read_dir(&his).expect("it is there").count();
        assert_eq!(left, limits().crashes - 1);
        Ok(())
    });
}

#[test]
fn what_cannot_be_removed_from_a_folder_keeps_no_crash_of_others_out() {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    test("crashes: files that become folders", || {
        needs_root()?;
        let folder = Folder::new("swapped");
        let _ = folder.open();
        let store = Store::create(&folder.store(), Limits { crashes: 1, ..limits() }).expect("it is ours");
        let his = folder_of(&folder, NOBODY);
        let (name, other) = (his.join("00000000000a-1.facts"), his.join("other"));
        fs::create_dir(&other).expect("it is new");
        let stop = std::sync::atomic::AtomicBool::new(false);
        let results: Vec<_> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // It may have been removed.
                    let _ = fs::File::options().write(true).create_new(true).open(&name);
                    let _ = renameat2(AT_FDCWD, &name, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE);
                }
            });
            let results = (0..300).map(|_| {
                put(&store, OTHER, "fail")
                    .and_then(|_| store.clean().map(drop).map_err(|error| error.to_string()))
            });
            let results = results.collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            results
        });
        let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{} failed, such as: {}", failed.len(), failed[0]);
        Ok(())
    });
}
