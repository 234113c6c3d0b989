//! The other end of what the relay serves: requests of a fixed size, and answers that are hostile, since the
//! process writes them. Every length is limited before anything is kept.
use std::io::{self, Read, Write};

use threaddump_arch::{Arch, Registers};

const MAGIC: &[u8; 8] = b"tdrelay\0";
const VERSION: u32 = 1;
const HELLO: usize = 24;
/// Kinds of requests.
const MAPS: u32 = 1;
const AUXV: u32 = 2;
const SYSCALL: u32 = 3;
const READ: u32 = 4;
const HOLD: u32 = 5;
const RELEASE: u32 = 6;
/// Bytes of a record before the saved context: thread, what became of it, thread pointer.
const HEAD: usize = 16;
/// Longest saved context of a thread.
const MAX_CONTEXT: usize = 4096;
/// Most threads.
const MAX_THREADS: usize = 1 << 16;
/// Longest file; a map of a million lines has as much.
const MAX_FILE: usize = 128 << 20;
/// Most bytes of memory asked for at once.
const MAX_READ: usize = 32 << 20;

/// What became of asking a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It holds still.
    Held,
    /// It blocks the signal.
    Blocks,
    /// It did not answer in time.
    Silent,
    /// It has ended.
    Gone,
}

/// A thread, as the relay tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Id in the pid namespace of the process.
    pub tid: i32,
    /// What became of asking it.
    pub answer: Answer,
    /// What it was interrupted with, if it holds still.
    pub registers: Option<Registers>,
}

/// A connection that was greeted.
#[derive(Debug)]
pub struct Session<S> {
    stream: S,
    arch: Arch,
    context: usize,
    pid: u32,
}

impl<S: Read + Write> Session<S> {
    /// Reads the greeting of a process, which is of this architecture if it does not say another.
    ///
    /// # Errors
    /// Those of reading; `InvalidData` if it is none, or of another version.
    pub fn open(mut stream: S, arch: Arch) -> io::Result<Session<S>> {
        let mut hello = [0; HELLO];
        stream.read_exact(&mut hello)?;
        let (pid, context) = (number(&hello, 12), number(&hello, 16) as usize);
        // `e_machine` and class of its ELF files.
        let (machine, class) = (number(&hello, 20) as u16, number(&hello, 20) >> 16);
        let arch = match class {
            0 => arch,
            _ => Arch::from_elf(machine, class == 2).ok_or_else(nonsense)?,
        };
        if hello[..8] != *MAGIC || number(&hello, 8) != VERSION || context > MAX_CONTEXT {
            return Err(nonsense());
        }
        Ok(Session { stream, arch, context, pid })
    }

    /// Architecture of the process.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Process id in its own pid namespace.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Its `/proc/PID/maps`.
    ///
    /// # Errors
    /// Those of the connection, which is of no use after any.
    pub fn maps(&mut self) -> io::Result<Vec<u8>> {
        self.file(MAPS, 0)
    }

    /// Its auxiliary vector.
    ///
    /// # Errors
    /// Those of the connection, which is of no use after any.
    pub fn auxv(&mut self) -> io::Result<Vec<u8>> {
        self.file(AUXV, 0)
    }

    /// `/proc/PID/task/TID/syscall` of a thread; empty if it cannot be read.
    ///
    /// # Errors
    /// Those of the connection, which is of no use after any.
    pub fn syscall(&mut self, tid: i32) -> io::Result<Vec<u8>> {
        self.file(SYSCALL, tid.cast_unsigned())
    }

