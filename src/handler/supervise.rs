//! Starts worker and broker, lets the process go when the copy is made, and ends both in time.
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::WaitStatus;

use super::broker::Broker;
use super::folders::Folders;
use super::frames::{Incoming, Output};
use super::queue::Queue;
use super::{Hold, Options, connection, spare, worker};
use crate::collect::crash::{Held, Limits, Origin};
use crate::crashes::Facts;
use crate::ids::Pid;
use crate::sys::{descriptors, fork, privileges};

/// How long the end of a worker is waited for that has closed its pipe. Its memory may be large.
const GRACE: Duration = Duration::from_secs(5);

/// A crash to be stored.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) output: Output,
    pub(super) facts: Option<Facts>,
    /// Why it is less than it could be.
    pub(super) trouble: Option<String>,
}

/// Does everything between the registers and the result.
pub(super) fn run(
    held: &mut Held,
    origin: Origin,
    mut hold: Hold,
    limits: &Limits,
    (began, queue): (Instant, &Queue),
    options: &Options,
) -> Outcome {
    let folders = Folders::of(&held.files, &options.dump.images.debug_dirs);
    let (origin, result) = match start(held, origin, &folders, (limits, began), options) {
        Ok((origin, mut team)) => {
            let result = team.attend(&mut hold, &origin, (limits.deadline, queue), options);
            // First, since they may wait for a file system that the process serves.
            hold.let_go(&origin, options.chain.as_ref());
            let result = result.and_then(|incoming| incoming.finish().ok_or_else(|| team.why_it_ended()));
            (origin, result)
        }
        Err((origin, error)) => (origin, Err(format!("the processes for that cannot be started: {error}"))),
    };
    hold.let_go(&origin, options.chain.as_ref());
    let checked = result.and_then(|output| match Facts::decode(&output.facts) {
        Ok(facts) => Ok(Outcome { output, facts: Some(facts), trouble: None }),
        Err(error) => Err(error.to_string()),
    });
    let mut outcome = checked.unwrap_or_else(|why| {
        let output = spare::output(held, origin, limits, &why, &options.dump);
        let facts = Facts::decode(&output.facts).ok();
        Outcome { output, facts, trouble: Some(why) }
    });
    outcome.trouble = outcome.trouble.or(hold.trouble);
    outcome
}

/// The processes that work for us.
#[derive(Debug)]
struct Team {
    worker: Option<Pid>,
    broker: Option<Pid>,
    pipe: File,
    /// Tells the worker that it is its turn.
    turn: Option<File>,
}

fn start(
    held: &mut Held,
    origin: Origin,
    folders: &Folders,
    (limits, began): (&Limits, Instant),
    options: &Options,
) -> Result<(Origin, Team), (Origin, io::Error)> {
    type Pair = (OwnedFd, OwnedFd);
    let ends = || -> io::Result<(Pair, Pair, Pair)> {
        let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC);
        Ok((connection()?, pipe()?, pipe()?))
    };
    let ((ours, theirs), (read, write), (wait, go)) = match ends() {
        Ok(ends) => ends,
        Err(error) => return Err((origin, error)),
    };
    let mut team = Team { worker: None, broker: None, pipe: File::from(read), turn: Some(File::from(go)) };
    let user = (held.event.reader(), if held.event.reader() == 0 { 0 } else { held.event.gid });
    // First, since the process waits for it.
    let mut slot = Some((origin, theirs, write, wait));
    let worker = fork::child(|| {
        let Some((origin, theirs, write, wait)) = slot.take() else { return fork::PANICKED };
        let ends = (theirs, folders, File::from(write), File::from(wait));
        worker::run(held, origin, (limits, began), ends, &options.dump)
            .map_or_else(|failed| failed as i32, |()| 0)
    });
    let origin = slot.take().map(|(origin, ..)| origin).unwrap_or(Origin::Notes(Vec::new()));
    let broker = || {
        let (root, ids, is_users) = (held.root.as_ref(), &held.map_ids(), held.event.is_users());
        let broker = Broker { files: &held.files, folders, root, user, is_users, ids };
        let mut kept: Vec<_> = held.files.iter().map(|file| file.place.as_raw_fd()).collect();
        kept.extend(held.root.as_ref().map(|root| root.as_fd().as_raw_fd()));
        kept.push(ours.as_raw_fd());
        // With that it also lets go of its copy of the core.
        let ready = descriptors::close_all_but(&kept).and_then(|()| privileges::end_with_parent());
        i32::from(ready.and_then(|()| broker.serve(&ours)).is_err())
    };
    let started = worker.and_then(|pid| {
        team.worker = Some(pid);
        fork::child(broker)
    });
    match started {
        Ok(pid) => {
            team.broker = Some(pid);
            Ok((origin, team))
        }
        Err(error) => Err((origin, error)),
    }
}

impl Team {
    /// Waits until no more is said. Lets the process go when the worker says so, or at the deadline.
    fn attend(
        &mut self,
        hold: &mut Hold,
        origin: &Origin,
        (deadline, queue): (Instant, &Queue),
        options: &Options,
    ) -> Result<Incoming, String> {
        let chain = options.chain.as_ref();
        let mut incoming = Incoming::default();
        let mut end = deadline + options.work;
        // While it works, no more than so many others do.
        let mut _turn = None;
        loop {
            let until = if hold.is_held() { deadline } else { end };
            match self.wait(until) {
                Ok(true) => {}
                Ok(false) if hold.is_held() => {
                    hold.let_go(origin, chain);
                    continue;
                }
                Ok(false) => return Err(format!("it took longer than {:?}", options.work)),
                Err(error) => return Err(format!("cannot wait for it: {error}")),
            }
            let goes_on = incoming.read(&mut self.pipe);
            if incoming.released {
                hold.let_go(origin, chain);
                if let Some(mut go) = self.turn.take() {
                    _turn = queue.work(Instant::now() + options.work).map_err(|busy| busy.to_string())?;
                    end = Instant::now() + options.work;
                    // Whether it is still there is seen by what it says.
                    let _ = go.write_all(b"g");
                }
            }
            match goes_on {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(format!("what came is not understood: {error}")),
            }
        }
        Ok(incoming)
    }

    /// Whether there is something to read before the time is over.
    fn wait(&self, until: Instant) -> io::Result<bool> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn why_it_ended(&mut self) -> String {
        let Some(pid) = self.worker else { return "there is no process for that".to_owned() };
        let rights = worker::Failed::Rights as i32;
        // It need not end because it has closed its pipe.
        let Some(status) = fork::wait(pid, GRACE) else {
            return "the process that unwinds says no more".to_owned();
        };
        self.worker = None;
        match status {
            WaitStatus::Signaled(_, signal, _) => {
                format!("the process that unwinds was ended by {signal}")
            }
            WaitStatus::Exited(_, fork::PANICKED) => "the process that unwinds has failed".to_owned(),
            WaitStatus::Exited(_, status) if status == rights => {
                "the process that unwinds could not give up its rights".to_owned()
            }
            WaitStatus::Exited(_, status) => {
                format!("the process that unwinds ended with status {status}")
            }
            _ => "the process that unwinds has ended".to_owned(),
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for pid in [self.worker.take(), self.broker.take()].into_iter().flatten() {
            // The worker has ended by itself, unless it took too long.
            if fork::wait(pid, Duration::ZERO).is_none() {
                fork::end(pid);
            }
        }
    }
}
