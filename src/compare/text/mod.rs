//! Text for people: thread by thread with the first dump on the left and the second on the right, or, where
//! there is no room for that, one under the other.
mod columns;
mod rows;

use std::io::{self, Write};

use jiff::Timestamp;

use super::{Compared, Comparison, Question, Verdict};
use crate::report::Style;
use crate::report::style::Role;
use crate::report::words;
use columns::Layout;

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Colours and escapes.
    pub style: Style,
    /// Columns of the terminal; `None` if lines may have any length.
    pub width: Option<usize>,
    /// Leave out threads that are the same.
    pub only_different: bool,
}

/// Writes a comparison.
///
/// # Errors
/// Those of `out`.
pub fn write(comparison: &Comparison, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    head(comparison, &options.style, out)?;
    let layout = Layout::new(options.width);
    for thread in &comparison.threads {
        if options.only_different && thread.verdict == Verdict::Identical {
            continue;
        }
        writeln!(out)?;
        title(comparison, thread, &options.style, out)?;
        // What has not moved is told once.
        let once = comparison.question == Question::Moments && thread.verdict == Verdict::Identical;
        let layout = if once { Layout::Under(options.width.unwrap_or(usize::MAX)) } else { layout };
        columns::write(&rows::of(comparison, thread), layout, &options.style, out)?;
    }
    writeln!(out)?;
    writeln!(out, "{}", options.style.paint(Role::Title, summary(comparison).as_str()))
}

fn head(comparison: &Comparison, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let (left, right) = (&comparison.left, &comparison.right);
    let what = match comparison.question {
        Question::Ways => format!("by {} and by {}", left.source, right.source),
        Question::Moments => format!("two dumps{}", apart(&left.captured_at, &right.captured_at)),
    };
    let title = format!("{} (pid {}): {what}", left.name, left.pid);
    writeln!(out, "{}", style.name(Role::Title, &title))?;
    for (label, dump) in [("left ", left), ("right", right)] {
        let count = words::count(dump.threads.len(), "thread");
        let facts = format!("{} by {}, {count}", words::time(&dump.captured_at), dump.source);
        writeln!(out, "  {}  {}", style.paint(Role::Quiet, label), style.text(&facts))?;
    }
    for note in &comparison.notes {
        writeln!(out, "  {}  {}", style.paint(Role::Warning, "note "), style.text(note))?;
    }
    Ok(())
}

/// The time between two dumps.
fn apart(left: &str, right: &str) -> String {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let (Some(left), Some(right)) = (time(left), time(right)) else { return String::new() };
    let ns = right.as_nanosecond() - left.as_nanosecond();
    let length = u64::try_from(ns.unsigned_abs()).map(words::duration).unwrap_or_default();
    if ns < 0 { format!(", the second {length} before the first") } else { format!(", {length} apart") }
}

fn title(comparison: &Comparison, thread: &Compared, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let (left, right) = comparison.sides(thread);
    let name = left.or(right).and_then(|thread| thread.name.as_deref());
    let name = name.map_or("name unknown".to_owned(), |name| format!("\"{}\"", name.replace('"', "\\\"")));
    let role = match thread.verdict {
        Verdict::Identical => Role::Quiet,
        Verdict::Moved | Verdict::Unreachable => Role::Source,
        _ => Role::Warning,
    };
    let head = format!("thread {} {name}:", thread.tid);
    write!(out, "{} ", style.name(Role::Title, &head))?;
    write!(out, "{}", style.paint(role, thread.verdict.as_str()))?;
    match &thread.why {
        Some(why) => writeln!(out, ", {}", style.text(why)),
        None => writeln!(out),
    }
}

/// The counts, in one line.
pub fn summary(comparison: &Comparison) -> String {
    let shown = |verdict: &Verdict| match comparison.question {
        Question::Ways => !matches!(verdict, Verdict::Appeared | Verdict::Ended),
        Question::Moments => *verdict != Verdict::Differing,
    };
    let counts = Verdict::ALL.into_iter().filter(shown);
    let counts: Vec<String> =
        counts.map(|verdict| format!("{} {}", comparison.count(verdict), verdict.as_str())).collect();
    let counts = counts.join(", ");
    match comparison.question {
        Question::Moments if comparison.is_same() && comparison.is_of_use() => {
            format!("{counts}: nothing moved")
        }
        _ => counts,
    }
}
