//! Places that one process at a time can have: locks on bytes of a file that only root can open. The kernel takes
//! them back when their process ends, however that comes, so nobody has to tidy up.
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::rc::Rc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::sys::alarm::Alarm;

/// The name of the file.
const NAME: &str = "slots";
/// Between two looks of the first in a queue; the others wait in the kernel.
const PAUSE: Duration = Duration::from_millis(1);
/// After this a wait in the kernel is ended, to look at the time.
const TICK: Duration = Duration::from_millis(20);
/// Bytes of what is written about a crash while it is handled.
pub(super) const RECORD: usize = 1024;
/// Crashes about which something can be written: more than there can be handlers.
pub(super) const RECORDS: usize = 1024;
/// Where the locks of each kind begin; the first byte is that of the queue. Records are before that.
const FIRST: i32 = 1 << 20;

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::handler) enum Kind {
    /// From its admission to the end of everything.
    Flight,
    /// Copying from a process that is held.
    Held,
    /// Unwinding and naming.
    Work,
    /// Passing a core on.
    Chain,
}

/// Places of a kind at most.
pub(super) const MOST: usize = 4096;

/// The file.
#[derive(Clone, Debug)]
pub(in crate::handler) struct Slots(Rc<File>);

/// A place, until this is dropped and all copies of the file's descriptor are closed.
#[derive(Debug)]
pub(in crate::handler) struct Slot {
    file: Rc<File>,
    at: i32,
    /// How many places before it are taken.
    pub(super) index: usize,
    is_left: bool,
}

