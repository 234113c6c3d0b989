//! Storing what is known about a crash.
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use super::Options;
use super::supervise::Outcome;
use crate::collect::crash::Event;

const USUAL: &str = "/var/lib/threaddump/crashes";

/// A crash that was stored.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Where, without `.json` or `.txt`.
    pub place: PathBuf,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where it is.
    pub crash: Crash,
    /// Why it is less than it could be.
    pub trouble: Option<String>,
}

pub(super) fn deliver(event: &Event, outcome: &Outcome, options: &Options) -> io::Result<Delivery> {
    let folder = options.store.clone().unwrap_or_else(|| PathBuf::from(USUAL));
    let place = folder.join(format!("{}-{}", event.time, event.pid));
    write(&place.with_extension("txt"), &outcome.output.text, event)?;
    write(&place.with_extension("json"), &outcome.output.json, event)?;
    Ok(Delivery { crash: Crash { place }, trouble: outcome.trouble.clone() })
}

fn write(path: &Path, bytes: &[u8], event: &Event) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o400).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    chown(&temporary, Some(event.reader()), None)?;
    std::fs::rename(&temporary, path)
}
