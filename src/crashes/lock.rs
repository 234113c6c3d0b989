//! One at a time changes a store.
use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::StoreError;
use super::folder::Folder;

/// Its file. Nobody but the store's owner can open it, so nobody else can hold it.
pub(super) const NAME: &str = ".lock";
/// Between two tries. The work under the lock takes some milliseconds.
const PAUSE: Duration = Duration::from_millis(3);

/// The lock of a store, held.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code)] Flock<File>);

impl Lock {
    /// Waits for the lock.
    pub(super) fn of(top: &Folder, longest: Duration) -> Result<Lock, StoreError> {
        let began = Instant::now();
        let mut file = top.open_or_create(NAME)?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Lock(lock)),
                Err((_, error)) if !matches!(error, Errno::EWOULDBLOCK | Errno::EINTR) => {
                    return Err(StoreError::io("lock", &top.path().join(NAME), error));
                }
                Err((back, _)) => file = back,
            }
            let waited = began.elapsed();
            if waited >= longest {
                return Err(StoreError::Busy { waited });
            }
            sleep(PAUSE.min(longest - waited));
        }
    }
}
