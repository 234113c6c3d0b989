//! Running threaddump and reading its JSON, as any other program would.
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de::Error};

use super::process::bounded;

/// What the tests read of the schema `threaddump/1`.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema: String,
    pub(crate) complete: bool,
    pub(crate) process: Process,
    pub(crate) signal: Option<Signal>,
    pub(crate) modules: Vec<Module>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) problems: Vec<Problem>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Signal {
    pub(crate) name: String,
    pub(crate) code_name: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) tid: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) arch: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Module {
    pub(crate) path: String,
    pub(crate) build_id: Option<String>,
    pub(crate) debug_file: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Thread {
    pub(crate) tid: i32,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) name: String,
    pub(crate) state: Option<char>,
    pub(crate) syscall: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) registers: Option<BTreeMap<String, String>>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) end: String,
    pub(crate) end_detail: Option<String>,
    pub(crate) problems: Vec<Problem>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    pub(crate) stage: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Frame {
    #[serde(deserialize_with = "hex")]
    pub(crate) pc: u64,
    pub(crate) module: Option<String>,
    #[serde(default, deserialize_with = "hex_option")]
    pub(crate) module_offset: Option<u64>,
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) inlined: bool,
    pub(crate) how: String,
}

/// What one run of threaddump gave.
#[derive(Debug)]
pub(crate) struct Dump {
    pub(crate) report: Report,
    pub(crate) status: i32,
    pub(crate) messages: String,
}

/// What to ask threaddump for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) debug_dirs: Vec<PathBuf>,
    pub(crate) max_frames: Option<String>,
    pub(crate) scan: bool,
}

/// Dumps a process.
pub(crate) fn run(pid: i32, ask: &Ask) -> Result<Dump, String> {
    run_on(&[pid.to_string().into()], ask)
}

/// Dumps from a core file.
pub(crate) fn run_core(core: &Path, ask: &Ask) -> Result<Dump, String> {
    run_on(&["core".into(), core.into()], ask)
}

/// Dumps from a core file of a program that is elsewhere.
pub(crate) fn run_core_of(core: &Path, exe: &Path) -> Result<Dump, String> {
    run_on(&["core".into(), "--exe".into(), exe.into(), core.into()], &Ask::default())
}

/// Dumps from a core file of a machine whose files are below a folder.
pub(crate) fn run_core_below(core: &Path, sysroot: &Path) -> Result<Dump, String> {
    run_on(&["core".into(), "--sysroot".into(), sysroot.into(), core.into()], &Ask::default())
}

/// Reads a dump that was made elsewhere.
pub(crate) fn read(path: &Path) -> Result<Report, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read(path).map_err(|error| told(&error))?;
    serde_json::from_slice(&text).map_err(|error| told(&error))
}

fn run_on(target: &[OsString], ask: &Ask) -> Result<Dump, String> {
    // The variable allows the tests to try another build.
    let program = std::env::var_os("THREADDUMP_UNDER_TEST");
    let mut command = bounded(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_threaddump").into()));
    // A command stands before its options.
    let (name, before) = target.split_last().ok_or("there is nothing to dump")?;
    command.args(before).args(["--format", "json"]);
    for folder in &ask.debug_dirs {
        command.arg("--debug-dir").arg(folder);
    }
    if let Some(count) = &ask.max_frames {
        command.args(["--max-frames", count]);
    }
    if ask.scan {
        command.arg("--scan");
    }
    let output = command.arg(name).output().map_err(|error| format!("threaddump: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Report = serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("threaddump {target:?} ended with {} and no valid JSON: {error}\n{messages}", output.status)
    })?;
    if report.schema != "threaddump/1" {
        return Err(format!("unknown schema {:?}", report.schema));
    }
    let status = output.status.code().ok_or_else(|| format!("threaddump was killed: {}", output.status))?;
    Ok(Dump { report, status, messages })
}

/// Names of threads are not in core files.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

fn parse_hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_hex(&text).ok_or_else(|| D::Error::custom("not 0x…"))
}

fn hex_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_hex(&text).ok_or_else(|| D::Error::custom("not 0x…"))).transpose()
}
