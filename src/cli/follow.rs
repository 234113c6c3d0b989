//! What `run` and `watch` have in common: dumps that are made while a process is followed.
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::Exit;
use super::args::FollowArgs;
use super::fetch::{Remark, debuginfod};
use super::output::{NewFile, is_special};
use super::pattern::{Pattern, Place};
use super::render::{Form, choose, style, warn};
use super::settings;
use crate::collect::follow::{Making, Options, Ticket, asks_to_end};
use crate::collect::{self, Via};
use crate::crashes::Store;
use crate::dump;
use crate::error::{Failure, plain};
use crate::proc::parse_status;
use crate::report::Report;
use crate::sys::signals::{Signals, take_over};
use crate::sys::spawn::Inherited;
use crate::sys::start;

/// Bytes that are written at once.
const PIECE: usize = 4096;
/// An output that takes nothing for so long is not read.
const STUCK: Duration = Duration::from_secs(1);
/// How often that is looked at, in milliseconds.
const OFTEN: u8 = 50;

/// Where dumps go that are not written to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Makes dumps and writes them, each as a whole.
#[derive(Debug)]
pub(super) struct Dumper {
    arguments: FollowArgs,
    stream: Stream,
    pattern: Option<Pattern>,
    /// Where crashes are kept, if they are.
    store: Option<Store>,
    /// How each dump ended that was written.
    exits: Mutex<Vec<Exit>>,
    /// Whether something is on the stream already; held while a dump is written to it.
    begun: Mutex<bool>,
    /// The dumps that are being written, and when each last got on.
    writing: Mutex<HashMap<u64, Instant>>,
}

