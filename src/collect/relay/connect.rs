//! Finding the relay's socket of a process, and making sure that it is that process's.
use std::fmt;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use threaddump_arch::Arch;

use super::super::CollectError;
use super::session::{Session, Told};
use crate::ids::Pid;
use crate::proc::{ProcDir, Status, parse_status};

/// Longest time to wait for the greeting: a thread has to take the signal first.
const GREETING: Duration = Duration::from_secs(2);
/// What is done before and after the threads are held may take so much longer.
const AROUND: Duration = Duration::from_secs(10);
/// Bytes of answers that are read at once.
const BUFFER: usize = 64 << 10;
/// Signals that there must be room for in the queue of the user. If it is full, the kernel sends SIGIO instead,
/// which kills.
const ROOM: u64 = 64;

/// Why a process cannot be asked by way of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayRefusal {
    /// It has not identified itself as holding the relay.
    Absent,
    /// The name of its socket is taken by another process.
    Foreign {
        /// Id of that process.
        holder: i32,
    },
    /// Its socket is in another network namespace.
    OtherNamespace,
    /// It answers its own user and root.
    OtherUser {
        /// The user that it runs as.
        uid: u32,
    },
    /// It runs under a seccomp filter, which may kill it for an answer.
    Filtered,
    /// The kernel has no room for the signal that a connection brings.
    NoSignals,
    /// It did not answer, or not to the end.
    Silent,
}

impl fmt::Display for RelayRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayRefusal::Absent => f.write_str("it has not identified itself as holding the relay"),
            RelayRefusal::Foreign { holder } => {
                write!(f, "the name of its socket is held by process {holder}")
            }
            RelayRefusal::OtherNamespace => f.write_str("its socket is in another network namespace"),
            RelayRefusal::OtherUser { uid } => write!(f, "it answers only user {uid} and root"),
            RelayRefusal::Filtered => {
                f.write_str("it runs under a seccomp filter, which might kill it for the answer")
            }
            RelayRefusal::NoSignals => f.write_str("the signal queue of its user is full"),
            RelayRefusal::Silent => f.write_str("it did not answer in time"),
        }
    }
}

impl RelayRefusal {
    /// The next step the user can take, on one line.
    pub(in super::super) fn advice(&self, pid: Pid) -> String {
        match self {
            RelayRefusal::Absent | RelayRefusal::Foreign { .. } => {
                "start the program with the relay in it: LD_PRELOAD=libthreaddump_relay.so (threaddump-relay(7))"
                    .to_owned()
            }
            RelayRefusal::OtherNamespace => format!("run it there: nsenter --net --target {pid} threaddump {pid}"),
            RelayRefusal::OtherUser { uid } => format!("run it as user {uid} or as root"),
            RelayRefusal::Filtered => "send it SIGQUIT: that dump makes no other system calls".to_owned(),
            RelayRefusal::NoSignals => format!("look at SigQ in /proc/{pid}/status, and run it again"),
            RelayRefusal::Silent => "run it again; a thread that has not blocked the relay signal is needed".to_owned(),
        }
    }
}

/// A stream with one deadline for everything.
#[derive(Debug)]
struct Timed {
    /// Answers come in many small pieces.
    stream: BufReader<UnixStream>,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stream.buffer().is_empty() {
            self.stream.get_ref().set_read_timeout(Some(self.left()?))?;
        }
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(left))?;
        stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A process that answers; nothing is to be had of it once it failed to, or was left.
#[derive(Debug)]
pub(in super::super) struct Asked {
    session: Mutex<Option<Session<Timed>>>,
    arch: Arch,
}