    /// Copies from `address` until the buffer is full or the memory ends; gives the number of bytes.
    ///
    /// # Errors
    /// Those of the connection, which is of no use after any.
    pub fn read(&mut self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        for part in buffer.chunks_mut(MAX_READ) {
            let Some(at) = address.checked_add(done as u64) else { break };
            self.request(READ, 0, at, part.len() as u64)?;
            let copied = self.pieces_into(part)?;
            done += copied;
            if copied < part.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Has all threads hold still.
    ///
    /// # Errors
    /// Those of the connection, which is of no use after any.
    pub fn hold(&mut self) -> io::Result<Vec<Told>> {
        self.request(HOLD, 0, 0, 0)?;
        let mut count = [0; 4];
        self.stream.read_exact(&mut count)?;
        let count = number(&count, 0) as usize;
        if count > MAX_THREADS {
            return Err(nonsense());
        }
        let mut record = vec![0; HEAD + self.context];
        let mut threads = Vec::new();
        for _ in 0..count {
            self.stream.read_exact(&mut record)?;
            threads.push(parse(self.arch, &record)?);
        }
        Ok(threads)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// Those of the connection, which is of no use after any.
    pub fn release(&mut self) -> io::Result<()> {
        self.request(RELEASE, 0, 0, 0)?;
        self.stream.read_exact(&mut [0; 4])
    }

    fn request(&mut self, kind: u32, thread: u32, address: u64, length: u64) -> io::Result<()> {
        let first = u64::from(kind) | u64::from(thread) << 32;
        let words = [first, address, length].map(u64::to_le_bytes);
        self.stream.write_all(words.as_flattened())
    }

    /// The length of the next piece.
    fn piece(&mut self) -> io::Result<usize> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        Ok(number(&length, 0) as usize)
    }

    fn file(&mut self, kind: u32, thread: u32) -> io::Result<Vec<u8>> {
        self.request(kind, thread, 0, 0)?;
        let mut bytes = Vec::new();
        loop {
            let length = self.piece()?;
            if length == 0 {
                return Ok(bytes);
            }
            if length > MAX_FILE - bytes.len() {
                return Err(nonsense());
            }
            // Only what has come takes memory.
            if Read::by_ref(&mut self.stream).take(length as u64).read_to_end(&mut bytes)? != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn pieces_into(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let length = self.piece()?;
            if length == 0 {
                return Ok(done);
            }
            let place = buffer.get_mut(done..done.saturating_add(length)).ok_or_else(nonsense)?;
            self.stream.read_exact(place)?;
            done += length;
        }
    }
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the relay's answer makes no sense")
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn parse(arch: Arch, record: &[u8]) -> io::Result<Told> {
    let tid = i32::try_from(number(record, 0)).ok().filter(|&tid| tid > 0).ok_or_else(nonsense)?;
    let answer = match number(record, 4) {
        2 => Answer::Held,
        1 | 3 => Answer::Silent,
        4 => Answer::Blocks,
        5 => Answer::Gone,
        _ => return Err(nonsense()),
    };
    let pointer = u64::from(number(record, 8)) | u64::from(number(record, 12)) << 32;
    let registers = match answer {
        Answer::Held => registers(arch, record.get(HEAD..).unwrap_or_default(), pointer),
        _ => None,
    };
    Ok(Told { tid, answer, registers })
}

/// The registers in a saved context, and those that it has not in their own words.
fn registers(arch: Arch, context: &[u8], pointer: u64) -> Option<Registers> {
    let mut registers = arch.registers_from_signal_context(context)?;
    if arch == Arch::X86_64 {
        let selector = |at: usize| context.get(at..)?.first_chunk().map(|word| u16::from_le_bytes(*word));
        for (name, value) in [("cs", selector(184)), ("gs", selector(186)), ("fs", selector(188))] {
            set(&mut registers, name, value.map(u64::from));
        }
        set(&mut registers, "fs_base", Some(pointer).filter(|&pointer| pointer > 1));
    }
    Some(registers)
}

fn set(registers: &mut Registers, name: &str, value: Option<u64>) {
    let id = registers.arch().iter().find(|(_, info)| info.name == name).map(|(id, _)| id);
    if let (Some(id), Some(value)) = (id, value) {
        registers.set(id, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// Answers with these bytes, whatever is asked.
    struct Answers(Cursor<Vec<u8>>);

    impl Read for Answers {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Answers {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn session(answers: &[u8]) -> Session<Answers> {
        let numbers = [VERSION, 42, 192, 0].map(u32::to_le_bytes);
        let bytes = [MAGIC, numbers.as_flattened(), answers].concat();
        Session::open(Answers(Cursor::new(bytes)), Arch::X86_64).expect("a greeting")
    }

    fn pieces(bytes: &[u8], size: usize) -> Vec<u8> {
        let pieces = bytes.chunks(size.max(1));
        let mut all: Vec<u8> =
            pieces.flat_map(|piece| [&(piece.len() as u32).to_le_bytes()[..], piece].concat()).collect();
        all.extend([0; 4]);
        all
    }

    proptest! {
        #[test]
        fn what_is_sent_in_pieces_arrives_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
            size in 1_usize..700,
            room in 0_usize..6000,
        ) {
            let sent = pieces(&bytes, size);
            prop_assert_eq!(&session(&sent).maps().expect("whole"), &bytes);
            let mut buffer = vec![0; room];
            match session(&sent).read(0x1000, &mut buffer) {
                Ok(length) if room > 0 => {
                    prop_assert_eq!(length, bytes.len());
                    prop_assert_eq!(&buffer[..length], &bytes[..]);
                }
                Ok(length) => prop_assert_eq!(length, 0, "nothing was asked"),
                Err(_) => prop_assert!(bytes.len() > room, "more came than was asked for"),
            }
        }

        #[test]
        fn a_held_thread_has_the_registers_that_were_sent(words in prop::collection::vec(any::<u64>(), 24)) {
            let context: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let heads = [1_u32, 7, 2, 0x2000, 0].map(u32::to_le_bytes);
            let told = session(&[heads.as_flattened(), &context].concat()).hold().expect("a record");
            prop_assert_eq!((told.len(), told[0].tid, told[0].answer), (1, 7, Answer::Held));
            let registers = told[0].registers.as_ref().expect("a context");
            // `uc_mcontext` begins at word 5; rsp and rip are its words 15 and 16.
            prop_assert_eq!((registers.sp(), registers.pc()), (Some(words[20]), Some(words[21])));
        }

        #[test]
        fn no_answer_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Session::open(Answers(Cursor::new(bytes.clone())), Arch::X86_64);
            let mut session = session(&bytes);
            let _ = (session.hold(), session.maps(), session.read(1, &mut [0; 9]), session.release());
        }
    }
}
