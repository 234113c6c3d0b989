//! What is in force, and what can never arrive.
use std::path::{Path, PathBuf};

use super::{LIMIT, Owner, PIPE_LIMIT, PatternError, Places, SUID_DUMPABLE, Saved};
use super::{check, current, number, saved};

/// Folders of settings; a file in an earlier one hides one of the same name in a later one, and files count in
/// the order of their names (sysctl.d(5)).
const FOLDERS: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// Longest file of settings that is read.
const MAX_FILE: u64 = 1 << 20;

/// What is in force.
#[derive(Clone, Debug)]
pub struct Status {
    /// The pattern.
    pub pattern: String,
    /// Whose it is.
    pub owner: Owner,
    /// `kernel.core_pipe_limit`.
    pub pipe_limit: Option<u32>,
    /// `fs.suid_dumpable`.
    pub suid_dumpable: Option<u32>,
    /// What was there before.
    pub before: Option<Saved>,
    /// The file that sets the pattern at the next start of the machine, and what it sets.
    pub at_start: Option<(PathBuf, String)>,
    /// Why the handler would not work.
    pub faults: Vec<String>,
}

/// Looks.
///
/// # Errors
/// If the pattern cannot be read.
pub fn status(places: &Places) -> Result<Status, PatternError> {
    let pattern = current()?;
    let owner = Owner::of(&pattern);
    let (pipe_limit, before) = (number(LIMIT), saved(places));
    let mut faults = Vec::new();
    if owner == Owner::Threaddump {
        faults.extend(
            program(&pattern)
                .and_then(|program| check(Path::new(program)).err())
                .map(|error| error.to_string()),
        );
        if pipe_limit == Some(0) {
            faults.push(format!(
                "kernel.core_pipe_limit is 0: the kernel does not wait for the handler of a small core, and there is \
                 no limit of parallel dumps (sysctl kernel.core_pipe_limit={PIPE_LIMIT})"
            ));
        }
    }
    let at_start = at_start(&FOLDERS.map(PathBuf::from));
    if let Some((file, value)) = at_start.as_ref().filter(|(_, value)| *value != pattern) {
        faults.push(format!("{} sets another pattern at the next start: {value}", file.display()));
    }
    Ok(Status { owner, pipe_limit, suid_dumpable: number(SUID_DUMPABLE), before, at_start, faults, pattern })
}

fn program(pattern: &str) -> Option<&str> {
    pattern.strip_prefix('|')?.split_ascii_whitespace().next()
}

impl Status {
    /// What never reaches any handler, each with the reason, as settings are now.
    pub fn never(&self) -> Vec<String> {
        let privileged = match self.suid_dumpable {
            Some(0) => Some("set-user-ID programs, and processes that have changed their user without starting another program, since fs.suid_dumpable is 0".to_owned()),
            Some(2) => None,
            _ => None,
        };
        let mut never: Vec<String> = privileged.into_iter().collect();
        never.push(
            "processes that have made themselves non-dumpable (PR_SET_DUMPABLE of prctl(2))".to_owned(),
        );
        if matches!(self.owner, Owner::Threaddump | Owner::Program(_)) {
            never.push(
                "processes whose RLIMIT_CORE is exactly 1, which is how handlers keep their own crashes away"
                    .to_owned(),
            );
        } else {
            never.push("processes whose RLIMIT_CORE is 0 (ulimit -c)".to_owned());
        }
        if let Some(limit) = self.pipe_limit.filter(|&limit| limit > 0) {
            never.push(format!(
                "crashes while {limit} others are held: the kernel skips them and says so in its log"
            ));
        }
        never
            .push("processes that are killed by SIGKILL, as the kernel does when memory is short".to_owned());
        never
    }
}

/// The setting of the pattern that comes last.
fn at_start(folders: &[PathBuf]) -> Option<(PathBuf, String)> {
    let mut files: std::collections::BTreeMap<std::ffi::OsString, PathBuf> = Default::default();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "conf") {
                files.entry(entry.file_name()).or_insert(path);
            }
        }
    }
    let files = files
        .into_values()
        .chain([PathBuf::from("/etc/sysctl.conf")].into_iter().filter(|_| folders.len() == FOLDERS.len()));
    files.rev().find_map(|path| Some((setting(&path)?, path))).map(|(value, path)| (path, value))
}

fn setting(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = Vec::new();
    crate::sys::mapping::open_regular(path).ok()?.take(MAX_FILE).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let mut values = lines.filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim().trim_start_matches('-').replace('/', ".");
        (name == "kernel.core_pattern").then(|| value.trim().to_owned())
    });
    values.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_file_sets_the_pattern() {
        let top = std::env::temp_dir().join(format!("threaddump-sysctl-{}", std::process::id()));
        let folders = ["etc", "usr"].map(|name| top.join(name));
        for folder in &folders {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        assert_eq!(at_start(&folders), None);
        let write = |name: &str, text: &str| std::fs::write(top.join(name), text).expect("a file");
        write("usr/50-coredump.conf", "# kernel.core_pattern=x\nkernel.core_pattern = |/a %P\n");
        write("usr/99-x.conf", "kernel.core_pattern=hidden\n");
        write("etc/99-x.conf", "-kernel/core_pattern=|/b\nother=1\n");
        write("etc/99-y.txt", "kernel.core_pattern=no\n");
        assert_eq!(at_start(&folders), Some((top.join("etc/99-x.conf"), "|/b".to_owned())));
        write("etc/99-x.conf", "");
        assert_eq!(at_start(&folders), Some((top.join("usr/50-coredump.conf"), "|/a %P".to_owned())));
        std::fs::remove_dir_all(top).expect("ours");
    }
}
