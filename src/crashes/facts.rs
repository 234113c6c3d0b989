//! What a crash is listed by. Whoever made the report made these too, so they are checked like everything
//! else that comes from a crashed process.
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint::{culprit, last_part};
use super::{Fingerprint, StoreError};
use crate::report::{Frame, Report};

/// Longest encoded facts, in bytes.
const MAX_ENCODED: usize = 64 << 10;
/// Longest text among them, in bytes.
const MAX_TEXT: usize = 4096;
/// Most arguments, and bytes of all of them.
const MAX_ARGUMENTS: usize = 256;
const MAX_COMMAND: usize = 16 << 10;

/// What a crash is listed by. Bytes that are not UTF-8 are written as `\xNN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Process id in our pid namespace.
    pub pid: i32,
    /// Thread id of the thread that got the signal, in our pid namespace.
    pub tid: Option<i32>,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: Option<u32>,
    /// Number of the signal.
    pub signal: i32,
    /// Its name.
    pub signal_name: String,
    /// When it crashed.
    pub time: Timestamp,
    /// Name of the process, at most 15 bytes.
    pub name: String,
    /// Executable, in the root directory of the process.
    pub exe: Option<String>,
    /// Arguments; the last one may be cut.
    pub cmdline: Vec<String>,
    /// Control group.
    pub cgroup: Option<String>,
    /// Name of the thread.
    pub thread: Option<String>,
    /// The innermost function of its stack that is no part of how a program aborts itself.
    pub function: Option<String>,
    /// Number of threads.
    pub threads: usize,
    /// Whether every thread is in the report, with its whole stack.
    pub complete: bool,
    /// What identical crashes have in common.
    pub fingerprint: Fingerprint,
}

/// What the kernel said to whoever handles the crash. It counts more than what was found in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Process id in our pid namespace.
    pub pid: i32,
    /// Thread id in our pid namespace.
    pub tid: i32,
    /// Real user id in our user namespace.
    pub uid: u32,
    /// Real group id in our user namespace.
    pub gid: u32,
    /// Number of the signal.
    pub signal: i32,
    /// When it crashed.
    pub time: Timestamp,
}

impl Facts {
    /// The facts of a report. `None` if it is not about a crash.
    pub fn of(report: &Report) -> Option<Facts> {
        let (process, signal) = (&report.process, report.signal.as_ref()?);
        let thread = culprit(report);
        let optional = |text: &Option<String>| text.as_deref().map(|text| cut(text, MAX_TEXT));
        Some(Facts {
            pid: process.pid.0,
            tid: signal.tid.or(thread.map(|thread| thread.tid)).map(|tid| tid.0),
            uid: process.uid?,
            gid: None,
            signal: signal.number,
            signal_name: signal.name.clone(),
            time: report.captured_at.parse().ok()?,
            name: cut(&process.name, MAX_TEXT),
            exe: optional(&process.exe),
            cmdline: command(&process.cmdline),
            cgroup: optional(&process.cgroup),
            thread: thread.and_then(|thread| optional(&thread.name)),
            function: thread.and_then(|thread| place(&thread.frames)).map(|text| cut(&text, MAX_TEXT)),
            threads: report.threads.len(),
            complete: report.complete,
            fingerprint: Fingerprint::of(report),
        })
    }

    /// The same with what is known better.
    #[must_use]
    pub fn with(self, known: Known) -> Facts {
        Facts {
            pid: known.pid,
            tid: Some(known.tid),
            uid: known.uid,
            gid: Some(known.gid),
            signal: known.signal,
            signal_name: crate::report::signal_name(known.signal),
            time: known.time,
            ..self
        }
    }

    /// As they are stored, and handed from one process to another.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("memory takes everything, and no key is no text");
        bytes.push(b'\n');
        bytes
    }

    /// # Errors
    ///
    /// If these are not the bytes of facts, or they have a length or a value that none can have.
    pub fn decode(bytes: &[u8]) -> Result<Facts, StoreError> {
        if bytes.len() > MAX_ENCODED {
            return Err(StoreError::Facts("they are too long"));
        }
        let facts: Facts =
            serde_json::from_slice(bytes).map_err(|_| StoreError::Facts("they cannot be read"))?;
        facts.check()?;
        Ok(facts)
    }

    /// # Errors
    ///
    /// If they have a length or a value that none can have.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let short = |text: &str| text.len() <= MAX_TEXT;
        let texts = [&self.exe, &self.cgroup, &self.thread, &self.function];
        let fits = texts.into_iter().flatten().chain([&self.name, &self.signal_name]).all(|text| short(text));
        let command: usize = self.cmdline.iter().map(String::len).sum();
        let wrong = if !fits {
            "a name is too long"
        } else if self.cmdline.len() > MAX_ARGUMENTS || command > MAX_COMMAND {
            "the command is too long"
        } else if self.pid <= 0 || self.tid.is_some_and(|tid| tid <= 0) {
            "a process id is not positive"
        } else if !(0..=255).contains(&self.signal) {
            "there is no such signal"
        } else {
            return Ok(());
        };
        Err(StoreError::Facts(wrong))
    }

    /// The last part of the executable's path, or the name of the process.
    pub fn program(&self) -> &str {
        last_part(self.exe.as_deref().filter(|exe| !exe.is_empty()).unwrap_or(&self.name))
    }

    /// What it was started as, if that is another name than the executable's: by a link, as programs with many names
    /// are (busybox), or redis-server, which Debian has as a link to redis-check-rdb. The first argument tells it
    /// where it agrees with the name of the process, which the kernel took from the path.
    pub fn started_as(&self) -> Option<&str> {
        let first = last_part(self.cmdline.first()?);
        let is_of = |name: &str| !name.is_empty() && cut_name(name) == self.name;
        (is_of(first) && !is_of(self.program())).then_some(first)
    }

    /// Whether somebody who asks for this program means it: by its path, the last part of that, what it was started
    /// as, or the name of the process.
    pub fn is_of(&self, program: &str) -> bool {
        let names = [Some(self.program()), Some(self.name.as_str()), self.started_as(), self.exe.as_deref()];
        names.contains(&Some(program))
    }
}

