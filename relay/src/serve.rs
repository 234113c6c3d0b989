//! Answering whoever has connected from outside: it asks for the memory map, for memory, and that all threads hold
//! still, and does the rest of the work itself.
//!
//! Numbers are little-endian. A greeting comes first; then each request of [`REQUEST`] bytes gets one answer.
//! Bytes come in pieces, each with its length before it as 4 bytes, up to one of length 0.
use core::sync::atomic::Ordering;

use threaddump_arch::NATIVE;

use crate::output::write_all;
use crate::proc::Tasks;
use crate::state::{Fixed, Slot, asked, phase, slots, state};
use crate::sys::CONTEXT;
use crate::sys::calls::{self, EFAULT, now};
use crate::sys::memory::{SMALLEST_PAGE, read_by_call, read_by_probe};
use crate::sys::signal::Arrival;
use crate::threads::{Asking, MILLISECOND};

const MAGIC: &[u8; 8] = b"tdrelay\0";
const VERSION: u32 = 1;
/// Kind, a number, an address, a length.
const REQUEST: usize = 24;
const MAPS: u32 = 1;
const AUXV: u32 = 2;
/// Of the thread with this number: `/proc/PID/task/TID/syscall`.
const SYSCALL: u32 = 3;
/// So many bytes of memory from an address on.
const READ: u32 = 4;
const HOLD: u32 = 5;
const RELEASE: u32 = 6;
/// Most bytes of memory in one answer.
const MAX_READ: u64 = 64 << 20;
const PIECE: usize = 64 << 10;
/// Thread, what became of asking it, its thread pointer, its context.
const RECORD: usize = 16 + CONTEXT;
const BATCH: usize = 64;

/// Ends when the other end closes, stalls, or asks for what is unknown; and when the time of a dump is over.
pub(crate) fn run(arrival: &Arrival<'_>, fixed: &Fixed, client: i32) {
    let options = &fixed.options;
    let Some(tasks) = Tasks::open() else { return };
    // The caller is told so by the kernel, and should not have asked.
    let is_filtered = tasks.status(calls::gettid()).is_none_or(|status| status.filtered);
    if is_filtered || tasks.is_filtered() {
        return;
    }
    let deadline = now() + u64::from(options.limit_ms) * MILLISECOND;
    let patience = u64::from(options.answer_ms) * MILLISECOND;
    let mut session =
        Session { arrival, fixed, client, tasks: &tasks, deadline, patience, by_call: true, held: false };
    // Whatever ended it: there is nobody to tell.
    let _ = session.all();
}

struct Session<'a> {
    arrival: &'a Arrival<'a>,
    fixed: &'a Fixed,
    client: i32,
    tasks: &'a Tasks,
    deadline: u64,
    /// How long the other end may do nothing, in nanoseconds.
    patience: u64,
    by_call: bool,
    held: bool,
}

