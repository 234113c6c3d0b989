//! What a signal handler does to the system call that it interrupts, and ptrace does not.
//!
//! Seen from outside, pc is behind the instruction, and the result register has the kernel's own code for a
//! call that is to go on. Before a handler runs (`handle_signal` of the kernel's `arch/x86/kernel/signal.c`)
//! that becomes EINTR; or, where the call is restarted after the handler, pc goes back to the instruction
//! and the register has the number of the call.
use super::ways::interrupted;
use super::{Frame, Thread};

/// The registers of an architecture that are concerned.
struct Registers {
    pc: &'static str,
    sp: &'static str,
    result: &'static str,
    /// Bytes of the instruction.
    instruction: u64,
}

/// What is known of two looks at a thread.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The second has the frame of the call before the instruction, the first behind it.
    pub(super) restarts: bool,
    /// Registers that are not the same if it stood still.
    pub(super) skip: Vec<&'static str>,
    /// Why it did not, if it did not.
    pub(super) moved: Option<&'static str>,
}

const EINTR: i64 = -4;
/// ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND and ERESTART_RESTARTBLOCK of `include/linux/errno.h`.
const RESTART: [i64; 4] = [-512, -513, -514, -516];

fn registers(arch: &str) -> Option<Registers> {
    match arch {
        "x86_64" => Some(Registers { pc: "rip", sp: "rsp", result: "rax", instruction: 2 }),
        _ => None,
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
    let is_before = |[behind, before]: [Option<u64>; 2]| {
        before.is_some() && before == behind.and_then(|pc| pc.checked_sub(names.instruction))
    };
    let is_same = |[one, other]: [Option<u64>; 2]| one.is_some() && one == other;
    let restarts = [by_frame, by_register].map(is_before);
    let stays = is_same(by_frame) || is_same(by_register);
    let other_call = right.syscall.as_ref().is_some_and(|other| other.number != call.number);
    if other_call || !(stays || restarts.contains(&true)) {
        return Seen { moved: Some("it has gone on between the dumps"), ..Seen::default() };
    }
    if left.register(names.sp) != right.register(names.sp) && !same_callers(left, right) {
        return Seen { moved: Some("it has come back to the call from elsewhere"), ..Seen::default() };
    }
    let result = |thread: &Thread| thread.register(names.result).map(u64::cast_signed);
    let waits = result(left).is_none_or(|result| result == EINTR || RESTART.contains(&result));
    let undone = if restarts.contains(&true) { call.number } else { EINTR };
    // Otherwise one of the two is no look at a call that waits, and the register says so.
    let undone = result(right).is_none_or(|result| result == undone);
    let mut skip = if waits && undone { vec![names.result] } else { Vec::new() };
    skip.extend(restarts[1].then_some(names.pc));
    Seen { restarts: restarts[0], skip, moved: None }
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
    let Some(Registers { instruction, .. }) = registers(arch) else { return };
    let inlined = left.iter().take_while(|frame| frame.inlined).count();
    left.drain(..inlined);
    let inlined = right.iter().take_while(|frame| frame.inlined).count();
    right.drain(..inlined);
    let (Some(one), Some(other)) = (left.first(), right.first_mut()) else { return };
    // Whatever is not just that much before stays as it is, and differs.
    let behind = |before: Option<u64>| before.map(|before| before.wrapping_add(instruction));
    if other.pc.wrapping_add(instruction) == one.pc {
        other.pc = one.pc;
        (other.file, other.line) = (one.file.clone(), one.line);
    }
    if behind(other.module_offset) == one.module_offset {
        other.module_offset = one.module_offset;
    }
    if behind(other.function_offset) == one.function_offset {
        other.function_offset = one.function_offset;
    }
}
