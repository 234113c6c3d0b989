//! The formats that others read: gdb's against gdb itself and pt-pmp, Go's against what `symbolize` makes of a
//! dump without debug information.
mod hurt;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hurt::{Running, comes, scratch_file, skip, summary, tool};

/// A folder with a program, its stripped copy, and its debug file by build ID.
struct Stage(PathBuf);

impl Stage {
    fn new(name: &str) -> Stage {
        let folder = scratch_file(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("debug")).expect("it can be made");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/inlined.c");
        let program = folder.join("program");
        run(Command::new("cc")
            .args(["-O2", "-g", "-pthread", "-Wl,--build-id", "-o"])
            .arg(&program)
            .arg(source));
        let notes = Command::new("readelf").arg("-n").arg(&program).output().expect("there is readelf");
        let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
        let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).expect("it has one");
        let place = folder.join("debug/.build-id").join(&id[..2]);
        std::fs::create_dir_all(&place).expect("it can be made");
        let debug = place.join(format!("{}.debug", &id[2..]));
        run(Command::new("objcopy").arg("--only-keep-debug").arg(&program).arg(debug));
        run(Command::new("strip").arg("-o").arg(folder.join("stripped")).arg(&program));
        Stage(folder)
    }

    fn start(&self, name: &str) -> Running {
        let running = Running::start(Command::new(self.0.join(name)).stdout(Stdio::null()));
        let state = || hurt::threads(running.pid()).iter().all(|thread| thread.state == 'S');
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(comes(state), "it waits");
        running
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(command: &mut Command) {
    assert!(command.status().expect("it starts").success(), "{command:?}");
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().expect("it starts");
    String::from_utf8(output.stdout).expect("it is text")
}

fn dump(pid: i32, options: &[&str]) -> String {
    output(Command::new(tool()).args(options).arg(pid.to_string()))
}

/// A line with its numbers, arguments and folders replaced.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(" (").filter(|_| line.starts_with('#')) {
        shape += &rest[..at];
        shape += " ()";
        let close = rest[at..].rfind(')').map_or(rest.len(), |close| at + close + 1);
        rest = &rest[close..];
    }
    shape += rest;
    let (place, file) = shape.rsplit_once(" at ").unwrap_or((&shape, ""));
    let file = file.rsplit('/').next().unwrap_or(file);
    format!("{place} at {file}")
}

#[test]
fn lines_are_those_of_gdb_itself() {
    if Command::new("gdb").arg("--version").stdout(Stdio::null()).status().is_err() {
        skip("format gdb", "gdb is not installed");
        return;
    }
    let stage = Stage::new("format-gdb");
    let running = stage.start("program");
    let pid = running.pid();
    let ours = dump(pid, &["-f", "gdb"]);
    let commands = ["-nx", "-batch", "-ex", "set backtrace past-main on", "-ex", "thread apply all bt", "-p"];
    let gdb = output(Command::new("gdb").args(commands).arg(pid.to_string()));
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with('#') || line.starts_with("Thread "));
        // The first frame is also shown when gdb attaches, and threads are counted.
        lines.filter(|line| !line.starts_with("Thread debugging")).map(shape).collect()
    };
    let (ours, gdb) = (lines(&ours), lines(&gdb));
    assert!(ours.len() > 4, "{ours:#?}");
    assert_eq!(ours, gdb);
    summary(&format!("format gdb: {} lines are those of gdb", ours.len()));
}

#[test]
fn pt_pmp_groups_what_it_is_given() {
    let stage = Stage::new("format-pmp");
    let running = stage.start("program");
    let file = stage.0.join("stacks");
    std::fs::write(&file, dump(running.pid(), &["-f", "gdb"])).expect("it can be written");
    let Ok(result) = Command::new("pt-pmp").arg(&file).output() else {
        skip("pt-pmp", "percona-toolkit is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&result.stdout);
    let line = text.lines().find(|line| line.contains("main")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.trim().starts_with("1 ") && line.contains(",main"), "{line}");
}

#[test]
fn a_dump_named_afterwards_is_one_with_its_debug_files() {
    let stage = Stage::new("format-go");
    let running = stage.start("stripped");
    let debug = stage.0.join("debug");
    let debug = debug.to_str().expect("text");
    let bare = dump(running.pid(), &["-f", "go"]);
    let full = dump(running.pid(), &["-f", "go", "--debug-dir", debug]);
    assert!(bare.contains("??(...)") && full.contains("inlined.c:"), "{bare}{full}");
    let file = stage.0.join("bare");
    std::fs::write(&file, &bare).expect("it can be written");
    let mut command = Command::new(tool());
    assert_eq!(output(command.args(["symbolize", "--debug-dir", debug]).arg(&file)), full);
    let untouched = Command::new(tool()).arg("symbolize").arg(&file).output().expect("it starts");
    assert_eq!((untouched.status.code(), untouched.stdout), (Some(1), bare.into_bytes()));
    // And the text for people, which has only the last part of the path.
    std::fs::write(&file, dump(running.pid(), &["--no-registers"])).expect("it can be written");
    let text = output(Command::new(tool()).args(["symbolize", "--debug-dir", debug]).arg(&file));
    let text_full = dump(running.pid(), &["--no-registers", "--debug-dir", debug]);
    let names = |text: &str, line: &str| text.lines().filter(|other| other.contains(line)).count();
    assert_eq!(names(&text, "at /"), names(&text_full, "at /"), "{text}{text_full}");
    assert!(!text.contains("(build ID"), "{text}");
}
