//! A line about a crash in the journal, or in syslog where there is none.
//!
//! The fields are those that coredumpctl(1) looks for, so it lists these crashes too. What is sent is one
//! datagram: nothing of a library for this would be used but forty lines.
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use super::{Facts, Known, Stored};
use crate::report::escape::{Escaping, escaped};
use crate::report::signal_name;

/// Where systemd's journal listens (systemd-journald(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where syslog listens.
const SYSLOG: &str = "/dev/log";
/// A log that takes nothing may not hold a process that crashed.
const LONGEST: Duration = Duration::from_millis(500);
/// What systemd calls the message that a process has crashed.
const MESSAGE_ID: &str = "fc2e22bc6ee647b6b90729ab34a250b1";
const CRITICAL: u8 = 2;
const ERROR: u8 = 3;
const WARNING: u8 = 4;
/// The facility of programs that are no part of the system.
const USER: u8 = 1;
/// Longest line for syslog, in bytes.
const MAX_LINE: usize = 1000;

/// What is to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    priority: u8,
    message: String,
    fields: Vec<(&'static str, String)>,
}

/// Where it is logged. It is opened first, and used when there is something to say.
#[derive(Debug)]
pub struct Log(Sink);

#[derive(Debug)]
enum Sink {
    Journal(UnixDatagram),
    Syslog(UnixDatagram),
    /// Some implementations want a connection.
    Stream(UnixStream),
}

impl Entry {
    /// A crash that was stored.
    pub fn stored(facts: &Facts, stored: &Stored) -> Entry {
        let place = facts.function.as_ref().map(|function| format!(" in {function}")).unwrap_or_default();
        let message = format!(
            "process {} ({}) of user {} crashed by {}{place}: threaddump crashes show {}",
            facts.pid,
            facts.program(),
            facts.uid,
            facts.signal_name,
            stored.id
        );
        let mut fields = kernel_fields(facts.pid, facts.tid, facts.uid, facts.gid, facts.signal);
        fields.push(("COREDUMP_TIMESTAMP", facts.time.as_microsecond().to_string()));
        fields.push(("COREDUMP_COMM", facts.name.clone()));
        fields.extend(facts.exe.clone().map(|exe| ("COREDUMP_EXE", exe)));
        // Programs that write a title leave empty arguments.
        fields.push(("COREDUMP_CMDLINE", facts.cmdline.join(" ").trim_end().to_owned()));
        fields.extend(facts.cgroup.clone().map(|cgroup| ("COREDUMP_CGROUP", cgroup)));
        fields.extend(facts.thread.clone().map(|thread| ("COREDUMP_THREAD_NAME", thread)));
        fields.extend(facts.function.clone().map(|function| ("THREADDUMP_FUNCTION", function)));
        fields.push(("THREADDUMP_CRASH", stored.id.to_string()));
        fields.push(("THREADDUMP_COUNT", stored.count.to_string()));
        fields.push(("THREADDUMP_FINGERPRINT", facts.fingerprint.to_string()));
        fields.push(("MESSAGE_ID", MESSAGE_ID.to_owned()));
        Entry { priority: CRITICAL, message, fields }
    }

    /// A crash that was not stored, and why. `name` is that of the process, `exe` its executable.
    pub fn lost(known: &Known, name: &str, exe: Option<&str>, reason: &str) -> Entry {
        let Known { pid, tid, uid, gid, signal, time } = *known;
        let signal_name = signal_name(signal);
        let message = format!(
            "process {pid} ({name}) of user {uid} crashed by {signal_name}, and is not stored: {reason}"
        );
        let mut fields = kernel_fields(pid, Some(tid), uid, Some(gid), signal);
        fields.push(("COREDUMP_TIMESTAMP", time.as_microsecond().to_string()));
        fields.push(("COREDUMP_COMM", name.to_owned()));
        fields.extend(exe.map(|exe| ("COREDUMP_EXE", exe.to_owned())));
        fields.push(("THREADDUMP_LOST", reason.to_owned()));
        fields.push(("MESSAGE_ID", MESSAGE_ID.to_owned()));
        Entry { priority: ERROR, message, fields }
    }

    /// Something that went wrong with a crash that is, or may be, stored all the same.
    pub fn note(known: &Known, what: &str) -> Entry {
        let Known { pid, tid, uid, gid, signal, .. } = *known;
        let message = format!("the crash of process {pid} of user {uid}: {what}");
        Entry { priority: WARNING, message, fields: kernel_fields(pid, Some(tid), uid, Some(gid), signal) }
    }

    /// The datagram for the journal: a line for each field, or its name, its length and its bytes.
    fn datagram(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut add = |name: &str, value: &str| {
            bytes.extend_from_slice(name.as_bytes());
            if value.contains('\n') {
                bytes.push(b'\n');
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            } else {
                bytes.push(b'=');
            }
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(b'\n');
        };
        add("MESSAGE", &self.line());
        add("PRIORITY", &self.priority.to_string());
        add("SYSLOG_IDENTIFIER", "threaddump");
        self.fields.iter().for_each(|(name, value)| add(name, value));
        bytes
    }

