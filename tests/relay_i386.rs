//! The relay in i386 programs, from a 64-bit threaddump: which library they get, and that both ways of looking at them
//! have seen the same. The other tests of the relay run once more with programs for i386 by themselves.
mod relay;
mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use relay::Outcome;
use support::record::{skip, summary};

const THREADDUMP: &str = env!("CARGO_BIN_EXE_threaddump");

/// A program of `tests/`, for i386.
fn build(source: &str) -> PathBuf {
    let name = Path::new(source).file_stem().expect("a file").to_str().expect("plain");
    let built = relay::unique(&format!("i386-{name}"));
    let mut compiler = Command::new("cc");
    compiler.args(["-m32", "-idirafter", "/usr/include/x86_64-linux-gnu", "-g", "-O1", "-w", "-pthread"]);
    compiler.arg("-fno-optimize-sibling-calls").arg("-o").arg(&built);
    let output = compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).output();
    let output = output.expect("the compiler can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    built
}

fn run(program: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(program);
    command.env_remove("THREADDUMP").env_remove("LD_PRELOAD").stdin(Stdio::null());
    command.args(arguments).output().expect("it can be run").into()
}

#[test]
fn both_ways_have_seen_the_same_of_a_program() {
    let library = match relay::build_library_i386() {
        Ok(library) => library,
        Err(why) => return skip("relay in i386 programs", &why),
    };
    let mut command = Command::new(build("tests/vm/threads.c"));
    command.env("LD_PRELOAD", &library).env("THREADDUMP", "helper=none").stdout(Stdio::piped());
    let mut target = command.spawn().expect("it was built");
    let lines = BufReader::new(target.stdout.take().expect("piped")).lines();
    let ready = lines.map(|line| line.expect("readable")).find(|line| line.ends_with("ready"));
    assert!(ready.is_some(), "it says that it is ready");
    let pid = target.id().to_string();
    let compared = run(Path::new(THREADDUMP), &["compare", &pid]);
    let asked = run(Path::new(THREADDUMP), &["--format", "json", "--via", "relay", &pid]);
    target.kill().expect("ours");
    target.wait().expect("ours");
    let said = compared.stdout.lines().last().unwrap_or_default();
    assert_eq!(compared.status, 0, "{}{}", compared.stdout, compared.stderr);
    assert_eq!(said, "6 identical, 0 moved, 0 unreachable, 0 differing", "{}", compared.stdout);
    let report: serde_json::Value = serde_json::from_str(&asked.stdout).expect("a report");
    assert_eq!(report["process"]["arch"], "i386", "{}", asked.stderr);
    summary(&format!("ptrace and relay: i386: {said}"));
}

#[test]
fn a_program_gets_the_library_of_its_kind_or_it_is_said_that_there_is_none() {
    let library = match relay::build_library_i386() {
        Ok(library) => library,
        Err(why) => return skip("relay in i386 programs", &why),
    };
    let program = build("tests/relay/stacks.c");
    let program = program.to_str().expect("a plain path");
    let out = relay::unique("run-i386");
    let arguments = ["run", "--relay", "-o", out.to_str().expect("plain"), "--", program];
    let expected = Outcome { status: 0, stdout: "went on\n".to_owned(), stderr: String::new() };
    // By a library beside threaddump; the helper is the 64-bit program.
    assert_eq!(run(Path::new(THREADDUMP), &arguments), expected);
    let dump = fs::read_to_string(&out).expect("the relay wrote it");
    assert!(dump.contains("SIGQUIT") && dump.contains("eip") && dump.contains(" by ptrace"), "{dump}");
    fs::remove_file(&out).expect("ours");
    // Where there is none, and none was built in.
    let folder = relay::unique("run-i386-alone");
    fs::create_dir(&folder).expect("it is new");
    let alone = folder.join("threaddump");
    fs::copy(THREADDUMP, &alone).expect("it was built");
    if threaddump::preload::LIBRARY_I386.is_empty() {
        let ran = run(&alone, &arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (125, ""), "{ran:?}");
        let (what, advice) = ran.stderr.split_once('\n').expect("two lines");
        let missing = "threaddump: cannot find libthreaddump_relay-i386.so: threaddump was built without it";
        assert_eq!(what, missing);
        assert!(advice.contains("put it beside threaddump"), "{advice}");
        let place = folder.join(library.file_name().expect("a file"));
        fs::copy(&library, place).expect("it was built");
    }
    assert_eq!(run(&alone, &arguments), expected);
    fs::remove_dir_all(folder).expect("it is ours");
}
