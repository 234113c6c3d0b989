//! What a target says about itself in its first comment, checked without any debugger.
use super::dump::{Dump, Report, Thread};
use super::names;
use super::targets::Target;

/// Everything in the dump that is not as the target's comment says.
pub(crate) fn check(target: &Target, dump: &Dump) -> Vec<String> {
    let mut wrong = Vec::new();
    let report = &dump.report;
    for stack in target.values("stack") {
        if !report.threads.iter().any(|thread| has_stack(thread, stack)) {
            wrong.push(format!("no thread has the stack {stack}\n{}", show(report)));
        }
    }
    for name in target.values("absent") {
        let all = report.threads.iter().flat_map(|thread| &thread.frames);
        if all.flat_map(|frame| &frame.function).any(|function| plain(function) == name) {
            wrong.push(format!("{name} must not be shown\n{}", show(report)));
        }
    }
    for name in target.values("full-name") {
        let all = report.threads.iter().flat_map(|thread| &thread.frames);
        if !all.flat_map(|frame| &frame.function).any(|function| names::normalise(function) == name) {
            wrong.push(format!("no function is {name}\n{}", show(report)));
        }
    }
    if let Some(count) = number(target, "threads")
        && count != report.threads.len()
    {
        wrong.push(format!("{} threads where there are {count}", report.threads.len()));
    }
    if let Some(count) = number(target, "frames")
        && !report.threads.iter().any(|thread| thread.frames.len() >= count)
    {
        wrong.push(format!("no thread has {count} frames"));
    }
    if let Some(state) = target.value("state")
        && !report.threads.iter().all(|thread| thread.state.is_some_and(|own| state.contains(own)))
    {
        wrong.push(format!("not every thread is in state {state}"));
    }
    wrong.extend(ends(target, report));
    wrong.extend(status(target, dump));
    wrong
}

fn ends(target: &Target, report: &Report) -> Vec<String> {
    let Some(wanted) = target.value("end") else { return Vec::new() };
    let others = report.threads.iter().filter(|thread| thread.end != wanted);
    let text = others.map(|thread| {
        let detail = thread.end_detail.as_deref().unwrap_or("-");
        format!("thread {} ends with {} ({detail}), not {wanted}\n{}", thread.tid, thread.end, stack(thread))
    });
    text.collect()
}

fn status(target: &Target, dump: &Dump) -> Option<String> {
    let wanted = target.value("status").unwrap_or("0 1");
    let fits = wanted.split_whitespace().any(|one| one == dump.status.to_string());
    (!fits).then(|| format!("exit status {} where {wanted} is right\n{}", dump.status, dump.messages))
}

fn number(target: &Target, key: &str) -> Option<usize> {
    target.value(key)?.parse().ok()
}

/// Whether the functions of a pattern `a < b < c` are on the stack in this order, innermost first,
/// with any number of frames between them. `?` is a frame without a name.
fn has_stack(thread: &Thread, pattern: &str) -> bool {
    let mut frames = thread.frames.iter();
    pattern.split(" < ").all(|wanted| {
        frames.any(|frame| match &frame.function {
            Some(function) => names::fits(wanted, &plain(function)),
            None => wanted == "?",
        })
    })
}

/// The last part of a name, without anything around it.
fn plain(function: &str) -> String {
    names::last_part(&names::normalise(function)).to_owned()
}

fn show(report: &Report) -> String {
    report.threads.iter().take(4).map(stack).collect()
}

fn stack(thread: &Thread) -> String {
    let names = thread.frames.iter().take(30).map(|frame| {
        let name = frame.function.as_deref().unwrap_or("?");
        format!("{name} ({:#x}, {})", frame.pc, frame.how)
    });
    let problems = thread.problems.iter().map(|problem| format!("{}: {}", problem.stage, problem.message));
    let lines: Vec<String> = names.chain(problems).collect();
    format!("    thread {} {:?}:\n      {}\n", thread.tid, thread.name, lines.join("\n      "))
}
