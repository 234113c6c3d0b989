//! Starting the helper: the `threaddump` program, which looks at this process from outside.
//!
//! It is started by a child that shares our memory for a moment, so that the size of the process does not
//! matter, and through a second child, so that the program has no child that it does not know of: neither
//! does a signal tell of it, nor can its wait calls find it.
use core::sync::atomic::{AtomicU32, Ordering};

use crate::options::{MAX_PATH, Path};
use crate::state::{Fixed, state};
use crate::sys::calls;
use crate::sys::process::clone_shared;
use crate::sys::signal::{self, Arrival, Change};
use crate::text::decimal;

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
    pid: AtomicU32,
}

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
    let started = calls::is_executable(plan.path()) && start(&plan, fixed);
    calls::close(answer);
    let done = started && let_trace(&plan, fixed, begin, result, deadline);
    [go, begin, result].into_iter().for_each(calls::close);
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
        pid: AtomicU32::new(0),
    }
}

fn start(plan: &Plan, fixed: &Fixed) -> bool {
    let Ok(child) = clone_shared(fixed.helper_stack_top(), first_child, plan) else { return false };
    calls::wait_for_clone(child);
    plan.pid.load(Ordering::Acquire) != 0
}

fn first_child(plan: &Plan) {
    if let Ok(pid) = clone_shared(plan.stack_top, second_child, plan) {
        plan.pid.store(pid, Ordering::Release);
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
fn let_trace(plan: &Plan, fixed: &Fixed, begin: i32, result: i32, deadline: u64) -> bool {
    let pid = plan.pid.load(Ordering::Acquire);
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
