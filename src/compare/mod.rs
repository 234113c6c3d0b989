//! Two dumps of one process beside each other: by two ways of looking at one moment, where everything that
//! held still has to be the same, or by one way at two moments, where a thread that hangs has not moved.
//!
//! Nothing is looked up here: [`compare()`] is a function of two values, which are made of reports or read
//! from JSON files, and [`text`] and [`json`] print what it gives.
mod call;
mod dump;
pub mod json;
mod moments;
mod pairs;
pub mod read;
#[cfg(test)]
mod tests;
pub mod text;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

pub use dump::{Call, Dump, Frame, Thread};

use crate::ids::Tid;

/// What two dumps are compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Two ways of looking at one moment, as far as two dumps can be of one: is what stood still the same?
    Ways,
    /// Two moments: which threads have moved?
    Moments,
}

/// What is said of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is the same in both.
    Identical,
    /// It ran, or may have run, between the two.
    Moved,
    /// One of the ways could not look at it.
    Unreachable,
    /// It stood still, and is not the same.
    Differing,
    /// It is in the second dump only.
    Appeared,
    /// It is in the first dump only.
    Ended,
}

impl Verdict {
    /// All, in the order of summaries.
    pub const ALL: [Verdict; 6] = [
        Verdict::Identical,
        Verdict::Moved,
        Verdict::Unreachable,
        Verdict::Differing,
        Verdict::Appeared,
        Verdict::Ended,
    ];

    /// Its name in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Identical => "identical",
            Verdict::Moved => "moved",
            Verdict::Unreachable => "unreachable",
            Verdict::Differing => "differing",
            Verdict::Appeared => "appeared",
            Verdict::Ended => "ended",
        }
    }
}

/// One thread of both dumps.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its id.
    pub tid: Tid,
    /// What is said of it.
    pub verdict: Verdict,
    /// Why, where that is not plain.
    pub why: Option<String>,
    /// What is not the same.
    pub differences: Vec<Difference>,
    /// Its place among the threads of the first dump.
    left: Option<usize>,
    /// And of the second.
    right: Option<usize>,
}

/// Something that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The frame, counted from 0 at the innermost one that both are compared from.
    pub frame: Option<usize>,
    /// What of it: `pc`, `function`, …; or, without a frame, `name`, `end`, `syscall` or `register`.
    pub what: &'static str,
    /// The register.
    pub register: Option<String>,
    /// As it is in the first dump.
    pub left: Option<String>,
    /// And in the second.
    pub right: Option<String>,
}

/// Two dumps, and what is said of their threads.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What they were compared for.
    pub question: Question,
    /// The first.
    pub left: Dump,
    /// The second.
    pub right: Dump,
    /// The threads of both, in the order of the first, then those that only the second has.
    pub threads: Vec<Compared>,
    /// What is to be known about the whole.
    pub notes: Vec<String>,
}

/// Compares thread by thread, by their ids.
pub fn compare(question: Question, left: Dump, right: Dump) -> Comparison {
    let places: BTreeMap<Tid, usize> =
        right.threads.iter().enumerate().map(|(place, thread)| (thread.tid, place)).collect();
    let mut threads: Vec<Compared> = Vec::with_capacity(left.threads.len());
    for (place, thread) in left.threads.iter().enumerate() {
        let other = places.get(&thread.tid).map(|&other| &right.threads[other]);
        let judged = match (question, other) {
            (Question::Ways, Some(other)) => ways::judge(&left.arch, thread, other),
            (Question::Ways, None) => Judged::only(Verdict::Differing, "only the first dump has it"),
            (Question::Moments, Some(other)) => moments::judge(thread, other),
            (Question::Moments, None) => Judged::of(Verdict::Ended),
        };
        threads.push(judged.thread(thread.tid, Some(place), places.get(&thread.tid).copied()));
    }
    let known: BTreeSet<Tid> = left.threads.iter().map(|thread| thread.tid).collect();
    let new = right.threads.iter().enumerate().filter(|(_, thread)| !known.contains(&thread.tid));
    threads.extend(new.map(|(place, thread)| {
        let judged = match question {
            Question::Ways => Judged::only(Verdict::Differing, "only the second dump has it"),
            Question::Moments => Judged::of(Verdict::Appeared),
        };
        judged.thread(thread.tid, None, Some(place))
    }));
    let notes = notes(question, &left, &right);
    Comparison { question, left, right, threads, notes }
}

