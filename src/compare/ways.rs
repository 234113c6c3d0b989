//! Whether two ways of looking at a thread that stood still have seen the same.
use super::pairs::{self, Depth};
use super::{Difference, Frame, Judged, Thread, Verdict, call};

/// What the file name of the relay begins with, whose frames stand on top of what it interrupted.
const RELAY: &str = "libthreaddump_relay";

pub(super) fn judge(arch: &str, left: &Thread, right: &Thread) -> Judged {
    if let Some(unseen) = [right, left].into_iter().find(|thread| is_unseen(thread)) {
        let why = unseen.problems.first().unwrap_or(&unseen.end);
        return Judged::only(Verdict::Unreachable, why);
    }
    let mut differences = Vec::new();
    differences.extend(pairs::fact("name", left.name.clone(), right.name.clone()));
    let mut one: Vec<&Frame> = interrupted(&left.frames).iter().collect();
    let mut other: Vec<Frame> = interrupted(&right.frames).to_vec();
    let seen = call::seen(arch, left, right, [one.first().copied(), other.first()]);
    if seen.apart {
        call::align(arch, &mut one, &mut other);
    }
    pairs::frames(&one, &other.iter().collect::<Vec<_>>(), Depth::Names, &mut differences);
    differences.extend(pairs::fact("end", Some(left.end.clone()), Some(right.end.clone())));
    pairs::registers(left, right, &seen.skip, &mut differences);
    match (differences.is_empty(), seen.moved) {
        (true, _) => Judged::of(Verdict::Identical),
        (false, Some(why)) => Judged { verdict: Verdict::Moved, why: Some(why.to_owned()), differences },
        (false, None) => Judged { verdict: Verdict::Differing, why: None, differences },
    }
}

/// What is left of the differences between two ways, if a thread is so at another look by the first way.
pub(super) fn again(arch: &str, first: &Thread, now: &Thread, found: &[Difference]) -> Judged {
    let mut changed = Vec::new();
    let (one, other): (Vec<&Frame>, Vec<&Frame>) =
        (first.frames.iter().collect(), now.frames.iter().collect());
    pairs::frames(&one, &other, Depth::Places, &mut changed);
    let call = |thread: &Thread| thread.syscall.as_ref().map(|call| call.number);
    let is_elsewhere = !changed.is_empty() || call(first) != call(now);
    pairs::registers(first, now, &[], &mut changed);
    let registers: Vec<&str> = changed.iter().filter_map(|change| change.register.as_deref()).collect();
    if is_elsewhere || call::is_place(arch, &registers) {
        let why = Some("it has gone on between the dumps".to_owned());
        return Judged { verdict: Verdict::Moved, why, differences: found.to_vec() };
    }
    let changes = |difference: &&Difference| {
        difference.register.as_deref().is_some_and(|register| registers.contains(&register))
    };
    let left_out: Vec<&str> =
        found.iter().filter(changes).filter_map(|one| one.register.as_deref()).collect();
    let differences: Vec<Difference> =
        found.iter().filter(|difference| !changes(difference)).cloned().collect();
    let verdict = if differences.is_empty() { Verdict::Identical } else { Verdict::Differing };
    let names = left_out.join(", ");
    let why = (!left_out.is_empty()).then(|| format!("without what changes from look to look: {names}"));
    Judged { verdict, why, differences }
}

/// What `/proc` tells of a thread that could not be asked is no other way of looking at it.
fn is_unseen(thread: &Thread) -> bool {
    !thread.stopped || (thread.frames.is_empty() && thread.registers.is_empty())
}

/// The frames without those of the relay's handler and what the kernel put between.
pub(super) fn interrupted(frames: &[Frame]) -> &[Frame] {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_relay = |frame: &Frame| frame.module.as_deref().is_some_and(|path| name(path).starts_with(RELAY));
    if !frames.first().is_some_and(is_relay) {
        return frames;
    }
    let after = frames.iter().position(|frame| frame.how == "signal");
    after.map_or(frames, |after| &frames[after..])
}
