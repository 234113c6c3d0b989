//! What the processes of the handler say to each other, for tests with arbitrary bytes: whoever parses the memory
//! of a crashed process may have been taken over by it.
use std::io::{self, Read};

use super::broker::{Answer, Request};
use super::frames::{Incoming, Output};

/// Reads a pipe to its end as from a worker: JSON, text and facts, and whether the process may go. `None` for what
/// no worker says, or not to its end.
pub fn frames(mut pipe: impl Read) -> Option<(bool, [Vec<u8>; 3])> {
    let mut incoming = Incoming::default();
    while incoming.read(&mut pipe).ok()? {}
    let released = incoming.released;
    let Output { json, text, facts } = incoming.finish()?;
    Some((released, [json, text, facts]))
}

/// Whether a message asks for something. What is understood has one form.
pub fn request(bytes: &[u8]) -> bool {
    let request = Request::decode(bytes);
    if let Some(request) = &request {
        assert_eq!(request.encode(), bytes, "there is one way to say it");
    }
    request.is_some()
}

/// The number of answers in a message.
pub fn answers(bytes: &[u8]) -> usize {
    let answers = Answer::decode_all(bytes);
    let mut again = Vec::new();
    answers.iter().for_each(|answer| answer.encode(&mut again));
    assert!(Answer::decode_all(&again).len() == answers.len(), "they can be said again");
    answers.len()
}

/// Gives one byte at a time, as a pipe may.
#[derive(Debug)]
pub struct Slow<'a>(pub &'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}
