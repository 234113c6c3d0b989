//! What the kernel says about a crash in the arguments it gives to the handler.
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::ids::{Pid, Tid};

/// A crash, in the kernel's words. The kernel expands `%P` and its like in arguments of the form `P=%P`
/// (core(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The process, in the initial pid namespace (`%P`).
    pub pid: Pid,
    /// The thread that got the signal (`%I`).
    pub tid: Tid,
    /// The signal (`%s`).
    pub signal: i32,
    /// When, in seconds since the epoch (`%t`).
    pub time: i64,
    /// Real user id in the initial user namespace (`%u`).
    pub uid: u32,
    /// Real group id (`%g`).
    pub gid: u32,
    /// Who may see it (`%d`).
    pub dumpable: Dumpable,
    /// Name of the thread that got the signal (`%e`).
    pub name: Vec<u8>,
    /// The descriptor that stands for the process (`%F`, since Linux 6.16).
    pub pidfd: Option<i32>,
    /// Everything that was given, for those who come after us: letter and value.
    pub given: Vec<(u8, Vec<u8>)>,
}

/// Whether the crashed user may see what was in the memory (`suid_dumpable` of proc_sys_fs(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dumpable {
    /// An ordinary process.
    ByUser,
    /// One with rights that its user has not: only root may see it.
    ByRoot,
}

impl Event {
    /// Reads arguments of the form `P=1234`.
    ///
    /// # Errors
    /// In words, if one that cannot be missing is missing or is no number.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<Event, String> {
        let mut given: Vec<(u8, Vec<u8>)> = Vec::new();
        for argument in arguments {
            let bytes = argument.as_bytes();
            let &[letter, b'=', ref value @ ..] = bytes else {
                return Err(format!("'{}' is not of the form P=1234", argument.to_string_lossy()));
            };
            if given.iter().all(|(known, _)| *known != letter) {
                given.push((letter, value.to_vec()));
            }
        }
        let text =
            |letter| given.iter().find(|(known, _)| *known == letter).map(|(_, value)| value.as_slice());
        let number = |letter: u8| -> Option<i64> { std::str::from_utf8(text(letter)?).ok()?.parse().ok() };
        let needed = |letter: u8| {
            let name = char::from(letter);
            number(letter).ok_or_else(|| format!("no number was given for {name} ({name}=%{name})"))
        };
        let id = |letter: u8| -> Result<i32, String> {
            let value = needed(letter)?;
            let id = i32::try_from(value).ok().filter(|&id| id > 0);
            id.ok_or_else(|| format!("{value} is no id of a process or thread"))
        };
        let user = |letter: u8| -> Result<u32, String> {
            let value = needed(letter)?;
            u32::try_from(value).map_err(|_| format!("{value} is no id of a user or group"))
        };
        Ok(Event {
            pid: Pid(id(b'P')?),
            tid: Tid(id(b'I')?),
            signal: i32::try_from(needed(b's')?).unwrap_or(0),
            time: needed(b't')?,
            uid: user(b'u')?,
            gid: user(b'g')?,
            // Where it is not known, the narrower answer is the right one.
            dumpable: if number(b'd') == Some(1) { Dumpable::ByUser } else { Dumpable::ByRoot },
            name: text(b'e').unwrap_or_default().to_vec(),
            pidfd: number(b'F').and_then(|number| i32::try_from(number).ok()).filter(|&number| number > 2),
            given,
        })
    }

    /// Who may read what is stored about it: only root, if the process had rights that its user has not.
    pub fn reader(&self) -> u32 {
        if self.is_users() { self.uid } else { 0 }
    }

    /// Whether the process had no rights but those of its user.
    pub fn is_users(&self) -> bool {
        self.dumpable == Dumpable::ByUser
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Event, String> {
        Event::parse(text.split(';').map(OsStr::new))
    }

    #[test]
    fn arguments_are_letters_and_values() {
        let event = parse("P=10;I=12;s=11;t=1700000000;u=1000;g=100;d=1;F=3;e=a b=c").expect("complete");
        assert_eq!((event.pid, event.tid, event.signal), (Pid(10), Tid(12), 11));
        assert_eq!((event.uid, event.gid, event.dumpable), (1000, 100, Dumpable::ByUser));
        assert_eq!((event.name.as_slice(), event.pidfd), (&b"a b=c"[..], Some(3)));
        assert_eq!(event.reader(), 1000);
    }

    #[test]
    fn a_kernel_without_a_descriptor_gives_an_empty_value() {
        let event = parse("P=10;I=12;s=11;t=1;u=1000;g=100;d=2;F=").expect("complete");
        assert_eq!((event.pidfd, event.dumpable, event.reader()), (None, Dumpable::ByRoot, 0));
        let silent = parse("P=10;I=12;s=11;t=1;u=1000;g=100").expect("complete");
        assert_eq!(silent.dumpable, Dumpable::ByRoot, "the narrower answer");
        for standard in ["F=0", "F=2", "F=-1"] {
            let event = parse(&format!("P=1;I=1;s=6;t=1;u=0;g=0;{standard}")).expect("complete");
            assert_eq!(event.pidfd, None);
        }
    }

    #[test]
    fn what_cannot_be_missing_is_named() {
        for (text, named) in [("I=1", "P=%P"), ("P=0;I=1", "0"), ("P=1;I=x", "I=%I"), ("P", "'P'")] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(named), "{error}");
        }
        assert!(parse("P=1;I=1;s=6;t=1;u=-1;g=0").is_err());
    }

    #[test]
    fn the_first_of_two_counts() {
        // A name may look like another argument, but stays one; a second P cannot come from the kernel.
        let event = parse("P=7;I=7;s=6;t=1;u=0;g=0;d=1;e=P=9;P=9").expect("complete");
        assert_eq!((event.pid, event.name.as_slice()), (Pid(7), &b"P=9"[..]));
    }
}
