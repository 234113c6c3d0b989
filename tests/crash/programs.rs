//! Building what crashes, letting it crash, and reading what was stored.
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use threaddump::handler::LostCrash;

use crate::setting::Settings;
use crate::support::{Stop, has_program, scratch};

/// The longest time in which a process that crashes may be there, on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_secs(30);
/// The longest time until its report is stored.
const PATIENCE: Duration = Duration::from_secs(120);

/// Builds one of the programs by these words, to which source and output are added.
pub(crate) fn build(source: &str, words: &[&str]) -> Result<PathBuf, Stop> {
    let (compiler, rest) = words.split_first().expect("a compiler");
    if !has_program(compiler) {
        return Err(Stop::Skip(format!("{compiler} is not installed")));
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash").join(source);
    // Other users have to be able to run it.
    let folder = PathBuf::from("/tmp/td-programs");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let output = folder.join(source.file_stem().unwrap_or_default());
    let mut command = Command::new(compiler);
    command.env("GOCACHE", scratch("go-cache")).args(rest).arg("-o").arg(&output).arg(source);
    let built = command.output().map_err(|error| error.to_string())?;
    if built.status.success() {
        Ok(output)
    } else {
        Err(String::from_utf8_lossy(&built.stderr).into_owned().into())
    }
}

pub(crate) fn crasher() -> Result<PathBuf, Stop> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(built) = BUILT.get() {
        return Ok(built.clone());
    }
    let built = build("crasher.cpp", &["c++", "-g", "-O1", "-pthread"])?;
    Ok(BUILT.get_or_init(|| built).clone())
}

/// Lets a program crash; the signal that ended it, and how long it took.
pub(crate) fn crash(command: &mut Command) -> Result<(i32, Duration), Stop> {
    let clock = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(|error| error.to_string())?;
    let signal = status.signal().or_else(|| status.code().filter(|&code| code > 128).map(|code| code - 128));
    Ok((signal.ok_or_else(|| format!("it did not crash: {status}"))?, clock.elapsed()))
}

/// Reports in the store, of the user who may read them.
pub(crate) fn reports(settings: &Settings, user: u32) -> Vec<Value> {
    let folder = settings.store.join(user.to_string());
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
    files.filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok()).collect()
}

/// How many crashes were stored; those that look alike are counted, and two of them kept.
pub(crate) fn stored(settings: &Settings, user: u32) -> u64 {
    let folder = settings.store.join(user.to_string());
    let mut latest = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((id, number)) = name.strip_suffix(".facts").and_then(|name| name.rsplit_once('-')) else {
            continue;
        };
        let number: u64 = number.parse().unwrap_or(0);
        let known = latest.entry(id.to_owned()).or_insert(0);
        *known = number.max(*known);
    }
    latest.values().sum()
}

/// Crashes that are counted as lost.
pub(crate) fn lost(settings: &Settings) -> Vec<LostCrash> {
    let text = std::fs::read_to_string(settings.store.join(".lost")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits for something.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, Stop> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(format!("{what} did not come in {PATIENCE:?}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The one report of a user.
pub(crate) fn report(settings: &Settings, user: u32) -> Result<Value, Stop> {
    wait("the report", || reports(settings, user).pop())
}

pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

pub(crate) fn threads(report: &Value) -> &[Value] {
    report["threads"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Names of the functions of a thread, the innermost first.
pub(crate) fn functions(thread: &Value) -> Vec<&str> {
    thread["frames"].as_array().into_iter().flatten().map(|frame| text(frame, "function")).collect()
}

/// Whether a thread has a function of this name.
pub(crate) fn has(thread: &Value, name: &str) -> bool {
    functions(thread).iter().any(|function| function.contains(name))
}
