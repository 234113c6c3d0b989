//! What a signal handler does to the system call that it interrupts, and ptrace does not.
//!
//! Seen from outside, pc is behind the instruction on x86, and the result register has the kernel's own code for a
//! call that is to go on. Before a handler runs (`handle_signal` of the kernel's `arch/x86/kernel/signal.c`)
//! that becomes EINTR; or, where the call is restarted after the handler, pc goes back to the instruction
//! and the register has the number of the call. On aarch64 (`do_signal` of `arch/arm64/kernel/signal.c`) a debugger
//! sees the thread as it will be restarted, before the instruction and with the first argument in the register of the
//! result; if a handler runs and the call is not restarted, pc goes behind the instruction and the result is EINTR.
use super::ways::interrupted;
use super::{Frame, Thread};

/// The registers of an architecture that are concerned.
struct Registers {
    pc: &'static str,
    sp: &'static str,
    result: &'static str,
    /// Bits of the result.
    width: u32,
    /// Bytes of the instruction.
    instruction: u64,
    /// Whether a debugger sees a call that waits before the instruction.
    seen_before: bool,
}

/// What is known of two looks at a thread.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// One has the frame of the call before the instruction, the other behind it.
    pub(super) apart: bool,
    /// Registers that are not the same if it stood still.
    pub(super) skip: Vec<&'static str>,
    /// Why it did not, if it did not.
    pub(super) moved: Option<&'static str>,
}

const EINTR: i64 = -4;
/// ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND and ERESTART_RESTARTBLOCK of `include/linux/errno.h`.
const RESTART: [i64; 4] = [-512, -513, -514, -516];

fn registers(arch: &str) -> Option<Registers> {
    let known = |pc, sp, result, width, instruction| {
        Some(Registers { pc, sp, result, width, instruction, seen_before: false })
    };
    match arch {
        "x86_64" => known("rip", "rsp", "rax", 64, 2),
        "i386" => known("eip", "esp", "eax", 32, 2),
        "aarch64" => known("pc", "sp", "r0", 64, 4).map(|known| Registers { seen_before: true, ..known }),
        _ => None,
    }
}

impl Registers {
    /// Whether the debugger's look and the other one are on the two sides of the instruction.
    fn is_apart(&self, debugger: u64, other: u64) -> bool {
        let (before, behind) = if self.seen_before { (debugger, other) } else { (other, debugger) };
        before.checked_add(self.instruction) == Some(behind)
    }

    /// What the call has given, as a signed number.
    fn result(&self, thread: &Thread) -> Option<i64> {
        let unused = 64 - self.width;
        thread.register(self.result).map(|value| (value << unused).cast_signed() >> unused)
    }
}

/// Looks at one thread seen by ptrace, and from inside of a handler. `places` are the frames that both begin with.
pub(super) fn seen(arch: &str, left: &Thread, right: &Thread, places: [Option<&Frame>; 2]) -> Seen {
    let Some(names) = registers(arch) else { return Seen::default() };
    let Some(call) = &left.syscall else {
        return Seen { moved: Some("it was running"), ..Seen::default() };
    };
    // A place is told twice, by the register and by the frame; where they disagree the threads differ.
    let by_frame = places.map(|frame| frame.map(|frame| frame.pc));
    let by_register = [left, right].map(|thread| thread.register(names.pc));
    let is_apart =
        |pcs: [Option<u64>; 2]| matches!(pcs, [Some(left), Some(right)] if names.is_apart(left, right));
    let is_same = |[one, other]: [Option<u64>; 2]| one.is_some() && one == other;
    let apart = [by_frame, by_register].map(is_apart);
    let is_any_apart = apart.contains(&true);
    let stays = is_same(by_frame) || is_same(by_register);
    let other_call = right.syscall.as_ref().is_some_and(|other| other.number != call.number);
    if other_call || !(stays || is_any_apart) {
        return Seen { moved: Some("it has gone on between the dumps"), ..Seen::default() };
    }
    if left.register(names.sp) != right.register(names.sp) && !same_callers(left, right) {
        return Seen { moved: Some("it has come back to the call from elsewhere"), ..Seen::default() };
    }
    // Otherwise one of the two is no look at a call that waits, and the register says so.
    let waits = |result| result == EINTR || RESTART.contains(&result);
    let (one, other) = (names.result(left), names.result(right));
    let is_undone = if names.seen_before {
        is_any_apart && other.is_none_or(|result| result == EINTR)
    } else {
        let undone = if is_any_apart { call.number } else { EINTR };
        one.is_none_or(waits) && other.is_none_or(|result| result == undone)
    };
    let mut skip = if is_undone { vec![names.result] } else { Vec::new() };
    skip.extend(apart[1].then_some(names.pc));
    Seen { apart: apart[0], skip, moved: None }
}

/// Whether one of these registers tells where a thread is.
pub(super) fn is_place(arch: &str, names: &[&str]) -> bool {
    registers(arch).is_some_and(|known| names.contains(&known.pc) || names.contains(&known.sp))
}

/// Whether all callers are the same: then a stack pointer that is not is no sign of a move.
fn same_callers(left: &Thread, right: &Thread) -> bool {
    let callers = |thread: &Thread| -> Vec<u64> {
        let frames = interrupted(&thread.frames);
        let first = frames.first().map(|frame| frame.pc);
        frames.iter().map(|frame| frame.pc).skip_while(|&pc| Some(pc) == first).collect()
    };
    callers(left) == callers(right)
}

/// Takes the difference between before and behind the instruction out of two stacks that are at one call: what
/// was inlined there, and where in its function it is.
pub(super) fn align(arch: &str, left: &mut Vec<&Frame>, right: &mut Vec<Frame>) {
    let Some(names) = registers(arch) else { return };
    let inlined = left.iter().take_while(|frame| frame.inlined).count();
    left.drain(..inlined);
    let inlined = right.iter().take_while(|frame| frame.inlined).count();
    right.drain(..inlined);
    let (Some(one), Some(other)) = (left.first(), right.first_mut()) else { return };
    // Whatever is not just that far away stays as it is, and differs.
    let is_apart = |[one, other]: [Option<u64>; 2]| matches!((one, other), (Some(one), Some(other)) if names.is_apart(one, other));
    if names.is_apart(one.pc, other.pc) {
        other.pc = one.pc;
        (other.file, other.line) = (one.file.clone(), one.line);
    }
    if is_apart([one.module_offset, other.module_offset]) {
        other.module_offset = one.module_offset;
    }
    if is_apart([one.function_offset, other.function_offset]) {
        other.function_offset = one.function_offset;
    }
}
