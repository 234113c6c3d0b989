//! What the tests of the ways to look at a process share: targets, and running threaddump on them.
#![allow(dead_code, reason = "each test program uses a part of this")]
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::process::{Running, bounded};

/// Compiled programs and a copy of threaddump, where every user can run them.
pub(crate) struct Programs {
    pub(crate) folder: PathBuf,
    pub(crate) threaddump: PathBuf,
    pub(crate) filter: PathBuf,
    pub(crate) target: PathBuf,
    /// The target without optimization.
    pub(crate) plain: PathBuf,
}

/// The programs, or `None` where there is no compiler.
pub(crate) fn programs() -> Option<&'static Programs> {
    static PROGRAMS: OnceLock<Option<Programs>> = OnceLock::new();
    PROGRAMS.get_or_init(build).as_ref()
}

/// Folders have this name and the process id of the test program.
const FOLDER: &str = "threaddump-via-";

/// Nothing runs at the end of a test program, so the next one cleans up.
fn remove_old_folders() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(FOLDER)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn build() -> Option<Programs> {
    // The folders of the build may be closed to other users.
    remove_old_folders();
    let folder = std::env::temp_dir().join(format!("{FOLDER}{}", std::process::id()));
    fs::create_dir(&folder).expect("a temporary directory can be made");
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("it is ours");
    let compile = |source: &str, name: &str, level: &str| {
        let path = folder.join(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/via").join(source);
        let mut command = Command::new("cc");
        command.args(["-g", level, "-pthread", "-Wl,--build-id", "-o"]).arg(&path).arg(source);
        command.status().is_ok_and(|status| status.success()).then_some(path)
    };
    let threaddump = folder.join("threaddump");
    let _ = fs::remove_file(&threaddump);
    fs::copy(env!("CARGO_BIN_EXE_threaddump"), &threaddump).expect("it was built");
    Some(Programs {
        filter: compile("filter.c", "filter", "-O2")?,
        target: compile("target.c", "target", "-O2")?,
        plain: compile("target.c", "plain", "-O0")?,
        folder,
        threaddump,
    })
}

/// What one run gave.
#[derive(Debug)]
pub(crate) struct Dump {
    pub(crate) report: Value,
    pub(crate) status: i32,
    pub(crate) messages: String,
}

impl Dump {
    pub(crate) fn threads(&self) -> &[Value] {
        self.report["threads"].as_array().unwrap_or_else(|| panic!("no threads: {self:?}"))
    }

    pub(crate) fn thread(&self, name: &str) -> &Value {
        let found = self.threads().iter().find(|thread| thread["name"] == name);
        found.unwrap_or_else(|| panic!("no thread {name}: {self:?}"))
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.report[field].as_str().unwrap_or_default()
    }
}

/// Functions of a thread, innermost first.
pub(crate) fn functions(thread: &Value) -> Vec<&str> {
    let frames = thread["frames"].as_array().expect("an array");
    frames.iter().map(|frame| frame["function"].as_str().unwrap_or("?")).collect()
}

/// Runs threaddump in JSON by way of another program and its arguments.
pub(crate) fn dump_by<S: AsRef<OsStr>>(prefix: &[S], pid: i32, arguments: &[&str]) -> Dump {
    let programs = programs().expect("there is a target already");
    let mut words: Vec<&OsStr> = prefix.iter().map(AsRef::as_ref).collect();
    words.push(programs.threaddump.as_os_str());
    let mut command = bounded(words[0]);
    let pid = pid.to_string();
    command.args(&words[1..]).args(["--format", "json"]).args(arguments).arg(&pid);
    read(&command.output().expect("it can be run"))
}

/// Runs threaddump in JSON.
pub(crate) fn dump(pid: i32, arguments: &[&str]) -> Dump {
    dump_by::<&str>(&[], pid, arguments)
}

fn read(output: &Output) -> Dump {
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status.code().unwrap_or_else(|| panic!("{}: {messages}", output.status));
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Dump { report, status, messages }
}

/// Starts a target, by way of other programs if the command says so.
pub(crate) fn start(command: &mut Command) -> Running {
    Running::start_ready(command, "the target", "ready").unwrap_or_else(|error| panic!("{error}"))
}
