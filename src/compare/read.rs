//! Reading a dump from JSON, schema `threaddump/1`. What is read can come from anywhere: the size is limited,
//! the depth too (by serde_json, to 128), every number is checked, and nothing is guessed. Fields that are not
//! known are passed over, as the schema promises that there may be new ones.
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Deserializer, de};

use super::{Call, Dump, Frame, Thread};
use crate::ids::{Pid, Tid};

/// The largest file that is read: 100,000 threads with some frames each.
pub const MOST_BYTES: u64 = 512 << 20;

const SCHEMA: &str = "threaddump/1";

/// Why a file is no dump that can be compared.
#[derive(Debug)]
pub enum ReadError {
    /// It cannot be read.
    Io(io::Error),
    /// It is larger than [`MOST_BYTES`].
    TooLarge,
    /// There is more than one object in it.
    Several,
    /// It is of another schema.
    Schema(String),
    /// Anything else, in words.
    Wrong(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => write!(f, "{}", crate::error::plain(error)),
            ReadError::TooLarge => write!(f, "it has more than {} MiB", MOST_BYTES >> 20),
            ReadError::Several => write!(f, "it holds more than one dump"),
            ReadError::Schema(schema) => write!(f, "its schema is {schema:?}, not {SCHEMA:?}"),
            ReadError::Wrong(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads one dump.
///
/// # Errors
/// If it is none, or more than one.
pub fn read(mut input: impl Read) -> Result<Dump, ReadError> {
    let mut bytes = Vec::new();
    input.by_ref().take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(ReadError::TooLarge);
    }
    parse(&bytes)
}

/// Reads one dump from bytes.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8]) -> Result<Dump, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let wrong = |error: serde_json::Error| ReadError::Wrong(format!("it is no dump in JSON: {error}"));
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Head>();
    let head = values.next().ok_or_else(|| ReadError::Wrong("it is empty".to_owned()))?.map_err(wrong)?;
    let (first, rest) = bytes.split_at(values.byte_offset());
    if head.schema != SCHEMA {
        return Err(ReadError::Schema(head.schema.chars().take(40).collect()));
    }
    if !rest.iter().all(u8::is_ascii_whitespace) {
        return Err(ReadError::Several);
    }
    let raw: Raw = serde_json::from_slice(first).map_err(wrong)?;
    let mut seen = HashSet::with_capacity(raw.threads.len());
    for thread in &raw.threads {
        if thread.tid <= 0 || !seen.insert(thread.tid) {
            return Err(ReadError::Wrong(format!("thread {} is there twice, or cannot be", thread.tid)));
        }
    }
    if raw.process.pid <= 0 {
        return Err(ReadError::Wrong(format!("there cannot be a process {}", raw.process.pid)));
    }
    Ok(raw.into())
}

#[derive(Deserialize)]
struct Raw {
    captured_at: String,
    source: String,
    complete: bool,
    process: RawProcess,
    threads: Vec<RawThread>,
}

#[derive(Deserialize)]
struct RawProcess {
    pid: i32,
    name: String,
    exe: Option<String>,
    arch: String,
    start_time: Option<String>,
}

#[derive(Deserialize)]
struct RawThread {
    tid: i32,
    name: Option<String>,
    state: Option<char>,
    stopped: bool,
    syscall: Option<RawCall>,
    cpu_ns: Option<u64>,
    registers: RawRegisters,
    frames: Vec<RawFrame>,
    omitted: Option<RawOmitted>,
    end: String,
    problems: Vec<RawProblem>,
}

#[derive(Deserialize)]
struct RawCall {
    number: i64,
    name: Option<String>,
    args: [Hex; 6],
}

#[derive(Deserialize)]
struct RawOmitted {
    count: usize,
}

#[derive(Deserialize)]
struct RawProblem {
    message: String,
}

#[derive(Deserialize)]
struct RawFrame {
    pc: Hex,
    module: Option<String>,
    module_offset: Option<Hex>,
    function: Option<String>,
    function_offset: Option<u64>,
    file: Option<String>,
    line: Option<u32>,
    inlined: bool,
    how: String,
}

/// `"0x…"`, as it is written: lower case, and no zeros before it.
#[derive(Clone, Copy)]
struct Hex(u64);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hex, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Hex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an address as \"0x1f\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex, E> {
                let value = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
                let value = value.filter(|value| format!("{value:#x}") == text);
                value.map(Hex).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// An object in the order in which it is written.
struct RawRegisters(Vec<(String, u64)>);

impl<'de> Deserialize<'de> for RawRegisters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawRegisters, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = RawRegisters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object with registers")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<RawRegisters, A::Error> {
                let mut registers: Vec<(String, u64)> = Vec::new();
                while let Some((name, Hex(value))) = map.next_entry::<String, Hex>()? {
                    // No architecture has more, and they are looked for one by one.
                    if registers.len() >= 128 || registers.iter().any(|(known, _)| *known == name) {
                        return Err(de::Error::custom("a register is there twice, or there are too many"));
                    }
                    registers.push((name, value));
                }
                Ok(RawRegisters(registers))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl From<Raw> for Dump {
    fn from(raw: Raw) -> Dump {
        let process = raw.process;
        Dump {
            captured_at: raw.captured_at,
            source: raw.source,
            complete: raw.complete,
            pid: Pid(process.pid),
            name: process.name,
            exe: process.exe,
            arch: process.arch,
            start_time: process.start_time,
            threads: raw.threads.into_iter().map(Thread::from).collect(),
        }
    }
}

impl From<RawThread> for Thread {
    fn from(raw: RawThread) -> Thread {
        let call = |call: RawCall| Call {
            number: call.number,
            name: call.name,
            args: call.args.map(|Hex(value)| value),
        };
        Thread {
            tid: Tid(raw.tid),
            name: raw.name,
            state: raw.state,
            stopped: raw.stopped,
            syscall: raw.syscall.map(call),
            cpu_ns: raw.cpu_ns,
            registers: raw.registers.0,
            frames: raw.frames.into_iter().map(Frame::from).collect(),
            omitted: raw.omitted.map_or(0, |omitted| omitted.count),
            end: raw.end,
            problems: raw.problems.into_iter().map(|problem| problem.message).collect(),
        }
    }
}

impl From<RawFrame> for Frame {
    fn from(raw: RawFrame) -> Frame {
        Frame {
            pc: raw.pc.0,
            module: raw.module,
            module_offset: raw.module_offset.map(|Hex(value)| value),
            function: raw.function,
            function_offset: raw.function_offset,
            file: raw.file,
            line: raw.line,
            inlined: raw.inlined,
            how: raw.how,
        }
    }
}
