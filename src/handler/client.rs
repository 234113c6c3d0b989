//! The worker's side of the broker: asks, and gets open files.
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::broker::{Answer, MAX_MESSAGE, Request};
use super::folders::{Folders, Wanted};
use crate::images::OpenFiles;
use crate::snapshot::Module;
use crate::sys::descriptors;

/// The connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: OwnedFd,
    pub(super) folders: Folders,
}

impl Client {
    /// Asks for one thing; the answers in the order of the broker.
    fn ask(&self, request: &Request<'_>) -> io::Result<Vec<(io::Result<File>, bool)>> {
        descriptors::send(self.socket.as_fd(), &request.encode(), &[])?;
        let mut buffer = [0; MAX_MESSAGE];
        let (length, passed) = descriptors::receive(self.socket.as_fd(), &mut buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut passed = passed.into_iter().map(File::from);
        let answers = Answer::decode_all(&buffer[..length]).into_iter();
        Ok(answers
            .filter_map(|answer| {
                Some(match answer {
                    Answer::File { inside } => (Ok(passed.next()?), inside),
                    Answer::Refused { inside, why } => (Err(io::Error::other(why)), inside),
                })
            })
            .collect())
    }
}

impl Client {
    /// The perf map of this number; `None` if there is none.
    pub(super) fn perf_map(&self, place: usize) -> Option<io::Result<File>> {
        match self.ask(&Request::PerfMap(place)) {
            Ok(answers) => answers.into_iter().next().map(|(file, _)| file),
            Err(error) => Some(Err(error)),
        }
    }
}

impl OpenFiles for Client {
    fn module(&self, module: &Module) -> io::Result<File> {
        let answers = self.ask(&Request::Module((module.device, module.inode)))?;
        answers.into_iter().next().map_or(Err(io::ErrorKind::NotFound.into()), |(file, _)| file)
    }

    fn everywhere(&self, path: &Path) -> Vec<(io::Result<File>, bool)> {
        let answers = match self.folders.find(path) {
            Some(Wanted::BuildId(place, id)) => self.ask(&Request::BuildId(place, &id)),
            Some(Wanted::Named(place, name)) => self.ask(&Request::Named(place, name.as_bytes())),
            None => match Request::split(path.as_os_str().as_bytes()) {
                Some(request) => self.ask(&request),
                None => return Vec::new(),
            },
        };
        answers.unwrap_or_else(|error| vec![(Err(error), false)])
    }
}
