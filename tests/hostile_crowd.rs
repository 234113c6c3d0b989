//! Targets with very much of something, and with names made to mislead.
#[path = "hostile/stage.rs"]
#[allow(dead_code, reason = "each test program uses a part of this")]
mod stage;
mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use stage::Folder;
use support::process::{Running, settle};
use support::record;

/// What a file or an argument may be called: everything but `/` and NUL.
const NAMES: [&[u8]; 11] = [
    b"two  blanks ",
    b"line\nend",
    b"tab\there",
    b"\x1b[2J\x1b]0;title\x07",
    b"\xff\xfe\x80",
    b"back\\slash\\012",
    b"quote\"s'",
    b"a (deleted)",
    "\u{202e}bidi\u{2028}".as_bytes(),
    b"7f0000000000-7f0000001000 r-xp 00000000 00:00 0",
    b"#0  0x0000 in fake ()",
];

type Check = fn() -> Result<(), String>;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--measure") {
        stage::measure();
    }
    let tests: [(&str, Check); 6] = [
        ("odd names of programs, arguments and libraries", odd_paths),
        ("odd names of threads", odd_threads),
        ("a hundred thousand mappings", many_mappings),
        ("ten thousand threads", many_threads),
        ("a process whose maps cannot be read", unreadable_maps),
        ("an argument of a megabyte", long_argument),
    ];
    let arguments = Arguments::from_args();
    let run = |test: fn() -> Result<(), String>| test().map_err(Failed::from);
    let trials = tests.map(|(name, test)| Trial::test(name, move || run(test)));
    libtest_mimic::run(&arguments, trials.into()).exit();
}

fn crowd() -> std::path::PathBuf {
    stage::program("crowd", &[])
}

fn text_of(pid: i32, options: &[&str]) -> Result<String, String> {
    let mut arguments: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    arguments.push(pid.to_string());
    let (text, status, _) = stage::measured(&arguments)?;
    if status == Some(0) { Ok(text) } else { Err(format!("status {status:?}:\n{text}")) }
}

/// Whether a text could do something to a terminal or forge lines of its own.
fn is_tame(text: &str, colors: bool) -> Result<(), String> {
    // With colours the only escape sequences are ours.
    let stripped = if colors { without_colors(text) } else { text.to_owned() };
    let bad = |c: char| (c.is_control() && c != '\n') || (colors && matches!(c, '\u{202e}' | '\u{2028}'));
    if let Some(line) = stripped.lines().find(|line| line.contains(bad)) {
        return Err(format!("control characters in {line:?}"));
    }
    // The first line begins with the name of the process, whatever that is.
    let forged = |line: &&str| line.starts_with("end") || line.starts_with("#0  0x0000 in");
    match stripped.lines().skip(1).find(forged) {
        Some(line) => Err(format!("a name made a line of its own: {line:?}")),
        None => Ok(()),
    }
}

fn without_colors(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.strip_prefix('[').and_then(|rest| rest.split_once('m'));
        let color = rest.filter(|(code, _)| code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'));
        // What is no colour stays, and is found.
        out += color.map_or("\x1b", |(_, rest)| rest);
    }
    out
}

/// Bytes as the JSON shows them: UTF-8, and `\xNN` for what is none.
fn shown(bytes: &[u8]) -> String {
    bytes
        .utf8_chunks()
        .flat_map(|chunk| {
            let invalid: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
            [chunk.valid().to_owned(), invalid]
        })
        .collect()
}

fn odd_paths() -> Result<(), String> {
    let folder = Folder::new("odd-paths");
    let program = stage::program("twin", &["-ldl"]);
    let library = stage::program("twin", &["-shared", "-fPIC", "-DNAME=inside_the_root"]);
    for name in NAMES {
        odd_path(&folder.0, name, &program, &library).map_err(|error| format!("{}: {error}", shown(name)))?;
    }
    Ok(())
}

fn odd_path(folder: &Path, name: &[u8], program: &Path, library: &Path) -> Result<(), String> {
    let inner = folder.join(OsStr::from_bytes(name));
    fs::create_dir_all(&inner).map_err(|error| error.to_string())?;
    let (exe, lib) = (inner.join(OsStr::from_bytes(name)), inner.join("libtwin.so"));
    fs::copy(program, &exe).and_then(|_| fs::copy(library, &lib)).map_err(|error| error.to_string())?;
    let mut command = Command::new(&exe);
    command.arg0(OsStr::from_bytes(name)).arg(OsStr::from_bytes(name)).arg(&lib);
    let running = Running::start_ready(&mut command, "twin", "ready")?;
    settle(running.pid());
    let report = stage::dump(running.pid(), &[])?.report;
    let frames = stage::frames(&report["threads"][0]);
    let functions = ["inside_the_root", "enter", "main"];
    if !functions.iter().all(|name| frames.iter().any(|frame| frame.contains(name))) {
        return Err(format!("wrong names: {frames:#?}\n{}", stage::problems(&report)));
    }
    let paths = [(&report["process"]["exe"], &exe), (&report["process"]["cmdline"][2], &lib)];
    for (is, want) in paths {
        if is != &shown(want.as_os_str().as_bytes()) {
            return Err(format!("{is} is not {want:?}"));
        }
    }
    let mut modules = report["modules"].as_array().into_iter().flatten();
    if !modules.any(|module| module["path"] == shown(lib.as_os_str().as_bytes())) {
        return Err("the library's path is not among the modules".to_owned());
    }
    if report["process"]["cmdline"][0] != shown(name) || report["problems"] != Value::Array(Vec::new()) {
        return Err(format!("{} {}", report["process"]["cmdline"], report["problems"]));
    }
    is_tame(&text_of(running.pid(), &["--color", "always"])?, true)?;
    is_tame(&text_of(running.pid(), &["--color", "never"])?, false)
}

