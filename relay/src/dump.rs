//! The leader's work: try the helper, else hold all threads, then unwind and write one after the other.
use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering;

use threaddump_arch::{NATIVE, Registers};
use threaddump_dwarf::{CodeAddress, End, How, Walker};

use crate::helper;
use crate::maps::{ARENA, Maps};
use crate::memory::Memory;
use crate::output::{self, Output};
use crate::proc::Tasks;
use crate::record::{Frame, Reached, Sink, Thread, Unreached};
use crate::reserved;
use crate::serve;
use crate::state::{Fixed, Slot, asked, phase, slots, state};
use crate::sys;
use crate::sys::calls::{self, now};
use crate::sys::memory::Leading;
use crate::sys::signal::{self, Arrival, Change, Info, SIGQUIT, bit};
use crate::sys::stack::{self, AltStack};
use crate::text::Text;
use crate::threads::{Asking, MILLISECOND};
use crate::unwind::{EXPRESSION_BYTES, Tables, Walked};

/// Frames that are shown of both ends of a deep stack, as Go does.
const INNER: usize = 50;
const OUTER: usize = 50;
/// SIGILL, SIGBUS, SIGFPE and SIGSEGV: a crash in the dump itself is noticed.
const FAULTS: u64 = bit(4) | bit(7) | bit(8) | bit(11);
const SIGBUS: u32 = 7;
const SIGSEGV: u32 = 11;

struct Job<'a> {
    arrival: &'a Arrival<'a>,
    fixed: &'a Fixed,
    leading: RefCell<Leading>,
    /// The alternate signal stack that was set before.
    alternate: Cell<Option<AltStack>>,
    /// A connection by which somebody from outside asks.
    client: Option<i32>,
}

/// Makes a dump because of a signal. All signals must be blocked.
pub(crate) fn make(arrival: &Arrival<'_>, fixed: &Fixed, leading: Leading, is_fatal: bool) -> Leading {
    state().is_fatal.store(is_fatal, Ordering::Release);
    lead(arrival, fixed, leading, None)
}

/// Serves a connection. All signals must be blocked.
pub(crate) fn serve(arrival: &Arrival<'_>, fixed: &Fixed, leading: Leading, client: i32) -> Leading {
    state().is_fatal.store(false, Ordering::Release);
    lead(arrival, fixed, leading, Some(client))
}

fn lead(arrival: &Arrival<'_>, fixed: &Fixed, leading: Leading, client: Option<i32>) -> Leading {
    let state = state();
    state.is_asked.store(client.is_some(), Ordering::Release);
    state.crashed_inside.store(false, Ordering::Release);
    state.phase.store(phase::STARTED, Ordering::Release);
    let job = Job { arrival, fixed, leading: RefCell::new(leading), alternate: Cell::new(None), client };
    stack::run_on(fixed.dump_stack_top(), work, &job, &state.saved);
    signal::mask(Change::Set, u64::MAX);
    state.saved.store(0, Ordering::Release);
    if let Some(alternate) = job.alternate.get() {
        stack::alternate(Some(&alternate));
    }
    if state.crashed_inside.load(Ordering::Acquire) {
        output::give_up();
    }
    reserved::reserve_spares();
    job.leading.into_inner()
}

/// Lets all threads that were held go on.
pub(crate) fn release() {
    state().phase.store(phase::IDLE, Ordering::Release);
    state().generation.fetch_add(1, Ordering::AcqRel);
    calls::futex_wake(&state().generation);
}

fn work(job: &Job<'_>) {
    // The one that was set may hold the frame of the handler that waits for us.
    job.alternate.set(stack::alternate(Some(&job.fixed.nested_stack())));
    signal::mask(Change::Unblock, FAULTS);
    if let Some(client) = job.client {
        return serve::run(job.arrival, job.fixed, client);
    }
    let options = &job.fixed.options;
    let start = now();
    let limit = u64::from(options.limit_ms) * MILLISECOND;
    let deadline = start + limit;
    reserved::give_spares();
    let tasks = Tasks::open();
    // Filters may kill for a call they do not know; without `/proc` there is no telling.
    let is_filtered = tasks.as_ref().is_none_or(Tasks::is_filtered);
    // Without a place for it no thread is held for a dump.
    let Some(mut output) = Output::open(options.output.as_ref(), state().pid(), deadline) else { return };
    // If the helper hangs, there is some time left.
    if !is_filtered && helper::dump(job.arrival, job.fixed, output.fd(), start + limit / 10 * 7) {
        return;
    }
    let Ok(mut leading) = job.leading.try_borrow_mut() else { return };
    let Some(tasks) = tasks else {
        output.push(b"threaddump relay: there is no /proc to list the threads by\n");
        return;
    };
    let tid = calls::gettid();
    let count = Asking { tasks: &tasks, options, deadline, tid }.all(job.arrival);
    let (Some(arena), Some(maps)) = (ARENA.lend(&mut leading), tasks.open_maps()) else {
        output.push(b"threaddump relay: the memory map of the process cannot be read\n");
        return;
    };
    let maps = Maps::read(arena, Open(maps).0);
    let memory = Memory::new(state().pid(), !is_filtered, deadline);
    let mut shown = Shown {
        tables: Tables::new(memory, maps),
        tasks: &tasks,
        trigger: options.trigger,
        registers: options.registers,
    };
    let mut text = Text::new(&mut output);
    shown.all(count, deadline, &mut text);
}

/// A descriptor that is closed in the end.
struct Open(i32);

impl Drop for Open {
    fn drop(&mut self) {
        calls::close(self.0);
    }
}

/// Shows threads that hold still.
struct Shown<'a> {
    tables: Tables<'a>,
    tasks: &'a Tasks,
    trigger: u32,
    registers: bool,
}

