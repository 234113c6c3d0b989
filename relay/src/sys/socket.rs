//! The listening socket, and who is at the other end of a connection.
use super::calls::{self, Answer, check};
use super::machine::{number, syscall};

const AF_UNIX: u16 = 1;
const SOCK_STREAM: usize = 1;
const SOCK_NONBLOCK: usize = 0o4000;
const SOCK_CLOEXEC: usize = 0o2_000_000;
const F_SETFL: usize = 4;
const F_SETOWN: usize = 8;
const F_SETSIG: usize = 10;
const O_ASYNC: usize = 0o20_000;
/// Connections that may wait.
const BACKLOG: usize = 8;
/// Bytes of a name, after the zero byte that says that it is in no file system.
pub(crate) const MAX_NAME: usize = 107;

/// `struct sockaddr_un` (unix(7)).
#[repr(C)]
struct Address {
    family: u16,
    path: [u8; MAX_NAME + 1],
}

/// A socket that listens under an abstract name (unix(7)).
pub(crate) fn listen(name: &[u8]) -> Result<i32, i32> {
    let mut address = Address { family: AF_UNIX, path: [0; MAX_NAME + 1] };
    let Some(place) = address.path.get_mut(1..=name.len()) else { return Err(calls::EFAULT) };
    place.copy_from_slice(name);
    let kind = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    // SAFETY: makes a descriptor, touches no memory.
    let fd = check(unsafe { syscall(number::SOCKET, [usize::from(AF_UNIX), kind, 0, 0, 0, 0]) })?;
    let pointer = &raw const address as usize;
    // SAFETY: the kernel reads the address.
    let bound = check(unsafe { syscall(number::BIND, [fd, pointer, 2 + 1 + name.len(), 0, 0, 0]) });
    // SAFETY: touches no memory.
    let listens = bound.and_then(|_| check(unsafe { syscall(number::LISTEN, [fd, BACKLOG, 0, 0, 0, 0]) }));
    listens.map(|_| fd as i32).inspect_err(|_| calls::close(fd as i32))
}

/// Has a signal sent to the process whenever a connection comes (fcntl(2), `F_SETSIG`).
pub(crate) fn announce(fd: i32, pid: u32, signal: u32) -> Answer {
    let fcntl = |command: usize, argument: usize| {
        // SAFETY: these commands take a number.
        check(unsafe { syscall(number::FCNTL, [fd as usize, command, argument, 0, 0, 0]) })
    };
    fcntl(F_SETSIG, signal as usize)?;
    fcntl(F_SETOWN, pid as usize)?;
    fcntl(F_SETFL, O_ASYNC | SOCK_NONBLOCK)
}

/// Takes a connection that waits (accept4(2)).
pub(crate) fn accept(fd: i32) -> Result<i32, i32> {
    let arguments = [fd as usize, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0];
    // SAFETY: the address of the other end is not asked for.
    check(unsafe { syscall(number::ACCEPT4, arguments) }).map(|fd| fd as i32)
}

/// User id of whoever made the connection (unix(7), `SO_PEERCRED`).
pub(crate) fn peer_user(fd: i32) -> Option<u32> {
    const SOL_SOCKET: usize = 1;
    const SO_PEERCRED: usize = 17;
    // struct ucred: process, user, group.
    let mut credentials = [u32::MAX; 3];
    let mut length = 12_u32;
    let pointers = [credentials.as_mut_ptr() as usize, &raw mut length as usize];
    let arguments = [fd as usize, SOL_SOCKET, SO_PEERCRED, pointers[0], pointers[1], 0];
    // SAFETY: the kernel writes at most as many bytes as the length says, and the length.
    check(unsafe { syscall(number::GETSOCKOPT, arguments) }).ok()?;
    (length == 12).then_some(credentials[1])
}

/// Real and effective user id of this process.
pub(crate) fn own_users() -> [u32; 2] {
    [number::GETUID, number::GETEUID].map(|number| {
        // SAFETY: cannot fail, touches no memory.
        let user = unsafe { syscall(number, [0; 6]) };
        user as u32
    })
}
