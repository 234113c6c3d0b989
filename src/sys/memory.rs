//! Memory of another process (process_vm_readv(2)), and where to put it.
#![allow(unsafe_code)]
use std::fs::File;
use std::io::{ErrorKind, IoSliceMut};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::ids::Tid;

const PAGE: u64 = 4096;

/// The smallest buffer for which huge pages are worth asking.
const HUGE_PAGE: usize = 2 << 20;

/// Pages asked for in one call; the kernel takes at most 1,024 (`IOV_MAX`).
const PAGES: usize = 256;

/// Copies from `address` (process address) until the buffer is full or the memory ends. Gives the
/// number of bytes copied; 0 if there is no such memory or no such process.
///
/// The remote side is named page by page, because the kernel promises partial copies only between its
/// pieces: so a hole ends the copy at the last good page.
pub fn read(tid: Tid, address: u64, buffer: &mut [u8]) -> usize {
    let mut remote = [RemoteIoVec { base: 0, len: 0 }; PAGES];
    let mut done = 0;
    while done < buffer.len() {
        let Some(at) = address.checked_add(done as u64) else { break };
        let (count, asked) = name_pages(at, buffer.len() - done, &mut remote);
        let mut local = [IoSliceMut::new(&mut buffer[done..done + asked])];
        let copied = match process_vm_readv(Pid::from_raw(tid.0), &mut local, &remote[..count]) {
            // Containers forbid this call more often than ptrace(2); without it there is the file.
            Err(Errno::EPERM | Errno::ENOSYS) => return done + read_file(tid, at, &mut buffer[done..]),
            copied => copied.unwrap_or(0),
        };
        done += copied;
        if copied < asked || asked == 0 {
            break;
        }
    }
    done
}

/// Copies pieces of one size (in bytes) from these process addresses into the buffer, one after the other, by
/// as few calls as the kernel allows. Gives the number of pieces up to the first that could not be read.
pub fn read_pieces(tid: Tid, addresses: &[u64], buffer: &mut [u8], size: usize) -> usize {
    let mut done = 0;
    let pid = Pid::from_raw(tid.0);
    for (addresses, part) in addresses.chunks(PAGES).zip(buffer.chunks_mut(PAGES * size)) {
        let remote: Vec<RemoteIoVec> =
            addresses.iter().map(|&base| RemoteIoVec { base: base as usize, len: size }).collect();
        let copied = process_vm_readv(pid, &mut [IoSliceMut::new(part)], &remote).unwrap_or(0);
        done += copied / size;
        if copied < addresses.len() * size {
            break;
        }
    }
    done
}

/// Whether the kernel lets us read the memory of a thread in this way. It decides before it looks at the
/// address, so one at which nothing is tells.
pub fn can_read(tid: Tid) -> bool {
    let remote = [RemoteIoVec { base: 0, len: 1 }];
    let result = process_vm_readv(Pid::from_raw(tid.0), &mut [IoSliceMut::new(&mut [0])], &remote);
    matches!(result, Ok(_) | Err(Errno::EFAULT))
}

/// The same through `/proc/TID/mem` (proc_pid_mem(5)).
fn read_file(tid: Tid, address: u64, buffer: &mut [u8]) -> usize {
    File::open(format!("/proc/{tid}/mem")).map_or(0, |file| read_from(&file, address, buffer))
}

/// The same from such a file.
pub fn read_from(file: &File, address: u64, buffer: &mut [u8]) -> usize {
    let mut done = 0;
    while done < buffer.len() {
        let Some(at) = address.checked_add(done as u64) else { break };
        match file.read_at(&mut buffer[done..], at) {
            Ok(0) => break,
            Ok(copied) => done += copied,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    done
}

/// Fills in the pages from `address` on; gives their number and that of the bytes.
fn name_pages(address: u64, wanted: usize, remote: &mut [RemoteIoVec; PAGES]) -> (usize, usize) {
    let end = address.saturating_add(wanted as u64);
    let (mut count, mut at) = (0, address);
    while at < end && count < PAGES {
        let stop = (at | (PAGE - 1)).saturating_add(1).min(end);
        remote[count] = RemoteIoVec { base: at as usize, len: (stop - at) as usize };
        at = stop;
        count += 1;
    }
    (count, (at - address) as usize)
}

/// Asks for huge pages under a buffer of ours that was not used yet; a mere hint (madvise(2)).
pub fn prefer_huge_pages(buffer: &mut [u8]) {
    let skip = buffer.as_ptr().align_offset(PAGE as usize);
    let Some(aligned) = buffer.get_mut(skip..).filter(|rest| rest.len() >= HUGE_PAGE) else { return };
    let length = aligned.len() & !(PAGE as usize - 1);
    // SAFETY: the range lies inside `aligned`, which is ours alone; the advice changes no contents.
    unsafe { libc::madvise(aligned.as_mut_ptr().cast(), length, libc::MADV_HUGEPAGE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Tid {
        Tid(std::process::id() as i32)
    }

    #[test]
    fn our_own_memory_is_copied_whole() {
        let source: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut copy = vec![0; source.len()];
        assert_eq!(read(own(), source.as_ptr() as u64, &mut copy), source.len());
        assert_eq!(copy, source);
        copy.fill(0);
        assert_eq!(read_file(own(), source.as_ptr() as u64, &mut copy), source.len());
        assert_eq!(copy, source);
    }

    #[test]
    fn what_may_be_read_is_told_without_an_address() {
        assert!(can_read(own()));
        assert!(!can_read(Tid(i32::MAX)));
    }

    #[test]
    fn huge_pages_change_no_contents() {
        let mut buffer = vec![7_u8; 5 << 20];
        prefer_huge_pages(&mut buffer);
        prefer_huge_pages(&mut buffer[..100]);
        prefer_huge_pages(&mut []);
        assert!(buffer.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn no_memory_gives_nothing() {
        let mut buffer = [0; 64];
        for address in [0, 8, u64::MAX, u64::MAX - 63, 1 << 63] {
            assert_eq!(read(own(), address, &mut buffer), 0, "{address:#x}");
            assert_eq!(read_file(own(), address, &mut buffer), 0, "{address:#x}");
        }
        assert_eq!(read(own(), 0x1000, &mut []), 0);
    }
}
