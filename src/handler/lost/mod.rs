//! What is said about a crash: a line in the journal or syslog; and of one that is not stored, a line in a list,
//! which is counted.
mod list;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::deliver::known;
use super::queue;
use crate::collect::crash::Event;
use crate::crashes::journal::{Entry, Log};
use crate::crashes::{Known, Limits, Store};
use crate::report::escape::{Escaping, escaped, readable};
use crate::report::signal_name;

/// The list, in the store.
pub const LIST: &str = ".lost";
/// The list of those for which there is no place in their store; each line names the store.
const SPARE: &str = "lost";
/// Bytes of a name or reason.
const MAX_TEXT: usize = 512;

/// A crash that is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostCrash {
    /// Counts from 1 in its list; 0 before it is there.
    #[serde(default)]
    pub number: u64,
    /// When it crashed.
    pub time: Timestamp,
    /// Process id in our pid namespace.
    pub pid: i32,
    /// Thread id in our pid namespace.
    pub tid: i32,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Number of the signal.
    pub signal: i32,
    /// Name of the thread that got the signal.
    pub name: String,
    /// Executable, in the root directory of the process; `None` if it was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Why it is not stored.
    pub reason: String,
    /// Its store, if the list is not that of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
}

impl LostCrash {
    pub(super) fn of(event: &Event, exe: Option<&[u8]>, reason: &str) -> LostCrash {
        let Known { pid, tid, uid, gid, signal, time } = known(event);
        let text = |bytes: &[u8]| cut(&readable(bytes));
        LostCrash {
            number: 0,
            time,
            pid,
            tid,
            uid,
            gid,
            signal,
            name: text(&event.name),
            exe: exe.map(text),
            reason: cut(reason),
            store: None,
        }
    }

    pub(super) fn at(self, store: &Path) -> LostCrash {
        LostCrash { store: Some(store.to_owned()), ..self }
    }

    /// A line, without its end.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("memory takes everything, and no key is no text")
    }

    /// `None` for what is not a whole line.
    pub(super) fn decode(line: &[u8]) -> Option<LostCrash> {
        serde_json::from_slice(line).ok()
    }

    /// In words, on one line whatever is in it.
    pub fn sentence(&self) -> String {
        let exe = self.exe.as_ref().map(|exe| format!(", {exe}")).unwrap_or_default();
        let (pid, name, uid) = (self.pid, &self.name, self.uid);
        let signal = signal_name(self.signal);
        let text = format!("process {pid} ({name}{exe}) of user {uid}, by {signal}: {}", self.reason);
        escaped(&text, Escaping::Terminal).to_string()
    }
}

fn cut(text: &str) -> String {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].to_owned()
}

/// Says it where it can be said.
pub(super) fn log(entry: &Entry) {
    // Without a log, the store tells.
    let _ = Log::open().and_then(|log| log.send(entry));
}

/// Logs and counts a crash of which nothing is stored. It has to name its store.
pub(super) fn say(mut crash: LostCrash) {
    let LostCrash { pid, tid, uid, gid, signal, time, .. } = crash;
    let known = Known { pid, tid, uid, gid, signal, time };
    let entry = Entry::lost(&known, &crash.name, crash.exe.as_deref(), &crash.reason);
    if Log::open().and_then(|log| log.send(&entry)).is_err() {
        // The kernel's log takes it where there is no other.
        let kernel = File::options().write(true).open("/dev/kmsg");
        let line = format!("<3>threaddump: lost: {}\n", crash.sentence());
        let _ = kernel.and_then(|mut log| log.write_all(line.as_bytes()));
    }
    let Some(store) = crash.store.take() else { return };
    if !store.exists() {
        // The first crash of all may be lost. Where it cannot be made, the other list is used.
        let _ = Store::create(&store, Limits::default());
    }
    if list::append(&store.join(LIST), &mut crash).is_err() {
        crash.store = Some(store);
        let _ = list::append(&Path::new(queue::FOLDER).join(SPARE), &mut crash);
    }
}

/// Crashes that are not in a store.
#[derive(Clone, Debug, Default)]
pub struct LostCrashes {
    /// How many there were since the list was begun.
    pub count: u64,
    /// The latest of them.
    pub latest: Option<LostCrash>,
}

/// How many crashes a store has lost, as far as the caller may know.
pub fn lost(store: &Path) -> LostCrashes {
    let latest = list::latest(&store.join(LIST));
    let spare = list::all(&Path::new(queue::FOLDER).join(SPARE));
    let spare: Vec<LostCrash> =
        spare.into_iter().filter(|crash| crash.store.as_deref() == Some(store)).collect();
    let count = latest.as_ref().map_or(0, |crash| crash.number) + spare.len() as u64;
    LostCrashes { count, latest: latest.into_iter().chain(spare).max_by_key(|crash| crash.time) }
}
