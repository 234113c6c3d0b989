//! What `run` and `watch` have in common: dumps that are made while a process is followed.
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use super::Exit;
use super::args::FollowArgs;
use super::fetch::{Remark, debuginfod};
use super::output::{NewFile, is_special};
use super::pattern::{Pattern, Place};
use super::render::{Form, choose, style, warn};
use crate::collect::follow::{Options, Ticket};
use crate::collect::{self, Via};
use crate::crashes::{Limits, Store};
use crate::dump;
use crate::error::{Failure, plain};
use crate::proc::parse_status;
use crate::report::Report;
use crate::sys::signals::{Signals, take_over};
use crate::sys::spawn::Inherited;

/// Where dumps go that are not written to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Makes dumps and writes them, each as a whole.
#[derive(Debug)]
pub(super) struct Dumper<'a> {
    arguments: &'a FollowArgs,
    stream: Stream,
    pattern: Option<Pattern>,
    /// Where crashes are kept, if they are.
    store: Option<Store>,
    /// How each dump ended that was written.
    exits: Mutex<Vec<Exit>>,
}

impl<'a> Dumper<'a> {
    /// # Errors
    /// If the pattern is wrong, or the store cannot be used.
    pub(super) fn new(arguments: &'a FollowArgs, stream: Stream) -> Result<Dumper<'a>, Failure> {
        let path = arguments.render.output.as_deref().filter(|path| path.as_os_str() != "-");
        let pattern = path.map(Pattern::new).transpose()?;
        let store = arguments.store.as_ref().map(|path| open_store(path.as_deref())).transpose()?;
        Ok(Dumper { arguments, stream, pattern, store, exits: Mutex::default() })
    }

    /// Makes one dump.
    pub(super) fn dump(&self, ticket: Ticket) {
        let exit = self.try_dump(&ticket).unwrap_or_else(|failure| {
            self.tell(&failure);
            Exit::Nothing
        });
        self.exits.lock().unwrap_or_else(PoisonError::into_inner).push(exit);
    }

    /// The exit status of all dumps together; none at all is as it should be.
    pub(super) fn exit(self) -> Exit {
        let exits = self.exits.into_inner().unwrap_or_else(PoisonError::into_inner);
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
        self.write(&report, ticket)?;
        if let Some(store) = self.store.as_ref().filter(|_| report.signal.is_some()) {
            let stored = store.add(&report).map_err(|error| Failure::from(&error))?;
            render
                .say(|| format!("process {}: crash {}, seen {} times", ticket.pid, stored.id, stored.count));
        }
        if ticket.left_out > 0 {
            let what = format!("{} dumps before this one were left out", ticket.left_out);
            self.tell(&Failure::new(what).advise("those before them were still being written"));
            return Ok(Exit::Incomplete);
        }
        Ok(if report.complete { Exit::Complete } else { Exit::Incomplete })
    }

    fn write(&self, report: &Report, ticket: &Ticket) -> Result<(), Failure> {
        let Some(pattern) = &self.pattern else { return self.write_to_stream(report) };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let path = pattern.path(Place { pid: ticket.pid.0, time, number: ticket.number });
        let bytes = self.rendered(report, true, false, false)?;
        write_to_file(&path, &bytes)?;
        self.arguments.render.say(|| format!("process {}: dump {}", ticket.pid, path.display()));
        if !report.complete && !self.arguments.render.quiet {
            warn(report);
        }
        Ok(())
    }

    fn write_to_stream(&self, report: &Report) -> Result<(), Failure> {
        // Held until it is written, so that dumps do not mix.
        let exits = self.exits.lock().unwrap_or_else(PoisonError::into_inner);
        let first = exits.is_empty();
        let (terminal, what) = match self.stream {
            Stream::Stdout => (io::stdout().is_terminal(), "output"),
            Stream::Stderr => (io::stderr().is_terminal(), "error"),
        };
        let bytes = self.rendered(report, first, true, terminal)?;
        let wrote = match self.stream {
            Stream::Stdout => io::stdout().lock().write_all(&bytes).and_then(|()| io::stdout().flush()),
            Stream::Stderr => io::stderr().lock().write_all(&bytes),
        };
        match wrote {
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
}

/// A new file that is there as a whole, or not at all. Pipes and devices are written to as they are.
fn write_to_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink());
    if !is_link && is_special(path) {
        let mut file = OpenOptions::new().write(true).open(path);
        let wrote = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()));
        return wrote
            .and_then(|file| file.write_all(bytes))
            .map_err(|error| Failure::file("write", path, &error));
    }
    let mut file = NewFile::create_no_follow(path)?;
    file.write_all(bytes).map_err(|error| Failure::file("write", path, &error))?;
    file.keep()
}

fn open_store(path: Option<&Path>) -> Result<Store, Failure> {
    let path = path.map(Path::to_owned).or_else(Store::default_path).ok_or_else(|| {
        let failure = Failure::usage("cannot tell where crashes are to be kept: there is no home directory");
        failure.advise("set HOME or XDG_STATE_HOME, or give --store=DIR")
    })?;
    Store::create(&path, Limits::default()).map_err(|error| Failure::from(&error))
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
    ];
    wanted.extend(more);
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    take_over(&wanted, parse_status(&status).ignored.unwrap_or(0))
        .map_err(|error| Failure::new(format!("cannot take signals over: {}", plain(&error))))
}