    /// The message, on one line whatever is in it.
    fn line(&self) -> String {
        escaped(&self.message, Escaping::Terminal).to_string()
    }

    fn syslog(&self) -> Vec<u8> {
        let mut line =
            format!("<{}>threaddump[{}]: {}", USER << 3 | self.priority, std::process::id(), self.line());
        let end = (0..=MAX_LINE.min(line.len())).rev().find(|&end| line.is_char_boundary(end));
        line.truncate(end.unwrap_or(0));
        line.into_bytes()
    }
}

fn kernel_fields(
    pid: i32,
    tid: Option<i32>,
    uid: u32,
    gid: Option<u32>,
    signal: i32,
) -> Vec<(&'static str, String)> {
    let mut fields = vec![("COREDUMP_PID", pid.to_string()), ("COREDUMP_UID", uid.to_string())];
    fields.extend(gid.map(|gid| ("COREDUMP_GID", gid.to_string())));
    fields.extend(tid.map(|tid| ("COREDUMP_TID", tid.to_string())));
    fields.push(("COREDUMP_SIGNAL", signal.to_string()));
    fields.push(("COREDUMP_SIGNAL_NAME", signal_name(signal)));
    fields
}

impl Log {
    /// Opens the journal, or syslog.
    ///
    /// # Errors
    ///
    /// If there is neither.
    pub fn open() -> io::Result<Log> {
        Log::open_at(Path::new(JOURNAL), Path::new(SYSLOG))
    }

    /// The same at other places.
    ///
    /// # Errors
    ///
    /// If nothing listens there.
    pub fn open_at(journal: &Path, syslog: &Path) -> io::Result<Log> {
        if let Ok(socket) = datagrams(journal) {
            return Ok(Log(Sink::Journal(socket)));
        }
        match datagrams(syslog) {
            Err(error) if error.raw_os_error() == Some(Errno::EPROTOTYPE as i32) => {
                let stream = UnixStream::connect(syslog)?;
                stream.set_write_timeout(Some(LONGEST))?;
                Ok(Log(Sink::Stream(stream)))
            }
            socket => Ok(Log(Sink::Syslog(socket?))),
        }
    }

    /// Logs it. This waits for half a second at most.
    ///
    /// # Errors
    ///
    /// If it is not taken within that time.
    pub fn send(&self, entry: &Entry) -> io::Result<()> {
        match &self.0 {
            Sink::Journal(socket) => send_journal(socket, &entry.datagram()),
            Sink::Syslog(socket) => socket.send(&entry.syslog()).map(drop),
            Sink::Stream(stream) => {
                let mut line = entry.syslog();
                line.push(0);
                (&mut &*stream).write_all(&line)
            }
        }
    }
}

fn datagrams(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(LONGEST))?;
    Ok(socket)
}

