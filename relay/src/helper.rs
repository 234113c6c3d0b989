//! Starting the helper: the `threaddump` program, which looks at this process from outside.
//!
//! It is started by a child that shares our memory, so that the size of the process does not matter. That child
//! stays until the helper has ended: if it went first, the kernel would make the helper a child of whoever adopts
//! orphans, which the program itself may be, and starting a program makes a child one that signals its end. The
//! child that stays is one that does not: the program's wait calls find it only with `__WCLONE` or `__WALL`.
use core::sync::atomic::{AtomicU32, Ordering};

use crate::options::{MAX_PATH, Path};
use crate::state::{Fixed, state};
use crate::sys::calls::{self, now};
use crate::sys::process::{clone_beside, clone_shared};
use crate::sys::signal::{self, Arrival, Change};
use crate::text::decimal;
use crate::threads::MILLISECOND;

/// What it answers when everything is written.
const DONE: u8 = b'1';
const SIGKILL: u32 = 9;
/// Descriptors of the helper: the byte that lets it begin, its output, and its answer.
const GO: i32 = 0;
const OUT: i32 = 1;
const ANSWER: i32 = 3;
/// Above these.
const HIGH: usize = 10;

/// An argument with its zero byte.
#[derive(Clone, Copy, Debug)]
struct Argument([u8; 24]);

impl Argument {
    fn of(value: u64) -> Argument {
        let mut bytes = [0; 24];
        let digits = decimal(value);
        for (place, digit) in bytes.iter_mut().zip(digits.as_bytes()) {
            *place = *digit;
        }
        Argument(bytes)
    }
}

/// What the children need.
#[derive(Debug)]
struct Plan {
    path: [u8; MAX_PATH + 1],
    path_length: usize,
    /// Process, thread, context, siginfo.
    arguments: [Argument; 4],
    go: i32,
    out: i32,
    answer: i32,
    registers: bool,
    stack_top: usize,
}

/// The helper was not started.
const NONE: u32 = u32::MAX;
/// How long a child may take that has nothing more to do.
const PATIENCE: u64 = 1000 * MILLISECOND;

/// Process id of the helper, or [`NONE`]; 0 as long as that is not known.
static STARTED: AtomicU32 = AtomicU32::new(0);
/// The child that started a helper and did not end; it still uses the stack for starting one.
static LEFT: AtomicU32 = AtomicU32::new(0);

impl Plan {
    fn path(&self) -> &[u8] {
        self.path.get(..=self.path_length).unwrap_or_default()
    }
}

/// Has the helper write the dump; `false` if it did not complete one.
pub(crate) fn dump(arrival: &Arrival<'_>, fixed: &Fixed, out: i32, deadline: u64) -> bool {
    let Some(helper) = &fixed.options.helper else { return false };
    let Ok((go, begin)) = calls::pipe() else { return false };
    let Ok((result, answer)) = calls::pipe() else {
        [go, begin].into_iter().for_each(calls::close);
        return false;
    };
    let plan = plan(helper, arrival, fixed, [go, out, answer]);
    let child = if calls::is_executable(plan.path()) { start(plan, fixed, deadline) } else { None };
    calls::close(answer);
    let pid = STARTED.load(Ordering::Acquire);
    let started = child.is_some() && !matches!(pid, 0 | NONE);
    let done = started && let_trace(pid, fixed, begin, result, deadline);
    [go, begin, result].into_iter().for_each(calls::close);
    if let Some(child) = child {
        // Without its pipe a helper that was not traced yet ends, too.
        reap(child, now() + PATIENCE);
    }
    done
}

fn plan(helper: &Path, arrival: &Arrival<'_>, fixed: &Fixed, fds: [i32; 3]) -> Plan {
    let mut path = [0; MAX_PATH + 1];
    let length = helper.as_bytes().len();
    if let Some(place) = path.get_mut(..length) {
        place.copy_from_slice(helper.as_bytes());
    }
    let info = arrival.info_address() as u64;
    let values = [u64::from(state().pid()), u64::from(calls::gettid()), arrival.context as u64, info];
    Plan {
        path,
        path_length: length,
        arguments: values.map(Argument::of),
        go: fds[0],
        out: fds[1],
        answer: fds[2],
        registers: fixed.options.registers,
        // The first child needs little of it.
        stack_top: fixed.helper_stack_top() - (16 << 10),
    }
}

