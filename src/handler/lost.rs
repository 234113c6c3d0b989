//! What is said about a crash: a line in the journal or syslog; and of one that is not stored, a line in a list,
//! which is counted.
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::deliver::known;
use crate::collect::crash::Event;
use crate::crashes::Store;
use crate::crashes::journal::{Entry, Log};
use crate::report::escape::{Escaping, escaped};

/// The list, in the store.
pub const LIST: &str = ".lost";
/// Bytes of the list: some ten thousand lines.
const MAX_LIST: u64 = 1 << 20;

/// Says it where it can be said.
pub(super) fn log(entry: &Entry) {
    // Without a log, the store tells.
    let _ = Log::open().and_then(|log| log.send(entry));
}

/// Says that a crash is not stored, and why.
pub(super) fn count(event: &Event, reason: &super::Lost, store: Option<&Path>) {
    let (reason, name) = (reason.to_string(), String::from_utf8_lossy(&event.name).into_owned());
    let entry = Entry::lost(&known(event), &name, &reason);
    let line = format!(
        "{} process {} ({}) of user {}: {}",
        event.time,
        event.pid,
        escaped(&name, Escaping::Terminal),
        event.uid,
        escaped(&reason, Escaping::Terminal)
    );
    let folder = store.unwrap_or_else(|| Store::system_path());
    if Log::open().and_then(|log| log.send(&entry)).is_err() {
        // The kernel's log takes it where there is no other.
        let kernel = File::options().write(true).open("/dev/kmsg");
        let _ = kernel.and_then(|mut log| log.write_all(format!("<3>threaddump: lost: {line}\n").as_bytes()));
    }
    let mut options = File::options();
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let list = options.append(true).create(true).mode(0o600).custom_flags(flags).open(folder.join(LIST));
    let Ok(mut list) = list else { return };
    if list.metadata().is_ok_and(|facts| facts.is_file() && facts.len() < MAX_LIST) {
        // One write, so that lines of two at a time do not mix.
        let _ = list.write_all(format!("{line}\n").as_bytes());
    }
}

/// How many crashes a store has lost.
pub fn number(store: &Path) -> usize {
    let mut bytes = Vec::new();
    let file = crate::sys::mapping::open_regular(&store.join(LIST));
    let _ = file.and_then(|file| file.take(2 * MAX_LIST).read_to_end(&mut bytes));
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
