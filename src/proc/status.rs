//! `/proc/PID/status` (proc_pid_status(5)).
use super::{decimal, hexadecimal};

/// Fields of one thread; what was not there is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// State letter.
    pub state: Option<char>,
    /// Thread group id: the process the thread is part of.
    pub tgid: Option<i32>,
    /// Parent process id.
    pub ppid: Option<i32>,
    /// Thread id of the tracer, 0 if there is none.
    pub tracer: Option<i32>,
    /// Real, effective, saved and file system user id.
    pub uid: Option<[u32; 4]>,
    /// Real, effective, saved and file system group id.
    pub gid: Option<[u32; 4]>,
    /// Process ids from the outermost shown to the innermost pid namespace.
    pub ns_pid: Vec<i32>,
    /// Threads of the process.
    pub threads: Option<u64>,
    /// Permitted capabilities.
    pub cap_permitted: Option<u64>,
    /// Effective capabilities.
    pub cap_effective: Option<u64>,
    /// Whether its memory is being written to a core file, or was to be.
    pub core_dumping: Option<bool>,
    /// Seccomp mode: 0 none, 1 strict, 2 filter.
    pub seccomp: Option<u32>,
    /// Ignored signals, bit 0 for signal 1.
    pub ignored: Option<u64>,
    /// Signals that have a handler.
    pub caught: Option<u64>,
}

/// The fields. The name line cannot fake others: the kernel escapes newlines there.
pub fn parse_status(text: &[u8]) -> Status {
    let mut status = Status::default();
    for line in text.split(|&byte| byte == b'\n').take(1000) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        match &line[..colon] {
            b"State" => status.state = value.first().map(|&letter| char::from(letter)),
            b"Tgid" => status.tgid = decimal(value),
            b"PPid" => status.ppid = decimal(value),
            b"TracerPid" => status.tracer = decimal(value),
            b"Uid" => status.uid = four(value),
            b"Gid" => status.gid = four(value),
            b"NSpid" => status.ns_pid = numbers(value).collect(),
            b"Threads" => status.threads = decimal(value),
            b"CapPrm" => status.cap_permitted = hexadecimal(value),
            b"CapEff" => status.cap_effective = hexadecimal(value),
            b"CoreDumping" => status.core_dumping = decimal::<u32>(value).map(|value| value != 0),
            b"Seccomp" => status.seccomp = decimal(value),
            b"SigIgn" => status.ignored = hexadecimal(value),
            b"SigCgt" => status.caught = hexadecimal(value),
            _ => {}
        }
    }
    status
}

fn numbers<T: std::str::FromStr>(text: &[u8]) -> impl Iterator<Item = T> {
    text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).map_while(decimal)
}

fn four(text: &[u8]) -> Option<[u32; 4]> {
    let mut ids = numbers(text);
    Some([ids.next()?, ids.next()?, ids.next()?, ids.next()?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fields_are_found() {
        let text = b"Name:\tTracerPid:\\n 7\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t42\nPid:\t43\n\
            PPid:\t1\nTracerPid:\t99\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t42\t7\t1\n\
            Threads:\t3\nCapPrm:\t00000000000000ff\nCapEff:\t0000000000000001\nSeccomp:\t2\n";
        let status = parse_status(text);
        assert_eq!(
            (status.state, status.tgid, status.ppid, status.tracer),
            (Some('S'), Some(42), Some(1), Some(99))
        );
        assert_eq!((status.uid, status.gid), (Some([1, 2, 3, 4]), Some([5, 6, 7, 8])));
        assert_eq!((status.ns_pid.as_slice(), status.threads), (&[42, 7, 1][..], Some(3)));
        assert_eq!((status.cap_permitted, status.cap_effective), (Some(0xff), Some(1)));
        assert_eq!(status.seccomp, Some(2));
    }

    #[test]
    fn missing_and_broken_fields_stay_unknown() {
        let status = parse_status(b"Tgid:\tx\nUid:\t1\t2\nCapPrm:\nNSpid:\n:\n");
        assert_eq!(status, Status::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse_status(&text);
        }
    }
}
