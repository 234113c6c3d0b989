//! JSON, schema `threaddump-compare/1` (man/threaddump-json.5).
use std::io::{self, Write};

use serde::Serialize;

use super::{Comparison, Dump, Question, Verdict};
use crate::ids::{Pid, Tid};
use crate::report::{self, Tool};

#[derive(Serialize)]
struct Object<'c> {
    schema: &'static str,
    tool: Tool,
    question: &'static str,
    same: bool,
    left: Side<'c>,
    right: Side<'c>,
    summary: Summary,
    threads: Vec<Thread<'c>>,
    notes: &'c [String],
}

#[derive(Serialize)]
struct Side<'c> {
    captured_at: &'c str,
    source: &'c str,
    complete: bool,
    pid: Pid,
    name: &'c str,
    threads: usize,
}

#[derive(Serialize)]
struct Summary {
    identical: usize,
    moved: usize,
    unreachable: usize,
    differing: usize,
    appeared: usize,
    ended: usize,
}

#[derive(Serialize)]
struct Thread<'c> {
    tid: Tid,
    name: Option<&'c str>,
    verdict: &'static str,
    why: Option<&'c str>,
    differences: Vec<Difference<'c>>,
}

#[derive(Serialize)]
struct Difference<'c> {
    what: &'static str,
    frame: Option<usize>,
    register: Option<&'c str>,
    left: Option<&'c str>,
    right: Option<&'c str>,
}

/// Writes a comparison as one indented object and a newline.
///
/// # Errors
/// Those of `out`.
pub fn write(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let count = |verdict| comparison.count(verdict);
    let object = Object {
        schema: "threaddump-compare/1",
        tool: Tool::own(),
        question: match comparison.question {
            Question::Ways => "ways",
            Question::Moments => "moments",
        },
        same: comparison.is_same(),
        left: side(&comparison.left),
        right: side(&comparison.right),
        summary: Summary {
            identical: count(Verdict::Identical),
            moved: count(Verdict::Moved),
            unreachable: count(Verdict::Unreachable),
            differing: count(Verdict::Differing),
            appeared: count(Verdict::Appeared),
            ended: count(Verdict::Ended),
        },
        threads: threads(comparison),
        notes: &comparison.notes,
    };
    report::json::write_indented(&object, out)
}

fn side(dump: &Dump) -> Side<'_> {
    Side {
        captured_at: &dump.captured_at,
        source: &dump.source,
        complete: dump.complete,
        pid: dump.pid,
        name: &dump.name,
        threads: dump.threads.len(),
    }
}

fn threads(comparison: &Comparison) -> Vec<Thread<'_>> {
    let threads = comparison.threads.iter().map(|thread| {
        let (left, right) = comparison.sides(thread);
        let differences = thread.differences.iter().map(|difference| Difference {
            what: difference.what,
            frame: difference.frame,
            register: difference.register.as_deref(),
            left: difference.left.as_deref(),
            right: difference.right.as_deref(),
        });
        Thread {
            tid: thread.tid,
            name: left.or(right).and_then(|thread| thread.name.as_deref()),
            verdict: thread.verdict.as_str(),
            why: thread.why.as_deref(),
            differences: differences.collect(),
        }
    });
    threads.collect()
}
