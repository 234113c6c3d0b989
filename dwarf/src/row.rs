//! The unwind rules of one address, as a value.
use gimli::{CfaRule, Reader, RegisterRule, UnwindTableRow};
use threaddump_arch::{Arch, MAX_REGISTERS, RegisterId};

use crate::error::CfiError;
use crate::storage::Fixed;

/// Which section an expression stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `.eh_frame`
    Eh,
    /// `.debug_frame`
    Debug,
}

/// Place of a DWARF expression in its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpressionRef {
    /// The section of the module that the row belongs to.
    pub section: Section,
    /// Byte offset.
    pub offset: u32,
    /// Length in bytes.
    pub length: u32,
}

/// How the canonical frame address is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cfa {
    /// Register plus offset.
    RegisterOffset(RegisterId, i64),
    /// The value of an expression.
    Expression(ExpressionRef),
}

/// How a register of the caller is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The row says nothing: the ABI decides.
    Unspecified,
    /// Not recoverable; for the return address: there is no caller.
    Undefined,
    /// As in this frame.
    SameValue,
    /// In memory at CFA + offset.
    Offset(i64),
    /// CFA + offset itself.
    ValOffset(i64),
    /// In another register of this frame.
    Register(RegisterId),
    /// In memory at the value of an expression that starts with the CFA.
    Expression(ExpressionRef),
    /// The value of an expression that starts with the CFA.
    ValExpression(ExpressionRef),
    /// This constant.
    Constant(u64),
}

/// The rules of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The canonical frame address.
    pub cfa: Cfa,
    /// The register whose rule gives the return address.
    pub return_address: RegisterId,
    /// Whether this is the frame a signal handler returns to (augmentation `S`).
    pub signal_frame: bool,
    rules: [Rule; MAX_REGISTERS],
}

impl Row {
    /// A row in which no register has a rule and the CFA is register 0.
    pub const fn new(return_address: RegisterId) -> Row {
        Row {
            cfa: Cfa::RegisterOffset(RegisterId::new(0), 0),
            return_address,
            signal_frame: false,
            rules: [Rule::Unspecified; MAX_REGISTERS],
        }
    }

    /// The rule of a register.
    pub const fn get(&self, id: RegisterId) -> Rule {
        self.rules[id.index()]
    }

    /// Sets the rule of a register.
    pub const fn set(&mut self, id: RegisterId, rule: Rule) {
        self.rules[id.index()] = rule;
    }

    pub(crate) fn from_gimli(
        arch: Arch,
        section: Section,
        fde_return_column: u16,
        signal_frame: bool,
        source: &UnwindTableRow<usize, Fixed>,
    ) -> Result<Row, CfiError> {
        let expression = |e: &gimli::UnwindExpression<usize>| -> Result<ExpressionRef, CfiError> {
            Ok(ExpressionRef {
                section,
                offset: u32::try_from(e.offset).map_err(|_| CfiError::TooLarge)?,
                length: u32::try_from(e.length).map_err(|_| CfiError::TooLarge)?,
            })
        };
        let return_address =
            arch.from_dwarf(fde_return_column).ok_or(CfiError::ReturnColumn(fde_return_column))?;
        let mut row = Row::new(return_address);
        row.signal_frame = signal_frame;
        row.cfa = match source.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let id = arch.from_dwarf(register.0).ok_or(CfiError::CfaRegister(register.0))?;
                Cfa::RegisterOffset(id, *offset)
            }
            CfaRule::Expression(e) => Cfa::Expression(expression(e)?),
        };
        for (register, rule) in source.registers() {
            // Vector registers and other columns that we do not record have no effect on the walk.
            let Some(id) = arch.from_dwarf(register.0) else { continue };
            let rule = match rule {
                RegisterRule::Undefined => Rule::Undefined,
                RegisterRule::SameValue => Rule::SameValue,
                RegisterRule::Offset(offset) => Rule::Offset(*offset),
                RegisterRule::ValOffset(offset) => Rule::ValOffset(*offset),
                RegisterRule::Register(other) => match arch.from_dwarf(other.0) {
                    Some(other) => Rule::Register(other),
                    // Undefined would make it the outermost frame.
                    None if id == return_address => return Err(CfiError::ReturnColumn(other.0)),
                    None => Rule::Undefined,
                },
                RegisterRule::Expression(e) => Rule::Expression(expression(e)?),
                RegisterRule::ValExpression(e) => Rule::ValExpression(expression(e)?),
                RegisterRule::Constant(value) => Rule::Constant(*value),
                RegisterRule::Architectural => Rule::Unspecified,
            };
            row.set(id, rule);
        }
        Ok(row)
    }
}

impl ExpressionRef {
    /// The expression's bytes, out of its section.
    pub fn get<R: Reader<Offset = usize>>(&self, section: &R) -> Option<R> {
        let mut rest = section.clone();
        rest.skip(self.offset as usize).ok()?;
        rest.split(self.length as usize).ok()
    }
}
