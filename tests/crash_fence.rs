//! What the part of the crash handler cannot do that parses memory and ELF files: a child becomes what it is,
//! and tries.
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use threaddump::collect::crash::Event;
use threaddump::handler::confine;
use threaddump::sys::fence::limit_reach;
use threaddump::sys::fork;
use threaddump::sys::privileges::only_open_as;

mod support;

use support::record;

/// Something that may not succeed: its name, and the error if it fails.
type Attempt = (&'static str, fn(Targets) -> Result<(), String>);

/// A process of the same user, and one of our own.
#[derive(Clone, Copy)]
struct Targets {
    other: Pid,
    parent: Pid,
}

const ATTEMPTS: &[Attempt] = &[
    ("open a file", |_| io(File::open("/etc/hostname").map(drop))),
    ("open its own directory", |_| io(File::open(".").map(drop))),
    ("open a file of /proc", |_| io(File::open("/proc/self/maps").map(drop))),
    ("list a directory", |_| io(std::fs::read_dir("/").map(drop))),
    ("create a file", |_| io(File::create("/tmp/threaddump-fence").map(drop))),
    ("create a file here", |_| io(File::create("threaddump-fence").map(drop))),
    ("make a directory", |_| io(std::fs::create_dir("/tmp/threaddump-fence"))),
    ("remove a file", |_| io(std::fs::remove_file("/etc/hostname"))),
    ("rename a file", |_| io(std::fs::rename("/etc/hostname", "/etc/x"))),
    ("change a mode", |_| {
        no(nix::sys::stat::fchmodat(nix::fcntl::AT_FDCWD, "/etc/hostname", mode(), follow()))
    }),
    ("connect to a port", |_| io(TcpStream::connect("127.0.0.1:9").map(drop))),
    ("connect to a path", |_| io(UnixStream::connect("/dev/log").map(drop))),
    ("make a socket", |_| io(UnixDatagram::unbound().map(drop))),
    ("signal a process of the same user", |targets| no(nix::sys::signal::kill(targets.other, None))),
    ("signal its parent", |targets| no(nix::sys::signal::kill(targets.parent, None))),
    ("trace a process of the same user", |targets| {
        no(nix::sys::ptrace::seize(targets.other, nix::sys::ptrace::Options::empty()))
    }),
    ("read memory of a process of the same user", |targets| {
        let mut byte = [0];
        let mut local = [io::IoSliceMut::new(&mut byte)];
        let remote = [nix::sys::uio::RemoteIoVec { base: 0x1000, len: 1 }];
        no(nix::sys::uio::process_vm_readv(targets.other, &mut local, &remote))
    }),
    ("start a program", |_| io(Command::new("/bin/true").status().map(drop))),
    ("become root", |_| no(nix::unistd::setuid(nix::unistd::Uid::from_raw(0)))),
    ("leave its root directory", |_| no(nix::unistd::chroot("."))),
    ("make a pipe", |_| no(nix::unistd::pipe())),
    ("copy a descriptor", |_| io(io::stdout().as_fd().try_clone_to_owned().map(drop))),
];

/// What the outer fence alone keeps away from root: everything else of a worker is taken from it, so on a processor
/// without a list of system calls this is what is left.
const OUTER: &[Attempt] = &[
    ("open a file", |_| io(File::open("/etc/hostname").map(drop))),
    ("open its own directory", |_| io(File::open(".").map(drop))),
    ("open a file of /proc", |_| io(File::open("/proc/self/maps").map(drop))),
    ("list a directory", |_| io(std::fs::read_dir("/").map(drop))),
    ("create a file", |_| io(File::create("/tmp/threaddump-fence").map(drop))),
    ("make a directory", |_| io(std::fs::create_dir("/tmp/threaddump-fence"))),
    ("make a link", |_| io(std::os::unix::fs::symlink("/", "/tmp/threaddump-fence"))),
    ("remove a file", |_| io(std::fs::remove_file("/tmp/threaddump-fenced"))),
    ("rename a file", |_| io(std::fs::rename("/tmp/threaddump-fenced", "/tmp/threaddump-fence"))),
    ("cut a file", |_| no(nix::unistd::truncate("/tmp/threaddump-fenced", 0))),
    ("start a program", |_| io(Command::new("/bin/true").status().map(drop))),
    ("trace another process", |targets| {
        no(nix::sys::ptrace::seize(targets.other, nix::sys::ptrace::Options::empty()))
    }),
    ("listen at a port", |_| io(std::net::TcpListener::bind("127.0.0.1:0").map(drop))),
    ("connect to a port", |_| match TcpStream::connect("127.0.0.1:9") {
        // It has tried.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        other => io(other.map(drop)),
    }),
    ("signal another process", |targets| no(nix::sys::signal::kill(targets.other, None))),
    ("signal its parent", |targets| no(nix::sys::signal::kill(targets.parent, None))),
];

/// What it does not keep away, where the kernel has all of it.
fn outer_fence(targets: Targets) -> Vec<String> {
    std::fs::write("/tmp/threaddump-fenced", "x").expect("/tmp can be written");
    let fenced = |attempt: &dyn Fn() -> Result<(), String>| {
        in_child(|| match limit_reach() {
            Err(error) => Err(format!("could not be fenced: {error}")),
            Ok(false) => Err("there is no such fence".to_owned()),
            Ok(true) => attempt(),
        })
    };
    let mut wrong = Vec::new();
    if fenced(&|| Ok(())) != "done" || fenced(&|| OUTER[14].1(targets)) == "done" {
        record::skip(
            "crash fence: the outer fence alone",
            "this kernel has no Landlock, or not all of it (Linux 6.12)",
        );
    } else {
        for (name, attempt) in OUTER {
            let inside = fenced(&|| attempt(targets));
            println!("root, the outer fence alone: {name}: {inside}");
            if inside == "done" || inside.contains("could not") {
                wrong.push(format!("{name}: {inside}"));
            }
        }
        if fenced(&with_threads) != "done" {
            wrong.push("it cannot start threads".to_owned());
        }
    }
    let _ = std::fs::remove_file("/tmp/threaddump-fenced");
    wrong
}

fn mode() -> nix::sys::stat::Mode {
    nix::sys::stat::Mode::S_IRUSR
}

fn follow() -> nix::sys::stat::FchmodatFlags {
    nix::sys::stat::FchmodatFlags::FollowSymlink
}

fn io(result: io::Result<()>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

fn no<T>(result: Result<T, Errno>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    if !nix::unistd::geteuid().is_root() {
        record::skip("crash fence", "giving up rights needs root");
        return;
    }
    let sleeper = Command::new("setpriv")
        .args(["--reuid", "4242", "--regid", "4242", "--clear-groups", "sleep", "600"])
        .spawn()
        .expect("setpriv is installed");
    let sleeper = Killed(sleeper);
    let targets = Targets { other: Pid::from_raw(sleeper.0.id() as i32), parent: Pid::this() };
    let mut wrong = Vec::new();
    for (user, dumpable) in [(4242, 1), (0, 1), (4242, 2)] {
        for &(name, attempt) in ATTEMPTS {
            let inside = confined(&event(user, dumpable), || attempt(targets));
            println!("user {user}, dumpable {dumpable}: {name}: {inside}");
            if inside == "done" || inside.contains("could not") {
                wrong.push(format!("{name} as user {user}: {inside}"));
            }
        }
        let text = confined(&event(user, dumpable), || Ok(()));
        assert_eq!(text, "done", "it can compute, and write into its pipe");
        let text = confined(&event(user, dumpable), with_threads);
        assert_eq!(text, "done", "it can start threads and use memory");
    }
    let outer = outer_fence(targets);
    wrong.extend(opener());
    wrong.extend(endless_child());
    drop(sleeper);
    let _ = std::fs::remove_file("/tmp/threaddump-fence");
    let _ = std::fs::remove_dir("/tmp/threaddump-fence");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(outer.is_empty(), "{outer:#?}");
    println!("test result: ok. {} attempts by 3 users failed", ATTEMPTS.len());
}

/// What the part that opens files cannot open: files of `/proc` that are there for those with rights, whatever their
/// modes say.
fn opener() -> Vec<String> {
    let only = |user: u32, attempt: &dyn Fn() -> Result<(), String>| {
        in_child(|| {
            let _user = only_open_as(user, user).map_err(|error| format!("could not: {error}"))?;
            attempt()
        })
    };
    let addresses = || {
        let mut text = [0; 4096];
        let length = File::open("/proc/kallsyms").and_then(|mut file| file.read(&mut text));
        let shown = text[..length.unwrap_or(0)].split(|&byte| byte == b'\n').any(|line| {
            line.first().is_some_and(u8::is_ascii_hexdigit) && !line.starts_with(b"0000000000000000 ")
        });
        if shown { Ok(()) } else { Err("there are none".to_owned()) }
    };
    let maps = || io(File::open("/proc/1/maps").map(drop));
    let mut wrong = Vec::new();
    for user in [4242, 0] {
        let (addresses, hosts) =
            (only(user, &addresses), only(user, &|| io(File::open("/etc/hostname").map(drop))));
        println!("user {user}, opening files: addresses of the kernel: {addresses}; a file of all: {hosts}");
        if addresses == "done" || hosts != "done" {
            wrong.push(format!("opening files as user {user}: {addresses}, {hosts}"));
        }
    }
    let maps = only(4242, &maps);
    println!("user 4242, opening files: the mappings of process 1: {maps}");
    wrong.extend(Some(format!("the mappings of process 1: {maps}")).filter(|_| maps == "done"));
    wrong
}

/// One that does not end is not waited for.
fn endless_child() -> Option<String> {
    let child = fork::child(|| {
        std::thread::sleep(std::time::Duration::from_secs(600));
        0
    });
    let child = child.expect("one thread");
    let ended = fork::wait(child, std::time::Duration::from_millis(50));
    fork::end(child);
    let gone = nix::sys::signal::kill(Pid::from_raw(child.0), None);
    (ended.is_some() || gone.is_ok()).then(|| format!("a child that does not end: {ended:?}, {gone:?}"))
}

fn with_threads() -> Result<(), String> {
    let sums: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || vec![n; 1 << 20].iter().sum())).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    if sums.len() == 4 { Ok(()) } else { Err(format!("{sums:?}")) }
}

