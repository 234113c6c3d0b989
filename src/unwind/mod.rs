//! From a snapshot and its images to frames: pure, nothing is read from the target or the disk
//! that is not already in one of the two.
mod effort;
mod tables;
mod target;

use std::collections::VecDeque;

use threaddump_arch::Registers;
use threaddump_dwarf::{End, How, StepError, Walker};

use self::effort::{Effort, FRAME};
use self::tables::Tables;
use self::target::ThreadTarget;
use crate::images::Images;
use crate::report::Omitted;
use crate::snapshot::{Snapshot, ThreadSnapshot};

/// How far and by what means to unwind.
#[derive(Clone, Copy, Debug)]
pub struct UnwindOptions {
    /// Frames to keep of one thread, half at each end of the stack; 0 keeps all.
    pub max_frames: usize,
    /// Search the stack for return addresses where everything else fails.
    pub scan: bool,
}

/// A physical frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// Process address of its next instruction; for a caller, the return address.
    pub pc: u64,
    /// Process address to look names up for: the pc, or one less for a return address.
    pub lookup: u64,
    /// How it was found.
    pub how: How,
    /// The return address with its signature, if it has one.
    pub signed: Option<u64>,
}

/// The frames of one thread, innermost first.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The frames.
    pub frames: Vec<RawFrame>,
    /// The gap in a stack deeper than the limit.
    pub omitted: Option<Omitted>,
    /// Why the walk ended; `root` if it reached the outermost frame.
    pub end: &'static str,
    /// The same in words, where it did not.
    pub end_detail: Option<String>,
}

/// The walk of every thread, in the order of the snapshot.
pub fn unwind_all(snapshot: &Snapshot, images: &Images<'_>, options: &UnwindOptions) -> Vec<Walk> {
    let mut tables = Tables::new(snapshot, images);
    let effort = Effort::new(snapshot.threads.len());
    let threads = snapshot.threads.iter().enumerate();
    threads
        .map(|(index, thread)| {
            let mut target = ThreadTarget::new(snapshot, index, &mut tables, effort.allowance());
            unwind(thread, images, &mut target, options)
        })
        .collect()
}

fn unwind(
    thread: &ThreadSnapshot,
    images: &Images<'_>,
    target: &mut ThreadTarget<'_, '_, '_>,
    options: &UnwindOptions,
) -> Walk {
    let nothing = |end| Walk { frames: Vec::new(), omitted: None, end, end_detail: None };
    let Some(registers) = &thread.registers else {
        let runs = !thread.stopped && thread.state == Some('R');
        return nothing(match (thread.kernel_worker, runs) {
            (true, _) => "kernel_worker",
            (false, true) => "running",
            (false, false) => "not_stopped",
        });
    };
    if registers.pc() == Some(0) && registers.sp() == Some(0) {
        // io_uring and other kernel threads inside the process: they have no user stack.
        return nothing("kernel_worker");
    }
    let mut walker = Walker::new(registers.clone(), options.scan);
    let mut kept = BothEnds::new(options.max_frames);
    let mut outermost = 0;
    let mut count = 0_u64;
    while let Some(frame) = walker.next(target) {
        count += 1;
        target.allowance().spend(FRAME);
        if target.allowance().is_spent() {
            break;
        }
        outermost = frame.address.lookup();
        let (address, how, signed) = (frame.address, frame.how, frame.signed);
        kept.push(RawFrame { pc: address.pc, lookup: address.lookup(), how, signed });
    }
    let end = match walker.end() {
        // Go ends the stacks of its goroutines and threads with a return address of 0.
        Some(End::BadReturnAddress(0)) if is_go(images, outermost) => End::Root,
        // What the kernel starts has no caller, and some of it no unwind information that says so.
        Some(End::NoUnwindInfo(pc)) if is_start(pc, registers, images) => End::Root,
        end => end.unwrap_or(End::Root),
    };
    let (frames, omitted) = kept.finish();
    let (end, end_detail) = if target.allowance().is_spent() {
        ("work_limit", Some(format!("the walk was given up after {count} frames: it takes too much work")))
    } else {
        describe(end, thread, registers.arch(), options)
    };
    Walk { frames, omitted, end, end_detail }
}

