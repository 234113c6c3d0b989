//! What the worker says through its pipe: a letter, a length, and so many bytes. The other side looks into none
//! of these.
use std::fs::File;
use std::io::{self, Read, Write};

/// Bytes of one part that are taken, as in the store.
const MAX_PART: u64 = 256 << 20;
/// Bytes of the facts, which are a few lines.
const MAX_FACTS: u64 = 64 << 10;
/// Read at once, but for the first time: that is the word for which the process waits.
const CHUNK: usize = 256 << 10;

const RELEASED: u8 = b'R';
const JSON: u8 = b'J';
const TEXT: u8 = b'T';
const FACTS: u8 = b'F';
const END: u8 = b'E';
const HEADER: usize = 9;

/// The writing side.
#[derive(Debug)]
pub(super) struct Frames(pub(super) File);

impl Frames {
    fn send(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let mut header = [0; HEADER];
        header[0] = kind;
        header[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.write_all(&header)?;
        self.0.write_all(bytes)
    }

    /// The copy is made: the process may go.
    pub(super) fn released(&mut self) -> io::Result<()> {
        self.send(RELEASED, &[])
    }

    /// Everything.
    pub(super) fn result(&mut self, output: &Output) -> io::Result<()> {
        self.send(JSON, &output.json)?;
        self.send(TEXT, &output.text)?;
        self.send(FACTS, &output.facts)?;
        self.send(END, &[])
    }
}

/// A crash as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) json: Vec<u8>,
    pub(super) text: Vec<u8>,
    /// [`crate::crashes::Facts`] as they are handed on.
    pub(super) facts: Vec<u8>,
}

/// The reading side.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    buffer: Vec<u8>,
    output: Output,
    /// Whether the copy is made.
    pub(super) released: bool,
    ended: bool,
}

impl Incoming {
    /// Reads what is there; `false` at the end.
    ///
    /// # Errors
    /// As read(2); `InvalidData` for what no worker says.
    pub(super) fn read(&mut self, pipe: &mut impl Read) -> io::Result<bool> {
        let old = self.buffer.len();
        self.buffer.resize(old + if self.released { CHUNK } else { HEADER }, 0);
        let result = pipe.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => self.take()?,
        }
        Ok(true)
    }

    fn take(&mut self) -> io::Result<()> {
        let mut done = 0;
        while let Some(header) = self.buffer.get(done..done + HEADER) {
            let (kind, mut length) = (header[0], [0; 8]);
            length.copy_from_slice(&header[1..]);
            let length = u64::from_le_bytes(length);
            // Nobody has a report before the copy is made.
            let most = match kind {
                JSON | TEXT if self.released => MAX_PART,
                FACTS if self.released => MAX_FACTS,
                _ => 0,
            };
            let fits = usize::try_from(length).ok().filter(|_| length <= most && !self.ended);
            let length = fits.ok_or(io::ErrorKind::InvalidData)?;
            let Some(bytes) = self.buffer.get(done + HEADER..done + HEADER + length) else { break };
            match kind {
                RELEASED => self.released = true,
                JSON => self.output.json = bytes.to_vec(),
                TEXT => self.output.text = bytes.to_vec(),
                FACTS => self.output.facts = bytes.to_vec(),
                END => self.ended = true,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            done += HEADER + length;
        }
        self.buffer.drain(..done);
        Ok(())
    }

    /// What was said, if it was said to its end.
    pub(super) fn finish(self) -> Option<Output> {
        self.ended.then_some(self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(bytes: &[u8]) -> io::Result<(bool, Option<Output>)> {
        let (read, write) = nix::unistd::pipe()?;
        File::from(write).write_all(bytes)?;
        let (mut incoming, mut pipe) = (Incoming::default(), File::from(read));
        while incoming.read(&mut pipe)? {}
        Ok((incoming.released, incoming.finish()))
    }

    fn sent(output: &Output) -> Vec<u8> {
        let (read, write) = nix::unistd::pipe().expect("a pipe");
        let mut frames = Frames(File::from(write));
        frames.released().expect("room");
        frames.result(output).expect("room");
        drop(frames);
        let mut bytes = Vec::new();
        File::from(read).read_to_end(&mut bytes).expect("a pipe");
        bytes
    }

    fn output() -> Output {
        Output { json: b"{}".to_vec(), text: vec![7; 1000], facts: b"{}".to_vec() }
    }

    #[test]
    fn what_is_said_comes_over() {
        assert_eq!(through(&sent(&output())).expect("understood"), (true, Some(output())));
    }

    #[test]
    fn half_of_it_is_nothing() {
        let bytes = sent(&output());
        for length in 0..bytes.len() {
            let (_, whole) = through(&bytes[..length]).expect("understood");
            assert_eq!(whole, None, "{length}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [
            &b"X\0\0\0\0\0\0\0\0"[..],
            b"J\xff\xff\xff\xff\xff\xff\xff\xff",
            b"E\0\0\0\0\0\0\0\0E\0\0\0\0\0\0\0\0",
            b"R\x01\0\0\0\0\0\0\0x",
            b"J\x01\0\0\0\0\0\0\0x",
            b"R\0\0\0\0\0\0\0\0F\x01\0\x01\0\0\0\0\0",
        ] {
            assert!(through(bytes).is_err(), "{bytes:?}");
        }
    }
}
