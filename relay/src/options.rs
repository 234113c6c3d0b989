//! What the relay is to do, and how that is said in an environment variable.

/// Longest path of an output file or a helper, in bytes.
pub const MAX_PATH: usize = 256;

/// A path of at most [`MAX_PATH`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Path {
    bytes: [u8; MAX_PATH],
    length: usize,
}

impl Path {
    /// A path; `None` if it is empty, too long or holds a zero byte.
    pub const fn new(path: &[u8]) -> Option<Path> {
        if path.is_empty() || path.len() > MAX_PATH {
            return None;
        }
        let mut bytes = [0; MAX_PATH];
        let mut index = 0;
        while index < path.len() {
            if path[index] == 0 {
                return None;
            }
            bytes[index] = path[index];
            index += 1;
        }
        Some(Path { bytes, length: path.len() })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl core::fmt::Debug for Path {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Path(")?;
        for chunk in self.as_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
        }
        f.write_str(")")
    }
}

/// What follows a dump that was asked for by a signal which the program leaves to its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterQuit {
    /// The program goes on.
    #[default]
    Go,
    /// The default action of the signal.
    Die,
    /// SIGABRT, as Go does.
    Abort,
}

/// Settings of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The signal that asks for a dump; 0 for none. Default: SIGQUIT.
    pub trigger: u32,
    /// Whether signals that kill the program are preceded by a dump.
    pub crashes: bool,
    /// The signal by which threads are asked, a real-time one. Default: 61.
    pub relay_signal: u32,
    /// What follows a dump on the trigger.
    pub after_quit: AfterQuit,
    /// Where dumps are appended, with `%p` for the process id and `%t` for the time in seconds since the
    /// epoch; `None` for standard error.
    pub output: Option<Path>,
    /// The `threaddump` program, which makes better dumps from outside; tried first.
    pub helper: Option<Path>,
    /// Makes a process that is not dumpable so while the helper looks at it.
    pub raise_dumpable: bool,
    /// Whether registers are printed.
    pub registers: bool,
    /// Milliseconds to wait for threads while none answers.
    pub answer_ms: u32,
    /// Milliseconds after which a dump ends, whatever it has not shown.
    pub limit_ms: u32,
}

impl Options {
    /// The defaults.
    pub const DEFAULT: Options = Options {
        trigger: 3,
        crashes: true,
        relay_signal: 61,
        after_quit: AfterQuit::Go,
        output: None,
        helper: None,
        raise_dumpable: false,
        registers: true,
        answer_ms: 1000,
        limit_ms: 10_000,
    };
}

impl Default for Options {
    fn default() -> Options {
        Options::DEFAULT
    }
}

/// Signals by which a dump may be asked for.
const TRIGGERS: [(&[u8], u32); 7] =
    [(b"HUP", 1), (b"INT", 2), (b"QUIT", 3), (b"USR1", 10), (b"USR2", 12), (b"PWR", 30), (b"none", 0)];

impl Options {
    /// Applies settings like `out=/tmp/%p.txt,quit=die`.
    ///
    /// # Errors
    /// The first setting that is not understood; all others are applied.
    pub fn apply<'a>(&mut self, text: &'a [u8]) -> Result<(), &'a [u8]> {
        let before = (self.trigger, self.relay_signal);
        let (mut result, mut signal) = (Ok(()), None);
        for setting in text.split(|&byte| byte == b',').filter(|setting| !setting.is_empty()) {
            if self.apply_one(setting).is_none() {
                result = result.and(Err(setting));
            } else if setting.starts_with(b"signal=") || setting.starts_with(b"relay=") {
                signal = Some(setting);
            }
        }
        // One signal cannot ask for a dump and for a thread, in whatever order they are set.
        if self.trigger == self.relay_signal
            && let Some(setting) = signal
        {
            (self.trigger, self.relay_signal) = before;
            result = result.and(Err(setting));
        }
        result
    }

    /// Whether each signal is for one purpose, and of a kind that can serve it.
    pub fn are_valid(&self) -> bool {
        let is_realtime = |signal: u32| (34..=64).contains(&signal);
        let is_trigger =
            is_realtime(self.trigger) || TRIGGERS.iter().any(|(_, known)| *known == self.trigger);
        is_trigger
            && is_realtime(self.relay_signal)
            && self.trigger != self.relay_signal
            && self.output.is_none_or(|path| has_known_places(path.as_bytes()))
    }

    fn apply_one(&mut self, setting: &[u8]) -> Option<()> {
        let equals = setting.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (setting.get(..equals)?, setting.get(equals + 1..)?);
        match name {
            b"signal" => self.trigger = trigger(value)?,
            b"relay" => self.relay_signal = number(value).filter(|signal| (34..=64).contains(signal))?,
            b"crash" => self.crashes = yes_or_no(value)?,
            b"quit" => {
                self.after_quit = match value {
                    b"go" => AfterQuit::Go,
                    b"die" => AfterQuit::Die,
                    b"abort" => AfterQuit::Abort,
                    _ => return None,
                }
            }
            b"out" => self.output = Some(Path::new(value).filter(|_| has_known_places(value))?),
            b"helper" if value == b"none" => self.helper = None,
            b"helper" => self.helper = Some(Path::new(value).filter(|_| value.first() == Some(&b'/'))?),
            b"dumpable" if value == b"raise" => self.raise_dumpable = true,
            b"dumpable" if value == b"keep" => self.raise_dumpable = false,
            b"registers" => self.registers = yes_or_no(value)?,
            b"timeout" => self.answer_ms = milliseconds(value)?,
            b"limit" => self.limit_ms = milliseconds(value)?,
            _ => return None,
        }
        Some(())
    }
}