/// Whether the kernel put a thread there: in a new program, or where it had been made.
fn is_start(pc: u64, registers: &Registers, images: &Images<'_>) -> bool {
    let new_thread = registers.pc() == Some(pc) && registers.arch().is_new_thread(registers);
    new_thread || images.at(pc).is_some_and(|image| image.is_entry(pc))
}

fn is_go(images: &Images<'_>, address: u64) -> bool {
    images.at(address).is_some_and(crate::images::Image::is_go)
}

fn describe(
    end: End,
    thread: &ThreadSnapshot,
    arch: threaddump_arch::Arch,
    options: &UnwindOptions,
) -> (&'static str, Option<String>) {
    match end {
        End::Root => ("root", None),
        End::UnreadableStack(address) if thread.stack_cut => {
            let copied: usize = thread.stacks.iter().map(|piece| piece.bytes.len()).sum();
            let detail = format!(
                "the stack goes on at {address:#x}, beyond the {copied} bytes that were copied \
                 (--stack-bytes copies more)"
            );
            ("stack_cut", Some(detail))
        }
        End::Rules(StepError::UnknownRegister(id)) => {
            let name = arch.info(id).name;
            let why = if thread.stopped {
                "whose value is lost in this frame"
            } else {
                "which only a stop can tell"
            };
            let hint = if options.scan { "" } else { " (--scan searches the stack instead)" };
            (end.as_str(), Some(format!("the unwind rules need {name}, {why}{hint}")))
        }
        // Where a scan was asked for it has found nothing.
        End::NoUnwindInfo(_) if !options.scan => {
            (end.as_str(), Some(format!("{end} (--scan searches the stack instead)")))
        }
        end => (end.as_str(), Some(end.to_string())),
    }
}

/// Keeps the first and the last frames of a walk.
struct BothEnds {
    first: Vec<RawFrame>,
    last: VecDeque<RawFrame>,
    first_limit: usize,
    last_limit: usize,
    dropped: usize,
}

impl BothEnds {
    fn new(max_frames: usize) -> BothEnds {
        let first_limit = if max_frames == 0 { usize::MAX } else { max_frames.div_ceil(2) };
        let last_limit = max_frames / 2;
        BothEnds { first: Vec::new(), last: VecDeque::new(), first_limit, last_limit, dropped: 0 }
    }

    fn push(&mut self, frame: RawFrame) {
        if self.first.len() < self.first_limit {
            self.first.push(frame);
            return;
        }
        self.last.push_back(frame);
        if self.last.len() > self.last_limit {
            self.last.pop_front();
            self.dropped += 1;
        }
    }

    fn finish(mut self) -> (Vec<RawFrame>, Option<Omitted>) {
        let before = self.first.len();
        self.first.extend(self.last);
        let omitted = (self.dropped > 0).then_some(Omitted { before, count: self.dropped });
        (self.first, omitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(count: u64) -> Vec<RawFrame> {
        (0..count).map(|pc| RawFrame { pc, lookup: pc, how: How::Cfi, signed: None }).collect()
    }

    fn keep(count: u64, max: usize) -> (Vec<u64>, Option<Omitted>) {
        let mut kept = BothEnds::new(max);
        frames(count).into_iter().for_each(|frame| kept.push(frame));
        let (frames, omitted) = kept.finish();
        (frames.iter().map(|frame| frame.pc).collect(), omitted)
    }

    #[test]
    fn both_ends_of_a_deep_stack_are_kept() {
        assert_eq!(keep(10, 4), (vec![0, 1, 8, 9], Some(Omitted { before: 2, count: 6 })));
        assert_eq!(keep(10, 5), (vec![0, 1, 2, 8, 9], Some(Omitted { before: 3, count: 5 })));
        assert_eq!(keep(10, 1), (vec![0], Some(Omitted { before: 1, count: 9 })));
    }

    #[test]
    fn a_stack_within_the_limit_is_whole() {
        assert_eq!(keep(4, 4), (vec![0, 1, 2, 3], None));
        assert_eq!(keep(4, 0), (vec![0, 1, 2, 3], None));
        assert_eq!(keep(0, 4), (vec![], None));
    }
}
