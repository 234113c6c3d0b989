//! Making core files: by a debugger, and by crashing.
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Running, bounded, states, wait_until};
use super::{Stop, has_program};

/// Has gdb's gcore write the core of a living process.
pub(crate) fn gcore(pid: i32, folder: &Path) -> Result<PathBuf, Stop> {
    if !has_program("gcore") {
        return Err(Stop::Skip("gcore is not installed (Debian package gdb)".to_owned()));
    }
    let output = bounded("gcore").arg("-o").arg(folder.join("gcore")).arg(pid.to_string()).output();
    let output = output.map_err(|error| format!("gcore: {error}"))?;
    let path = folder.join(format!("gcore.{pid}"));
    if path.is_file() {
        return Ok(path);
    }
    Err(Stop::Fail(format!("gcore {pid}: {}", String::from_utf8_lossy(&output.stderr))))
}

/// A command that may write a core file into its folder.
pub(crate) fn allowed_to_dump(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -c unlimited && exec \"$0\" \"$@\""]).arg(program).current_dir(folder);
    command
}

/// Waits until a process has crashed, and finds the core file that the kernel wrote.
pub(crate) fn of_crash(running: &Running, folder: &Path) -> Result<PathBuf, Stop> {
    let pid = running.pid();
    if !wait_until(|| states(pid).iter().all(|(_, state)| matches!(state, 'Z' | 'X'))) {
        return Err(Stop::Fail(format!("{pid} did not crash")));
    }
    let files = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut paths = files.flatten().map(|entry| entry.path());
    let is_core =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"core"));
    paths.find(is_core).ok_or_else(|| Stop::Fail(format!("{pid} left no core file in {}", folder.display())))
}

/// Whether crashes leave a file in the folder of the process; else why not.
pub(crate) fn kernel_writes_files() -> Result<(), Stop> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let pattern = pattern.trim_end();
    if pattern.starts_with("core") && !pattern.contains('/') {
        return Ok(());
    }
    Err(Stop::Skip(format!("kernel.core_pattern is {pattern:?}, so that crashes leave no file here")))
}
