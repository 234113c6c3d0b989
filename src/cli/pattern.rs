//! Names of files that are made one after the other: `%p`, `%t` and `%n` stand for what is different.
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// What a dump is told apart by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Process id, for `%p`.
    pub(super) pid: i32,
    /// Seconds since the epoch, for `%t`.
    pub(super) time: u64,
    /// Counts from 1, for `%n`.
    pub(super) number: u64,
}

/// A pattern that has been looked at.
#[derive(Clone, Debug)]
pub(super) struct Pattern(PathBuf);

impl Pattern {
    /// # Errors
    /// If a percent sign is followed by something else than `p`, `t`, `n` or another one.
    pub(super) fn new(path: &Path) -> Result<Pattern, Failure> {
        let place = Place { pid: 0, time: 0, number: 0 };
        match expand(path.as_os_str().as_bytes(), place) {
            Ok(_) => Ok(Pattern(path.to_owned())),
            Err(odd) => {
                let what = format!("cannot use {} as a pattern: %{odd} means nothing", path.display());
                Err(Failure::usage(what).advise("%p is the process id, %t the time, %n the number, %% a %"))
            }
        }
    }

    /// The name for one dump.
    pub(super) fn path(&self, place: Place) -> PathBuf {
        let name = expand(self.0.as_os_str().as_bytes(), place).unwrap_or_default();
        PathBuf::from(OsString::from_vec(name))
    }
}

/// The error is the character that means nothing, if there is one.
fn expand(pattern: &[u8], place: Place) -> Result<Vec<u8>, String> {
    let mut name = Vec::with_capacity(pattern.len() + 20);
    let mut rest = pattern.iter();
    while let Some(&byte) = rest.next() {
        match (byte, if byte == b'%' { rest.next() } else { None }) {
            (b'%', Some(b'p')) => name.extend(place.pid.to_string().bytes()),
            (b'%', Some(b't')) => name.extend(place.time.to_string().bytes()),
            (b'%', Some(b'n')) => name.extend(place.number.to_string().bytes()),
            (b'%', Some(b'%')) => name.push(b'%'),
            (b'%', odd) => return Err(odd.map_or(String::new(), |&odd| char::from(odd).to_string())),
            _ => name.push(byte),
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_stand_for_what_is_different() {
        let place = Place { pid: 42, time: 1_700_000_000, number: 3 };
        let path = |text: &str| Pattern::new(Path::new(text)).expect("it is right").path(place);
        assert_eq!(path("/tmp/x.%p.%t.%n%%"), Path::new("/tmp/x.42.1700000000.3%"));
        assert_eq!(path("plain"), Path::new("plain"));
    }

    #[test]
    fn an_unknown_one_is_wrong_usage() {
        for wrong in ["%x", "a%", "%%%"] {
            let failure = Pattern::new(Path::new(wrong)).expect_err("it means nothing");
            assert_eq!(failure.exit(), crate::cli::Exit::Usage);
        }
    }
}
