//! `--source`: lines of source files around the frames, from the right file or none.
mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;
use serde_json::Value;
use support::process::{Running, settle};
use support::{has_program, record};

const PROGRAM: &str = "\
#include <stdio.h>
#include <unistd.h>

static inline __attribute__((always_inline)) void waits(int tab) {
\tputs(\"ready\");
    fflush(stdout);
    for (;;) pause(); /* \x1b[31m */
}

int main(int count, char **arguments) {
    waits(count);
    return arguments[0][0];
}";

/// A program with its source, in a folder that goes with the test.
struct Sample {
    folder: PathBuf,
    source: PathBuf,
    running: Running,
}

impl Sample {
    /// `None` if the compiler is not installed.
    fn new(name: &str, compiler: &str, options: &[&str]) -> Option<Sample> {
        if !has_program(compiler) {
            record::skip(name, &format!("{compiler} is not installed"));
            return None;
        }
        let folder = std::env::temp_dir().join(format!("threaddump-source-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("in")).expect("a temporary folder can be made");
        let (source, program) = (folder.join("in/sample.c"), folder.join("sample"));
        fs::write(&source, PROGRAM).expect("it is ours");
        let mut command = Command::new(compiler);
        command.current_dir(&folder).args(["-O1", "-g"]).args(options).arg(&source).arg("-o").arg(&program);
        assert!(command.status().is_ok_and(|status| status.success()), "{command:?}");
        let running = Running::start_ready(&mut Command::new(&program), name, "ready").expect("it starts");
        settle(running.pid());
        Some(Sample { folder, source, running })
    }

    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.dump(arguments).stdout).into_owned()
    }

    fn dump(&self, arguments: &[&str]) -> Output {
        run(&[arguments, &[&self.running.pid().to_string()]].concat())
    }

    /// The lines of `waits` and `main` as `number text`, and the notes.
    fn json(&self, arguments: &[&str]) -> (Vec<Vec<String>>, Vec<String>) {
        let output = self.dump(&[arguments, &["-f", "json"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let frames = report["threads"][0]["frames"].as_array().expect("a list").iter();
        let own = frames.filter(|frame| ["waits", "main"].map(Value::from).contains(&frame["function"]));
        let line = |line: &Value| format!("{} {}", line["line"], line["text"].as_str().expect("a text"));
        let lines = own.map(|frame| frame["source"].as_array().into_iter().flatten().map(line).collect());
        let problems = report["problems"].as_array().expect("a list").iter();
        let notes = problems.filter(|problem| problem["stage"] == "source");
        let notes = notes.map(|note| note["message"].as_str().expect("a text").to_owned());
        (lines.collect(), notes.collect())
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(arguments: &[&str]) -> Output {
    let program = std::env::var_os("THREADDUMP_UNDER_TEST");
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_threaddump").into());
    Command::new(program).args(arguments).args(["-q", "--no-registers"]).output().expect("it can be started")
}

fn set_age(path: &Path, seconds: i64) {
    let age = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    let time = if seconds < 0 { now + age } else { now - age };
    File::options().append(true).open(path).and_then(|file| file.set_modified(time)).expect("it is ours");
}

fn waits_and_main() -> (Vec<Vec<String>>, Vec<String>) {
    let waits = ["6     fflush(stdout);", "7     for (;;) pause(); /* \x1b[31m */", "8 }"];
    let main = [
        "10 int main(int count, char **arguments) {",
        "11     waits(count);",
        "12     return arguments[0][0];",
    ];
    (vec![waits.map(str::to_owned).to_vec(), main.map(str::to_owned).to_vec()], Vec::new())
}

#[test]
fn every_frame_has_its_lines_inlined_ones_too() {
    let Some(sample) = Sample::new("lines", "cc", &["-gdwarf-4"]) else { return };
    assert_eq!(sample.json(&["--source", "3"]), waits_and_main());
    let (one, _) = sample.json(&["--source", "1"]);
    assert_eq!(one, [["7     for (;;) pause(); /* \x1b[31m */"], ["11     waits(count);"]]);
    let (all, _) = sample.json(&["--source", "100"]);
    assert_eq!((all[0].len(), all[1].len()), (13, 13));
    assert_eq!((all[0][0].as_str(), all[0][12].as_str()), ("1 #include <stdio.h>", "13 }"));
    assert_eq!(sample.json(&[]).0, [[] as [&str; 0], []]);
    let text = sample.text(&["--source", "4"]);
    let expected = "
       6 |     fflush(stdout);
     > 7 |     for (;;) pause(); /* \\e[31m */
       8 | }
       9 |
";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("\n       10 | int main(int count, char **arguments) {\n     > 11 |"), "{text}");
    let text = sample.text(&["--source", "6"]);
    assert!(text.contains("\n        5 |         puts(\"ready\");\n"), "tabs are columns: {text}");
}

#[test]
fn a_replay_shows_the_same_lines() {
    let Some(sample) = Sample::new("replay", "cc", &[]) else { return };
    let file = sample.folder.join("snapshot").display().to_string();
    let live = sample.text(&["--source", "5", "--save-snapshot", &file]);
    let later = run(&["replay", "--source", "5", &file]);
    assert_eq!(live, String::from_utf8_lossy(&later.stdout));
    assert!(live.contains("> 11 |"), "{live}");
}

#[test]
fn a_newer_file_is_shown_with_a_note() {
    let Some(sample) = Sample::new("newer", "cc", &["-gdwarf-4"]) else { return };
    set_age(&sample.source, -5);
    let (lines, notes) = sample.json(&["--source", "3"]);
    assert_eq!((lines, notes.len()), (waits_and_main().0, 1));
    assert!(notes[0].contains("is newer than"), "{notes:?}");
    fs::write(&sample.source, "too short\n").expect("it is ours");
    assert_eq!(sample.json(&["--source", "3"]).0, [[] as [&str; 0], []], "the line is not in it");
}

#[test]
fn a_file_with_another_checksum_is_refused_with_both_values() {
    let Some(sample) = Sample::new("checksum", "clang", &["-gdwarf-5"]) else { return };
    // Of whatever age, it is the right one.
    set_age(&sample.source, -5);
    assert_eq!(sample.json(&["--source", "3"]), waits_and_main());
    fs::write(&sample.source, PROGRAM.replace("count", "value")).expect("it is ours");
    set_age(&sample.source, 3600);
    let (lines, notes) = sample.json(&["--source", "3"]);
    assert_eq!((lines, notes.len()), (vec![Vec::new(), Vec::new()], 1));
    let of = |text: &str| {
        let path = sample.folder.join("text");
        fs::write(&path, text).expect("it is ours");
        let output = Command::new("md5sum").arg(path).output().expect("coreutils are installed");
        String::from_utf8_lossy(&output.stdout)[..32].to_owned()
    };
    let (found, wanted) = (of(&PROGRAM.replace("count", "value")), of(PROGRAM));
    assert!(notes[0].ends_with(&format!("its MD5 is {found}, not {wanted}")), "{notes:?}");
}

#[test]
fn a_source_map_leads_to_files_that_were_moved() {
    let Some(sample) = Sample::new("moved", "clang", &["-gdwarf-5"]) else { return };
    let (from, to) = (sample.folder.join("in"), sample.folder.join("out"));
    fs::rename(&from, &to).expect("it is ours");
    let (lines, notes) = sample.json(&["--source", "3"]);
    assert_eq!((lines, notes.len()), (vec![Vec::new(), Vec::new()], 1), "{notes:?}");
    let (begin, end) = ("no source file was found, as ", ": say where they are with --source-map FROM=TO");
    assert!(notes[0].starts_with(begin) && notes[0].ends_with(end), "{notes:?}");
    let right = format!("{}/={}", from.display(), to.display());
    let shorter = format!("{}=/nowhere", sample.folder.display());
    let maps = ["--source", "3", "--source-map", &shorter, "--source-map", &right];
    assert_eq!(sample.json(&maps), waits_and_main());
    let (lines, notes) = sample.json(&maps[..4]);
    assert_eq!((lines, notes.len()), (vec![Vec::new(), Vec::new()], 1));
    assert_eq!(notes[0], "no source file is where --source-map leads, as /nowhere/in/sample.c");
}

#[test]
fn names_relative_to_the_folder_of_the_compiler_are_mapped() {
    let name = "relative";
    let folder = std::env::temp_dir().join(format!("threaddump-source-{name}-{}", std::process::id()));
    let option = format!("-ffile-prefix-map={}=.", folder.display());
    let Some(sample) = Sample::new(name, "cc", &[&option]) else { return };
    assert_eq!(sample.json(&["--source", "3"]).0, [[] as [&str; 0], []]);
    let map = format!(".={}", sample.folder.display());
    assert_eq!(sample.json(&["--source", "3", "--source-map", &map]), waits_and_main());
}

#[test]
fn only_regular_files_of_some_size_are_read() {
    let Some(sample) = Sample::new("regular", "cc", &[]) else { return };
    let refused = |why: &str| {
        let (lines, notes) = sample.json(&["--source", "3"]);
        assert_eq!((lines, notes.len()), (vec![Vec::new(), Vec::new()], 1), "{notes:?}");
        assert!(notes[0].contains(why), "{notes:?}");
        fs::remove_file(&sample.source).or_else(|_| fs::remove_dir(&sample.source)).expect("it is ours");
    };
    File::options()
        .append(true)
        .open(&sample.source)
        .and_then(|file| file.set_len(1 << 40))
        .expect("it is ours");
    refused("too large");
    nix::unistd::mkfifo(&sample.source, Mode::S_IRWXU).expect("it is ours");
    refused("a pipe");
    fs::create_dir(&sample.source).expect("it is ours");
    refused("a directory");
    fs::write(&sample.source, vec![b'x'; 15 << 20]).expect("it is ours");
    assert_eq!(sample.json(&["--source", "3"]).0, [[] as [&str; 0], []], "it has one line");
    fs::write(&sample.source, "\n\n\n\n\n\n".to_owned() + &"\u{e4}".repeat(1 << 20)).expect("it is ours");
    let (lines, _) = sample.json(&["--source", "1"]);
    assert!((100..1000).contains(&lines[0][0].len()), "{}", lines[0][0].len());
}

#[test]
fn the_targets_root_comes_first_and_what_is_outside_is_said() {
    if !nix::unistd::geteuid().is_root() {
        record::skip("source files of another root", "needs root");
        return;
    }
    let Some(sample) = Sample::new("root", "cc", &["-static", "-gdwarf-4"]) else { return };
    let root = sample.folder.join("root");
    let inner = root.join(sample.source.strip_prefix("/").expect("it is absolute"));
    fs::create_dir_all(inner.parent().expect("it has one")).expect("it is ours");
    fs::copy(sample.folder.join("sample"), root.join("sample")).expect("it is ours");
    let mut command = Command::new("chroot");
    let running = Running::start_ready(command.arg(&root).arg("/sample"), "chroot", "ready");
    let Ok(running) = running else {
        record::skip("source files of another root", "chroot is refused");
        return;
    };
    settle(running.pid());
    let sample = Sample { folder: sample.folder.clone(), source: sample.source.clone(), running };
    let (lines, notes) = sample.json(&["--source", "3"]);
    assert_eq!((lines, notes.len()), (waits_and_main().0, 1), "{notes:?}");
    assert!(notes[0].contains("is not in the root directory of the process"), "{notes:?}");
    fs::write(&inner, PROGRAM.replace("waits(count)", "inside(count)")).expect("it is ours");
    set_age(&inner, 3600);
    let (lines, notes) = sample.json(&["--source", "1"]);
    assert_eq!((lines[1][0].as_str(), notes), ("11     inside(count);", Vec::new()));
}

#[test]
fn wrong_usage_is_refused() {
    let sets: [&[&str]; 6] = [
        &["--source", "0"],
        &["--source", "101"],
        &["--source", "x"],
        &["--source-map", "a=b"],
        &["--source", "3", "--source-map", "ab"],
        &["--source", "3", "--no-lines"],
    ];
    for arguments in sets {
        let output = run(&[arguments, &["1"]].concat());
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
}
