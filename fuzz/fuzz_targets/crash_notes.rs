//! The core that the kernel writes into the handler's standard input, of a process of which nothing else is known:
//! read, made a snapshot of, and reported.
#![no_main]

#[path = "../common/panics.rs"]
mod panics;

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use threaddump::collect::crash::{Event, Held, Limits, Origin, has_registers, read_notes};
use threaddump::dump::{Options, replay};
use threaddump::report::{Style, json, text};
use threaddump::snapshot::file::{load, save};

fuzz_target!(|data: &[u8]| {
    panics::allow_caught_ones_of_libraries();
    // A pipe holds more than the longest input.
    let Ok((read, mut write)) = std::io::pipe() else { return };
    write.write_all(&data[..data.len().min(1 << 15)]).expect("there is room");
    drop(write);
    let mut input = File::from(OwnedFd::from(read));
    let deadline = Instant::now() + Duration::from_secs(5);
    let (notes, trouble) = read_notes(&mut input, deadline);
    assert!(data.starts_with(&notes));
    assert!(trouble.is_none() || notes.len() <= data.len());
    let can_be_used = has_registers(&notes);
    let words = ["P=10", "I=12", "s=11", "t=1700000000", "u=1000", "g=100", "d=1", "e=x"];
    let event = Event::parse(words.map(OsStr::new)).expect("it is whole");
    let limits = Limits { deadline, stack_bytes: None };
    let snapshot = Held::empty(event).snapshot(Origin::Notes(notes), &limits);
    assert_eq!(snapshot.threads.is_empty(), !can_be_used);
    let mut saved = Vec::new();
    save(&snapshot, &mut saved).expect("a vector takes everything");
    load(&mut &saved[..]).expect("what was saved can be loaded");
    let report = replay(&snapshot, &Options::with_debug_dirs(None));
    let mut out = Vec::new();
    text::write(&report, &Style::PLAIN, &mut out).expect("a vector takes everything");
    json::write(&report, &mut out).expect("a vector takes everything");
});
