//! A sign of life for whoever waits at a terminal.
use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::fetch::Remark;

/// Nothing is shown before this, and the display moves on as often.
const STEP: Duration = Duration::from_secs(1);
/// Back to the start of the line, and clear it.
const CLEAR: &str = "\r\x1b[K";

/// Shows on standard error what is being worked on, until it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    stop: Option<Sender<()>>,
    shows: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts, if standard error is a terminal that can take its line back. `remark` may change meanwhile.
    pub(super) fn start(what: String, remark: &Remark, quiet: bool) -> Option<Progress> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if quiet || dumb || !stderr().is_terminal() {
            return None;
        }
        let remark = Remark::clone(remark);
        let (stop, stopped) = channel::<()>();
        let show = move || {
            let start = Instant::now();
            let mut shown = false;
            while stopped.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                let more = remark.lock().map(|text| text.clone()).unwrap_or_default();
                // Whether anybody reads it makes no difference to the work.
                let _ = write!(stderr(), "{CLEAR}{what}: {} s{more}", start.elapsed().as_secs());
                shown = true;
            }
            if shown {
                let _ = write!(stderr(), "{CLEAR}");
            }
        };
        let shows = Builder::new().name("progress".to_owned()).spawn(show).ok()?;
        Some(Progress { stop: Some(stop), shows: Some(shows) })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop = None;
        // The line is cleared before anything else is written.
        let _ = self.shows.take().map(JoinHandle::join);
    }
}