/// Starts the child that starts the helper, and waits until it has; gives its process id.
fn start(plan: Plan, fixed: &Fixed, deadline: u64) -> Option<u32> {
    let left = LEFT.load(Ordering::Acquire);
    if left != 0 && !reap(left, 0) {
        return None;
    }
    STARTED.store(0, Ordering::Release);
    let child = clone_beside(fixed.helper_stack_top(), first_child, plan).ok()?;
    while STARTED.load(Ordering::Acquire) == 0 && now() < deadline {
        calls::futex_wait(&STARTED, 0, deadline.saturating_sub(now()));
    }
    Some(child)
}

/// Waits for the end of the child up to a moment; `false` if it has not come.
fn reap(child: u32, deadline: u64) -> bool {
    let mut nap = MILLISECOND / 16;
    while calls::is_clone_alive(child) {
        if now() >= deadline {
            LEFT.store(child, Ordering::Release);
            return false;
        }
        let never = AtomicU32::new(0);
        calls::futex_wait(&never, 0, nap);
        nap = (nap * 2).min(20 * MILLISECOND);
    }
    LEFT.store(0, Ordering::Release);
    true
}

fn first_child(plan: &Plan) {
    let started = clone_shared(plan.stack_top, second_child, plan);
    STARTED.store(started.unwrap_or(NONE), Ordering::Release);
    calls::futex_wake(&STARTED);
    if let Ok(pid) = started {
        calls::wait_for(pid);
    }
    calls::exit(0);
}

fn second_child(plan: &Plan) {
    // A quit from the terminal is not meant for it.
    calls::setsid();
    let ends = [(plan.go, GO), (plan.out, OUT), (plan.answer, ANSWER)];
    let high = ends.map(|(fd, _)| calls::duplicate_above(fd, HIGH).unwrap_or(-1));
    let placed = high.iter().zip(ends).all(|(&fd, (_, place))| calls::dup3(fd, place));
    if placed && calls::close_from(ANSWER as usize + 1) {
        let [name, command, quiet] =
            [&b"threaddump\0"[..], b"relay-helper\0", b"--quiet\0"].map(<[u8]>::as_ptr);
        let registers = if plan.registers { core::ptr::null() } else { c"--no-registers".as_ptr().cast() };
        let [pid, tid, context, info] = plan.arguments.each_ref().map(|argument| argument.0.as_ptr());
        let end = core::ptr::null();
        let arguments = [name, command, pid, tid, context, info, quiet, registers, end];
        signal::mask(Change::Set, 0);
        calls::execute(plan.path(), &arguments);
    }
    calls::exit(1);
}

/// Allows the helper, and no other, to trace this process, and waits for its answer.
fn let_trace(pid: u32, fixed: &Fixed, begin: i32, result: i32, deadline: u64) -> bool {
    // Fails where there is no Yama, and is not needed there.
    let _ = calls::prctl(calls::PR_SET_PTRACER, pid as usize);
    let dumpable = calls::prctl(calls::PR_GET_DUMPABLE, 0);
    let raise = fixed.options.raise_dumpable && dumpable == Ok(0);
    if raise {
        let _ = calls::prctl(calls::PR_SET_DUMPABLE, 1);
    }
    let mut answer = [0];
    // We hold the other end too, so nothing breaks.
    let done = calls::write(begin, b"!") == Ok(1)
        && calls::poll(result, false, deadline)
        && calls::read(result, &mut answer) == Ok(1)
        && answer[0] == DONE;
    if !done && !calls::poll(result, false, 0) {
        // It lives: its end of the pipe is open.
        calls::kill(pid, SIGKILL);
    }
    if raise {
        let _ = calls::prctl(calls::PR_SET_DUMPABLE, 0);
    }
    let _ = calls::prctl(calls::PR_SET_PTRACER, 0);
    done
}
