//! A list of crashes, with a line of JSON for each. Its lines are numbered, so the last one tells how many there
//! were, also when the oldest are gone.
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;

use super::LostCrash;

/// Bytes of a list; then it becomes the old one, and a new one is begun. Some thousands of lines.
const MAX_LIST: u64 = 1 << 20;
/// No line is longer, in bytes.
const MAX_LINE: u64 = 16 << 10;
/// A writer needs less than a millisecond.
const WAIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// Adds a line, and gives the crash its number.
///
/// # Errors
/// If it cannot be written whole; then nothing of it is there.
pub(super) fn append(path: &Path, crash: &mut LostCrash) -> io::Result<()> {
    let mut list = open(path)?;
    let mut length = list.seek(SeekFrom::End(0))?;
    if length >= MAX_LIST {
        std::fs::rename(path, old(path))?;
        // Who waits for the lock sees that the list is another one.
        list = open(path)?;
        length = list.seek(SeekFrom::End(0))?;
    }
    crash.number = latest(path).map_or(0, |latest| latest.number) + 1;
    let mut line = crash.encode();
    line.push(b'\n');
    // What a killed writer left ends here.
    if length > 0 && last_byte(&mut list)? != b'\n' {
        line.insert(0, b'\n');
    }
    let written = list.seek(SeekFrom::Start(length)).and_then(|_| list.write_all(&line));
    if written.is_err() {
        let _ = list.set_len(length);
    }
    written
}

/// The list, locked.
fn open(path: &Path) -> io::Result<Flock<File>> {
    let until = Instant::now() + WAIT;
    loop {
        let mut options = File::options();
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            // It is still the list, and has not become the old one.
            Ok(list) if is_at(&list, path) => return Ok(list),
            Ok(_) => {}
            Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => sleep(PAUSE),
            Err((_, error)) => return Err(error.into()),
        }
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let id = |facts: std::fs::Metadata| (facts.dev(), facts.ino());
    let both = file.metadata().and_then(|ours| Ok((id(ours), id(std::fs::symlink_metadata(path)?))));
    both.is_ok_and(|(ours, there)| ours == there)
}

fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    PathBuf::from(name)
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// The last whole line.
pub(super) fn latest(path: &Path) -> Option<LostCrash> {
    let last = |path: &Path| lines(path, MAX_LINE).pop();
    last(path).or_else(|| last(&old(path)))
}

/// All whole lines of the list itself.
pub(super) fn all(path: &Path) -> Vec<LostCrash> {
    lines(path, 2 * MAX_LIST)
}

/// Whole lines within so many bytes of the end.
fn lines(path: &Path, most: u64) -> Vec<LostCrash> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = crate::sys::mapping::open_regular(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    bytes.split(|&byte| byte == b'\n').filter_map(LostCrash::decode).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn crash(pid: i32) -> LostCrash {
        LostCrash {
            number: 0,
            time: Timestamp::UNIX_EPOCH,
            pid,
            tid: pid,
            uid: 0,
            gid: 0,
            signal: 11,
            name: "x\n".to_owned(),
            exe: Some("/bin/x".to_owned()),
            reason: "why".repeat(100),
            store: None,
        }
    }

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let folder = std::env::temp_dir().join(format!("threaddump-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("it is new");
            Scratch(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn lines_are_numbered_whatever_is_between_them() {
        let scratch = Scratch::new("lost");
        let path = scratch.0.join("list");
        assert_eq!(latest(&path), None);
        for number in 1..=3 {
            let mut one = crash(100);
            append(&path, &mut one).expect("it is ours");
            assert_eq!(one.number, number);
        }
        // A writer was killed.
        File::options()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"{\"num"))
            .expect("ours");
        assert_eq!(latest(&path).map(|one| one.number), Some(3));
        append(&path, &mut crash(5)).expect("it is ours");
        assert_eq!(latest(&path).map(|one| (one.number, one.pid)), Some((4, 5)));
        assert_eq!(all(&path).len(), 4);
    }

    #[test]
    fn a_long_list_is_begun_anew_and_counts_on() {
        let scratch = Scratch::new("lost-long");
        let path = scratch.0.join("list");
        let mut first = crash(1);
        append(&path, &mut first).expect("it is ours");
        let line = [first.encode(), b"\n".to_vec()].concat();
        std::fs::write(&path, line.repeat(1 + MAX_LIST as usize / line.len())).expect("it is ours");
        append(&path, &mut crash(2)).expect("it is ours");
        assert_eq!(all(&path).len(), 1);
        assert_eq!(latest(&path).map(|one| (one.number, one.pid)), Some((2, 2)));
        assert!(old(&path).exists());
    }

    #[test]
    fn many_writers_lose_nothing() {
        let scratch = Scratch::new("lost-many");
        let path = scratch.0.join("list");
        std::thread::scope(|scope| {
            for writer in 1..=8 {
                let path = &path;
                scope.spawn(move || (0..25).for_each(|_| append(path, &mut crash(writer)).expect("ours")));
            }
        });
        let numbers: Vec<u64> = all(&path).iter().map(|one| one.number).collect();
        assert_eq!(numbers, (1..=200).collect::<Vec<u64>>());
    }
}
