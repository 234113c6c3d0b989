//! Where errors become words: what could not be done, the cause, and the next step.
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::cli::Exit;
use crate::collect::CollectError;
use crate::collect::corefile::CoreError;
use crate::report::escape::{Escaping, escaped};
use crate::snapshot::file::LoadError;

/// An error as the user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
    list: Vec<String>,
    advice: Option<String>,
    exit: Exit,
}

impl Failure {
    /// Nothing could be shown. `message` is lower case, names the object, and ends with the cause.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), list: Vec::new(), advice: None, exit: Exit::Nothing }
    }

    /// Wrong usage.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, ..Failure::new(message) }
    }

    /// Something could not be done with a file.
    pub fn file(what: &str, path: &Path, cause: &io::Error) -> Failure {
        let failure = Failure::new(format!("cannot {what} {}: {}", path.display(), plain(cause)));
        Failure { advice: file_advice(cause).map(str::to_owned), ..failure }
    }

    /// A file is no snapshot that can be used.
    pub fn snapshot(path: &Path, error: &LoadError) -> Failure {
        match error {
            LoadError::Io(cause) => Failure::file("read", path, cause),
            _ => {
                let message = format!("cannot load {}: {error}", path.display());
                Failure { advice: error.advice(), ..Failure::new(message) }
            }
        }
    }

    /// A core file cannot be shown.
    pub fn core(path: &Path, error: &CoreError) -> Failure {
        let name = if path.as_os_str() == "-" { "standard input".into() } else { path.to_string_lossy() };
        let failure = match error {
            CoreError::Io { what, source } => Failure::new(format!("cannot {what}: {}", plain(source))),
            error => Failure::new(format!("cannot use {name}: {error}")),
        };
        let advice = match error {
            CoreError::Io { source, .. } => file_advice(source),
            error => error.advice(),
        };
        Failure { advice: advice.map(str::to_owned), ..failure }
    }

    /// Adds lines that belong to the message.
    #[must_use]
    pub fn list(self, list: Vec<String>) -> Failure {
        Failure { list, ..self }
    }

    /// Adds the next step.
    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Failure {
        Failure { advice: Some(advice.into()), ..self }
    }

    /// Ends the program with this status.
    #[must_use]
    pub fn with_exit(self, exit: Exit) -> Failure {
        Failure { exit, ..self }
    }

    /// The exit status that goes with it.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints it on standard error.
    pub fn print(&self) {
        // Nothing can be done if the terminal is gone.
        let _ = writeln!(io::stderr().lock(), "{self}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "threaddump: {}", escaped(&self.message, Escaping::Terminal))?;
        for line in &self.list {
            write!(f, "\n  {}", escaped(line, Escaping::Terminal))?;
        }
        match &self.advice {
            Some(advice) => write!(f, "\n  {}", escaped(advice, Escaping::Terminal)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Failure {
        Failure { advice: error.advice(), ..Failure::new(error.to_string()) }
    }
}

/// The next step where something could not be done with a file.
fn file_advice(cause: &io::Error) -> Option<&'static str> {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => Some("check the permissions of the file and its directory"),
        io::ErrorKind::NotFound => Some("check the path"),
        io::ErrorKind::IsADirectory => Some("name a file"),
        io::ErrorKind::FileTooLarge => Some("raise the limit (ulimit -f), or write less"),
        io::ErrorKind::StorageFull => Some("free some space, or write to another file system"),
        _ => None,
    }
}

/// The words of the C library for an error, without their number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Pid;

    #[test]
    fn the_next_step_has_its_own_line() {
        let failure = Failure::from(CollectError::NoSuchProcess { pid: Pid(42) });
        assert_eq!(failure.to_string(), "threaddump: no process 42\n  list processes with: ps -e");
        assert_eq!(failure.exit(), Exit::Nothing);
    }

    #[test]
    fn a_name_in_a_message_cannot_forge_a_line() {
        let name = "x\nthreaddump: all is well\x1b[2J".to_owned();
        let failure = Failure::from(CollectError::KernelThread { pid: Pid(42), name });
        assert_eq!(failure.to_string().lines().count(), 2, "the message and the advice");
        assert!(!failure.to_string().contains('\x1b'));
    }

    #[test]
    fn causes_are_words_without_numbers() {
        let cause = io::Error::from_raw_os_error(nix::libc::ENOENT);
        let failure = Failure::file("open", Path::new("/x/y"), &cause);
        assert_eq!(
            failure.to_string(),
            "threaddump: cannot open /x/y: no such file or directory\n  check the path"
        );
    }
}
