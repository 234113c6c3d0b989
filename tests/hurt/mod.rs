//! What the tests share that look whether a target was hurt: programs with known results, what `/proc`
//! says about their threads, and where counts are written.
#![allow(dead_code, reason = "each test program uses a part of this")]

pub(crate) mod counter;
pub(crate) mod tool;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Generous: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// These tests keep both processors busy, and count on their results: one at a time.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many, from an environment variable or by default.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The program under test.
pub(crate) fn tool() -> PathBuf {
    let other = std::env::var_os("THREADDUMP_UNDER_TEST");
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_threaddump").into()).into()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("cargo's folder for tests can be written");
    folder
}

/// A file for a test to write to.
pub(crate) fn scratch_file(name: &str) -> PathBuf {
    folder("hurt").join(format!("{name}.{}", std::process::id()))
}

/// A line with the counts of a test; all of them are printed at the end of a whole run.
pub(crate) fn summary(line: &str) {
    println!("{line}");
    append("undisturbed.txt", line);
}

/// A part of a test that cannot run here.
pub(crate) fn skip(what: &str, reason: &str) {
    println!("skip {what}: {reason}");
    append("skips.txt", &format!("{what}: {reason}"));
}

fn append(file: &str, line: &str) {
    let file = OpenOptions::new().create(true).append(true).open(folder("results").join(file));
    let mut file = file.expect("cargo's folder for tests can be written");
    file.write_all(format!("{line}\n").as_bytes()).expect("cargo's folder for tests can be written");
}

/// Builds a program of this folder. These tests are never skipped, so a compiler has to be there.
pub(crate) fn build(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/hurt/{name}.c"));
    // Test programs that run at the same time do not share the file.
    let program = scratch_file(name);
    let mut command = Command::new("cc");
    command.args(["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-pthread", "-o"]).arg(&program).arg(source);
    assert!(command.status().expect("there is a C compiler").success(), "{name}.c is compiled");
    program
}

/// A started program and all of its process group, which end when this goes away.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        Running(command.process_group(0).stdin(Stdio::null()).spawn().expect("the program starts"))
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Waits for something that must come; `false` if it does not.
pub(crate) fn comes(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// What `/proc` says about a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreadFacts {
    pub(crate) tid: i32,
    pub(crate) state: char,
    pub(crate) tracer: i32,
}

/// The threads of a process.
pub(crate) fn threads(pid: i32) -> Vec<ThreadFacts> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let tids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    tids.filter_map(|tid| thread(pid, tid)).collect()
}

fn thread(pid: i32, tid: i32) -> Option<ThreadFacts> {
    let text = std::fs::read(format!("/proc/{pid}/task/{tid}/status")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let state = value("State:")?.chars().next()?;
    Some(ThreadFacts { tid, state, tracer: value("TracerPid:")?.parse().ok()? })
}

/// Fails if a thread is traced or held. Where `stopped`, all have to be stopped by SIGSTOP soon, else
/// none may be.
pub(crate) fn check_released(pid: i32, stopped: bool) -> Result<(), String> {
    for thread in threads(pid) {
        if thread.tracer != 0 || thread.state == 't' || (thread.state == 'T' && !stopped) {
            return Err(format!("left behind: {thread:?}"));
        }
    }
    if stopped && !comes(|| threads(pid).iter().all(|thread| thread.state == 'T')) {
        return Err(format!("not stopped any more: {:?}", threads(pid)));
    }
    Ok(())
}

/// Words in a file that the programs of this folder map.
pub(crate) struct Words(File);

impl Words {
    pub(crate) fn open(path: &Path) -> Words {
        Words(OpenOptions::new().read(true).write(true).open(path).expect("the program made it"))
    }

    pub(crate) fn get(&self, index: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, index * 8).expect("the file is long enough");
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn set(&self, index: u64, value: u64) {
        self.0.write_all_at(&value.to_le_bytes(), index * 8).expect("the file can be written");
    }

    pub(crate) fn bytes(&self, start: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(length).expect("it fits")];
        self.0.read_exact_at(&mut bytes, start).expect("the file is long enough");
        bytes
    }
}
