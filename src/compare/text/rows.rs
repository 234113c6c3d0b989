//! What is beside each other.
use super::super::{Compared, Comparison, Frame, Question, Thread, Verdict, moments, ways};
use crate::report::words;

/// A line of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) left: Option<String>,
    pub(super) right: Option<String>,
    pub(super) same: bool,
}

/// The rows of a thread.
pub(super) fn of(comparison: &Comparison, thread: &Compared) -> Vec<Row> {
    let (left, right) = comparison.sides(thread);
    let mut rows = Vec::new();
    let doing = |thread: Option<&Thread>| thread.map(doing).filter(|text| !text.is_empty());
    push(&mut rows, doing(left), doing(right));
    // From inside nobody tells the call.
    rows.iter_mut().for_each(|row| row.same |= thread.verdict == Verdict::Identical);
    frames(frames_of(comparison, left), frames_of(comparison, right), thread, &mut rows);
    let has_frames = |thread: Option<&Thread>| thread.is_some_and(|thread| !thread.frames.is_empty());
    for difference in thread.differences.iter().filter(|difference| difference.frame.is_none()) {
        // What a thread is in without being anywhere is in its first row already.
        if difference.what == "end" && !has_frames(left) && !has_frames(right) {
            continue;
        }
        let name = difference.register.as_deref().unwrap_or(difference.what);
        let cell = |value: &Option<String>| {
            let value = value.as_deref().unwrap_or("unknown");
            Some(format!("{name:<8} {value}"))
        };
        push(&mut rows, cell(&difference.left), cell(&difference.right));
    }
    rows
}

fn push(rows: &mut Vec<Row>, left: Option<String>, right: Option<String>) {
    if left.is_some() || right.is_some() {
        rows.push(Row { same: left == right, left, right });
    }
}

fn frames_of<'t>(comparison: &Comparison, thread: Option<&'t Thread>) -> &'t [Frame] {
    let frames = thread.map_or(&[][..], |thread| &thread.frames);
    match comparison.question {
        Question::Ways => ways::interrupted(frames),
        Question::Moments => frames,
    }
}

/// The outermost frames are beside each other: threads come from the same place.
fn frames(left: &[Frame], right: &[Frame], thread: &Compared, rows: &mut Vec<Row>) {
    let height = left.len().max(right.len());
    let is_different = thread.differences.iter().any(|difference| difference.frame.is_some());
    for row in 0..height {
        let cell = |frames: &[Frame]| {
            let index = (row + frames.len()).checked_sub(height)?;
            Some(format!("#{index:<3} {}", place(frames.get(index)?)))
        };
        let (left, right) = (cell(left), cell(right));
        // Two looks at one call may stand on either side of an instruction, and are the same.
        let same = !is_different || (strip(left.as_deref()) == strip(right.as_deref()));
        rows.push(Row { same, left, right });
    }
}

/// A frame without its number, which depends on what is further in.
fn strip(cell: Option<&str>) -> Option<&str> {
    cell.and_then(|cell| cell.split_once(' ')).map(|(_, rest)| rest.trim_start())
}

fn doing(thread: &Thread) -> String {
    let state = thread.state.map_or("", |state| words::state_of(state).unwrap_or("in another state"));
    let call = thread.syscall.as_ref().map(moments::call_text).map(|call| format!("in {call}"));
    let parts = [Some(state.to_owned()).filter(|state| !state.is_empty()), call];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn place(frame: &Frame) -> String {
    let module = frame.module.as_deref().map(words::base_name);
    let mut text = match (&frame.function, module, frame.module_offset) {
        (Some(function), ..) => function.clone(),
        (None, Some(module), Some(offset)) => return format!("{module}+{offset:#x}"),
        _ => return format!("{:#018x}", frame.pc),
    };
    if let Some(offset) = frame.function_offset {
        text += &format!("+{offset:#x}");
    }
    if let Some(file) = &frame.file {
        let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
        text += &format!("  {}{line}", words::base_name(file));
    }
    match module.filter(|_| !frame.inlined) {
        Some(module) => format!("{text}  {module}"),
        None if frame.inlined => format!("{text}  (inlined)"),
        None => text,
    }
}
