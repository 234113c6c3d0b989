//! Inflating a large deflate stream of which only parts are wanted.
//!
//! libdeflate is the fastest there is, but knows no streams: it wants room for everything. Here it gets a
//! range of addresses of that size, of which only the wanted parts have memory of their own. All other
//! addresses lead round and round to one small piece of memory. deflate looks back 32 KiB at most (RFC 1951,
//! section 2), so that what is overwritten there is not read again.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;

use libdeflate_sys as deflate;

/// Bytes of memory for all that is not wanted; a multiple of every page size, and far above the 32 KiB that
/// deflate looks back and the few hundred bytes that libdeflate writes ahead.
const ROUND: usize = 1 << 20;
/// The most mappings one range is made of; a process may have 65,530.
const MAX_ROUNDS: usize = 8192;
/// A match that does not fit is not begun, nor is a block of stored bytes: up to 64 KiB before the end of the
/// room may stay unwritten.
const SLACK: usize = 128 << 10;

/// Why there are no parts.
#[derive(Debug)]
pub enum WindowError {
    /// The addresses cannot be had.
    Memory(io::Error),
    /// It is no deflate stream.
    Damaged,
    /// The stream ends after so many bytes.
    Short(u64),
}

/// Parts of what a raw deflate stream of `size` bytes (inflated) holds, in the order of `parts`.
///
/// # Errors
///
/// See [`WindowError`]. Damage after the last part goes unnoticed.
pub fn inflate_parts(data: &[u8], size: u64, parts: &[Range<u64>]) -> Result<Vec<Vec<u8>>, WindowError> {
    let too_large = || WindowError::Memory(io::ErrorKind::OutOfMemory.into());
    let end = parts.iter().map(|part| part.end).max().unwrap_or(0);
    let end = usize::try_from(end.min(size)).map_err(|_| too_large())?;
    let room = end.checked_add(SLACK).ok_or_else(too_large)?;
    let window = Window::new(room, parts).map_err(WindowError::Memory)?;
    let written = window.fill(data)?;
    let cut = parts.iter().any(|part| part.end > written as u64);
    if cut {
        return Err(WindowError::Short(written as u64));
    }
    Ok(parts.iter().map(|part| window.copy(part.start as usize..part.end as usize)).collect())
}

/// A range of addresses, unmapped when dropped.
struct Window {
    start: NonNull<u8>,
    len: usize,
}

