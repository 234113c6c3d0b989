//! `threaddump compare` with two files: what it prints, how it ends, and what it refuses.
mod hurt;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn compare(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threaddump"));
    command.arg("compare").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program was built");
    // What is refused by its first bytes is not read to the end.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    child.wait_with_output().expect("it is our child")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The golden report after this was done to it.
fn altered(name: &str, alter: impl FnOnce(&mut Value)) -> Vec<u8> {
    let report = std::fs::read(golden(name)).expect("it is there");
    let mut report: Value = serde_json::from_slice(&report).expect("it is JSON");
    alter(&mut report);
    serde_json::to_vec(&report).expect("it is JSON")
}

#[test]
fn every_golden_report_is_the_same_as_itself() {
    let mut count = 0;
    for entry in std::fs::read_dir(golden("")).expect("it is there").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let path = path.to_str().expect("text");
        let output = compare(&[path, path], b"");
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{path}: {said}{}", text(&output.stderr));
        assert!(said.trim_end().ends_with("nothing moved"), "{path}: {said}");
        count += 1;
    }
    assert!(count >= 7, "{count}");
}

#[test]
fn what_moved_is_named_and_shown_beside_what_it_was() {
    let path = golden("complete.json");
    let path = path.to_str().expect("text");
    let moved = altered("complete.json", |report| {
        report["threads"][0]["frames"][0]["pc"] = "0x1234".into();
        report["threads"][0]["frames"][0]["function"] = "elsewhere".into();
    });
    let output = compare(&[path, "-"], &moved);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stderr));
    assert!(said.contains(": moved\n"), "{said}");
    assert!(said.lines().any(|line| line.contains(" | #0 ") && line.contains("elsewhere")), "{said}");
    let output = compare(&["--format", "json", path, "-"], &moved);
    assert_eq!(output.status.code(), Some(1));
    let value: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&value["schema"], &value["question"]), (&"threaddump-compare/1".into(), &"moments".into()));
    assert_eq!((&value["same"], &value["summary"]["moved"]), (&false.into(), &1.into()));
    let difference = &value["threads"][0]["differences"][0];
    assert_eq!((&difference["frame"], &difference["what"]), (&0.into(), &"pc".into()));
    assert_eq!(difference["right"], "0x1234");
    let brief = compare(&["--only-different", path, "-"], &moved);
    assert!(!text(&brief.stdout).contains(": identical"));
}

#[test]
fn threads_that_came_and_went_are_named() {
    let path = golden("complete.json");
    let path = path.to_str().expect("text");
    let other = altered("complete.json", |report| {
        let last = report["threads"].as_array().expect("a list").len() - 1;
        report["threads"][last]["tid"] = 999_999.into();
    });
    let output = compare(&[path, "-"], &other);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).trim_end().ends_with("1 appeared, 1 ended"), "{}", text(&output.stdout));
}

#[test]
fn what_is_no_dump_or_one_of_another_process_is_refused() {
    let path = golden("complete.json");
    let path = path.to_str().expect("text");
    let whole = std::fs::read(path).expect("it is there");
    let cases: [(&str, Vec<u8>); 9] = [
        ("it is empty", Vec::new()),
        ("it is no dump in JSON", b"no JSON at all".to_vec()),
        ("it is no dump in JSON", whole[..whole.len() / 2].to_vec()),
        ("it is no dump in JSON", b"{\"schema\":\"threaddump/1\"}".to_vec()),
        ("its schema is", b"{\"schema\":\"threaddump-compare/1\"}".to_vec()),
        ("more than one dump", whole.repeat(2)),
        ("two processes", altered("complete.json", |report| report["process"]["pid"] = 7.into())),
        (
            "two processes",
            altered("complete.json", |report| {
                report["process"]["start_time"] = "1999-01-01T00:00:00Z".into();
            }),
        ),
        (
            "is there twice",
            altered("complete.json", |report| {
                let thread = report["threads"][0].clone();
                report["threads"].as_array_mut().expect("a list").push(thread);
            }),
        ),
    ];
    for (what, input) in cases {
        let output = compare(&[path, "-"], &input);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        assert!(said.contains(what) && output.stdout.is_empty(), "{what}: {said}");
    }
    assert_eq!(compare(&["/nonexistent", path], b"").status.code(), Some(2));
    // One alone is the name of a process.
    assert_eq!(compare(&[path], b"").status.code(), Some(2));
    assert_eq!(compare(&[], b"").status.code(), Some(64));
    assert_eq!(compare(&[path, path, path], b"").status.code(), Some(64));
    assert_eq!(compare(&["--format", "gdb", path, path], b"").status.code(), Some(64));
}

#[test]
fn a_thread_of_a_real_program_that_waits_has_not_moved_and_one_that_works_has() {
    let program = hurt::build("fates");
    let command = &mut Command::new(program);
    let running = hurt::Running::start(command.arg("wait").stdout(Stdio::null()).stderr(Stdio::null()));
    assert!(hurt::comes(|| hurt::threads(running.pid()).len() == 2));
    let dump = |name: &str| {
        let path = hurt::scratch_file(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_threaddump"));
        command.args(["-f", "json", "-o"]).arg(&path).arg(running.pid().to_string());
        assert!(command.status().expect("the program was built").success());
        path
    };
    let first = dump("first.json");
    // The first thread wakes a thousand times a second.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let second = dump("second.json");
    let arguments = ["--format", "json", first.to_str().expect("text"), second.to_str().expect("text")];
    let output = compare(&arguments, b"");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let verdict = |index: usize| value["threads"][index]["verdict"].as_str().expect("text").to_owned();
    assert_eq!((verdict(0), verdict(1)), ("moved".to_owned(), "identical".to_owned()), "{value}");
    for path in [first, second] {
        let _ = std::fs::remove_file(path);
    }
}
