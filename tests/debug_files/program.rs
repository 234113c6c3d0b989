//! Running a program and threaddump on it.
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process::{Running, settle};

/// Variables by which the outcome would depend on where the tests run.
const FOREIGN: [&str; 8] = [
    "DEBUGINFOD_URLS",
    "DEBUGINFOD_CACHE_PATH",
    "DEBUGINFOD_TIMEOUT",
    "DEBUGINFOD_MAXSIZE",
    "XDG_CACHE_HOME",
    "http_proxy",
    "HTTP_PROXY",
    "ALL_PROXY",
];

pub(crate) fn start(program: &Path) -> Running {
    let running = Running::start_ready(&mut Command::new(program), "prog", "ready").unwrap();
    settle(running.pid());
    running
}

/// threaddump on a process, with the variables that are given.
pub(crate) fn command(pid: i32, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threaddump"));
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command.args(["--format", "json"]).args(arguments).arg(pid.to_string());
    command.stdin(Stdio::null());
    command
}

/// Names with lines of the frames below `main`, innermost first, and all problems.
pub(crate) fn dump(pid: i32, arguments: &[&str], variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let output = command(pid, arguments, variables).output().unwrap();
    parse(&output.stdout, &String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn parse(json: &[u8], notes: &str) -> (Vec<String>, Vec<String>) {
    let report: Value = serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}: {notes}"));
    let texts = |list: &Value, text: &dyn Fn(&Value) -> String| -> Vec<String> {
        list.as_array().into_iter().flatten().map(text).collect()
    };
    let frame = |frame: &Value| {
        let line = frame["line"].as_u64().map_or(String::new(), |line| format!(":{line}"));
        format!("{}{line}", frame["function"].as_str().unwrap_or("?"))
    };
    let frames = texts(&report["threads"][0]["frames"], &frame);
    let problems = texts(&report["problems"], &|problem| problem["message"].as_str().unwrap().to_owned());
    (own(frames), problems)
}

/// The frames of the program itself: three between the C library and the C library.
fn own(frames: Vec<String>) -> Vec<String> {
    let libc =
        |frame: &String| frame.contains("pause") || frame.contains("libc_start") || frame.contains("_start");
    let first = frames.iter().position(|frame| !libc(frame)).unwrap_or(0);
    frames.into_iter().skip(first).take_while(|frame| !libc(frame)).take(4).collect()
}

/// What is shown with debug information.
pub(crate) fn is_whole(frames: &[String]) -> bool {
    let names: Vec<&str> = frames.iter().map(|frame| frame.split([':', '.']).next().unwrap()).collect();
    names == ["stay", "inlined", "outer", "main"] && frames.iter().all(|frame| frame.contains(':'))
}

/// What is shown of a stripped program.
pub(crate) fn is_bare(frames: &[String]) -> bool {
    frames.iter().all(|frame| frame == "?")
}
