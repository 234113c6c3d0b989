//! The settings of the kernel, changed for one test at a time and put back whatever happens.
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use crate::support::Stop;

const PATTERN: &str = "/proc/sys/kernel/core_pattern";
const LIMIT: &str = "/proc/sys/kernel/core_pipe_limit";
const DUMPABLE: &str = "/proc/sys/fs/suid_dumpable";
const LOCK: &str = "/tmp/threaddump-core-pattern.lock";

/// What is in force, until this goes away.
pub(crate) struct Settings {
    kept: Vec<(&'static str, String)>,
    /// A copy of the program where nobody else can write.
    pub(crate) program: PathBuf,
    /// The store.
    pub(crate) store: PathBuf,
    _lock: Flock<File>,
}

impl Settings {
    /// Takes them over, without changing them yet.
    pub(crate) fn take() -> Result<Settings, Stop> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Stop::Skip("changing kernel.core_pattern needs root".to_owned()));
        }
        if let Err(error) = File::options().write(true).open(PATTERN) {
            return Err(Stop::Skip(format!("kernel.core_pattern cannot be changed here: {error}")));
        }
        let file = File::options().write(true).create(true).truncate(false).open(LOCK);
        let file = file.map_err(|error| format!("cannot open {LOCK}: {error}"))?;
        let lock =
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| format!("{LOCK}: {error}"))?;
        if Path::new("/var/lib/threaddump/core-pattern.json").exists() {
            return Err(Stop::Skip("threaddump is installed on this machine".to_owned()));
        }
        let kept = [PATTERN, LIMIT, DUMPABLE].map(|path| (path, read(path)));
        let folder = PathBuf::from(format!("/opt/td-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let program = folder.join("threaddump");
        std::fs::copy(env!("CARGO_BIN_EXE_threaddump"), &program).map_err(|error| error.to_string())?;
        // Short, since it stands in the pattern.
        let store = PathBuf::from(format!("/tmp/td-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&store);
        Ok(Settings { kept: kept.to_vec(), program, store, _lock: lock })
    }

    /// Installs the handler with these options.
    pub(crate) fn install(&self, options: &[&str]) -> Result<String, String> {
        let mut command = self.command(&["core-pattern", "install", "--store"]);
        command.arg(&self.store).args(options);
        let output = command.output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command
    }

    /// Sets `fs.suid_dumpable`.
    pub(crate) fn set_dumpable(&self, value: &str) {
        std::fs::write(DUMPABLE, value).expect("root may");
    }
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim_end_matches('\n').to_owned()
}

/// Pattern and limit in force.
pub(crate) fn current() -> (String, String) {
    (read(PATTERN), read(LIMIT))
}

/// Sets the pattern as others do.
pub(crate) fn set_pattern(value: &str) {
    std::fs::write(PATTERN, value).expect("root may");
}

impl Drop for Settings {
    fn drop(&mut self) {
        let _ = self.command(&["core-pattern", "uninstall"]).output();
        for (path, value) in &self.kept {
            let _ = std::fs::write(path, value);
        }
        let _ = std::fs::remove_dir_all(&self.store);
        if let Some(folder) = self.program.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
