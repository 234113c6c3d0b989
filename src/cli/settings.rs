//! `/etc/threaddump.conf`: a line for each setting, `name = value`, and comments behind `#`. It is read by the
//! handler, which may lose no crash for what is wrong with it: that is told, and the default counts.
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::values;
use crate::crashes::Limits;
use crate::error::plain;
use crate::sys::mapping::open_regular;

/// Where it is if nothing else is said.
pub(super) const PATH: &str = "/etc/threaddump.conf";
/// Longest file, in bytes.
const MAX_FILE: u64 = 64 << 10;
/// Most complaints about one file.
const MAX_PROBLEMS: usize = 20;

/// What was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) parallel: Option<usize>,
    pub(super) hold: Option<Duration>,
    pub(super) max_crashes: Option<usize>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_age: Option<Duration>,
    pub(super) keep_free: Option<u64>,
}

impl Settings {
    /// What a store keeps.
    pub(super) fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            crashes: self.max_crashes.unwrap_or(usual.crashes),
            bytes: self.max_bytes.unwrap_or(usual.bytes),
            age: self.max_age.unwrap_or(usual.age),
            keep_free: self.keep_free.or(usual.keep_free),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let is_set = match name {
            "parallel" => self.parallel.replace(values::parallel(value)?).is_some(),
            "hold" => self.hold.replace(values::duration(value)?).is_some(),
            "max-crashes" => self.max_crashes.replace(values::count(value)?).is_some(),
            "max-bytes" => self.max_bytes.replace(values::size(value)?).is_some(),
            "max-age" => self.max_age.replace(values::age(value)?).is_some(),
            "keep-free" => self.keep_free.replace(values::space(value)?).is_some(),
            _ => return Err("there is no such setting".to_owned()),
        };
        if is_set { Err("it is set twice, and the last one counts".to_owned()) } else { Ok(()) }
    }
}

/// The file that is meant: the usual one need not be there.
pub(super) fn read(named: Option<&PathBuf>) -> (Settings, Vec<String>) {
    let path = named.map_or(Path::new(PATH), PathBuf::as_path);
    match read_file(path) {
        Ok(text) => {
            let (settings, problems) = parse(&text);
            (settings, problems.into_iter().map(|what| format!("{}: {what}", path.display())).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => Default::default(),
        Err(error) => {
            let what = format!("{} is not used: {}", path.display(), plain(&error));
            (Settings::default(), vec![what])
        }
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    check(&file)?;
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE { Err(io::Error::other("it is too long")) } else { Ok(text) }
}

/// Root obeys it.
fn check(file: &File) -> io::Result<()> {
    let facts = file.metadata()?;
    let wrong = match () {
        () if facts.uid() != 0 => "it does not belong to root",
        () if facts.mode() & 0o022 != 0 => "others than root may write to it",
        () => return Ok(()),
    };
    Err(io::Error::other(wrong))
}

/// What is right in a text, and what is wrong, in words.
fn parse(text: &[u8]) -> (Settings, Vec<String>) {
    let (mut settings, mut problems) = (Settings::default(), Vec::new());
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let Err(why) = parse_line(line, &mut settings) else { continue };
        if problems.len() == MAX_PROBLEMS {
            problems.push("and more".to_owned());
            break;
        }
        problems.push(format!("line {}: {why}", number + 1));
    }
    (settings, problems)
}

fn parse_line(line: &[u8], settings: &mut Settings) -> Result<(), String> {
    let line = std::str::from_utf8(line).map_err(|_| "it is no UTF-8".to_owned())?;
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() {
        return Ok(());
    }
    let Some((name, value)) = line.split_once('=') else {
        return Err("it is not of the form name = value".to_owned());
    };
    let name = name.trim();
    let shown: String = name.chars().take(40).collect();
    settings.set(name, value.trim()).map_err(|why| format!("{shown}: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn everything_can_be_set() {
        let text = b"# limits\nparallel = 4\nhold=2s # short\n\n max-crashes = 50\nmax-bytes = 200M\r\nmax-age = 7d\nkeep-free = 0";
        let (settings, problems) = parse(text);
        assert_eq!(problems, [""; 0]);
        let expected = Settings {
            parallel: Some(4),
            hold: Some(Duration::from_secs(2)),
            max_crashes: Some(50),
            max_bytes: Some(200 << 20),
            max_age: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            keep_free: Some(0),
        };
        assert_eq!(settings, expected);
        assert_eq!(settings.limits().keep_free, Some(0));
        assert_eq!(Settings::default().limits(), Limits::default());
    }

    #[test]
    fn what_is_wrong_is_told_and_the_rest_counts() {
        let text = b"parallel = 0\nhold\nsize = 4\nmax-age = x\nmax-crashes = 7\n\xff\nmax-crashes = 8";
        let (settings, problems) = parse(text);
        assert_eq!(settings, Settings { max_crashes: Some(8), ..Settings::default() });
        let beginnings = [
            "line 1: parallel: ",
            "line 2: ",
            "line 3: size: ",
            "line 4: max-age: ",
            "line 6: ",
            "line 7: max-crashes: it is set twice",
        ];
        assert_eq!(problems.len(), beginnings.len(), "{problems:?}");
        for (problem, beginning) in problems.iter().zip(beginnings) {
            assert!(problem.starts_with(beginning), "{problem}");
        }
    }

    #[test]
    fn a_missing_file_is_a_problem_only_if_it_was_named() {
        let nowhere = PathBuf::from("/nonexistent/threaddump.conf");
        let (settings, problems) = read(Some(&nowhere));
        assert_eq!((settings, problems.len()), (Settings::default(), 1));
    }

    proptest! {
        #[test]
        fn no_text_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "([a-z-]{0,12} ?[=#]? ?[0-9]{0,22}[a-zA-Z]{0,3}\n){0,30}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let (settings, problems) = parse(bytes);
                prop_assert!(problems.len() <= MAX_PROBLEMS + 1);
                prop_assert!(settings.parallel.is_none_or(|parallel| (1..=values::MAX_PARALLEL).contains(&parallel)));
                let _ = settings.limits();
            }
        }
    }
}
