//! Who handles crashes.
use std::fmt;

/// Who a pattern belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This program.
    Threaddump,
    /// Another program.
    Program(String),
    /// A server on a socket (Linux 6.16).
    Socket(String),
    /// Nobody: the kernel writes files of that name.
    Files(String),
    /// Nobody: the pattern is empty.
    Nobody,
}

/// Handlers that people know by other names.
const NAMES: &[(&str, &str)] = &[
    ("systemd-coredump", "systemd-coredump"),
    ("apport", "apport"),
    ("abrt-hook-ccpp", "abrt"),
    ("crash_reporter", "crash_reporter"),
    ("linux-crashdump", "linux-crashdump"),
];

impl Owner {
    /// Of a pattern.
    pub fn of(pattern: &str) -> Owner {
        if let Some(command) = pattern.strip_prefix('|') {
            let mut words = command.split_ascii_whitespace();
            let program = words.next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            if words.next() == Some("handle-core") {
                return Owner::Threaddump;
            }
            let known = NAMES.iter().find(|(file, _)| *file == name);
            return Owner::Program(known.map_or_else(|| program.to_owned(), |(_, name)| (*name).to_owned()));
        }
        match pattern {
            "" => Owner::Nobody,
            pattern if pattern.starts_with('@') => Owner::Socket(pattern.trim_start_matches('@').to_owned()),
            pattern => Owner::Files(pattern.to_owned()),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Threaddump => f.write_str("threaddump"),
            Owner::Program(name) => write!(f, "the program {name}"),
            Owner::Socket(path) => write!(f, "the server at the socket {path}"),
            Owner::Files(pattern) => write!(f, "the kernel, which writes core files named {pattern}"),
            Owner::Nobody => f.write_str("nobody"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_handlers_are_known() {
        let program = |name: &str| Owner::Program(name.to_owned());
        let cases = [
            ("|/usr/bin/threaddump handle-core P=%P", Owner::Threaddump),
            ("|/lib/systemd/systemd-coredump %P %u %g %s %t %c %h", program("systemd-coredump")),
            ("|/usr/share/apport/apport -p%p -s%s", program("apport")),
            ("|/usr/libexec/abrt-hook-ccpp %s", program("abrt")),
            ("|/opt/x %p", program("/opt/x")),
            ("core", Owner::Files("core".to_owned())),
            ("@@/run/x.sock", Owner::Socket("/run/x.sock".to_owned())),
            ("", Owner::Nobody),
        ];
        for (pattern, owner) in cases {
            assert_eq!(Owner::of(pattern), owner, "{pattern}");
        }
    }
}