impl Window {
    fn new(room: usize, parts: &[Range<u64>]) -> io::Result<Window> {
        let len = room.checked_next_multiple_of(ROUND).filter(|len| len / ROUND <= MAX_ROUNDS);
        let len = len.ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new private mapping at an address the kernel chooses; no memory of ours changes.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, -1, 0) };
        let start = NonNull::new(start.cast::<u8>()).filter(|_| start != libc::MAP_FAILED);
        let window = Window { start: start.ok_or_else(io::Error::last_os_error)?, len };
        let (round, wanted) = (round_memory()?, merged(parts));
        for begin in (0..len).step_by(ROUND) {
            for unwanted in outside(begin..begin + ROUND, &wanted) {
                window.lead_to(&round, unwanted)?;
            }
        }
        Ok(window)
    }

    /// Makes addresses of this window, pages of one round, lead to the memory they share.
    fn lead_to(&self, round: &File, place: Range<usize>) -> io::Result<()> {
        let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let at = self.start.as_ptr().wrapping_add(place.start).cast();
        let offset = (place.start % ROUND) as libc::off_t;
        // SAFETY: replaces pages within the range that this value owns and that nobody has borrowed.
        let mapped = unsafe { libc::mmap(at, place.len(), access, flags, round.as_raw_fd(), offset) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Inflates into it, until the stream or the window ends. How many bytes are certainly there.
    fn fill(&self, data: &[u8]) -> Result<usize, WindowError> {
        // SAFETY: has no conditions.
        let decompressor = unsafe { deflate::libdeflate_alloc_decompressor() };
        if decompressor.is_null() {
            return Err(WindowError::Memory(io::ErrorKind::OutOfMemory.into()));
        }
        let mut written = 0;
        // SAFETY: `data` is readable and the window writable for their lengths; no Rust reference leads into
        // the window. That distant addresses share memory goes unnoticed: libdeflate reads of its output only
        // the last 32 KiB.
        let result = unsafe {
            deflate::libdeflate_deflate_decompress(
                decompressor,
                data.as_ptr().cast(),
                data.len(),
                self.start.as_ptr().cast(),
                self.len,
                &raw mut written,
            )
        };
        // SAFETY: it was allocated above and is not used again.
        unsafe { deflate::libdeflate_free_decompressor(decompressor) };
        match result {
            deflate::libdeflate_result_LIBDEFLATE_SUCCESS => Ok(written),
            deflate::libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE => Ok(self.len - SLACK),
            _ => Err(WindowError::Damaged),
        }
    }

    fn copy(&self, place: Range<usize>) -> Vec<u8> {
        if place.is_empty() || place.end > self.len {
            return Vec::new();
        }
        let from = self.start.as_ptr().wrapping_add(place.start);
        // SAFETY: the place is within the window, which is mapped readable, and nothing writes to it now.
        unsafe { std::slice::from_raw_parts(from, place.len()) }.to_vec()
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: exactly the range that was mapped, and no borrow of it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Memory that can be mapped many times.
fn round_memory() -> io::Result<File> {
    // SAFETY: the name is a constant with a zero at its end.
    let fd = unsafe { libc::memfd_create(c"inflate".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made, and that nobody else owns.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(ROUND as u64)?;
    Ok(file)
}

/// The same bytes as ranges that ascend and are apart.
fn merged(parts: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = parts.iter().filter(|part| !part.is_empty()).cloned().collect();
    parts.sort_unstable_by_key(|part| part.start);
    parts.dedup_by(|next, part| {
        let joins = next.start <= part.end;
        part.end = if joins { part.end.max(next.end) } else { part.end };
        joins
    });
    parts
}

/// The pages of one round in which nothing wanted is.
fn outside(round: Range<usize>, wanted: &[Range<u64>]) -> Vec<Range<usize>> {
    /// At least as large as a page anywhere.
    const PAGE: usize = 64 << 10;
    let is_free = |page: usize| {
        let next = wanted.partition_point(|part| part.end <= page as u64);
        wanted.get(next).is_none_or(|part| part.start >= (page + PAGE) as u64)
    };
    let mut free: Vec<Range<usize>> = Vec::new();
    for page in round.step_by(PAGE).filter(|&page| is_free(page)) {
        match free.last_mut().filter(|last| last.end == page) {
            Some(last) => last.end = page + PAGE,
            None => free.push(page..page + PAGE),
        }
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that refers back as far as deflate can, and its deflate stream.
    fn sample(len: usize) -> (Vec<u8>, Vec<u8>) {
        let mut text: Vec<u8> = Vec::with_capacity(len);
        let mut state = 1_u32;
        while text.len() < len {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let back = 1 + (state >> 8) as usize % 32_700;
            let count = 3 + (state >> 3) as usize % 200;
            match text.len().checked_sub(back).filter(|_| !state.is_multiple_of(5)) {
                Some(from) => (0..count).for_each(|i| text.push(text[from + i])),
                None => text.push((state >> 24) as u8),
            }
        }
        text.truncate(len);
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut data = vec![0; compressor.deflate_compress_bound(len)];
        let size = compressor.deflate_compress(&text, &mut data).unwrap();
        data.truncate(size);
        (text, data)
    }

    fn parts_of(data: &[u8], size: u64, part: Range<u64>) -> Result<Vec<Vec<u8>>, WindowError> {
        inflate_parts(data, size, &[part])
    }

    #[test]
    fn parts_are_those_of_the_whole() {
        let (text, data) = sample(9_000_000);
        let parts =
            [0..0, 5..6, 70_000..70_001, 1_048_570..3_000_000, 2_000_000..2_000_100, 8_999_000..9_000_000];
        let found = inflate_parts(&data, text.len() as u64, &parts).unwrap();
        for (part, bytes) in parts.iter().zip(found) {
            assert!(bytes == text[part.start as usize..part.end as usize], "{part:?}");
        }
        // The stream goes on behind the last part.
        let early = 100_000..100_200;
        let found = inflate_parts(&data, text.len() as u64, std::slice::from_ref(&early)).unwrap();
        assert!(found[0] == text[early.start as usize..early.end as usize]);
    }

    #[test]
    fn a_stream_that_is_short_or_damaged_gives_nothing() {
        let (text, data) = sample(2_000_000);
        let size = text.len() as u64;
        let behind = 1_999_990..2_000_010;
        assert!(matches!(
            parts_of(&data, size + 100, behind),
            Err(WindowError::Short(end)) if end == size
        ));
        let cut = &data[..data.len() / 2];
        assert!(matches!(parts_of(cut, size, 0..size), Err(WindowError::Damaged)));
        assert!(matches!(parts_of(&[0xff; 9], size, 0..10), Err(WindowError::Damaged)));
        assert!(matches!(parts_of(&data, u64::MAX, 0..u64::MAX), Err(WindowError::Memory(_))));
    }

    #[test]
    fn what_is_not_wanted_is_outside() {
        let wanted = merged(&[70_000..70_001, 200_000..200_000, 70_000..140_000, 1 << 21..u64::MAX]);
        assert_eq!(wanted, [70_000..140_000, 1 << 21..u64::MAX]);
        assert_eq!(outside(0..ROUND, &wanted), [0..65_536, 196_608..ROUND]);
        assert_eq!(outside(2 * ROUND..3 * ROUND, &wanted), []);
    }
}
