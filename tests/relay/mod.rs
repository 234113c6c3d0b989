//! What the tests of the relay share: building its targets, running them with and without it, and reading
//! its texts.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a program ended: what `wait` says, and what it has written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Exit status, or the signal as a negative number.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        let status = output.status;
        Outcome {
            status: status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Set where programs are built for i386, and the relay's library for them is taken.
const I386: &str = "THREADDUMP_TEST_I386";

pub(crate) fn is_i386() -> bool {
    std::env::var_os(I386).is_some()
}

/// The library beside the program that is tested.
pub(crate) fn library() -> PathBuf {
    let name = if is_i386() { threaddump::preload::NAME_I386 } else { threaddump::preload::NAME };
    Path::new(env!("CARGO_BIN_EXE_threaddump")).with_file_name(name)
}

/// Builds the library for i386 programs, if that can be done here; says what is missing if not.
pub(crate) fn build_library_i386() -> Result<PathBuf, String> {
    // Once: what it fetches is unpacked into one folder.
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(try_library_i386).clone()
}

fn try_library_i386() -> Result<PathBuf, String> {
    if !Path::new("/usr/lib32/crt1.o").exists() || !cfg!(target_arch = "x86_64") {
        return Err("no libc6-dev-i386".to_owned());
    }
    let library = Path::new(env!("CARGO_BIN_EXE_threaddump")).with_file_name(threaddump::preload::NAME_I386);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/relay-i386.sh");
    let output = Command::new("sh").arg(script).arg(&library).output().expect("sh is there");
    let messages = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(library),
        // That of apt-get.
        Some(100) => Err(format!("a compiler for it could not be fetched: {}", messages.trim_end())),
        _ => panic!("{}{messages}", String::from_utf8_lossy(&output.stdout)),
    }
}

/// Runs all other tests of this program once more, with programs built for i386 and the relay for them.
pub(crate) fn again_for_i386(own_name: &str) -> Result<(), String> {
    if is_i386() {
        return Ok(());
    }
    build_library_i386()?;
    let mut command = Command::new(std::env::current_exe().expect("it runs"));
    command.args(["--skip", own_name]).env(I386, "1");
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let result = text.lines().find(|line| line.starts_with("test result")).expect("there were tests");
    record(&format!("i386: {result}"));
    Ok(())
}

pub(crate) fn scratch() -> PathBuf {
    let name = if is_i386() { "relay-i386" } else { "relay" };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("cargo's folder for tests can be written");
    folder
}

/// A file name that no other test has.
pub(crate) fn unique(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = scratch().join(format!("{name}.{}.{number}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay").join(name)
}

/// Runs a compiler; its output appears under its name at once, for tests that want the same.
fn compile(compiler: &mut Command, name: &str) -> PathBuf {
    let (new, built) = (unique(name), scratch().join(name));
    let output = compiler.arg("-o").arg(&new).output().expect("the compiler can be started");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&new, &built).expect("in the same folder");
    built
}

/// The C compiler, for the programs that are tested.
fn c_compiler() -> Command {
    let mut compiler = Command::new("cc");
    if is_i386() {
        // Headers of the kernel are the same for both.
        compiler.args(["-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"]);
    }
    compiler
}

/// Compiles `tests/relay/NAME.c`.
pub(crate) fn build(name: &str) -> PathBuf {
    let mut compiler = c_compiler();
    compiler.args(["-g", "-O1", "-w", "-pthread", "-rdynamic"]).arg(source(&format!("{name}.c")));
    compile(&mut compiler, name)
}

/// Compiles it with more arguments.
pub(crate) fn build_with(name: &str, built: &str, arguments: &[&str]) -> PathBuf {
    let mut compiler = c_compiler();
    compiler.args(["-g", "-O1", "-w", "-pthread"]).arg(source(&format!("{name}.c"))).args(arguments);
    compile(&mut compiler, built)
}

/// Compiles `tests/relay/NAME.rs`.
pub(crate) fn build_rust(name: &str) -> PathBuf {
    let mut compiler = Command::new("rustc");
    compiler.args(["--edition=2024", "-O", "-g"]).arg(source(&format!("{name}.rs")));
    compile(&mut compiler, name)
}

/// Makes the command run with the relay in it.
pub(crate) fn preload(command: &mut Command, settings: &str) {
    command.env("LD_PRELOAD", library()).env("THREADDUMP", settings);
}

pub(crate) fn run(program: &Path, arguments: &[&str], settings: Option<&str>) -> Outcome {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if let Some(settings) = settings {
        preload(&mut command, settings);
    }
    command.output().expect("the program can be started").into()
}

/// Runs it with the relay, without its helper; its dumps come back as one text.
pub(crate) fn run_with_relay(program: &Path, arguments: &[&str], more: &str) -> (Outcome, String) {
    let path = unique("dump");
    let outcome = run(program, arguments, Some(&format!("helper=none,out={},{more}", path.display())));
    let text = std::fs::read(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    (outcome, String::from_utf8_lossy(&text).into_owned())
}

/// One thread of a text.
#[derive(Debug)]
pub(crate) struct Block {
    /// As in `SIGSEGV: segmentation violation`; `None` for a thread that was not reached.
    pub(crate) signal: Option<String>,
    pub(crate) index: usize,
    pub(crate) tid: i32,
    pub(crate) reached: bool,
    pub(crate) functions: Vec<String>,
    pub(crate) ended_early: bool,
    pub(crate) registers: usize,
}

/// Reads the text of one dump.
pub(crate) fn parse(text: &str) -> Vec<Block> {
    let blocks: Vec<Block> = text.split("\n-----\n\n").map(block).collect();
    assert!(text.ends_with('\n') && !text.contains("time is over"), "cut: {text}");
    blocks
}

fn block(text: &str) -> Block {
    let mut lines = text.lines().peekable();
    let mut signal = None;
    if lines.peek().is_some_and(|line| line.starts_with("SIG")) {
        signal = lines.next().map(str::to_owned);
        let pc = lines.next().expect("a line with the pc");
        assert!(pc.starts_with("PC=0x") && pc.contains(" m=") && pc.contains(" sigcode="), "{pc}");
        assert_eq!(lines.next(), Some(""), "a blank line in {text}");
    }
    let head = lines.next().expect("a thread");
    let (index, rest) = head
        .strip_prefix("thread ")
        .and_then(|rest| rest.split_once(" [tid "))
        .unwrap_or_else(|| panic!("{text}"));
    let (tid, rest) = rest.split_once(", \"").expect("a name");
    let mut block = Block {
        signal,
        index: index.parse().expect("a number"),
        tid: tid.parse().expect("a number"),
        reached: rest.ends_with("\"]:"),
        functions: Vec::new(),
        ended_early: false,
        registers: 0,
    };
    for line in lines {
        if let Some(function) = line.strip_suffix("(...)") {
            block.functions.push(function.to_owned());
        } else if line.starts_with("...the walk ends here") {
            block.ended_early = true;
        } else if !line.starts_with('\t') && !line.starts_with("...") {
            let (_, value) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} in {text}"));
            assert!(value.trim_start().starts_with("0x"), "{line:?}");
            block.registers += 1;
        }
    }
    block
}

/// Counts what the tests have seen, for the log.
pub(crate) fn record(line: &str) {
    println!("relay: {line}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("results");
    let append = || -> std::io::Result<()> {
        use std::io::Write;
        std::fs::create_dir_all(&folder)?;
        let mut file =
            std::fs::File::options().append(true).create(true).open(folder.join("undisturbed.txt"))?;
        writeln!(file, "relay: {line}")
    };
    append().expect("cargo's folder for tests can be written");
}
