//! What a dump consists of, and who takes it. Texts are one way to write it; a collector may want another.
use threaddump_arch::Registers;
use threaddump_dwarf::End;

/// Why a thread does not show the registers it was interrupted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// It blocks the relay signal.
    Blocks,
    /// It did not answer in time.
    Silent,
}

/// A thread, before its frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread<'a> {
    /// 0 for the first thread of the process.
    pub(crate) index: usize,
    pub(crate) tid: u32,
    pub(crate) name: &'a [u8],
    pub(crate) how: Reached<'a>,
}

/// How a thread came to be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reached<'a> {
    /// A signal interrupted it.
    Signal {
        /// The signal that is shown.
        signal: u32,
        /// `si_code`
        code: i32,
        /// The fault address, of signals that have one.
        address: Option<u64>,
        /// Where it was interrupted.
        pc: u64,
    },
    /// It was not reached; what the kernel says about it instead.
    Not { why: Unreached, state: u8, wait_channel: Option<&'a [u8]> },
}

/// One frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    /// Name of the function, and the distance from its start.
    pub(crate) function: Option<(&'a [u8], u64)>,
    /// Path of the object, address in its file, build ID.
    pub(crate) module: Option<(&'a [u8], u64, &'a [u8])>,
}

/// Takes a dump, thread by thread.
pub(crate) trait Sink {
    /// A thread begins.
    fn thread(&mut self, thread: &Thread<'_>);
    /// The next frame outwards.
    fn frame(&mut self, frame: &Frame<'_>);
    /// Frames in the middle that are left out.
    fn elided(&mut self, count: usize);
    /// The walk of the thread has ended.
    fn end(&mut self, end: Option<End>);
    /// The registers it was interrupted with.
    fn registers(&mut self, registers: &Registers);
    /// Threads that are missing for lack of time.
    fn missing(&mut self, count: usize);
}
