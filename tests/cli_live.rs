//! The command line on a small process of our own.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A process that sleeps, and ends when this is dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start(program: &Path) -> Sleeper {
        let child = Command::new(program).arg("1000").spawn().expect("it can be started");
        let sleeper = Sleeper(child);
        let syscall = format!("/proc/{}/stat", sleeper.pid());
        let deadline = Instant::now() + Duration::from_secs(10);
        // Until it sleeps it may still be executing the loader.
        while !fs::read_to_string(&syscall).unwrap_or_default().contains(" S ") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        sleeper
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("threaddump-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        Folder(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is ours");
        entries.map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sleep() -> &'static Path {
    Path::new("/bin/sleep")
}

fn threaddump<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threaddump"));
    command.args(arguments).output().expect("the program was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it was written").permissions().mode() & 0o777
}

#[test]
fn a_sleeping_process_is_shown_as_a_whole() {
    let sleeper = Sleeper::start(sleep());
    let output = threaddump(&[sleeper.pid()]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    assert!(shown.starts_with(&format!("sleep (pid {}): 1 thread\n", sleeper.pid())), "{shown}");
    assert!(shown.contains("\": sleeping in clock_nanosleep\n"), "{shown}");
    assert!(shown.contains("#0  0x") && shown.contains("  rax "), "{shown}");
    assert!(!shown.contains('\x1b'), "no colours in a pipe");
    let plain = text(&threaddump(&[&sleeper.pid(), "--no-registers"]).stdout);
    assert!(!plain.contains("  rax "), "{plain}");
    let colored = text(&threaddump(&[&sleeper.pid(), "--color", "always"]).stdout);
    assert!(colored.contains("\x1b[1m"), "{colored}");
}

#[test]
fn json_has_the_fields_of_the_schema() {
    let sleeper = Sleeper::start(sleep());
    let report = json(&threaddump(&[&sleeper.pid(), "--format", "json"]));
    assert_eq!(report["schema"], "threaddump/1");
    assert_eq!(report["process"]["pid"].to_string(), sleeper.pid());
    for (place, fields) in [
        (
            &report,
            "tool captured_at source fallback_reason fallback_advice pause_ns complete process signal modules threads problems",
        ),
        (&report["process"], "pid ns_pid ppid uid name exe cmdline arch start_time cgroup kernel tracer"),
        (&report["modules"][0], "path build_id start end bias debug_file"),
        (
            &report["threads"][0],
            "tid ns_tid index name state syscall stopped cpu_ns wait_channel kernel_stack wait registers frames omitted \
             end end_detail problems",
        ),
        (&report["threads"][0]["syscall"], "number name args"),
        (
            &report["threads"][0]["frames"][0],
            "index pc module module_offset build_id function function_offset file line column inlined how",
        ),
    ] {
        for field in fields.split(' ') {
            assert!(place.get(field).is_some(), "{field} is missing in {place}");
        }
    }
    let registers = report["threads"][0]["registers"].as_object().expect("an object");
    assert_eq!(registers["rip"], report["threads"][0]["frames"][0]["pc"]);
}

#[test]
fn a_saved_snapshot_gives_the_same_output() {
    let (sleeper, folder) = (Sleeper::start(sleep()), Folder::new("replay"));
    let snapshot = folder.0.join("snapshot");
    let snapshot = snapshot.to_str().expect("a temporary path");
    for format in ["text", "json"] {
        let live = threaddump(&[&sleeper.pid(), "--format", format, "--save-snapshot", snapshot]);
        assert_eq!(live.status.code(), Some(0), "{}", text(&live.stderr));
        assert_eq!(mode(Path::new(snapshot)), 0o600, "it holds memory");
        let replayed = threaddump(&["replay", snapshot, "--format", format]);
        assert_eq!(text(&live.stdout), text(&replayed.stdout));
        assert_eq!(replayed.status.code(), Some(0));
    }
    assert_eq!(folder.names(), ["snapshot"], "no temporary file is left");
    let missing = threaddump(&["replay", snapshot, "--thread", "1"]);
    assert_eq!(missing.status.code(), Some(2), "{}", text(&missing.stdout));
}

#[test]
fn an_output_file_keeps_its_mode_and_is_replaced_only_by_a_dump() {
    let (sleeper, folder) = (Sleeper::start(sleep()), Folder::new("output"));
    let path = folder.0.join("dump.txt");
    let name = path.to_str().expect("a temporary path");
    fs::write(&path, "old").expect("it is our directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is our file");
    let nothing = threaddump(&["2147483647", "-o", name]);
    assert_eq!(nothing.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&path).expect("it is still there"), "old");
    let output = threaddump(&[&sleeper.pid(), "-o", name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    assert!(fs::read_to_string(&path).expect("it is there").starts_with("sleep (pid "));
    assert_eq!(mode(&path), 0o640);
    assert_eq!(folder.names(), ["dump.txt"], "no temporary file is left");
}

#[test]
fn a_link_to_an_output_file_stays_a_link() {
    let (sleeper, folder) = (Sleeper::start(sleep()), Folder::new("link"));
    let (real, link) = (folder.0.join("real"), folder.0.join("link"));
    fs::write(&real, "old").expect("it is our directory");
    std::os::unix::fs::symlink(&real, &link).expect("it is our directory");
    let output = threaddump(&[&sleeper.pid(), "-o", link.to_str().expect("a temporary path")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(link.is_symlink());
    assert!(fs::read_to_string(&real).expect("it is there").starts_with("sleep (pid "));
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;

    let sleeper = Sleeper::start(sleep());
    let output = threaddump(&[&sleeper.pid(), "-o", "/dev/null"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let kind = fs::metadata("/dev/null").expect("every system has it").file_type();
    assert!(kind.is_char_device());
    let full = threaddump(&[&sleeper.pid(), "-o", "/dev/full"]);
    assert_eq!(full.status.code(), Some(2));
    assert!(text(&full.stderr).contains("cannot write /dev/full: no space left"), "{}", text(&full.stderr));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sleeper = Sleeper::start(sleep());
    let mut command = Command::new(env!("CARGO_BIN_EXE_threaddump"));
    let mut child = command
        .arg(sleeper.pid())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn a_thread_that_is_not_there_is_named() {
    let sleeper = Sleeper::start(sleep());
    let pid = sleeper.pid();
    let output = threaddump(&[&pid, "--thread", "1", "--thread", &pid]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let message = format!("process {pid} has no thread 1\n");
    let shown = text(&output.stdout);
    assert_eq!(shown.matches(&message).count(), 1, "{shown}");
    assert!(!output.stderr.is_empty(), "who does not see the output is told");
    let none = threaddump(&[&pid, "--thread", "1"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains(&message));
}

#[test]
fn several_targets_give_one_json_object_per_line() {
    let (one, two) = (Sleeper::start(sleep()), Sleeper::start(sleep()));
    let targets = [one.pid(), two.pid(), one.pid(), "--format".into(), "json".into()];
    let output = threaddump(&targets);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let pids: Vec<String> = shown
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["process"]["pid"].to_string())
        .collect();
    assert_eq!(pids, [one.pid(), two.pid()], "each process once, in the order given");
    let output = threaddump(&[one.pid(), "2147483647".into()]);
    assert_eq!(output.status.code(), Some(1), "one of two was shown");
    assert!(text(&output.stderr).contains("no process 2147483647"));
}

#[test]
fn a_name_of_several_processes_is_listed_and_not_guessed() {
    let folder = Folder::new("names");
    // A name that no other process has; the kernel keeps 15 bytes.
    let program = folder.0.join(format!("tdn{}", std::process::id()));
    fs::copy(sleep(), &program).expect("it is our directory");
    let name = program.file_name().and_then(|name| name.to_str()).expect("ASCII");
    let one = Sleeper::start(&program);
    let output = threaddump(&[name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let two = Sleeper::start(&program);
    let output = threaddump(&[name]);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    let list = text(&output.stderr);
    assert!(list.starts_with(&format!("threaddump: 2 processes are named {name}\n")), "{list}");
    for pid in [one.pid(), two.pid()] {
        assert!(list.lines().any(|line| line.trim_start().starts_with(&pid)), "{list}");
    }
    let output = threaddump(&[name, "--all", "--no-registers"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).matches("): 1 thread\n").count(), 2);
    let path = folder.0.join("snapshot");
    let path = path.to_str().expect("a temporary path");
    let output = threaddump(&[name, "--all", "--save-snapshot", path]);
    assert_eq!(output.status.code(), Some(64), "a snapshot is of one process");
}
