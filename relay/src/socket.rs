//! The socket by which a process is asked from outside. Its name has no file: it is made of the process id and
//! the start time, so that whoever sees the process can tell it. The kernel keeps who made it listen, which
//! proves that this process holds the relay.
//!
//! A connection makes the kernel send the relay signal to this process, and only as long as it has the socket: who
//! asks needs no right to send signals, and can never send one to a program that has no handler for it.
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::proc::Tasks;
use crate::reserved::LOWEST;
use crate::sys::calls;
use crate::sys::socket::{self, MAX_NAME};
use crate::text::decimal;

const PREFIX: &[u8] = b"threaddump-relay/";

static LISTENER: AtomicI32 = AtomicI32::new(-1);
static IDENTITY: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Opens the socket; without it the process cannot be asked. A process under a filter gets none: a call that the
/// filter does not know may kill it.
pub(crate) fn open(signal: u32) {
    let Some(tasks) = Tasks::open() else { return };
    let pid = calls::getpid();
    let mut room = [0; MAX_NAME];
    let (false, Some(start)) = (tasks.is_filtered(), tasks.start_time()) else { return };
    let Some(name) = name(pid, start, &mut room) else { return };
    let Ok(fd) = socket::listen(name) else { return };
    if let (Ok(high), Some((device, inode))) = (calls::duplicate_above(fd, LOWEST), calls::identity(fd)) {
        IDENTITY[0].store(device, Ordering::Release);
        IDENTITY[1].store(inode, Ordering::Release);
        LISTENER.store(high, Ordering::Release);
        if socket::announce(high, pid, signal).is_err() {
            close();
        }
    }
    calls::close(fd);
}

/// In a child of fork: the parent's socket is left to the parent.
pub(crate) fn renew(signal: u32) {
    close();
    open(signal);
}

fn close() {
    let fd = LISTENER.swap(-1, Ordering::AcqRel);
    if is_same(fd) {
        calls::close(fd);
    }
}

/// Programs close descriptors that they do not know, and the number may be another file's by now.
fn is_same(fd: i32) -> bool {
    let known = (IDENTITY[0].load(Ordering::Acquire), IDENTITY[1].load(Ordering::Acquire));
    fd >= 0 && calls::identity(fd) == Some(known)
}

/// Whether it is the descriptor of the socket.
pub(crate) fn is_ours(fd: i32) -> bool {
    fd == LISTENER.load(Ordering::Acquire) && is_same(fd)
}

/// The next connection whose maker may be answered: the user that this process runs as, or root.
pub(crate) fn accept() -> Option<i32> {
    let own = socket::own_users();
    loop {
        let client = socket::accept(LISTENER.load(Ordering::Acquire)).ok()?;
        let is_allowed = |user: u32| user == 0 || own.iter().all(|&id| id == user);
        if socket::peer_user(client).is_some_and(is_allowed) {
            return Some(client);
        }
        calls::close(client);
    }
}

fn name(pid: u32, start: u64, room: &mut [u8; MAX_NAME]) -> Option<&[u8]> {
    let (pid, start) = (decimal(u64::from(pid)), decimal(start));
    let mut length = 0;
    for part in [PREFIX, pid.as_bytes(), b".", start.as_bytes()] {
        room.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
    }
    room.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_process_and_start() {
        let mut room = [0; MAX_NAME];
        assert_eq!(name(42, 9876, &mut room), Some(&b"threaddump-relay/42.9876"[..]));
        assert!(name(u32::MAX, u64::MAX, &mut room).is_some());
    }
}