fn notes(question: Question, left: &Dump, right: &Dump) -> Vec<String> {
    let mut notes = Vec::new();
    let time = |dump: &Dump| dump.captured_at.parse::<jiff::Timestamp>().ok();
    if question == Question::Moments && time(left).zip(time(right)).is_some_and(|(left, right)| left > right)
    {
        notes.push("the first dump was made after the second one".to_owned());
    }
    for (dump, which) in [(left, "first"), (right, "second")] {
        if !dump.complete {
            notes.push(format!("the {which} dump is incomplete"));
        }
    }
    if left.exe != right.exe {
        notes.push("the process started another program between the dumps".to_owned());
    }
    notes
}

impl Comparison {
    /// How many threads this is said of.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.threads.iter().filter(|thread| thread.verdict == verdict).count()
    }

    /// Whether nothing is different, or nothing moved.
    pub fn is_same(&self) -> bool {
        let counts = match self.question {
            Question::Ways => &[Verdict::Differing][..],
            Question::Moments => &[Verdict::Moved, Verdict::Appeared, Verdict::Ended],
        };
        counts.iter().all(|&verdict| self.count(verdict) == 0)
    }

    /// Whether there is a thread of which both dumps tell something.
    pub fn is_of_use(&self) -> bool {
        match self.question {
            Question::Ways => self.count(Verdict::Identical) + self.count(Verdict::Differing) > 0,
            Question::Moments => self.threads.iter().any(|thread| thread.verdict != Verdict::Unreachable),
        }
    }

    /// Looks once more at what differs, by a third dump that was made by the way of the first. What is not the
    /// same in those two tells nothing about the ways: a thread that is elsewhere has moved, and so has one that
    /// is gone or was not there at first; a register that is another one is left out. A call that ptrace
    /// ends, such as `epoll_wait`, is made anew after the first dump, with the time that is left.
    pub fn settle(&mut self, again: &Dump) {
        let now: BTreeMap<Tid, &Thread> = again.threads.iter().map(|thread| (thread.tid, thread)).collect();
        for thread in self.threads.iter_mut().filter(|thread| thread.verdict == Verdict::Differing) {
            let first = thread.left.map(|place| &self.left.threads[place]);
            let judged = match (first, now.get(&thread.tid)) {
                // It was there all the time, and one way has not seen it.
                (Some(_), Some(_)) if thread.right.is_none() => continue,
                (Some(first), Some(now)) => ways::again(&self.left.arch, first, now, &thread.differences),
                (Some(_), None) => Judged::only(Verdict::Moved, "it has ended since"),
                (None, Some(_)) => Judged::only(Verdict::Moved, "it was started between the dumps"),
                (None, None) => Judged::only(Verdict::Moved, "it came and went between the dumps"),
            };
            (thread.verdict, thread.differences) = (judged.verdict, judged.differences);
            thread.why = judged.why.or(thread.why.take());
        }
    }

    /// Makes comparisons, until nothing differs and nothing moved in one, or there are so many; gives the best.
    /// What two ways really see otherwise is seen every time.
    ///
    /// # Errors
    /// The first one of those who make them.
    pub fn best_of<E>(
        rounds: usize,
        mut make: impl FnMut() -> Result<Comparison, E>,
    ) -> Result<Comparison, E> {
        let key = |comparison: &Comparison| {
            (comparison.count(Verdict::Differing), comparison.count(Verdict::Moved))
        };
        let mut best = make()?;
        for _ in 1..rounds {
            if key(&best) == (0, 0) {
                break;
            }
            let next = make()?;
            if key(&next) < key(&best) {
                best = next;
            }
        }
        Ok(best)
    }

    fn sides<'c>(&'c self, thread: &Compared) -> (Option<&'c Thread>, Option<&'c Thread>) {
        let left = thread.left.map(|place| &self.left.threads[place]);
        (left, thread.right.map(|place| &self.right.threads[place]))
    }
}

/// What is said of two threads with one id.
#[derive(Debug)]
struct Judged {
    verdict: Verdict,
    why: Option<String>,
    differences: Vec<Difference>,
}

impl Judged {
    fn of(verdict: Verdict) -> Judged {
        Judged { verdict, why: None, differences: Vec::new() }
    }

    fn only(verdict: Verdict, why: &str) -> Judged {
        Judged { why: Some(why.to_owned()), ..Judged::of(verdict) }
    }

    fn thread(self, tid: Tid, left: Option<usize>, right: Option<usize>) -> Compared {
        let Judged { verdict, why, differences } = self;
        Compared { tid, verdict, why, differences, left, right }
    }
}