/// Whether each percent sign of a path is one that is filled in.
fn has_known_places(path: &[u8]) -> bool {
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'%' && !matches!(bytes.next(), Some(b'p' | b't' | b'%')) {
            return false;
        }
    }
    true
}

fn trigger(value: &[u8]) -> Option<u32> {
    let name = value.strip_prefix(b"SIG").unwrap_or(value);
    TRIGGERS
        .iter()
        .find(|(known, number)| *known == name || crate::text::decimal(u64::from(*number)).as_bytes() == name)
        .map(|(_, number)| *number)
        .or_else(|| number(value).filter(|signal| (34..=64).contains(signal)))
}

fn yes_or_no(value: &[u8]) -> Option<bool> {
    match value {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// `500ms` or `2s`, at most an hour.
fn milliseconds(value: &[u8]) -> Option<u32> {
    let found = match value.strip_suffix(b"ms") {
        Some(digits) => number(digits),
        None => number(value.strip_suffix(b"s")?)?.checked_mul(1000),
    };
    found.filter(|found| (1..=3_600_000).contains(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_understood() {
        let mut options = Options::DEFAULT;
        let text = b"signal=USR1,relay=40,crash=no,quit=abort,out=/tmp/%p,helper=/bin/true,dumpable=raise,\
            registers=no,timeout=500ms,limit=3s";
        assert_eq!(options.apply(text), Ok(()));
        let expected = Options {
            trigger: 10,
            crashes: false,
            relay_signal: 40,
            after_quit: AfterQuit::Abort,
            output: Path::new(b"/tmp/%p"),
            helper: Path::new(b"/bin/true"),
            raise_dumpable: true,
            registers: false,
            answer_ms: 500,
            limit_ms: 3000,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let mut options = Options::DEFAULT;
        for wrong in [
            "quit",
            "quit=maybe",
            "relay=9",
            "signal=KILL",
            "helper=bin/x",
            "limit=0s",
            "out=",
            "out=%x",
            "out=/tmp/%",
            "signal=61",
        ] {
            assert_eq!(options.apply(wrong.as_bytes()), Err(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(options.apply(b"relay=34,signal=34"), Err(&b"signal=34"[..]));
        assert_eq!(options.apply(b"signal=35,quit=go,relay=35"), Err(&b"relay=35"[..]));
        assert_eq!(options, Options::DEFAULT);
        assert_eq!(options.apply(b"signal=3,,signal=SIGQUIT,"), Ok(()));
        assert!(options.are_valid());
        assert_eq!(options.apply(b"out=%p%%%t,signal=61,relay=34"), Ok(()));
        assert!(options.are_valid());
        assert!(!Options { trigger: 34, ..options }.are_valid());
        assert!(!Options { relay_signal: 9, ..options }.are_valid());
        assert!(!Options { trigger: 11, ..options }.are_valid());
    }

    #[test]
    fn a_path_has_no_zero_byte_and_an_end() {
        assert!(Path::new(&[b'x'; MAX_PATH + 1]).is_none());
        assert!(Path::new(b"a\0b").is_none());
        assert_eq!(Path::new(b"/a").map(|path| path.as_bytes() == b"/a"), Some(true));
    }
}
