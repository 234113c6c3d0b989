//! How many crashes are handled at the same time, by all handlers together: who may copy, who may unwind, and
//! who waits. And a note about each crash for as long as it is handled, so that one whose handler is ended from
//! outside is not lost without a word.
mod memory;
mod slots;

use std::path::Path;
use std::time::{Duration, Instant};

pub(super) use slots::{Kind, Slot, Slots};

use super::lost::{self, LostCrash};
use crate::collect::crash::Event;
use crate::error::plain;

/// Only root can look into it, and it is gone when the machine starts again.
pub(super) const FOLDER: &str = "/run/threaddump";
/// Crashes from their copy to their end, for each that may be copied at the same time.
const FLIGHT: usize = 8;
/// With so many others at work, memory is looked at.
const FEW: usize = 4;

/// How many crashes may be copied at the same time if nobody says otherwise.
pub const PARALLEL: usize = 16;

/// Why a crash is not handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    waited: Duration,
    why: String,
}

impl std::fmt::Display for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "in {} ms there was no turn for it: {}", self.waited.as_millis(), self.why)
    }
}

/// The place of one crash among the others.
#[derive(Debug)]
pub(super) struct Queue {
    slots: Option<Slots>,
    /// Why nobody is counted.
    pub(super) trouble: Option<String>,
    parallel: usize,
    /// The note about it, kept locked.
    note: Option<Slot>,
    flight: Option<Slot>,
}

impl Queue {
    /// Leaves a note about the crash. Never fails: without the file, crashes are handled without limits, and
    /// `trouble` says so.
    pub(super) fn join(event: &Event, store: &Path, parallel: usize) -> Queue {
        let (slots, trouble) = match Slots::open(Path::new(FOLDER)) {
            Ok(slots) => (Some(slots), None),
            Err(error) => {
                let why = format!("no limit of crashes at the same time: {FOLDER}: {}", plain(&error));
                (None, Some(why))
            }
        };
        let note = slots.as_ref().and_then(|slots| note(slots, event, store));
        Queue { slots, trouble, parallel, note, flight: None }
    }

    /// Waits until it may be copied.
    ///
    /// # Errors
    /// If there was no turn in time.
    pub(super) fn enter(&mut self, began: Instant, until: Instant) -> Result<Option<Slot>, Busy> {
        let Some(slots) = &self.slots else { return Ok(None) };
        let busy = |why| Busy { waited: began.elapsed(), why };
        let mut short = None;
        let enough = |others: usize| {
            short = if others < FEW { None } else { memory::short() };
            short.is_none()
        };
        let most = self.parallel.saturating_mul(FLIGHT);
        // Locks that do not work are as bad as none.
        let Ok(flight) = slots.take(Kind::Flight, most, until, enough) else { return Ok(None) };
        self.flight = flight;
        if self.flight.is_none() {
            let why = short.unwrap_or_else(|| format!("{most} others are being worked on"));
            return Err(busy(why));
        }
        match slots.take(Kind::Held, self.parallel, until, |_| true) {
            Ok(None) => Err(busy(format!("{} others are being copied", self.parallel))),
            Ok(held) => Ok(held),
            Err(_) => Ok(None),
        }
    }

    /// Waits until it may be unwound. Nobody is held meanwhile.
    ///
    /// # Errors
    /// If there was no turn in time.
    pub(super) fn work(&self, until: Instant) -> Result<Option<Slot>, Busy> {
        let Some(slots) = &self.slots else { return Ok(None) };
        let began = Instant::now();
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let most = processors.max(2).min(self.parallel);
        match slots.take(Kind::Work, most, until, |_| true) {
            Ok(None) => {
                let why = format!("{most} others are being worked on");
                Err(Busy { waited: began.elapsed(), why })
            }
            Ok(slot) => Ok(slot),
            Err(_) => Ok(None),
        }
    }

    /// Says that it is known what became of the crash.
    pub(super) fn done(&mut self) {
        self.flight = None;
        if let (Some(slots), Some(note)) = (&self.slots, self.note.take()) {
            let _ = slots.write_record(note.index, b"");
        }
    }
}

/// Writes a note where nobody else has one.
fn note(slots: &Slots, event: &Event, store: &Path) -> Option<Slot> {
    let text = LostCrash::of(event, None, "its handler was ended").at(store).encode();
    let first = usize::try_from(event.pid.0).unwrap_or(0) % slots::RECORDS;
    for index in (first..slots::RECORDS).chain(0..first) {
        let Some(slot) = slots.lock_record(index).ok()? else { continue };
        // One that is still there is of a handler that was ended.
        if slots.record(index).ok()?.is_empty() {
            return slots.write_record(index, &text).ok().map(|()| slot);
        }
    }
    None
}

/// Counts crashes whose handlers were ended before they had said what became of them, and forgets them; how many
/// there were.
pub fn count_abandoned() -> usize {
    let folder = Path::new(FOLDER);
    if !folder.exists() {
        return 0;
    }
    // Locks belong to an open file: with one of our own, our note is somebody else's.
    let Ok(slots) = Slots::open(folder) else { return 0 };
    let mut count = 0;
    for index in slots.used().unwrap_or_default() {
        let Ok(Some(_slot)) = slots.lock_record(index) else { continue };
        let Ok(text) = slots.record(index) else { continue };
        if text.is_empty() {
            continue;
        }
        if let Some(crash) = LostCrash::decode(&text) {
            lost::say(crash);
            count += 1;
        }
        let _ = slots.write_record(index, b"");
    }
    count
}
