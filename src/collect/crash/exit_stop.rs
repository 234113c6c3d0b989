//! The other way to the registers of a crashed process: a stop of each thread on its way out.
//!
//! A thread that is dumped cannot be stopped. But it can be asked beforehand to stop at its end, and ends as
//! soon as nobody reads the core any more; its registers and all memory are then still there. For other
//! threads than the one that crashed this needs Linux 5.16.
use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, Instant};

use super::Caught;
use crate::ids::Tid;
use crate::sys::{ptrace, wait};

/// How long those that have not stopped in time are waited for, so that they can be let go.
const LATE: Duration = Duration::from_secs(10);

/// Threads that are stopped at their end, until this is dropped.
#[derive(Debug, Default)]
pub struct ExitStops {
    /// All that were attached to.
    seized: BTreeSet<Tid>,
    stopped: BTreeSet<Tid>,
    /// Attached to, and not yet stopped.
    pending: BTreeSet<Tid>,
    /// What went wrong.
    pub problems: Vec<String>,
}

/// Attaches to the threads, lets the kernel end the dump by closing `input`, and waits until they have stopped,
/// up to the deadline. If none can be attached to, the input is given back unread. The calling thread must
/// live as long as what this gives.
///
/// # Errors
/// The input, and why nothing could be done.
pub fn stop_at_exit(
    tids: &[Tid],
    input: File,
    deadline: Instant,
) -> Result<(ExitStops, Vec<Caught>), (File, String)> {
    let mut stops = ExitStops::default();
    let mut refused = None;
    for &tid in tids {
        match ptrace::seize_for_exit(tid) {
            Ok(()) => drop(stops.seized.insert(tid)),
            Err(error) => refused = refused.or(Some((tid, error))),
        }
    }
    if stops.seized.is_empty() {
        let why = match refused {
            Some((tid, error)) => format!("cannot attach to thread {tid}: {}", error.desc().to_lowercase()),
            None => "no thread is known".to_owned(),
        };
        return Err((input, why));
    }
    drop(input);
    stops.pending = stops.seized.clone();
    stops.wait(deadline, false);
    let caught = stops.registers();
    let missing = tids.len() - caught.len();
    if missing > 0 {
        stops.problems.push(format!("{missing} of {} threads did not stop at their end", tids.len()));
    }
    Ok((stops, caught))
}

impl ExitStops {
    /// Waits until all have stopped. Those that are late are let go at once.
    fn wait(&mut self, deadline: Instant, is_late: bool) {
        let mut looks = 0_u32;
        loop {
            let stopped = &mut self.stopped;
            self.pending.retain(|&tid| match wait::peek(tid) {
                Ok(Some(wait::Event::Trap(nix::libc::PTRACE_EVENT_EXIT))) => {
                    stopped.insert(tid);
                    if is_late {
                        let _ = ptrace::detach(tid, 0);
                    }
                    false
                }
                Ok(None) => true,
                // Another stop comes before that: a signal does not matter to a thread that ends.
                Ok(Some(wait::Event::Ended(_))) => {
                    // Its parent hears of the end only after us.
                    let _ = wait::reap(tid);
                    false
                }
                Err(_) => false,
                Ok(Some(_)) => ptrace::cont(tid, 0).is_ok(),
            });
            if self.pending.is_empty() || Instant::now() >= deadline {
                return;
            }
            looks += 1;
            if looks < 64 {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    fn registers(&self) -> Vec<Caught> {
        let read = |&tid: &Tid| {
            let arch = threaddump_arch::NATIVE?;
            let mut bytes = [0; ptrace::MAX_REGISTER_SET];
            let length = ptrace::general_registers(tid, &mut bytes).ok()?;
            let mut registers = arch.registers_from_prstatus(&bytes[..length])?;
            if let Some(note) = arch.extra_note()
                && let Ok(length) = ptrace::register_set(tid, note, &mut bytes)
            {
                arch.add_extra_registers(&mut registers, &bytes[..length]);
            }
            Some(Caught { tid, registers, cpu_ns: None })
        };
        self.stopped.iter().filter_map(read).collect()
    }
}

impl Drop for ExitStops {
    fn drop(&mut self) {
        for &tid in &self.stopped {
            // It ends; or was killed before.
            let _ = ptrace::detach(tid, 0);
        }
        // One that stops later would stay so until we end, and only one that has stopped can be let go.
        self.wait(Instant::now() + LATE, true);
    }
}
