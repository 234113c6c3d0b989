//! Fixed-size working memory, so that unwinding never allocates.
use gimli::{
    EvaluationStorage, Piece, Reader, Register, RegisterRule, UnwindContext, UnwindContextStorage,
    UnwindTableRow, Value,
};

/// Registers with rules in one row. The largest seen is glibc's signal trampoline with 17.
const RULES: usize = 48;
/// Depth of `DW_CFA_remember_state`; compilers nest once.
const STATES: usize = 6;

#[derive(Debug)]
pub(crate) struct Fixed;

impl UnwindContextStorage<usize> for Fixed {
    type Rules = [(Register, RegisterRule<usize>); RULES];
    type Stack = [UnwindTableRow<usize, Self>; STATES];
}

impl<R: Reader> EvaluationStorage<R> for Fixed {
    type Stack = [Value; 64];
    type ExpressionStack = [(R, R); 4];
    type Result = [Piece<R>; 1];
}

/// Working memory for evaluating call frame instructions: 9.4 KiB, without heap. Make one and
/// pass it to every lookup.
pub struct Context {
    pub(crate) unwind: UnwindContext<usize, Fixed>,
    pub(crate) work: u64,
}

impl Context {
    /// New working memory.
    pub fn new() -> Context {
        Context { unwind: UnwindContext::new_in(), work: 0 }
    }

    /// Bytes of unwind information that lookups with it have evaluated so far, for whoever limits
    /// the work on hostile input.
    pub fn work(&self) -> u64 {
        self.work
    }
}

impl Default for Context {
    fn default() -> Context {
        Context::new()
    }
}

impl core::fmt::Debug for Context {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Context")
    }
}
