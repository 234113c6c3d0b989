//! Starting a program with the relay in it: this program becomes it.
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, absolute};

use super::args::RunArgs;
use crate::error::{Failure, plain};
use crate::preload::{self, Kind};
use crate::sys::spawn::{Inherited, replace};

const LIST: &str = "LD_PRELOAD";
const SETTINGS: &str = "THREADDUMP";
/// Bytes of a path that the relay has room for.
const MAX_PATH: usize = 256;

/// What the relay is told by the environment of the program.
#[derive(Debug)]
pub(super) struct Settings {
    list: OsString,
    settings: OsString,
}

impl Settings {
    /// What the command line says; before it, what the user has set.
    ///
    /// # Errors
    /// If there is no library, or the output is not to be had by the relay.
    pub(super) fn of(arguments: &RunArgs, kind: Kind) -> Result<Settings, Failure> {
        let library = preload::file(kind).map_err(|error| {
            let failure = Failure::new(format!("cannot find {}: {}", kind.name(), plain(&error)));
            failure.advise("put it beside threaddump, or leave --relay out")
        })?;
        let follow = &arguments.follow;
        let mut settings = Vec::new();
        // A path with a comma cannot be told; the relay then does without.
        if let Some(own) = env::current_exe().ok().filter(|path| is_fit(path)) {
            settings.push([b"helper=", own.as_os_str().as_bytes()].concat());
        }
        settings.extend(env::var_os(SETTINGS).filter(|set| !set.is_empty()).map(OsString::into_vec));
        if let Some(output) = follow.render.output.as_deref().filter(|path| path.as_os_str() != "-") {
            settings.push([b"out=", place(output)?.as_bytes()].concat());
        }
        if follow.render.no_registers {
            settings.push(b"registers=no".to_vec());
        }
        if follow.forward {
            settings.push(b"quit=die".to_vec());
        }
        let others = env::var_os(LIST).filter(|list| !list.is_empty());
        let list = [Some(library.into_os_string()), others].into_iter().flatten();
        let list: Vec<OsString> = list.collect();
        Ok(Settings {
            list: list.join(OsStr::new(":")),
            settings: OsString::from_vec(settings.join(&b","[..])),
        })
    }

    /// The same where the program cannot be traced; `None` if it cannot take the relay.
    pub(super) fn instead(arguments: &RunArgs) -> Option<Settings> {
        let kind = preload::fitting(arguments.command.first()?).ok()?;
        Settings::of(arguments, kind).ok()
    }

    /// Becomes the program; returns only if that fails.
    pub(super) fn become_program(self, arguments: &RunArgs, inherited: &Inherited) -> io::Error {
        replace(&arguments.command, &[(LIST, self.list), (SETTINGS, self.settings)], inherited)
    }
}

/// The output as the relay understands it, which has no numbers, and may be in another folder by then.
fn place(output: &Path) -> Result<OsString, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("the relay cannot write to {}: {why}", output.display()))
            .advise("give it another path; %p is the process id, %t the time")
    };
    let path = absolute(output).map_err(|error| wrong(&plain(&error)))?;
    let mut rest = path.as_os_str().as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' && !matches!(rest.next(), Some(b'p' | b't' | b'%')) {
            return Err(wrong("it knows %p and %t only"));
        }
    }
    if !is_fit(&path) {
        return Err(wrong("a path may have no comma, and 256 bytes at most"));
    }
    Ok(path.into_os_string())
}

fn is_fit(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.len() <= MAX_PATH && !bytes.contains(&b',')
}

/// Says something beside the output of the program.
pub(super) fn tell(arguments: &RunArgs, what: &str) {
    if !arguments.follow.render.quiet {
        Failure::new(what).print();
    }
}
