//! Which crashes look alike.
use std::collections::HashSet;
use std::fmt::{self, Write};

use md5::{Digest, Md5};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::report::{Frame, Report, Thread};

/// Functions that count. Deeper ones tell more of how a program came there than of what went wrong.
const FUNCTIONS: usize = 32;

/// What identical crashes have in common, and others do not: the program, the signal, and the functions on
/// the stack of the thread that got it. It has no addresses in it, so it is the same in every process and
/// mostly in every build.
///
/// It is the MD5 of these lines, each with a newline after it: `threaddump crash 1`; the last part of the
/// executable's path, or the name of the process; the name of the signal; then for each of the first 32
/// functions of the stack, innermost first, its name, or the last part of its module's path in brackets, or `?`.
/// Inlined functions are left out, since they are known only with debug information; a function
/// that was already named is left out too, so that the depth of a recursion makes no difference. Hexadecimal
/// numbers after `0x` are left out of names: those of generated code hold addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a report.
    pub fn of(report: &Report) -> Fingerprint {
        Fingerprint(Md5::digest(text(report).as_bytes()).into())
    }

    /// From 32 hexadecimal digits in lower case; `None` for anything else.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 16];
        if text.len() != 32 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Fingerprint(bytes))
    }

    pub(super) const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fingerprint, D::Error> {
        let text = String::deserialize(deserializer)?;
        Fingerprint::parse(&text).ok_or_else(|| serde::de::Error::custom("no fingerprint"))
    }
}

/// Lower-case digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    crate::snapshot::hex(bytes)
}

/// The thread that got the signal; without one, the first.
pub(super) fn culprit(report: &Report) -> Option<&Thread> {
    let tid = report.signal.as_ref().and_then(|signal| signal.tid);
    let hit = report.threads.iter().find(|thread| Some(thread.tid) == tid);
    hit.or_else(|| report.threads.first())
}

/// What the fingerprint is made of.
fn text(report: &Report) -> String {
    let signal = report.signal.as_ref().map_or("none", |signal| &signal.name);
    let mut text = format!("threaddump crash 1\n{}\n{signal}\n", program(report));
    let frames = culprit(report).map(|thread| thread.frames.as_slice()).unwrap_or_default();
    let mut seen = HashSet::new();
    for name in frames.iter().filter(|frame| !frame.inlined).map(name) {
        if seen.len() == FUNCTIONS {
            break;
        }
        if seen.insert(name.clone()) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}");
        }
    }
    text
}

fn program(report: &Report) -> &str {
    let exe = report.process.exe.as_deref().map(|exe| exe.strip_suffix(" (deleted)").unwrap_or(exe));
    last_part(exe.filter(|exe| !exe.is_empty()).unwrap_or(&report.process.name))
}

pub(super) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn name(frame: &Frame) -> String {
    match (&frame.function, &frame.module) {
        (Some(function), _) => without_addresses(function),
        (None, Some(module)) => format!("[{}]", last_part(module)),
        (None, None) => "?".to_owned(),
    }
}

/// The name with nothing but `0x` left of such numbers, and on one line.
fn without_addresses(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut pieces = name.split("0x");
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        text.push_str("0x");
        text.push_str(piece.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()));
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crashes::tests::{frame, report};

    fn of(functions: &[&str]) -> Fingerprint {
        let mut report = report();
        report.threads[0].frames = functions.iter().map(|function| frame(Some(function), "/bin/x")).collect();
        Fingerprint::of(&report)
    }

    #[test]
    fn the_documented_text_is_what_is_hashed() {
        let mut report = report();
        report.threads[0].frames =
            vec![frame(Some("fail"), "/bin/x"), frame(None, "/lib/libc.so.6"), frame(Some("main"), "/bin/x")];
        assert_eq!(text(&report), "threaddump crash 1\nserver\nSIGSEGV\nfail\n[libc.so.6]\nmain\n");
        // The value is kept in stores: it may never change.
        assert_eq!(Fingerprint::of(&report).to_string(), "388c2497f4c7673cbe89ea1c1ad8bcef");
    }

    #[test]
    fn addresses_do_not_count() {
        let mut one = report();
        one.threads[0].frames = vec![frame(Some("fail"), "/bin/x")];
        let mut other = one.clone();
        other.threads[0].frames[0].pc = crate::report::Hex(0xdead);
        other.process.exe = Some("/other/place/server (deleted)".to_owned());
        assert_eq!(Fingerprint::of(&one), Fingerprint::of(&other));
        assert_eq!(of(&["jit 0x7f00aa12 code", "main"]), of(&["jit 0x55 code", "main"]));
    }

    #[test]
    fn the_depth_of_a_recursion_does_not_count() {
        assert_eq!(of(&["even", "odd", "even", "odd", "main"]), of(&["even", "odd", "main"]));
        assert_ne!(of(&["odd", "main"]), of(&["even", "main"]));
    }

    #[test]
    fn inlined_functions_do_not_count() {
        let mut one = report();
        one.threads[0].frames = vec![frame(Some("outer"), "/bin/x")];
        let mut other = one.clone();
        other.threads[0].frames.insert(0, Frame { inlined: true, ..frame(Some("inner"), "/bin/x") });
        assert_eq!(Fingerprint::of(&one), Fingerprint::of(&other));
    }

    #[test]
    fn another_signal_or_thread_is_another_crash() {
        let one = report();
        let mut other = one.clone();
        other.signal.as_mut().expect("there is one").name = "SIGABRT".to_owned();
        assert_ne!(Fingerprint::of(&one), Fingerprint::of(&other));
        let mut other = one.clone();
        other.signal.as_mut().expect("there is one").tid = Some(other.threads[1].tid);
        assert_ne!(Fingerprint::of(&one), Fingerprint::of(&other));
    }

    #[test]
    fn only_32_digits_are_one() {
        let text = "000102030405060708090a0b0c0d0e0f";
        assert_eq!(Fingerprint::parse(text).map(|it| it.to_string()).as_deref(), Some(text));
        for wrong in [
            "",
            "00",
            "000102030405060708090A0B0C0D0E0F",
            "000102030405060708090a0b0c0d0e0g",
            "ä0102030405060708090a0b0c0d0e0",
        ] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
    }
}