/// What is too long for a datagram goes into a sealed file in memory, which is passed instead.
fn send_journal(socket: &UnixDatagram, bytes: &[u8]) -> io::Result<()> {
    match socket.send(bytes) {
        Err(error) if matches!(error.raw_os_error(), Some(code) if code == Errno::EMSGSIZE as i32 || code == Errno::ENOBUFS as i32) =>
            {}
        sent => return sent.map(drop),
    }
    let mut file = std::fs::File::from(memfd_create(
        "threaddump-journal",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?);
    file.write_all(bytes)?;
    let seals =
        SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    let files = [file.as_raw_fd()];
    sendmsg::<UnixAddr>(
        socket.as_raw_fd(),
        &[],
        &[ControlMessage::ScmRights(&files)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Read};
    use std::os::unix::net::UnixListener;

    use nix::sys::socket::{ControlMessageOwned, recvmsg, setsockopt, sockopt};

    use super::*;
    use crate::crashes::tests::{Scratch, facts};
    use crate::crashes::{Fingerprint, Id};

    fn stored(facts: &Facts) -> Stored {
        Stored { id: Id::of(facts.fingerprint, 0), count: 3, removed: 0 }
    }

    fn scratch(name: &str) -> Scratch {
        let scratch = Scratch::new(name);
        std::fs::create_dir_all(&scratch.0).expect("it is new");
        scratch
    }

    /// The fields of a datagram, as journald reads them.
    fn parse(mut bytes: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|&byte| byte == b'\n').expect("lines have ends");
            let line = &bytes[..end];
            bytes = &bytes[end + 1..];
            if let Some(equals) = line.iter().position(|&byte| byte == b'=') {
                fields.push((text(&line[..equals]), text(&line[equals + 1..])));
            } else {
                let (length, rest) = bytes.split_first_chunk().expect("a length follows");
                let (value, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
                fields.push((text(line), text(value)));
                bytes = &rest[1..];
            }
        }
        fields
    }

    fn value<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
        &fields.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    #[test]
    fn the_journal_gets_the_fields_that_coredumpctl_knows() {
        let scratch = scratch("journal");
        let (path, nowhere) = (scratch.0.join("socket"), scratch.0.join("nowhere"));
        let server = UnixDatagram::bind(&path).expect("it is new");
        let mut crash = facts("fail");
        crash.cmdline = vec!["server".to_owned(), "two\nlines MESSAGE=forged\nPRIORITY=7".to_owned()];
        let entry = Entry::stored(&crash, &stored(&crash));
        Log::open_at(&path, &nowhere).and_then(|log| log.send(&entry)).expect("it listens");
        let mut buffer = vec![0; 1 << 16];
        let length = server.recv(&mut buffer).expect("it was sent");
        let fields = parse(&buffer[..length]);
        assert_eq!(value(&fields, "MESSAGE_ID"), "fc2e22bc6ee647b6b90729ab34a250b1");
        assert_eq!(value(&fields, "COREDUMP_PID"), "4711");
        assert_eq!(value(&fields, "COREDUMP_SIGNAL"), "11");
        assert_eq!(value(&fields, "COREDUMP_EXE"), "/usr/bin/server");
        assert_eq!(value(&fields, "COREDUMP_TIMESTAMP"), "1767323045000000");
        assert_eq!(value(&fields, "COREDUMP_CMDLINE"), "server two\nlines MESSAGE=forged\nPRIORITY=7");
        let message = value(&fields, "MESSAGE");
        assert!(
            message.starts_with("process 4711 (server) of user ")
                && message.contains(" crashed by SIGSEGV in fail")
        );
        for name in ["MESSAGE", "PRIORITY"] {
            assert_eq!(fields.iter().filter(|(other, _)| other == name).count(), 1, "nothing is forged");
        }
    }

    #[test]
    fn what_is_too_long_is_passed_as_a_sealed_file() {
        let scratch = scratch("long-entry");
        let (path, nowhere) = (scratch.0.join("socket"), scratch.0.join("nowhere"));
        let server = UnixDatagram::bind(&path).expect("it is new");
        let log = Log::open_at(&path, &nowhere).expect("it listens");
        let Sink::Journal(socket) = &log.0 else { panic!("it is a journal") };
        setsockopt(socket, sockopt::SndBuf, &4096).expect("it is ours");
        let mut crash = facts("fail");
        crash.cmdline = vec!["x".repeat(15_000)];
        let entry = Entry::stored(&crash, &stored(&crash));
        log.send(&entry).expect("it listens");
        let mut byte = [0];
        let mut space = nix::cmsg_space!([i32; 1]);
        let mut slices = [IoSliceMut::new(&mut byte)];
        let message = recvmsg::<UnixAddr>(
            server.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        );
        let message = message.expect("it was sent");
        assert_eq!(message.bytes, 0);
        let Some(ControlMessageOwned::ScmRights(files)) = message.cmsgs().expect("it has some").next() else {
            panic!("a file is passed")
        };
        let bytes = std::fs::read(format!("/proc/self/fd/{}", files[0])).expect("it can be read");
        nix::unistd::close(files[0]).expect("it is ours");
        assert_eq!(value(&parse(&bytes), "COREDUMP_CMDLINE").len(), 15_000);
    }

    #[test]
    fn syslog_gets_one_line_if_there_is_no_journal() {
        let scratch = scratch("syslog");
        let (nowhere, path) = (scratch.0.join("nowhere"), scratch.0.join("log"));
        let known = Known { pid: 7, tid: 8, uid: 9, gid: 10, signal: 6, time: jiff::Timestamp::UNIX_EPOCH };
        let entry = Entry::lost(&known, "a\nb\x1b", Some("/bin/a"), "no space");
        let expected = |priority| {
            let own = std::process::id();
            format!(
                "<{priority}>threaddump[{own}]: process 7 (a\\nb\\e) of user 9 crashed by SIGABRT, and is not stored: no space"
            )
        };
        let server = UnixDatagram::bind(&path).expect("it is new");
        Log::open_at(&nowhere, &path).and_then(|log| log.send(&entry)).expect("it listens");
        let mut buffer = vec![0; 4096];
        let length = server.recv(&mut buffer).expect("it was sent");
        assert_eq!(String::from_utf8_lossy(&buffer[..length]), expected(11));
        std::fs::remove_file(&path).expect("it is ours");
        let server = UnixListener::bind(&path).expect("it is new");
        Log::open_at(&nowhere, &path).and_then(|log| log.send(&entry)).expect("it listens");
        let mut text = String::new();
        server.accept().expect("it came").0.read_to_string(&mut text).expect("it is text");
        assert_eq!(text, expected(11) + "\0");
        Log::open_at(&nowhere, &nowhere).expect_err("nobody listens");
    }

    #[test]
    fn a_journal_that_takes_nothing_holds_nobody_up() {
        let scratch = scratch("stuck");
        let (path, nowhere) = (scratch.0.join("socket"), scratch.0.join("nowhere"));
        let _server = UnixDatagram::bind(&path).expect("it is new");
        let log = Log::open_at(&path, &nowhere).expect("it listens");
        let crash =
            Facts { fingerprint: Fingerprint::parse(&"0".repeat(32)).expect("it is one"), ..facts("fail") };
        let entry = Entry::stored(&crash, &stored(&crash));
        let began = std::time::Instant::now();
        let error = (0..10_000).find_map(|_| log.send(&entry).err()).expect("its queue has an end");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
