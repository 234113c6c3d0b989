//! Where results go: standard output, or a file that is complete or not there.
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Failure, plain};
use crate::sys::start;

const BUFFER: usize = 1 << 16;

/// The place results are written to.
#[derive(Debug)]
pub(super) struct Output {
    place: Place,
    /// The reader has gone away, and does not want any more.
    closed: bool,
}

#[derive(Debug)]
enum Place {
    Stdout(BufWriter<StdoutLock<'static>>),
    /// A pipe or a device, which must not be replaced by a file.
    Special(BufWriter<File>, PathBuf),
    File(NewFile),
}

/// A file that takes its name when it is complete. Until then it has another one in the same
/// directory, and goes away if it is dropped.
#[derive(Debug)]
pub(super) struct NewFile {
    file: BufWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
    mode: Option<u32>,
    kept: bool,
}

impl Output {
    /// Opens the place, so that an error is found before a process is stopped. `None` and `-` are
    /// standard output.
    pub(super) fn open(path: Option<&Path>) -> Result<Output, Failure> {
        let place = match path.filter(|path| path.as_os_str() != "-") {
            None => {
                check_stdout()?;
                Place::Stdout(BufWriter::with_capacity(BUFFER, io::stdout().lock()))
            }
            Some(path) if is_special(path) => {
                let file = OpenOptions::new().write(true).open(path);
                let file = file.map_err(|error| Failure::file("open", path, &error))?;
                Place::Special(BufWriter::with_capacity(BUFFER, file), path.to_owned())
            }
            Some(path) => Place::File(NewFile::create(path, None)?),
        };
        Ok(Output { place, closed: false })
    }

    pub(super) fn is_terminal(&self) -> bool {
        match &self.place {
            Place::Stdout(out) => out.get_ref().is_terminal(),
            Place::Special(out, _) => out.get_ref().is_terminal(),
            Place::File(_) => false,
        }
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes one result.
    pub(super) fn write(
        &mut self,
        result: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let out: &mut dyn Write = match &mut self.place {
            Place::Stdout(out) => out,
            Place::Special(out, _) => out,
            Place::File(new) => &mut new.file,
        };
        let wrote = result(out).and_then(|()| out.flush());
        match wrote {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other.map_err(|error| self.cannot_write(&error)),
        }
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self.place {
            Place::File(new) => new.keep(),
            Place::Stdout(_) | Place::Special(..) => Ok(()),
        }
    }

    fn cannot_write(&self, error: &io::Error) -> Failure {
        match &self.place {
            Place::Stdout(_) => cannot_write_stdout(error),
            Place::Special(_, path) => Failure::file("write", path, error),
            Place::File(new) => Failure::file("write", &new.path, error),
        }
    }
}

/// Writes to standard output in one go; nobody reading is no error.
pub(super) fn print(bytes: &[u8]) -> Result<(), Failure> {
    check_stdout()?;
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_write_stdout(&error)),
        _ => Ok(()),
    }
}

/// Rust's runtime opens `/dev/null` in the place of a closed one, and writes would seem to succeed.
///
/// # Errors
/// If standard output was closed when this program was started.
pub(super) fn check_stdout() -> Result<(), Failure> {
    if start::closed()[1] {
        return Err(cannot_write_stdout(&io::Error::from_raw_os_error(nix::libc::EBADF)));
    }
    Ok(())
}

fn cannot_write_stdout(error: &io::Error) -> Failure {
    Failure::new(format!("cannot write to standard output: {}", plain(error)))
}

/// Looks whether a file that is to be written is one that is read, by whatever name: the only copy of it
/// would be replaced by what was made of it.
///
/// # Errors
/// If it is.
pub(super) fn spare(inputs: &[Option<&Path>], outputs: &[Option<&Path>]) -> Result<(), Failure> {
    let key = |path: &Path| {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((meta.dev(), meta.ino()))
    };
    let read: Vec<_> = inputs.iter().flatten().filter_map(|path| key(path)).collect();
    match outputs.iter().flatten().find(|path| key(path).is_some_and(|key| read.contains(&key))) {
        None => Ok(()),
        Some(path) => {
            let what = format!("cannot write {}: it is the file that is to be read", path.display());
            Err(Failure::usage(what).advise("give another file name"))
        }
    }
}

pub(super) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| !facts.is_file() && !facts.is_dir())
}

impl NewFile {
    /// Begins a file. Without a `mode`, one that is replaced gives its own to the new one, and a new
    /// one has what the umask leaves.
    pub(super) fn create(path: &Path, mode: Option<u32>) -> Result<NewFile, Failure> {
        // What a symbolic link leads to is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        NewFile::at(path, mode)
    }

    /// The same at just this path: a symbolic link there is an error.
    pub(super) fn create_no_follow(path: &Path) -> Result<NewFile, Failure> {
        if fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink()) {
            let failure = Failure::new(format!("cannot create {}: it is a symbolic link", path.display()));
            return Err(failure.advise("name what it leads to"));
        }
        NewFile::at(path.to_owned(), None)
    }

    fn at(path: PathBuf, mode: Option<u32>) -> Result<NewFile, Failure> {
        let wrong = |error: io::Error| Failure::file("create", &path, &error);
        let old = fs::metadata(&path).ok();
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            let what = if path.is_dir() { "it is a directory" } else { "it is not a regular file" };
            let failure = Failure::new(format!("cannot create {}: {what}", path.display()));
            return Err(failure.advise("name a file that is new or may be replaced"));
        }
        let mode = mode.or_else(|| old.map(|old| old.permissions().mode() & 0o777));
        let (file, temporary) = create_beside(&path, mode).map_err(wrong)?;
        let file = BufWriter::with_capacity(BUFFER, file);
        Ok(NewFile { file, temporary, path, mode, kept: false })
    }

    /// Gives it its name.
    pub(super) fn keep(mut self) -> Result<(), Failure> {
        let wrong = |error: &io::Error| Failure::file("write", &self.path, error);
        self.file.flush().map_err(|error| wrong(&error))?;
        if let Some(mode) = self.mode {
            // The umask may have taken bits away that the old file had.
            let set = self.file.get_ref().set_permissions(Permissions::from_mode(mode));
            set.map_err(|error| wrong(&error))?;
        }
        fs::rename(&self.temporary, &self.path).map_err(|error| wrong(&error))?;
        self.kept = true;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed was not ours to keep either.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A new file in the directory of `path`; never one that exists, nor one a link leads to.
fn create_beside(path: &Path, mode: Option<u32>) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode.unwrap_or(0o666));
    let mut attempt = 0;
    loop {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{attempt}.tmp", std::process::id()));
        let temporary = path.with_file_name(hidden);
        match options.open(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            opened => return Ok((opened?, temporary)),
        }
    }
}
