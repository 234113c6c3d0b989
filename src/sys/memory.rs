//! Memory of another process (process_vm_readv(2)).
use std::io::IoSliceMut;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::ids::Tid;

const PAGE: u64 = 4096;

/// Pages asked for in one call; the kernel takes at most 1,024 (`IOV_MAX`).
const PAGES: usize = 512;

/// Copies from `address` (process address) into `buffers`, one after the other, until they are full
/// or the memory ends. The remote side is named page by page, because the kernel promises partial
/// copies only between its pieces: so a hole ends the copy at the last good page. Gives the number of
/// bytes copied; 0 if there is no such memory or no such process.
pub fn read_into(tid: Tid, address: u64, buffers: &mut [IoSliceMut<'_>]) -> usize {
    let wanted: usize = buffers.iter().map(|buffer| buffer.len()).sum();
    let mut remote = [RemoteIoVec { base: 0, len: 0 }; PAGES];
    let mut count = 0;
    let mut at = address;
    let end = address.saturating_add(wanted as u64);
    while at < end && count < PAGES {
        let stop = (at | (PAGE - 1)).saturating_add(1).min(end);
        remote[count] = RemoteIoVec { base: at as usize, len: (stop - at) as usize };
        at = stop;
        count += 1;
    }
    if count == 0 {
        return 0;
    }
    process_vm_readv(Pid::from_raw(tid.0), buffers, &remote[..count]).unwrap_or(0)
}

/// Copies from `address` (process address) until the buffer is full or the memory ends. Gives the
/// number of bytes copied.
pub fn read(tid: Tid, address: u64, buffer: &mut [u8]) -> usize {
    let mut done = 0;
    while done < buffer.len() {
        let Some(at) = address.checked_add(done as u64) else { break };
        let end = buffer.len().min(done + (PAGES - 1) * PAGE as usize);
        let copied = read_into(tid, at, &mut [IoSliceMut::new(&mut buffer[done..end])]);
        done += copied;
        if done < end {
            break;
        }
    }
    done
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
    }

    #[test]
    fn a_copy_is_spread_over_two_buffers() {
        let source: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut first, mut second) = (vec![0; 100], vec![0; 9_000]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(read_into(own(), source.as_ptr() as u64, &mut buffers), 9_100);
        assert_eq!([first, second].concat(), source[..9_100]);
    }

    #[test]
    fn no_memory_gives_nothing() {
        let mut buffer = [0; 64];
        for address in [0, 8, u64::MAX, u64::MAX - 63, 1 << 63] {
            assert_eq!(read(own(), address, &mut buffer), 0, "{address:#x}");
        }
        assert_eq!(read(own(), 0x1000, &mut []), 0);
    }
}