fn odd_threads() -> Result<(), String> {
    let running = Running::start_ready(Command::new(crowd()).arg("names"), "crowd", "ready")?;
    settle(running.pid());
    let report = stage::dump(running.pid(), &[])?.report;
    let names: Vec<&str> = report["threads"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|thread| thread["name"].as_str())
        .collect();
    let wanted = [
        "two  blanks ",
        "line\nend",
        "tab\there",
        "\x1b[2J\x1b[31m",
        "back\\slash",
        "a (deleted)",
        "",
        ") R 1 (",
    ];
    if let Some(missing) = wanted.iter().find(|name| !names.contains(name)) {
        return Err(format!("{missing:?} is not in {names:?}"));
    }
    if !names.contains(&"\\xff\\xfe\\x80") {
        return Err(format!("bytes that are no text: {names:?}"));
    }
    is_tame(&text_of(running.pid(), &["--color", "always"])?, true)?;
    let plain = text_of(running.pid(), &["--color", "never"])?;
    is_tame(&plain, false)?;
    let titles = plain.lines().filter(|line| line.starts_with("thread ")).count();
    if titles == names.len() { Ok(()) } else { Err(format!("{titles} titles of {} threads", names.len())) }
}

/// The number that the program could make.
fn made(running: &Running, what: &str, wanted: usize) -> usize {
    let proc = format!("/proc/{}", running.pid());
    let count = match what {
        "threads" => fs::read_dir(format!("{proc}/task")).map_or(0, Iterator::count),
        _ => fs::read_to_string(format!("{proc}/maps")).map_or(0, |text| text.lines().count()),
    };
    if count < wanted {
        record::skip(&format!("{wanted} {what}"), &format!("the limits of this machine allow {count}"));
    }
    count
}

fn crowded(what: &str, wanted: usize) -> Result<(Running, usize), String> {
    let mut command = Command::new(crowd());
    command.arg(what).arg(wanted.to_string());
    let running = Running::start_ready(&mut command, "crowd", "ready")?;
    let count = made(&running, what, wanted);
    Ok((running, count))
}

fn many_mappings() -> Result<(), String> {
    // Where we may, the limit of the kernel is raised for as long as this takes.
    let limit = Path::new("/proc/sys/vm/max_map_count");
    let before = fs::read(limit).unwrap_or_default();
    let raised = fs::write(limit, "200000").is_ok();
    let result = crowded("mappings", 100_000).and_then(|(running, count)| {
        let outcome = stage::dump(running.pid(), &[])?;
        stage::within_limits(&format!("{count} mappings"), &outcome)?;
        let frames = stage::frames(&outcome.report["threads"][0]);
        let whole = frames.iter().any(|frame| frame.contains("\"main\""));
        if whole { Ok(()) } else { Err(format!("the stack is not whole: {frames:#?}")) }
    });
    if raised {
        let _ = fs::write(limit, before);
    }
    result
}

fn many_threads() -> Result<(), String> {
    let (running, count) = crowded("threads", 10_000)?;
    let outcome = stage::dump(running.pid(), &[])?;
    record::summary(&format!(
        "hostile {count} threads: {:.2} s, {} MB, held for {} ms",
        outcome.cpu.as_secs_f64(),
        outcome.memory >> 20,
        outcome.report["pause_ns"].as_u64().unwrap_or(0) / 1_000_000
    ));
    let threads = outcome.report["threads"].as_array().map(Vec::as_slice).unwrap_or_default();
    let whole = |thread: &&Value| {
        thread["end"] == "root" && stage::frames(thread).iter().any(|frame| frame.contains("wait_for_ever"))
    };
    let shown = threads.iter().filter(whole).count();
    if shown >= count { Ok(()) } else { Err(format!("{shown} of {count} threads have whole stacks")) }
}

/// Root may read everything, so this takes another user.
fn unreadable_maps() -> Result<(), String> {
    let mut command = Command::new("setpriv");
    let program = env!("CARGO_BIN_EXE_threaddump");
    let running = Running::start_ready(Command::new(crowd()).arg("names"), "crowd", "ready")?;
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", program])
        .arg(running.pid().to_string());
    let output = command.output().map_err(|error| error.to_string());
    let Ok(output) = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()) else {
        record::skip("unreadable maps", "setpriv is not installed");
        return Ok(());
    };
    if output.contains("setpriv:") || output.contains("failed to execute") {
        record::skip("unreadable maps", output.trim());
        return Ok(());
    }
    if output.starts_with("threaddump: ") && output.lines().count() >= 2 {
        return Ok(());
    }
    Err(format!("no cause and no advice: {output}"))
}

fn long_argument() -> Result<(), String> {
    let argument = "x".repeat(100_000);
    let mut command = Command::new(crowd());
    command.arg("none").args(std::iter::repeat_n(&argument, 10));
    let running = Running::start_ready(&mut command, "crowd", "ready")?;
    let outcome = stage::dump(running.pid(), &[])?;
    stage::within_limits("a megabyte of arguments", &outcome)?;
    let text = text_of(running.pid(), &[])?;
    if text.len() < 10_000 { Ok(()) } else { Err(format!("{} bytes of text", text.len())) }
}