fn event(user: u32, dumpable: u32) -> Event {
    let facts = ["P=1", "I=1", "s=11", "t=1"].map(str::to_owned);
    let facts = facts.into_iter().chain([format!("u={user}"), format!("g={user}"), format!("d={dumpable}")]);
    let facts: Vec<String> = facts.collect();
    Event::parse(facts.iter().map(OsStr::new)).expect("complete")
}

/// Does something in a confined child; what came of it, in words.
fn confined(event: &Event, attempt: impl FnOnce() -> Result<(), String>) -> String {
    in_child_with(attempt, |pipe| match confine(event, &[pipe.as_raw_fd()]) {
        Ok(fences) if fences.is_none() => Err("could not be fenced".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("could not be confined: {error}")),
    })
}

fn in_child(attempt: impl FnOnce() -> Result<(), String>) -> String {
    in_child_with(attempt, |_| Ok(()))
}

fn in_child_with(
    attempt: impl FnOnce() -> Result<(), String>,
    before: impl FnOnce(&OwnedFd) -> Result<(), String>,
) -> String {
    let (read, write) = nix::unistd::pipe().expect("a pipe");
    let child = fork::child(|| {
        let pipe: &OwnedFd = &write;
        if let Err(error) = before(pipe) {
            let _ = nix::unistd::write(pipe, error.as_bytes());
            return 1;
        }
        let text = attempt().map_or_else(|error| error, |()| "done".to_owned());
        let _ = nix::unistd::write(pipe, text.as_bytes());
        0
    });
    let child = child.expect("one thread");
    drop(write);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).expect("a pipe");
    match waitpid(Pid::from_raw(child.0), None).expect("our child") {
        WaitStatus::Exited(_, 0) => text,
        other => format!("{text} ({other:?})"),
    }
}