impl Session<'_> {
    fn all(&mut self) -> Option<()> {
        let mut hello = [0; 24];
        hello[..8].copy_from_slice(MAGIC);
        put(&mut hello, 8, u64::from(VERSION), 4);
        put(&mut hello, 12, u64::from(state().pid()), 4);
        put(&mut hello, 16, CONTEXT as u64, 4);
        if let Some(arch) = NATIVE {
            // As in the header of an ELF file.
            put(&mut hello, 20, u64::from(arch.elf_machine()), 2);
            put(&mut hello, 22, if arch.pointer_size() == 8 { 2 } else { 1 }, 2);
        }
        self.send(&hello)?;
        loop {
            let mut request = [0; REQUEST];
            self.receive(&mut request)?;
            let word =
                |at: usize| request.get(at..at + 8)?.first_chunk().map(|word| u64::from_le_bytes(*word));
            let (first, address, length) = (word(0)?, word(8)?, word(16)?);
            let (kind, number) = (first as u32, (first >> 32) as u32);
            match kind {
                MAPS => self.file(self.tasks.open_maps())?,
                AUXV => self.file(self.tasks.open_file(b"auxv\0"))?,
                SYSCALL => self.file(self.tasks.open_syscall(number))?,
                READ => self.memory(address, length)?,
                HOLD if !self.held => self.hold()?,
                RELEASE if self.held => self.release()?,
                _ => return None,
            }
        }
    }

    fn until(&self) -> u64 {
        self.deadline.min(now() + self.patience)
    }

    fn send(&self, bytes: &[u8]) -> Option<()> {
        write_all(self.client, bytes, self.until()).ok()
    }

    fn receive(&self, bytes: &mut [u8]) -> Option<()> {
        let until = self.until();
        let mut rest = bytes;
        while !rest.is_empty() {
            calls::poll(self.client, false, until).then_some(())?;
            let length = calls::read(self.client, rest).ok().filter(|&length| length > 0)?;
            rest = rest.get_mut(length..)?;
        }
        Some(())
    }

    /// Sends a piece whose bytes begin after the first 4.
    fn piece(&self, piece: &mut [u8]) -> Option<()> {
        let length = piece.len().checked_sub(4)?;
        put(piece, 0, length as u64, 4);
        self.send(piece)
    }

    fn file(&self, fd: Option<i32>) -> Option<()> {
        let mut piece = [0; PIECE + 4];
        let mut result = Some(());
        if let Some(fd) = fd {
            while let Ok(length @ 1..) = calls::read(fd, piece.get_mut(4..)?) {
                result = piece.get_mut(..length + 4).and_then(|piece| self.piece(piece));
                if result.is_none() {
                    break;
                }
            }
            calls::close(fd);
        }
        result?;
        self.send(&[0; 4])
    }

    fn memory(&mut self, address: u64, length: u64) -> Option<()> {
        let mut piece = [0; PIECE + 4];
        let mut at = address;
        let mut left = length.min(MAX_READ) as usize;
        while left > 0 {
            let wanted = left.min(PIECE);
            let copied = self.copy(at, piece.get_mut(4..wanted + 4)?);
            if copied > 0 {
                self.piece(piece.get_mut(..copied + 4)?)?;
            }
            left -= copied;
            match at.checked_add(copied as u64) {
                Some(next) if copied == wanted => at = next,
                _ => break,
            }
        }
        self.send(&[0; 4])
    }

    /// Copies memory up to a hole.
    fn copy(&mut self, address: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let Some(at) = address.checked_add(done as u64) else { break };
            let in_page = SMALLEST_PAGE - (at % SMALLEST_PAGE as u64) as usize;
            let wanted = if self.by_call { bytes.len() - done } else { in_page.min(bytes.len() - done) };
            let Some(place) = bytes.get_mut(done..done + wanted) else { break };
            if self.by_call {
                match read_by_call(state().pid(), at, place) {
                    Ok(0) | Err(EFAULT) => break,
                    Ok(length) => done += length,
                    // Not allowed, or not there: it will stay so.
                    Err(_) => self.by_call = false,
                }
            } else if read_by_probe(at, place) {
                done += wanted;
            } else {
                break;
            }
        }
        done
    }

    fn hold(&mut self) -> Option<()> {
        self.held = true;
        let (tid, deadline, options) = (calls::gettid(), self.deadline, &self.fixed.options);
        let count = Asking { tasks: self.tasks, options, deadline, tid }.all(self.arrival);
        let slots = slots().map(|slots| slots.first(count)).unwrap_or_default();
        self.send(&(slots.len() as u32).to_le_bytes())?;
        for slots in slots.chunks(BATCH) {
            let mut batch = [0; BATCH * RECORD];
            for (slot, record) in slots.iter().zip(batch.chunks_exact_mut(RECORD)) {
                self.record(slot, record)?;
            }
            self.send(batch.get(..slots.len() * RECORD)?)?;
        }
        Some(())
    }

    fn record(&mut self, slot: &Slot, record: &mut [u8]) -> Option<()> {
        let how = slot.state.load(Ordering::Acquire);
        put(record, 0, u64::from(slot.tid.load(Ordering::Acquire)), 4);
        put(record, 4, u64::from(how), 4);
        put(record, 8, slot.pointer.load(Ordering::Acquire), 8);
        let context = slot.context.load(Ordering::Acquire);
        if how == asked::PARKED && self.copy(context, record.get_mut(16..)?) != CONTEXT {
            put(record, 4, u64::from(asked::REVOKED), 4);
        }
        Some(())
    }

    /// Lets all other threads go on.
    fn release(&self) -> Option<()> {
        state().phase.store(phase::STARTED, Ordering::Release);
        state().generation.fetch_add(1, Ordering::AcqRel);
        calls::futex_wake(&state().generation);
        self.send(&[0; 4])
    }
}

/// Puts the low bytes of a number at a place.
fn put(bytes: &mut [u8], at: usize, value: u64, size: usize) {
    if let (Some(place), Some(value)) = (bytes.get_mut(at..at + size), value.to_le_bytes().get(..size)) {
        place.copy_from_slice(value);
    }
}
