//! Dumps that are being made. Nobody waits for them here: who reads their output may never come to the end.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Dumps that are made at the same time.
const MOST: usize = 4;
/// How long a further one, and what is held for it, waits for one of these. They have let go of the target
/// long before they are this old, so that those which are older are busy with their output.
const PATIENCE: Duration = Duration::from_millis(500);

/// The dumps that are being made, each on a thread of its own.
#[derive(Clone, Debug, Default)]
pub struct Making(Arc<Mutex<Vec<(u64, Instant)>>>);

/// The right to be one of them.
#[derive(Debug)]
pub(super) struct Slot {
    making: Making,
    number: u64,
}

impl Making {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The right to make one that was asked for at `made`; `None` if there is none in time.
    pub(super) fn slot(&self, number: u64, made: Instant) -> Option<Slot> {
        loop {
            let mut busy = self.lock();
            if busy.len() < MOST {
                busy.push((number, Instant::now()));
                return Some(Slot { making: self.clone(), number });
            }
            let blocked = busy.iter().all(|(_, begun)| begun.elapsed() >= PATIENCE);
            drop(busy);
            if blocked || made.elapsed() >= PATIENCE {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.making.lock().retain(|(number, _)| *number != self.number);
    }
}
