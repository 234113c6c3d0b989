//! From the registers of a frame and its row to the registers of the caller.
use gimli::Reader;
use threaddump_arch::{Arch, RegisterId, Registers};

use crate::error::StepError;
use crate::eval::{Memory, evaluate, read_word};
use crate::row::{Cfa, ExpressionRef, Row, Rule};

/// What applying a row gives.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Registers of the calling (or interrupted) frame, its pc among them.
    pub registers: Registers,
    /// The canonical frame address (process address).
    pub cfa: u64,
}

impl Row {
    /// The registers of the caller. `expression` gives the bytes of an expression of this row.
    ///
    /// Registers without a rule keep their value if the ABI makes functions preserve them, are
    /// unknown if not; the stack pointer becomes the CFA.
    ///
    /// # Errors
    /// [`StepError::Outermost`] if the return address is undefined; otherwise what is missing.
    /// A register other than pc and sp that cannot be read becomes unknown without an error.
    pub fn apply<R: Reader<Offset = usize>>(
        &self,
        registers: &Registers,
        memory: &mut impl Memory,
        mut expression: impl FnMut(ExpressionRef) -> Option<R>,
    ) -> Result<Caller, StepError> {
        let arch = registers.arch();
        match self.get(self.return_address) {
            // Whatever the other rules are: the outermost frame often has no usable CFA.
            Rule::Undefined => return Err(StepError::Outermost),
            Rule::Unspecified if self.return_address == arch.pc() => return Err(StepError::NoReturnAddress),
            _ => {}
        }
        let cfa = match self.cfa {
            Cfa::RegisterOffset(id, offset) => {
                let base = registers.get(id).ok_or(StepError::UnknownRegister(id))?;
                add(arch, base, offset)?
            }
            Cfa::Expression(place) => {
                let bytes = expression(place).ok_or(StepError::ExpressionKind)?;
                evaluate(bytes, None, registers, memory)?
            }
        };
        let above_sp = -(arch.cfa_above_sp() as i64);
        let mut caller = Registers::new(arch);
        for (id, info) in arch.iter() {
            let rule = match self.get(id) {
                Rule::Unspecified if id == arch.sp() => Rule::ValOffset(above_sp),
                Rule::Unspecified if info.callee_saved || id == self.return_address => Rule::SameValue,
                rule => rule,
            };
            match self.value(rule, id, cfa, registers, memory, &mut expression) {
                Ok(Some(value)) => caller.set(id, value),
                Ok(None) => {}
                Err(error) if id == arch.sp() || id == self.return_address => return Err(error),
                Err(_) => {}
            }
        }
        let pc = caller.get(self.return_address).ok_or(StepError::UnknownRegister(self.return_address))?;
        caller.set(arch.pc(), arch.strip_return_address(pc, registers));
        Ok(Caller { registers: caller, cfa })
    }

    fn value<R: Reader<Offset = usize>>(
        &self,
        rule: Rule,
        id: RegisterId,
        cfa: u64,
        registers: &Registers,
        memory: &mut impl Memory,
        expression: &mut impl FnMut(ExpressionRef) -> Option<R>,
    ) -> Result<Option<u64>, StepError> {
        let arch = registers.arch();
        let size = arch.pointer_size();
        let mut eval = |place, memory: &mut _| {
            let bytes = expression(place).ok_or(StepError::ExpressionKind)?;
            evaluate(bytes, Some(cfa), registers, memory)
        };
        Ok(match rule {
            Rule::Unspecified | Rule::Undefined => None,
            Rule::SameValue => registers.get(id),
            Rule::Offset(offset) => {
                let place = add(arch, cfa, offset)?;
                Some(read_word(memory, arch, place, size)?)
            }
            Rule::ValOffset(offset) => Some(add(arch, cfa, offset)?),
            Rule::Register(other) => Some(registers.get(other).ok_or(StepError::UnknownRegister(other))?),
            Rule::Expression(place) => {
                let address = eval(place, memory)?;
                Some(read_word(memory, arch, address, size)?)
            }
            Rule::ValExpression(place) => Some(eval(place, memory)?),
            Rule::Constant(value) => Some(value),
        })
    }
}

/// An address plus an offset, inside the target's address space.
fn add(arch: Arch, base: u64, offset: i64) -> Result<u64, StepError> {
    let sum = base.checked_add_signed(offset).ok_or(StepError::Overflow)?;
    let fits = arch.pointer_size() == 8 || u32::try_from(sum).is_ok();
    fits.then_some(sum).ok_or(StepError::Overflow)
}
