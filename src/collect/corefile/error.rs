//! Why a core file cannot be shown.
use std::fmt;
use std::io;

/// Why nothing can be shown of a core file.
#[derive(Debug)]
#[non_exhaustive]
pub enum CoreError {
    /// It has no bytes.
    Empty,
    /// It is no ELF file, and not compressed in a known way.
    NotElf,
    /// It is an ELF file, but no core file.
    NotCore {
        /// What it is, with an article.
        what: &'static str,
    },
    /// It comes from a machine that is not supported.
    UnsupportedArch {
        /// Width, byte order and machine.
        what: String,
    },
    /// It ends before there is anything to show.
    Truncated {
        /// Where it ends.
        what: &'static str,
    },
    /// It has no notes of threads.
    NoThreads,
    /// It has such notes, but none that can be read.
    OddThreads {
        /// What is odd about the first.
        what: String,
    },
    /// It is compressed, and that cannot be undone.
    Unpack {
        /// The way of compression.
        format: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Something could not be read or written.
    Io {
        /// What was being done, as in "open /x".
        what: String,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CoreError::Empty => f.write_str("it is empty"),
            CoreError::NotElf => f.write_str("it is not a core file"),
            CoreError::NotCore { what } => write!(f, "it is {what}, not a core file"),
            CoreError::UnsupportedArch { what } => write!(f, "it is a core file of a {what} program"),
            CoreError::Truncated { what } => write!(f, "it is truncated: it ends {what}"),
            CoreError::NoThreads => f.write_str("it has no notes about threads"),
            CoreError::OddThreads { what } => f.write_str(what),
            CoreError::Unpack { format, source } => write!(f, "cannot decompress {format}: {source}"),
            CoreError::Io { what, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for CoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CoreError::Unpack { source, .. } | CoreError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl CoreError {
    /// The next step the user can take, on one line.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            CoreError::Empty => Some("look at the free space of its file system and at: ulimit -c"),
            CoreError::NotElf => {
                Some("core files are ELF files, plain or compressed by zstd, xz, lz4 or gzip")
            }
            CoreError::NotCore { .. } => Some("give the core file; the program goes to --exe"),
            CoreError::UnsupportedArch { .. } => Some(
                "cores of x86_64, i386, aarch64, arm, riscv64, ppc64le, s390x and loongarch64 programs can be shown",
            ),
            CoreError::Truncated { .. } => {
                Some("look at the free space of its file system and at the limits of who wrote it")
            }
            CoreError::OddThreads { .. } => {
                Some("have it written by the kernel, or by a debugger of the program's own architecture")
            }
            CoreError::NoThreads | CoreError::Unpack { .. } | CoreError::Io { .. } => None,
        }
    }
}