/// What the kernel keeps of a name (`TASK_COMM_LEN`).
fn cut_name(name: &str) -> &str {
    name.get(..name.len().min(15)).unwrap_or(name)
}

/// The text if it is not longer than this, or the beginning of it.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mark = "…";
    let end = (0..=limit - mark.len()).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}{mark}", &text[..end])
}

fn command(arguments: &[String]) -> Vec<String> {
    let mut left = MAX_COMMAND;
    let mut command = Vec::new();
    for argument in arguments.iter().take(MAX_ARGUMENTS) {
        if left < 4 {
            break;
        }
        let argument = cut(argument, left);
        left -= argument.len();
        command.push(argument);
    }
    command
}

/// How the innermost frames of a program that aborts itself are called: what called them is of interest.
const ABORTING: [&str; 16] = [
    // On i386 it makes the system calls of the others.
    "__kernel_vsyscall",
    "abort",
    "__abort",
    "raise",
    "gsignal",
    "kill",
    "tgkill",
    "pthread_kill",
    "__libc_message",
    "__assert_fail",
    "__assert_fail_base",
    "__fortify_fail",
    "__stack_chk_fail",
    "__libc_fatal",
    "rust_panic",
    "terminate",
];

/// Beginnings of such names.
const ABORTING_BEGINNINGS: [&str; 12] = [
    "__pthread_kill",
    "__GI_",
    "__GI___",
    "__libc_message",
    "__gnu_cxx::__verbose_terminate_handler",
    "__cxxabiv1::",
    "std::terminate",
    "std::panicking::",
    "std::sys::",
    "std::process::abort",
    "core::panicking::",
    "__rust",
];

/// Where it crashed, in words.
fn place(frames: &[Frame]) -> Option<String> {
    let is_aborted = |frame: &&Frame| frame.function.as_deref().is_some_and(is_aborting);
    let libraries: Vec<&str> =
        frames.iter().filter(is_aborted).filter_map(|frame| frame.module.as_deref()).collect();
    // Of stripped code the module is known, and that of the functions that abort is none of interest.
    let interesting = |frame: &&Frame| match frame.function.as_deref() {
        Some(name) => !is_aborting(name),
        None => frame.module.as_deref().is_some_and(|module| !libraries.contains(&module)),
    };
    let first = frames.first()?;
    // If nothing but such functions is there, one of them is what there is.
    let frame = match first.function.as_deref() {
        Some(name) if is_aborting(name) => frames.iter().find(interesting).unwrap_or(first),
        _ => first,
    };
    let module = || frame.module.as_deref().map(|module| format!("[{}]", last_part(module)));
    frame.function.as_deref().map(str::to_owned).or_else(module)
}

fn is_aborting(name: &str) -> bool {
    ABORTING.contains(&name) || ABORTING_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crashes::tests::facts;

    fn named(exe: &str, name: &str, first: &str) -> Facts {
        let cmdline = vec![first.to_owned(), "x".to_owned()];
        Facts { exe: Some(exe.to_owned()), name: name.to_owned(), cmdline, ..facts("f") }
    }

    #[test]
    fn a_program_of_many_names_is_called_as_it_was_started() {
        let server = named("/usr/bin/redis-check-rdb", "redis-server", "/usr/bin/redis-server");
        assert_eq!(server.started_as(), Some("redis-server"));
        for name in ["redis-server", "redis-check-rdb", "/usr/bin/redis-check-rdb"] {
            assert!(server.is_of(name), "{name}");
        }
        assert!(!server.is_of("redis"));
        // The one that was meant to be run is not the other.
        let check = named("/usr/bin/redis-check-rdb", "redis-check-rdb", "redis-check-rdb");
        assert_eq!(check.started_as(), None);
        assert!(!check.is_of("redis-server"));
        // The kernel keeps 15 bytes of a name.
        let long = named("/bin/tool", "a-program-with-", "./a-program-with-a-name");
        assert_eq!(long.started_as(), Some("a-program-with-a-name"));
        assert!(long.is_of("a-program-with-a-name"));
    }

    #[test]
    fn a_title_or_a_script_is_no_other_name() {
        assert_eq!(named("/usr/bin/python3.11", "script.py", "python3").started_as(), None);
        assert!(named("/usr/bin/python3.11", "script.py", "python3").is_of("script.py"));
        assert_eq!(named("/usr/bin/nginx", "nginx", "nginx: worker process").started_as(), None);
        let nothing = Facts { cmdline: Vec::new(), ..named("/bin/x", "y", "") };
        assert_eq!((nothing.started_as(), named("/bin/x", "", "").started_as()), (None, None));
    }
}
