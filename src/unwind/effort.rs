//! How much work the walks of one process may take.
//!
//! A stack of return addresses and unwind rules full of loops can keep a walk busy for hours. Real
//! stacks never come near these limits. Each thread has an allowance of its own, so that one whose
//! stack is a trap cannot use up what the others need.
use std::cell::Cell;

/// Work of one frame found by a cached row: 0.15 µs on the machine this was measured on.
pub(super) const FRAME: u64 = 1;
/// Work of an expression that may loop, up to the evaluator's limit.
const LOOP: u64 = 16;
/// All threads together have so much of their own.
const OWN: u64 = 1 << 20;
/// And none has less than this.
const LEAST: u64 = 1000;
/// No thread has more.
const MOST: u64 = 1 << 16;
/// What all threads share beyond: two million frames, more than fit onto an ordinary stack.
const SHARED: u64 = 1 << 21;

/// What is left of the work that all threads share.
#[derive(Debug)]
pub(super) struct Effort {
    own: u64,
    shared: Cell<u64>,
}

/// What is left of the work of one thread.
#[derive(Debug)]
pub(super) struct Allowance<'e> {
    effort: &'e Effort,
    own: Cell<u64>,
    spent_all: Cell<bool>,
}

impl Effort {
    pub(super) fn new(threads: usize) -> Effort {
        let own = OWN / (threads as u64).max(1);
        Effort { own: own.clamp(LEAST, MOST), shared: Cell::new(SHARED) }
    }

    pub(super) fn allowance(&self) -> Allowance<'_> {
        Allowance { effort: self, own: Cell::new(self.own), spent_all: Cell::new(false) }
    }
}

impl Allowance<'_> {
    /// Takes so much; `false` if there is not as much left.
    pub(super) fn spend(&self, work: u64) -> bool {
        let purse = if self.own.get() >= work { &self.own } else { &self.effort.shared };
        match purse.get().checked_sub(work) {
            Some(left) => purse.set(left),
            None => self.spent_all.set(true),
        }
        !self.spent_all.get()
    }

    /// Takes what evaluating an expression costs.
    pub(super) fn spend_expression(&self, bytes: &[u8]) -> bool {
        // DW_OP_bra and DW_OP_skip, or an operand that looks like them.
        let loops = bytes.iter().any(|byte| matches!(byte, 0x28 | 0x2f));
        self.spend(if loops { LOOP } else { FRAME + (bytes.len() as u64 / 8).min(LOOP) })
    }

    /// Whether more was asked for than there was.
    pub(super) fn is_spent(&self) -> bool {
        self.spent_all.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_takes_everything_leaves_the_others_their_own() {
        let effort = Effort::new(16);
        let greedy = effort.allowance();
        let taken = (0..).take_while(|_| greedy.spend(FRAME)).count() as u64;
        assert_eq!(taken, OWN / 16 + SHARED);
        assert!(greedy.is_spent());
        let next = effort.allowance();
        assert_eq!((0..).take_while(|_| next.spend(FRAME)).count() as u64, OWN / 16);
    }

    #[test]
    fn ten_thousand_threads_have_a_thousand_frames_each() {
        assert_eq!(Effort::new(10_000).own, LEAST);
        assert_eq!(Effort::new(0).own, MOST);
    }

    #[test]
    fn expressions_that_may_loop_cost_more() {
        let effort = Effort::new(1);
        let allowance = effort.allowance();
        assert!(allowance.spend_expression(&[0x77, 8, 6]));
        assert_eq!(allowance.own.get(), MOST - 1);
        assert!(allowance.spend_expression(&[0x2f, 0xfd, 0xff]));
        assert_eq!(allowance.own.get(), MOST - 1 - LOOP);
    }
}
