//! gdb's view of a process: a scripted backtrace of all threads.
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;

use super::process::{bounded, states};
use super::{Stop, has_program, scratch};

/// One frame as gdb sees it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Frame {
    pub(crate) pc: u64,
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    pub(crate) linkage: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
}

/// One thread as gdb sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thread {
    pub(crate) frames: Vec<Frame>,
    /// Why gdb went no further, in its words.
    pub(crate) stop: Option<String>,
    /// Of the innermost frame, if they were asked for.
    pub(crate) registers: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Frame {
        tid: i32,
        #[serde(flatten)]
        frame: Frame,
    },
    Stop {
        tid: i32,
        stop: String,
    },
    Registers {
        tid: i32,
        registers: BTreeMap<String, u64>,
    },
    Done {
        #[allow(dead_code, reason = "the key alone tells the line")]
        done: bool,
    },
}

/// What gdb is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) debug_dirs: Vec<PathBuf>,
    /// 0 for all.
    pub(crate) max_frames: u32,
    /// What to read in place of the program.
    pub(crate) program: Option<PathBuf>,
    /// A gdb that knows all architectures, and the registers too.
    pub(crate) foreign: bool,
    /// What stands for `/` of the process.
    pub(crate) sysroot: Option<PathBuf>,
}

/// Backtraces of all threads of a process. Frames of tail calls, which gdb infers and which have no
/// place on the stack, are left out, and so is a last frame at address 0.
pub(crate) fn run(pid: i32, ask: &Ask) -> Result<BTreeMap<i32, Thread>, Stop> {
    if !has_program("gdb") {
        return Err(Stop::Skip("gdb is not installed (Debian package gdb)".to_owned()));
    }
    let mut threads = BTreeMap::new();
    for id in attachable(pid) {
        threads.extend(attach(id, ask)?);
    }
    Ok(threads)
}

/// Backtraces of all threads in a core file of a process that still lives.
pub(crate) fn run_core(pid: i32, core: &Path, ask: &Ask) -> Result<BTreeMap<i32, Thread>, Stop> {
    script(pid, &[format!("/proc/{pid}/exe").into(), core.into()], ask)
}

/// Backtraces and registers of all threads in a core file of another machine, and of the files below `sysroot`.
pub(crate) fn run_foreign(
    core: &Path,
    program: &Path,
    sysroot: Option<&Path>,
) -> Result<BTreeMap<i32, Thread>, Stop> {
    if !has_program("gdb-multiarch") {
        return Err(Stop::Skip("gdb-multiarch is not installed (Debian package gdb-multiarch)".to_owned()));
    }
    let ask = Ask { foreign: true, sysroot: sysroot.map(Path::to_owned), ..Ask::default() };
    // Its files have no process id; those of two tests must not have one name.
    let id = std::process::id().cast_signed();
    script(id, &[program.into(), core.into()], &ask)
}

fn attach(pid: i32, ask: &Ask) -> Result<BTreeMap<i32, Thread>, Stop> {
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(program) = &ask.program {
        arguments.push(program.into());
    } else if deleted(pid) {
        arguments.push(format!("/proc/{pid}/exe").into());
    }
    arguments.extend(["-p".into(), pid.to_string().into()]);
    script(pid, &arguments, ask)
}

fn script(pid: i32, arguments: &[OsString], ask: &Ask) -> Result<BTreeMap<i32, Thread>, Stop> {
    let folder = scratch("gdb");
    let out = folder.join(format!("{pid}.jsonl"));
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/gdb.py");
    let mut command = bounded(if ask.foreign { "gdb-multiarch" } else { "gdb" });
    if ask.foreign {
        command.env("TD_GDB_REGISTERS", "1");
    }
    command.args(["-nx", "-batch", "-q"]).stdin(Stdio::null());
    for setting in settings(ask) {
        command.arg("-iex").arg(setting);
    }
    command.args(arguments).arg("-x").arg(script);
    command.env("TD_GDB_OUT", &out).env("TD_GDB_LIMIT", ask.max_frames.to_string());
    let output = command.output().map_err(|error| format!("cannot start gdb: {error}"))?;
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    let _ = std::fs::remove_file(&out);
    parse(&text).map_err(|why| {
        let messages = String::from_utf8_lossy(&output.stderr);
        Stop::Fail(format!("gdb on {pid} ended with {}: {why}\n{messages}", output.status))
    })
}

fn settings(ask: &Ask) -> Vec<String> {
    let fixed = [
        "set auto-load off",
        "set exec-file-mismatch off",
        "set debuginfod enabled off",
        "set pagination off",
        "set confirm off",
        "set width 0",
        "set backtrace past-main on",
        "set backtrace past-entry on",
        "set backtrace limit 0",
        "set print frame-arguments none",
        "set print thread-events off",
        "set python print-stack full",
    ];
    let folders: Vec<String> = ask.debug_dirs.iter().map(|folder| folder.display().to_string()).collect();
    let debug = format!("set debug-file-directory {}:/usr/lib/debug", folders.join(":"));
    let mut all = fixed.map(str::to_owned).to_vec();
    match &ask.sysroot {
        // Debug files of this machine are not for that one.
        Some(sysroot) => all.extend([
            format!("set sysroot {}", sysroot.display()),
            format!("set debug-file-directory {}", sysroot.display()),
        ]),
        None => all.push(debug),
    }
    all
}

/// gdb refuses a process whose first thread has ended, but takes each of the others for a process.
fn attachable(pid: i32) -> Vec<i32> {
    let threads = states(pid);
    let live = threads.iter().filter(|(_, state)| !matches!(state, 'Z' | 'X')).map(|(tid, _)| *tid);
    let live: Vec<i32> = live.collect();
    if live.is_empty() || live.contains(&pid) { vec![pid] } else { live }
}

fn deleted(pid: i32) -> bool {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe"));
    exe.is_ok_and(|exe| exe.to_string_lossy().ends_with(" (deleted)"))
}

fn parse(text: &str) -> Result<BTreeMap<i32, Thread>, String> {
    let mut threads: BTreeMap<i32, Thread> = BTreeMap::new();
    let mut done = false;
    for line in text.lines() {
        match serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))? {
            Line::Frame { tid, frame } => threads.entry(tid).or_default().frames.push(frame),
            Line::Stop { tid, stop } => threads.entry(tid).or_default().stop = Some(stop),
            Line::Registers { tid, registers } => threads.entry(tid).or_default().registers = registers,
            Line::Done { .. } => done = true,
        }
    }
    for thread in threads.values_mut() {
        thread.frames.retain(|frame| frame.kind != "tailcall");
        if thread.frames.len() > 1 && thread.frames.last().is_some_and(|frame| frame.pc == 0) {
            thread.frames.pop();
        }
    }
    if done { Ok(threads) } else { Err("its script did not come to its end".to_owned()) }
}
