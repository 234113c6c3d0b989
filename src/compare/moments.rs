//! Whether a thread has moved between two moments.
use super::pairs::{self, Depth};
use super::{Call, Frame, Judged, Thread, Verdict};
use crate::report::words;

/// Nanoseconds of processor time that only a thread uses which runs. The kernel counts in ticks of 10 ms, and being
/// stopped for a dump costs a thread some microseconds itself, which may be the last of a tick.
const RAN: u64 = 20_000_000;

pub(super) fn judge(left: &Thread, right: &Thread) -> Judged {
    if is_unknown(left) || is_unknown(right) {
        return Judged::only(Verdict::Unreachable, unknown(left, right));
    }
    let mut differences = Vec::new();
    let (one, other): (Vec<&Frame>, Vec<&Frame>) =
        (left.frames.iter().collect(), right.frames.iter().collect());
    pairs::frames(&one, &other, Depth::Places, &mut differences);
    let call = |thread: &Thread| thread.syscall.as_ref().map(call_text);
    differences.extend(pairs::fact("syscall", call(left), call(right)));
    pairs::registers(left, right, &[], &mut differences);
    if left.omitted != right.omitted {
        let count = |thread: &Thread| Some(thread.omitted.to_string());
        differences.extend(pairs::fact("omitted", count(left), count(right)));
    }
    let used = right.cpu_ns.zip(left.cpu_ns).and_then(|(after, before)| after.checked_sub(before));
    let used = used.filter(|&used| used >= RAN);
    let why = used.map(|used| {
        let place = if differences.is_empty() { "at the same place, but it " } else { "it " };
        format!("{place}has used {} of processor time", words::duration(used))
    });
    let same = differences.is_empty() && used.is_none();
    let verdict = if same { Verdict::Identical } else { Verdict::Moved };
    Judged { verdict, why, differences }
}

/// Of a thread without frames nobody knows where it is; one of the kernel has none, and one that has ended.
fn is_unknown(thread: &Thread) -> bool {
    let needs_none = matches!(thread.end.as_str(), "kernel_worker" | "exited");
    thread.frames.is_empty() && thread.registers.is_empty() && !needs_none
}

fn unknown(left: &Thread, right: &Thread) -> &'static str {
    match (is_unknown(left), is_unknown(right)) {
        (true, true) => "neither dump tells where it was",
        (true, false) => "the first dump does not tell where it was",
        _ => "the second dump does not tell where it was",
    }
}

/// A call with its arguments.
pub(super) fn call_text(call: &Call) -> String {
    let name = call.name.clone().unwrap_or_else(|| call.number.to_string());
    let arguments: Vec<String> = call.args.iter().map(|&value| pairs::hex(value)).collect();
    format!("{name}({})", arguments.join(", "))
}
