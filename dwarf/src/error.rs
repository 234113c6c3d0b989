//! Why a row could not be found or applied, and why a walk ended.
use core::fmt;

use threaddump_arch::RegisterId;

/// Unwind information that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CfiError {
    /// It breaks the format.
    Damaged(gimli::Error),
    /// It needs more room than the fixed-size contexts have.
    TooLarge,
    /// Its return address column is no register of the architecture.
    ReturnColumn(u16),
    /// It computes the CFA from a register we do not record.
    CfaRegister(u16),
    /// Its module has asked for more work than any real one.
    Work,
}

/// Why the registers of a caller could not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepError {
    /// This memory could not be read (process address).
    Unreadable(u64),
    /// A rule needs this register, which is not known in this frame.
    UnknownRegister(RegisterId),
    /// A DWARF expression failed.
    Expression(gimli::Error),
    /// A DWARF expression asks for something unwinding does not have.
    ExpressionKind,
    /// The return address is undefined: this is the outermost frame.
    Outermost,
    /// There is no rule for the return address.
    NoReturnAddress,
    /// Arithmetic on addresses overflowed.
    Overflow,
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The outermost frame was reached.
    Root,
    /// There is no unwind information for this pc, and no fallback applied.
    NoUnwindInfo(u64),
    /// Memory that the unwind rules need could not be read (process address).
    UnreadableStack(u64),
    /// The caller's frame would not be further out than this one: its stack pointer is this.
    NoProgress(u64),
    /// The return address is not in executable memory.
    BadReturnAddress(u64),
    /// The unwind information is unusable.
    Damaged(CfiError),
    /// The unwind rules cannot be applied.
    Rules(StepError),
}

impl End {
    /// The name in reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            End::Root => "root",
            End::NoUnwindInfo(_) => "no_unwind_info",
            End::UnreadableStack(_) => "unreadable_stack",
            End::NoProgress(_) => "no_progress",
            End::BadReturnAddress(_) => "bad_return_address",
            End::Damaged(CfiError::TooLarge | CfiError::Work) => "unwind_info_too_large",
            End::Damaged(_) => "damaged_unwind_info",
            End::Rules(StepError::UnknownRegister(_)) => "unknown_register",
            End::Rules(_) => "unwind_rules_failed",
        }
    }
}

impl fmt::Display for CfiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CfiError::Damaged(error) => write!(f, "the unwind information is damaged: {error}"),
            CfiError::TooLarge => f.write_str("the unwind information needs more rules than we hold"),
            CfiError::Work => f.write_str("the unwind information of this module takes too much work"),
            CfiError::ReturnColumn(number) => write!(f, "column {number} is no return address register"),
            CfiError::CfaRegister(number) => {
                write!(f, "the CFA is based on register {number}, which is not recorded")
            }
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Unreadable(address) => write!(f, "no memory at {address:#x}"),
            StepError::UnknownRegister(id) => write!(f, "register {} is not known here", id.index()),
            StepError::Expression(error) => write!(f, "a DWARF expression failed: {error}"),
            StepError::ExpressionKind => {
                f.write_str("a DWARF expression asks for what unwinding does not have")
            }
            StepError::Outermost => f.write_str("the return address is undefined"),
            StepError::NoReturnAddress => f.write_str("there is no rule for the return address"),
            StepError::Overflow => f.write_str("an address overflowed"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Root => f.write_str("the outermost frame"),
            End::NoUnwindInfo(pc) => write!(f, "no unwind information for {pc:#x}"),
            End::UnreadableStack(address) => write!(f, "no stack memory at {address:#x}"),
            End::NoProgress(sp) => {
                write!(f, "the caller's frame at {sp:#x} is not further out than this one")
            }
            End::BadReturnAddress(pc) => write!(f, "the return address {pc:#x} is not in executable memory"),
            End::Damaged(error) => error.fmt(f),
            End::Rules(error) => error.fmt(f),
        }
    }
}