impl Shown<'_> {
    fn all(&mut self, count: usize, deadline: u64, sink: &mut impl Sink) {
        let slots = slots().map(|slots| slots.first(count)).unwrap_or_default();
        let Some((first, others)) = slots.split_first() else { return };
        let tid = |slot: &Slot| slot.tid.load(Ordering::Acquire);
        let pid = state().pid();
        // The leader's place among the others.
        let lower = others.iter().filter(|slot| tid(slot) != pid && tid(slot) < tid(first)).count();
        let rank = if tid(first) == pid { 0 } else { lower + 1 };
        self.one(first, rank, sink);
        let mut next = 1;
        for (done, slot) in others.iter().enumerate() {
            if slot.state.load(Ordering::Acquire) == asked::GONE {
                continue;
            }
            if now() > deadline {
                sink.missing(others.len() - done);
                return;
            }
            let index = if tid(slot) == pid {
                0
            } else {
                next += usize::from(next == rank);
                next += 1;
                next - 1
            };
            self.one(slot, index, sink);
        }
    }

    fn one(&mut self, slot: &Slot, index: usize, sink: &mut impl Sink) {
        self.tables.memory.forget();
        let tid = slot.tid.load(Ordering::Acquire);
        let mut name = [0; 64];
        let name = self.tasks.name(tid, &mut name);
        let context = slot.context.load(Ordering::Acquire);
        let held = slot.state.load(Ordering::Acquire) == asked::PARKED;
        let registers = if held { crate::context::registers(&mut self.tables.memory, context) } else { None };
        if let Some(registers) = registers {
            let how = self.reached(slot, &registers);
            sink.thread(&Thread { index, tid, name, how });
            self.frames(&registers, sink);
            if self.registers {
                sink.registers(&registers);
            }
            return;
        }
        let blocks = slot.state.load(Ordering::Acquire) == asked::BLOCKED;
        let why = if blocks { Unreached::Blocks } else { Unreached::Silent };
        let Some(status) = self.tasks.status(tid) else { return };
        let mut channel = [0; 64];
        let wait_channel = self.tasks.wait_channel(tid, &mut channel);
        let how = Reached::Not { why, state: status.state, wait_channel };
        sink.thread(&Thread { index, tid, name, how });
        // Of a worker of the kernel both are zero.
        let registers = self.tasks.registers(tid).filter(|registers| registers.pc() != Some(0));
        if let Some(registers) = registers {
            self.frames(&registers, sink);
            if self.registers {
                sink.registers(&registers);
            }
        }
    }

    fn reached(&mut self, slot: &Slot, registers: &Registers) -> Reached<'static> {
        let signal = slot.signal.load(Ordering::Acquire);
        let info = slot.info.load(Ordering::Acquire);
        let code = self.tables.memory.number::<4>(info.wrapping_add(8)).unwrap_or(0) as u32 as i32;
        let has_address = matches!(signal, SIGSEGV | SIGBUS);
        let place = info.wrapping_add(Info::ADDRESS);
        let address = has_address.then(|| self.tables.memory.word(place).unwrap_or(0));
        let is_crash = crate::disposition::CRASHES.contains(&signal);
        let signal = if is_crash || signal == self.trigger { signal } else { SIGQUIT };
        Reached::Signal { signal, code, address, pc: registers.pc().unwrap_or(0) }
    }

    fn frames(&mut self, registers: &Registers, sink: &mut impl Sink) {
        let mut room = [0; EXPRESSION_BYTES];
        let mut walked = Walked::new(&mut self.tables, &mut room);
        let mut walker = Walker::new(registers.clone(), false);
        let mut last: [Option<threaddump_dwarf::Frame>; OUTER] = [None; OUTER];
        let (mut count, mut guessed) = (0_usize, None);
        while let Some(frame) = walker.next(&mut walked) {
            guessed = (frame.how == How::FramePointer).then_some(frame.address.pc);
            if count < INNER {
                show(walked.tables, &frame, sink);
            } else if let Some(slot) = last.get_mut(count % OUTER) {
                *slot = Some(frame);
            }
            count += 1;
            if walked.tables.memory.is_late() {
                break;
            }
        }
        let beyond = count.saturating_sub(INNER);
        if beyond > OUTER {
            sink.elided(beyond - OUTER);
        }
        for number in count.saturating_sub(OUTER).max(INNER)..count {
            if let Some(Some(frame)) = last.get(number % OUTER) {
                show(walked.tables, frame, sink);
            }
        }
        // Without unwind information a frame pointer of 0 may be any number that a function uses: so it is in
        // musl's libc, where the frames found last may be none, and `main` be missing.
        let end = walker.end();
        let is_root = matches!(end, Some(End::Root));
        sink.end(guessed.filter(|_| is_root).map(End::NoUnwindInfo).or(end));
    }
}

fn show(tables: &mut Tables<'_>, frame: &threaddump_dwarf::Frame, sink: &mut impl Sink) {
    let CodeAddress { pc, .. } = frame.address;
    let lookup = frame.address.lookup();
    let elf = tables.elf_at(lookup);
    let symbol = tables.symbol_at(lookup);
    let offset = pc - lookup;
    let function = symbol.as_ref().map(|symbol| (symbol.name(), symbol.offset + offset));
    let module = elf.as_ref().and_then(|elf| {
        let path = tables.maps.path(tables.maps.module_at(lookup)?);
        Some((path, pc.wrapping_sub(elf.bias), elf.build_id()))
    });
    sink.frame(&Frame { pc, sp: frame.sp, function, module });
}

/// Whether dumps can be made on this machine.
pub(crate) fn is_supported() -> bool {
    sys::IS_SUPPORTED && NATIVE.is_some()
}