impl Slots {
    /// Opens the file in a folder, and makes both if they are not there.
    ///
    /// # Errors
    /// As open(2) and mkdir(2); `PermissionDenied` if the file is somebody else's.
    pub(in crate::handler) fn open(folder: &Path) -> io::Result<Slots> {
        let open = || {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(folder.join(NAME))
        };
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().mode(0o700).create(folder)?;
                open()?
            }
            file => file?,
        };
        let facts = file.metadata()?;
        if !facts.is_file() || facts.uid() != nix::unistd::geteuid().as_raw() || facts.mode() & 0o077 != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Slots(Rc::new(file)))
    }

    /// The file, which carries the locks.
    pub(in crate::handler) fn file(&self) -> &File {
        &self.0
    }

    /// Takes one of so many places, whoever came first being first; `None` if there was none in time. `may` is
    /// asked, with the number of places taken, before one is given.
    ///
    /// # Errors
    /// As fcntl(2).
    pub(in crate::handler) fn take(
        &self,
        kind: Kind,
        most: usize,
        until: Instant,
        mut may: impl FnMut(usize) -> bool,
    ) -> io::Result<Option<Slot>> {
        let queue = FIRST * (1 + kind as i32);
        let Some(_queue) = self.wait(queue, until)? else { return Ok(None) };
        loop {
            for index in 0..most.clamp(1, MOST) {
                // Less than a million.
                if let Some(slot) = self.lock(queue + 1 + index as i32, index)? {
                    if may(index) {
                        return Ok(Some(slot));
                    }
                    break;
                }
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            sleep(PAUSE);
        }
    }

    /// Takes a byte if it is free.
    fn lock(&self, at: i32, index: usize) -> io::Result<Option<Slot>> {
        match fcntl(&*self.0, FcntlArg::F_OFD_SETLK(&range(libc::F_WRLCK, at))) {
            Ok(_) => Ok(Some(Slot { file: Rc::clone(&self.0), at, index, is_left: false })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for a byte in the kernel, which keeps the order.
    fn wait(&self, at: i32, until: Instant) -> io::Result<Option<Slot>> {
        if let Some(slot) = self.lock(at, 0)? {
            return Ok(Some(slot));
        }
        let _alarm = Alarm::every(TICK)?;
        while Instant::now() < until {
            match fcntl(&*self.0, FcntlArg::F_OFD_SETLKW(&range(libc::F_WRLCK, at))) {
                Ok(_) => return Ok(Some(Slot { file: Rc::clone(&self.0), at, index: 0, is_left: false })),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Takes the place of a record, if nobody has it.
    pub(super) fn lock_record(&self, index: usize) -> io::Result<Option<Slot>> {
        self.lock((index * RECORD) as i32, index)
    }

    /// A record, without its end.
    pub(super) fn record(&self, index: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; RECORD];
        let length = self.0.read_at(&mut bytes, (index * RECORD) as u64)?;
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(length);
        bytes.truncate(end);
        Ok(bytes)
    }

    /// Records that are not empty.
    pub(super) fn used(&self) -> io::Result<Vec<usize>> {
        let mut bytes = vec![0; RECORD * RECORDS];
        let length = self.0.read_at(&mut bytes, 0)?;
        let all = bytes[..length].chunks(RECORD).enumerate();
        Ok(all
            .filter(|(_, record)| record.first().is_some_and(|&byte| byte != 0))
            .map(|(at, _)| at)
            .collect())
    }

    /// Writes a record, which is shorter than [`RECORD`].
    pub(super) fn write_record(&self, index: usize, text: &[u8]) -> io::Result<()> {
        let mut bytes = [0; RECORD];
        let room = bytes[..RECORD - 1].get_mut(..text.len()).ok_or(io::ErrorKind::InvalidInput)?;
        room.copy_from_slice(text);
        self.0.write_all_at(&bytes, (index * RECORD) as u64)
    }
}

impl Slot {
    /// Leaves it to copies of the descriptor: it is free when they are closed.
    pub(in crate::handler) fn leave(mut self) {
        self.is_left = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        let _ = fcntl(&*self.file, FcntlArg::F_OFD_SETLK(&range(libc::F_UNLCK, self.at)));
    }
}

/// One byte.
fn range(kind: i32, at: i32) -> libc::flock {
    libc::flock {
        // Small numbers.
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::from(at),
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("threaddump-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            Folder(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn there_are_as_many_places_as_were_asked_for() {
        let folder = Folder::new("slots");
        // Each stands for a process: locks belong to the open file.
        let open = || Slots::open(&folder.0).expect("it is ours");
        let all: Vec<Slots> = (0..4).map(|_| open()).collect();
        let take =
            |slots: &Slots| slots.take(Kind::Held, 3, Instant::now(), |_| true).expect("can be locked");
        let mut taken: Vec<Option<Slot>> = all.iter().map(take).collect();
        let indexes: Vec<Option<usize>> =
            taken.iter().map(|slot| slot.as_ref().map(|slot| slot.index)).collect();
        assert_eq!(indexes, [Some(0), Some(1), Some(2), None]);
        taken[1] = None;
        assert_eq!(take(&all[3]).map(|slot| slot.index), Some(1));
        let other = all[3].take(Kind::Work, 1, Instant::now(), |_| true).expect("can be locked");
        assert!(other.is_some(), "each kind counts for itself");
    }

    #[test]
    fn a_place_is_free_when_the_file_is_closed() {
        let folder = Folder::new("slots-closed");
        let (one, other) = (Slots::open(&folder.0).expect("ours"), Slots::open(&folder.0).expect("ours"));
        let take =
            |slots: &Slots| slots.take(Kind::Held, 1, Instant::now(), |_| true).expect("can be locked");
        let slot = take(&one).expect("it is free");
        assert!(take(&other).is_none());
        // As at the end of a process that is killed: nothing is dropped, and the file is closed.
        let number = one.file().as_raw_fd();
        std::mem::forget((slot, one));
        nix::unistd::close(number).expect("it is open");
        assert!(take(&other).is_some());
    }

    #[test]
    fn a_record_is_there_until_it_is_written_over() {
        let folder = Folder::new("slots-records");
        let slots = Slots::open(&folder.0).expect("ours");
        assert_eq!(slots.record(5).expect("no error"), b"");
        slots.write_record(5, b"{}").expect("it fits");
        assert_eq!(slots.record(5).expect("no error"), b"{}");
        slots.write_record(5, b"").expect("it fits");
        assert_eq!(slots.record(5).expect("no error"), b"");
        assert!(slots.write_record(5, &[b'x'; RECORD]).is_err());
    }

    #[test]
    fn who_waits_gets_a_place_or_the_time_is_over() {
        let folder = Folder::new("slots-wait");
        let (one, other) = (Slots::open(&folder.0).expect("ours"), Slots::open(&folder.0).expect("ours"));
        let until = |millis| Instant::now() + Duration::from_millis(millis);
        let first = one.take(Kind::Held, 1, until(0), |_| true).expect("no error").expect("it is free");
        assert!(other.take(Kind::Held, 1, until(50), |_| true).expect("no error").is_none());
        // Behind another one in the queue.
        let queue = one.lock(FIRST * 2, 0).expect("no error").expect("it is free");
        assert!(other.take(Kind::Held, 1, until(50), |_| true).expect("no error").is_none());
        drop((queue, first));
        assert!(other.take(Kind::Held, 1, until(10_000), |_| true).expect("no error").is_some());
        assert!(other.take(Kind::Held, 1, until(0), |taken| taken > 0).expect("no error").is_none());
    }
}