impl Asked {
    /// Architecture of the process, as it says itself.
    pub(in super::super) fn arch(&self) -> Arch {
        self.arch
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Session<Timed>) -> io::Result<T>) -> io::Result<T> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = session.as_mut().ok_or(ErrorKind::NotConnected)?;
        ask(answer).inspect_err(|_| *session = None)
    }

    /// Memory from `address` until the buffer is full or the memory ends; gives the number of bytes.
    pub(in super::super) fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        self.with(|session| session.read(address, buffer)).unwrap_or(0)
    }

    /// # Errors
    /// Those of the connection.
    pub(in super::super) fn maps(&self) -> io::Result<Vec<u8>> {
        self.with(Session::maps)
    }

    /// # Errors
    /// Those of the connection.
    pub(in super::super) fn auxv(&self) -> io::Result<Vec<u8>> {
        self.with(Session::auxv)
    }

    pub(super) fn syscall(&self, tid: i32) -> io::Result<Vec<u8>> {
        self.with(|session| session.syscall(tid))
    }

    pub(super) fn hold(&self) -> io::Result<Vec<Told>> {
        self.with(Session::hold)
    }

    pub(super) fn release(&self) -> io::Result<()> {
        self.with(Session::release)
    }

    /// Whether everything that was asked so far was answered.
    pub(super) fn is_whole(&self) -> bool {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Leaves the process alone.
    pub(in super::super) fn close(&self) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Connects to the relay of a process that has identified itself. `timeout` is how long it may be held; `arch` is
/// what it is taken for if it does not say.
///
/// # Errors
/// If it has not, or must not be asked.
pub(in super::super) fn ask(
    pid: Pid,
    arch: Arch,
    dir: &ProcDir,
    timeout: Duration,
) -> Result<Asked, CollectError> {
    let refused = |reason| CollectError::NoRelay { pid, reason };
    let gone = |_| CollectError::Exited { pid };
    let text = dir.read("status").map_err(gone)?;
    let status = parse_status(&text);
    let own = status.ns_pid.last().copied().unwrap_or(pid.0);
    let name = format!("threaddump-relay/{own}.{}", dir.stat(None).map_err(gone)?.start_ticks);
    // Before the connection, which brings the process a signal.
    if let Some(reason) = absence(dir, &name).or_else(|| objection(&status, &text)) {
        return Err(refused(reason));
    }
    let stream = connect(pid, &name).map_err(refused)?;
    let (deadline, stream) = (Instant::now() + GREETING, BufReader::with_capacity(BUFFER, stream));
    let greeted = Session::open(Timed { stream, deadline }, arch);
    let mut session = greeted.map_err(|_| refused(RelayRefusal::Silent))?;
    if i64::from(session.pid()) != i64::from(own) {
        return Err(refused(RelayRefusal::Silent));
    }
    session.stream_mut().deadline = Instant::now() + timeout + AROUND;
    let told = session.arch();
    if told != arch && !super::super::prepare::is_possible(told) {
        return Err(refused(RelayRefusal::Silent));
    }
    Ok(Asked { session: Mutex::new(Some(session)), arch: told })
}

/// Why there is nothing to connect to, going by the list of sockets.
fn absence(dir: &ProcDir, name: &str) -> Option<RelayRefusal> {
    let here = std::fs::read("/proc/self/net/unix").ok()?;
    if is_listed(&here, name) {
        return None;
    }
    let there = dir.read("net/unix").is_ok_and(|there| is_listed(&there, name));
    Some(if there { RelayRefusal::OtherNamespace } else { RelayRefusal::Absent })
}

/// Whether a name is in `/proc/net/unix` (proc_pid_net(5)), where it begins with an at sign.
fn is_listed(list: &[u8], name: &str) -> bool {
    let is_it = |line: &[u8]| {
        let before = line.strip_suffix(name.as_bytes());
        before.is_some_and(|before| before.ends_with(b" @"))
    };
    list.split(|&byte| byte == b'\n').any(is_it)
}

/// Why the process must not be asked although it holds the relay.
fn objection(status: &Status, text: &[u8]) -> Option<RelayRefusal> {
    if status.seccomp.is_some_and(|mode| mode != 0) {
        return Some(RelayRefusal::Filtered);
    }
    let own = nix::unistd::geteuid().as_raw();
    let other =
        status.uid.and_then(|[real, effective, ..]| [real, effective].into_iter().find(|&id| id != own));
    if let Some(uid) = other.filter(|_| own != 0) {
        return Some(RelayRefusal::OtherUser { uid });
    }
    signals_left(text).is_some_and(|left| left < ROOM).then_some(RelayRefusal::NoSignals)
}

/// How many signals may still be queued (`SigQ`, used and limit).
fn signals_left(status: &[u8]) -> Option<u64> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"SigQ:"))?;
    let (used, limit) = std::str::from_utf8(line).ok()?.trim().split_once('/')?;
    limit.parse::<u64>().ok()?.checked_sub(used.parse().ok()?).or(Some(0))
}

/// Connects, and makes sure that the kernel names this process as the one that listens.
fn connect(pid: Pid, name: &str) -> Result<UnixStream, RelayRefusal> {
    let address = SocketAddr::from_abstract_name(name).map_err(|_| RelayRefusal::Absent)?;
    let stream = UnixStream::connect_addr(&address).map_err(|_| RelayRefusal::Absent)?;
    let holder = getsockopt(&stream, PeerCredentials).map_err(|_| RelayRefusal::Absent)?.pid();
    if holder == pid.0 { Ok(stream) } else { Err(RelayRefusal::Foreign { holder }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_list_is_found_as_a_whole() {
        let list = b"Num RefCount\n0: 2 0 10000 1 01 99 @threaddump-relay/42.7\n0: 2 0 1 1 1 9 /x/@y\n";
        assert!(is_listed(list, "threaddump-relay/42.7"));
        for other in ["threaddump-relay/42.77", "threaddump-relay/2.7", "x/@y", ""] {
            assert!(!is_listed(list, other), "{other}");
        }
    }

    #[test]
    fn room_for_signals_is_read() {
        assert_eq!(signals_left(b"Name:\tx\nSigQ:\t3/100\n"), Some(97));
        assert_eq!(signals_left(b"SigQ:\t9/0\n"), Some(0));
        assert_eq!([&b"SigQ:\t9\n"[..], b"", b"SigQ:\tx/y\n"].map(signals_left), [None; 3]);
    }

    #[test]
    fn the_name_alone_proves_nothing() {
        use std::os::unix::net::UnixListener;
        let name = format!("threaddump-relay/squatter.{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("short");
        let _listener = UnixListener::bind_addr(&address).expect("free");
        let own = std::process::id() as i32;
        assert!(connect(Pid(own), &name).is_ok());
        assert_eq!(connect(Pid(1), &name).err(), Some(RelayRefusal::Foreign { holder: own }));
        assert_eq!(connect(Pid(own), "threaddump-relay/none").err(), Some(RelayRefusal::Absent));
    }
}