impl Dumper {
    /// # Errors
    /// If the pattern is wrong, or the store cannot be used.
    pub(super) fn new(arguments: &FollowArgs, stream: Stream) -> Result<Arc<Dumper>, Failure> {
        let path = arguments.render.output.as_deref().filter(|path| path.as_os_str() != "-");
        let pattern = path.map(Pattern::new).transpose()?;
        let store = arguments.store.as_ref().map(|path| open_store(path.as_deref())).transpose()?;
        let arguments = arguments.clone();
        let (exits, begun, writing) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Arc::new(Dumper { arguments, store, stream, pattern, exits, begun, writing }))
    }

    /// Makes one dump.
    pub(super) fn dump(&self, ticket: &Ticket) {
        let exit = self.try_dump(ticket).unwrap_or_else(|failure| {
            self.tell(&failure);
            Exit::Nothing
        });
        lock(&self.writing).remove(&ticket.number);
        lock(&self.exits).push(exit);
    }

    /// The exit status of all dumps together; none at all is as it should be.
    pub(super) fn exit(&self) -> Exit {
        let exits = lock(&self.exits);
        if exits.is_empty() { Exit::Complete } else { Exit::of_all(&exits) }
    }

    fn try_dump(&self, ticket: &Ticket) -> Result<Exit, Failure> {
        let render = &self.arguments.render;
        let options = collect::Options {
            timeout: self.arguments.timeout,
            stack_bytes: self.arguments.stack_bytes,
            threads: Vec::new(),
            via: Via::Ptrace,
            kernel: false,
            interrupted: None,
        };
        let start = Instant::now();
        let mut how = render.dump_options();
        how.debuginfod = debuginfod(render, &Remark::default());
        let report = dump::followed(ticket, &options, &how, |snapshot, _| {
            let held = snapshot.pause_ns.unwrap_or(0) / 1000;
            let (pid, took) = (ticket.pid, start.elapsed());
            render.say(|| format!("process {pid}: copied in {took:?}, held for {held} µs"));
            choose(snapshot, &render.threads)?;
            Ok::<(), Failure>(())
        })?;
        let written = self.write(&report, ticket);
        if let Some(store) = self.store.as_ref().filter(|_| report.signal.is_some()) {
            let stored = store.add(&report).map_err(|error| Failure::from(&error))?;
            render
                .say(|| format!("process {}: crash {}, seen {} times", ticket.pid, stored.id, stored.count));
        }
        let is_where_asked = written?;
        if ticket.left_out > 0 {
            let what = format!("{} dumps before this one were left out", ticket.left_out);
            self.tell(&Failure::new(what).advise("those before them were still being written"));
            return Ok(Exit::Incomplete);
        }
        Ok(if report.complete && is_where_asked { Exit::Complete } else { Exit::Incomplete })
    }

    /// Whether it is where it was asked for.
    fn write(&self, report: &Report, ticket: &Ticket) -> Result<bool, Failure> {
        let Some(pattern) = &self.pattern else {
            return self.write_to_stream(report, ticket.number).map(|()| true);
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let path = pattern.path(Place { pid: ticket.pid.0, time, number: ticket.number });
        let bytes = self.rendered(report, true, false, false)?;
        if let Err(failure) = self.write_to_file(&path, &bytes, ticket.number) {
            // A program crashes only once.
            self.tell(&failure);
            return self.write_to_stream(report, ticket.number).map(|()| false);
        }
        self.arguments.render.say(|| format!("process {}: dump {}", ticket.pid, path.display()));
        if !report.complete && !self.arguments.render.quiet {
            warn(report);
        }
        Ok(true)
    }

    fn write_to_stream(&self, report: &Report, number: u64) -> Result<(), Failure> {
        // One may be blocked with the lock in its hands.
        self.gets_on(number);
        let mut begun = lock(&self.begun);
        let (what, file) = match self.stream {
            Stream::Stdout => ("output", own_copy(io::stdout().as_fd(), 1)),
            Stream::Stderr => ("error", own_copy(io::stderr().as_fd(), 2)),
        };
        let terminal = file.as_ref().is_ok_and(IsTerminal::is_terminal);
        let bytes = self.rendered(report, !*begun, true, terminal)?;
        *begun = true;
        match file.and_then(|mut file| self.write_out(&mut file, &bytes, number)) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("cannot write to standard {what}: {}", plain(&error))))
            }
            _ => Ok(()),
        }
    }

    fn rendered(
        &self,
        report: &Report,
        first: bool,
        lines: bool,
        terminal: bool,
    ) -> Result<Vec<u8>, Failure> {
        let render = &self.arguments.render;
        let form = Form { format: render.format, style: style(render.color, terminal), lines };
        let mut bytes = Vec::new();
        let wrote = form.write(report, first, &mut bytes);
        wrote.map_err(|error| Failure::new(format!("cannot write a dump: {}", plain(&error))))?;
        Ok(bytes)
    }

    fn tell(&self, failure: &Failure) {
        if !self.arguments.render.quiet {
            failure.print();
        }
    }

    /// Notes that the output of a dump takes what it is given, or is about to be asked to.
    fn gets_on(&self, number: u64) {
        lock(&self.writing).insert(number, Instant::now());
    }

    fn write_out(&self, out: &mut dyn Write, bytes: &[u8], number: u64) -> io::Result<()> {
        bytes.chunks(PIECE).try_for_each(|piece| {
            self.gets_on(number);
            out.write_all(piece)
        })
    }

    /// A new file that is there as a whole, or not at all. Pipes and devices are written to as they are.
    fn write_to_file(&self, path: &Path, bytes: &[u8], number: u64) -> Result<(), Failure> {
        self.gets_on(number);
        let wrong = |error: io::Error| Failure::file("write", path, &error);
        let is_link = std::fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink());
        if !is_link && is_special(path) {
            // Opening a pipe waits for its reader.
            let file = OpenOptions::new().write(true).open(path);
            return file.and_then(|mut file| self.write_out(&mut file, bytes, number)).map_err(wrong);
        }
        let mut file = NewFile::create_no_follow(path)?;
        self.write_out(&mut file, bytes, number).map_err(wrong)?;
        file.keep()
    }

    /// Waits until all dumps are written. Once somebody has asked this program to end, by a signal before or
    /// by one that comes now, what does not get on any more is given up; at the next signal everything is.
    pub(super) fn finish(&self, making: &Making, signals: &Signals, mut asked: bool) {
        while making.count() > 0 {
            let mut fds = [PollFd::new(signals.fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, OFTEN);
            for _ in signals.read().into_iter().filter(|&sent| asks_to_end(sent)) {
                if asked {
                    return self.give_up(making.count());
                }
                asked = true;
            }
            let writing = lock(&self.writing);
            let stuck = writing.values().filter(|since| since.elapsed() >= STUCK).count();
            if asked && stuck > 0 && stuck == making.count() {
                return self.give_up(stuck);
            }
        }
    }

    fn give_up(&self, count: usize) {
        lock(&self.exits).push(Exit::Nothing);
        let plural = if count == 1 { " was" } else { "s were" };
        let message = format!("{count} dump{plural} not written: nobody reads the output\n");
        // One of those may be blocked with the lock of standard error in its hands, and so would we be.
        let stderr = io::stderr();
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        let is_ready = poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        if is_ready && !self.arguments.render.quiet {
            let file = own_copy(stderr.as_fd(), 2);
            let _ = file.and_then(|mut file| write!(file, "threaddump: {message}"));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A standard descriptor without the lock that goes with it, which one blocked write would keep from all.
fn own_copy(stream: BorrowedFd<'_>, number: usize) -> io::Result<File> {
    if start::closed()[number] {
        return Err(io::Error::from_raw_os_error(nix::libc::EBADF));
    }
    stream.try_clone_to_owned().map(File::from)
}

fn open_store(path: Option<&Path>) -> Result<Store, Failure> {
    let path = path.map(Path::to_owned).or_else(Store::default_path).ok_or_else(|| {
        let failure = Failure::usage("cannot tell where crashes are to be kept: there is no home directory");
        failure.advise("set HOME or XDG_STATE_HOME, or give --store=DIR")
    })?;
    let (settings, problems) = settings::read(None);
    problems.into_iter().for_each(|problem| Failure::new(problem).print());
    Store::create(&path, settings.limits()).map_err(|error| Failure::from(&error))
}

impl FollowArgs {
    /// How to follow.
    pub(super) fn options(&self) -> Options {
        Options { forward: self.forward, once: self.once, children: self.children }
    }
}

/// Takes over what the terminal and others send to this program.
///
/// # Errors
/// If the kernel does not allow it.
pub(super) fn take_signals(more: &[Signal]) -> Result<(Signals, Inherited), Failure> {
    let mut wanted = vec![
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGCONT,
    ];
    wanted.extend(more);
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    take_over(&wanted, parse_status(&status).ignored.unwrap_or(0))
        .map_err(|error| Failure::new(format!("cannot take signals over: {}", plain(&error))))
}
