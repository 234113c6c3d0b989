//! Values of arguments: sizes, durations, targets.
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;

use crate::ids::{Pid, Tid};

/// A day. Longer timeouts are mistakes, and far from where times overflow.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
/// A hundred years, in seconds.
const MAX_AGE: u64 = 100 * 365 * 24 * 60 * 60;
/// More than a screen is not around a line any more.
const MAX_SOURCE_LINES: usize = 100;
/// More files than that make a store slow.
const MAX_COUNT: usize = 100_000;
/// More do not get done sooner.
pub(super) const MAX_PARALLEL: usize = 128;
/// 64 GiB: no stack is larger.
const MAX_SIZE: u64 = 64 << 30;

/// What to dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A process id.
    Pid(Pid),
    /// A process name.
    Name(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Pid(pid) => pid.fmt(f),
            Target::Name(name) => name.fmt(f),
        }
    }
}

/// Digits are a process id, everything else is a name.
pub(super) fn target(text: &str) -> Result<Target, String> {
    if text.is_empty() {
        return Err("a process id or name is needed".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Target::Name(text.to_owned()));
    }
    id(text).map(|id| Target::Pid(Pid(id)))
}

/// A thread id.
pub(super) fn thread(text: &str) -> Result<Tid, String> {
    id(text).map(Tid)
}

fn id(text: &str) -> Result<i32, String> {
    let id = text.parse().ok().filter(|&id: &i32| id > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
    id.ok_or_else(|| format!("ids are numbers from 1 to {}", i32::MAX))
}

/// A directory by its absolute path: it is also looked for in the root of a target, and beside files.
pub(super) fn directory() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(std::path::absolute)
}

/// A number with an optional `K`, `M` or `G`, in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_unit(text);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err("a size is a number with K, M or G, as in 256K or 16M".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "a size is a whole number, as in 256K or 16M".to_owned())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| (1..=MAX_SIZE).contains(bytes));
    bytes.ok_or_else(|| "sizes are from 1 byte to 64G".to_owned())
}

/// Bytes that stay free: as a size, and none at all.
pub(super) fn space(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { size(text) }
}

/// A number of crashes that are kept.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_COUNT).contains(number));
    number.ok_or_else(|| format!("a store keeps from 1 to {MAX_COUNT} crashes"))
}

/// A number of crashes at the same time.
pub(super) fn parallel(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_PARALLEL).contains(number));
    number.ok_or_else(|| format!("from 1 to {MAX_PARALLEL} crashes can be copied at the same time"))
}

/// Lines around a frame's own.
pub(super) fn source_lines(text: &str) -> Result<usize, String> {
    let lines = text.parse().ok().filter(|lines| (1..=MAX_SOURCE_LINES).contains(lines));
    lines.ok_or_else(|| format!("from 1 to {MAX_SOURCE_LINES} lines can be shown"))
}

/// A number with `ms`, `s` or `m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a number with its unit, as in 500ms, 5s or 2m".to_owned();
    let (digits, unit) = split_unit(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let duration = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
    let sensible = Duration::from_millis(1)..=MAX_DURATION;
    sensible
        .contains(&duration)
        .then_some(duration)
        .ok_or_else(|| "durations are from 1ms to 24 hours".to_owned())
}

/// A duration as [`duration`] reads it.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis().max(1))
}

/// The same, as short as can be.
pub(super) fn briefly(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 { format!("{}s", duration.as_secs()) } else { milliseconds(duration) }
}

/// A number with `m`, `h`, `d` or `w`: how long ago something was.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_unit(text);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err("an age is a number with its unit, as in 30m, 12h, 7d or 2w".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "an age is a whole number, as in 12h or 7d".to_owned())?;
    let age = number.checked_mul(seconds).filter(|&seconds| seconds <= MAX_AGE);
    age.map(Duration::from_secs).ok_or_else(|| "ages are up to 100 years".to_owned())
}

/// A moment: an age, or a date with or without a time, in UTC.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(age) = age(text) {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        return Timestamp::now().checked_sub(age).map_err(|_| "that is too long ago".to_owned());
    }
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let date = text.trim_end_matches(" UTC").parse::<DateTime>().ok();
    let moment = date.and_then(|date| Offset::UTC.to_timestamp(date).ok());
    moment.ok_or_else(|| {
        "a moment is an age as 2h or 7d, or a date as 2026-11-25 or 2026-11-25T19:30 (UTC)".to_owned()
    })
}

/// A signal by its number, or its name with or without SIG.
pub(super) fn signal(text: &str) -> Result<i32, String> {
    if let Some(number) = text.parse().ok().filter(|number| (1..=64).contains(number)) {
        return Ok(number);
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    let signal: Result<Signal, _> = name.parse();
    signal.map(|signal| signal as i32).map_err(|_| "a signal is a name as SEGV, or a number".to_owned())
}

/// Digits and dots, and what follows.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.');
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_are_a_process_id() {
        assert_eq!(target("42"), Ok(Target::Pid(Pid(42))));
        assert_eq!(target("nginx"), Ok(Target::Name("nginx".to_owned())));
        assert_eq!(target("7zip"), Ok(Target::Name("7zip".to_owned())));
        for wrong in ["", "0", "99999999999"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_a_suffix() {
        assert_eq!(size("100"), Ok(100));
        assert_eq!(size("256K"), Ok(256 << 10));
        assert_eq!(size("16m"), Ok(16 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        for wrong in ["", "K", "1.5M", "-1", "0", "65G", "99999999999999999999", "18014398509481985K", "1T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "0s", "-1s", "1h", "1..5s", "99999999999999s", "nans", "infs"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_an_age_or_a_date() {
        let ago = Timestamp::now().duration_since(moment("2h").expect("it is one"));
        assert!((7199..7300).contains(&ago.as_secs()), "{ago}");
        for (text, expected) in [
            ("2026-11-25", "2026-11-25T00:00:00Z"),
            ("2026-11-25 19:30", "2026-11-25T19:30:00Z"),
            ("2026-11-25T19:30:00.5Z", "2026-11-25T19:30:00.5Z"),
            ("2026-11-25T19:30:00+01:00", "2026-11-25T18:30:00Z"),
        ] {
            assert_eq!(moment(text).map(|moment| moment.to_string()).as_deref(), Ok(expected), "{text}");
        }
        for wrong in
            ["", "yesterday", "25.11.2026", "2026-13-01", "1000000w", "99999999999999999999d", "-1d", "1.5h"]
        {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        for text in ["SIGSEGV", "SEGV", "segv", "11"] {
            assert_eq!(signal(text), Ok(11), "{text}");
        }
        for wrong in ["", "0", "65", "SIG", "SEGFAULT"] {
            assert!(signal(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC*") {
            let _ = (target(&text), thread(&text), size(&text), duration(&text));
            let _ = (age(&text), moment(&text), signal(&text));
        }
    }
}
