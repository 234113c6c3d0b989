//! Memory: mapping it at the start, and reading that of the process without being able to fault.
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::calls::{self, check};
use super::machine::{number, syscall};

/// No processor has smaller pages; larger ones are a multiple.
pub(crate) const SMALLEST_PAGE: usize = 4096;
/// A multiple of all pages of this processor: aarch64 and others have them of up to 64 KiB, as the kernel was
/// built. x86 has one size only.
const GUARD: usize = if cfg!(any(target_arch = "x86", target_arch = "x86_64")) { 4096 } else { 65_536 };
const PROT_READ_WRITE: usize = 3;
const MAP_PRIVATE_ANONYMOUS_NORESERVE: usize = 0x2 | 0x20 | 0x4000;

/// Maps zeroed memory with something inaccessible below it; the address of the usable part (mmap(2)).
pub(crate) fn map_guarded(size: usize) -> Option<usize> {
    let arguments = [0, size + GUARD, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, usize::MAX, 0];
    // SAFETY: a new mapping, at a place of the kernel's choice.
    let start = check(unsafe { syscall(number::MMAP, arguments) }).ok()?;
    // SAFETY: the beginning of the new mapping, which nothing uses.
    let guarded = unsafe { syscall(number::MPROTECT, [start, GUARD, 0, 0, 0, 0]) };
    (guarded == 0).then_some(start + GUARD)
}

/// Unmaps what [`map_guarded`] gave.
///
/// # Safety
/// Nothing may use it any more.
pub(crate) unsafe fn unmap_guarded(start: usize, size: usize) {
    // SAFETY: the caller answers for it.
    let _ = unsafe { syscall(number::MUNMAP, [start - GUARD, size + GUARD, 0, 0, 0, 0]) };
}

/// Memory that is zeroed in a child of fork, but not in one of vfork (madvise(2)).
pub(crate) fn wipe_on_fork(start: usize, size: usize) -> bool {
    const MADV_WIPEONFORK: usize = 18;
    // SAFETY: changes what a child gets of our own mapping.
    (unsafe { syscall(number::MADVISE, [start, size, MADV_WIPEONFORK, 0, 0, 0]) }) == 0
}

/// A type for which zeroed memory is a value.
///
/// # Safety
/// All zeroes must be a valid value.
pub(crate) unsafe trait Zeroed {}

/// A value in memory of its own, made once and never given back.
#[derive(Debug)]
pub(crate) struct Mapped<T> {
    address: AtomicUsize,
    kind: core::marker::PhantomData<T>,
}

// SAFETY: only shared references to `Sync` values are given out, or one at a time (see `lock`).
unsafe impl<T> Sync for Mapped<T> {}

impl<T: Zeroed> Mapped<T> {
    pub(crate) const fn new() -> Mapped<T> {
        Mapped { address: AtomicUsize::new(0), kind: core::marker::PhantomData }
    }

    /// Maps the memory, if that was not done.
    pub(crate) fn map(&self) -> bool {
        if self.address.load(Ordering::Acquire) != 0 {
            return true;
        }
        let Some(start) = map_guarded(size_of::<T>()) else { return false };
        self.address.store(start, Ordering::Release);
        true
    }

    /// The address, 0 before it was mapped.
    pub(crate) fn address(&self) -> usize {
        self.address.load(Ordering::Acquire)
    }

    /// The value, to be shared.
    pub(crate) fn get(&self) -> Option<&'static T>
    where
        T: Sync,
    {
        let address = self.address();
        // SAFETY: mapped with its size, aligned to a page, zeroed or valid, and never unmapped.
        (address != 0).then(|| unsafe { &*(address as *const T) })
    }

    /// The value, for whoever leads the dump.
    pub(crate) fn lend<'a>(&self, _: &'a mut Leading) -> Option<&'a mut T> {
        let address = self.address();
        // SAFETY: mapped with its size, aligned to a page, zeroed or valid; there is one `Leading` at a time,
        // and it is borrowed as long as the value is.
        (address != 0).then(|| unsafe { &mut *(address as *mut T) })
    }
}

// SAFETY: atomic numbers.
unsafe impl Zeroed for crate::state::Slots {}
// SAFETY: atomic numbers.
unsafe impl Zeroed for crate::state::Mark {}
// SAFETY: numbers and arrays of numbers.
unsafe impl Zeroed for crate::maps::Arena {}

/// The right to make a dump. There is one at a time.
#[derive(Debug)]
pub(crate) struct Leading {
    leader: &'static AtomicU32,
}

impl Leading {
    /// Makes the thread the leader, if there is none; otherwise gives who is.
    pub(crate) fn take(leader: &'static AtomicU32, tid: u32) -> Result<Leading, u32> {
        leader.compare_exchange(0, tid, Ordering::AcqRel, Ordering::Acquire).map(|_| Leading { leader })
    }

    /// Lets others lead.
    pub(crate) fn end(self) {
        self.leader.store(0, Ordering::Release);
    }
}

/// Reads by process_vm_readv(2), which answers EFAULT where there is no memory.
pub(crate) fn read_by_call(pid: u32, address: u64, bytes: &mut [u8]) -> Result<usize, i32> {
    let local = [bytes.as_mut_ptr() as usize, bytes.len()];
    // Addresses that do not fit a word come from damaged tables.
    let remote = [usize::try_from(address).map_err(|_| calls::EFAULT)?, bytes.len()];
    let arguments = [pid as usize, local.as_ptr() as usize, 1, remote.as_ptr() as usize, 1, 0];
    // SAFETY: the kernel writes into the slice only.
    check(unsafe { syscall(number::PROCESS_VM_READV, arguments) })
}

/// Reads a piece that lies in one page of the smallest size, after asking the kernel whether the page can be read: it looks at
/// the set of signals before it finds that -1 means nothing (rt_sigprocmask(2)).
pub(crate) fn read_by_probe(address: u64, bytes: &mut [u8]) -> bool {
    let Ok(address) = usize::try_from(address) else { return false };
    let page = address & !(SMALLEST_PAGE - 1);
    if page == 0 {
        // The kernel takes it for no set at all.
        return false;
    }
    let arguments = [usize::MAX, page, 0, 8, 0, 0];
    // SAFETY: changes nothing, since the first argument is no operation.
    if check(unsafe { syscall(number::RT_SIGPROCMASK, arguments) }) == Err(calls::EFAULT) {
        return false;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let place = (page | ((address + index) & (SMALLEST_PAGE - 1))) as *const u8;
        // SAFETY: in the page that could be read just now; should it be gone meanwhile, the fault is caught
        // by the handler, which gives the dump up.
        *byte = unsafe { place.read_volatile() };
    }
    true
}
