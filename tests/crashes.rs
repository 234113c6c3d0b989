//! The store of crashes, with programs that crash, other users, many writers, and full disks.
#[path = "crashes/enemies.rs"]
mod enemies;
mod support;
#[path = "crashes/writers.rs"]
mod writers;

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
