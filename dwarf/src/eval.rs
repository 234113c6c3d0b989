//! DWARF expressions in unwind rules, with limits.
use gimli::{Encoding, Evaluation, EvaluationResult, Format, Location, Reader, Value};
use threaddump_arch::{Arch, Registers};

use crate::error::StepError;
use crate::storage::Fixed;

/// Operations of one expression. glibc's longest has about 20.
const MAX_OPERATIONS: u32 = 200;

/// Reads process memory: fills the whole buffer from the address, or answers `false`.
pub trait Memory {
    /// Fills `bytes` from the process address, or answers `false` and leaves them undefined.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool;
}

impl<F: FnMut(u64, &mut [u8]) -> bool> Memory for F {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self(address, bytes)
    }
}

/// Reads a word of the target (`size` bytes in its byte order, zero-extended).
pub(crate) fn read_word(
    memory: &mut impl Memory,
    arch: Arch,
    address: u64,
    size: u8,
) -> Result<u64, StepError> {
    let mut bytes = [0; 8];
    let part = bytes.get_mut(..usize::from(size)).ok_or(StepError::ExpressionKind)?;
    if !memory.read(address, part) {
        return Err(StepError::Unreadable(address));
    }
    Ok(arch.number(part))
}

/// The value of an expression. `initial` is pushed first (the CFA, for register rules).
///
/// # Errors
/// Whatever stops the evaluation: unreadable memory, an unknown register, an operation that has no
/// meaning in unwind rules, or too many operations.
pub fn evaluate<R: Reader<Offset = usize>>(
    expression: R,
    initial: Option<u64>,
    registers: &Registers,
    memory: &mut impl Memory,
) -> Result<u64, StepError> {
    let arch = registers.arch();
    let encoding = Encoding { address_size: arch.pointer_size(), format: Format::Dwarf32, version: 5 };
    let mut evaluation = Evaluation::<R, Fixed>::new_in(expression, encoding);
    evaluation.set_max_iterations(MAX_OPERATIONS);
    if let Some(value) = initial {
        evaluation.set_initial_value(value);
    }
    let mut state = evaluation.evaluate().map_err(StepError::Expression)?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresMemory { address, size, space: None, .. } => {
                let value = read_word(memory, arch, address, size)?;
                evaluation.resume_with_memory(Value::Generic(value))
            }
            EvaluationResult::RequiresRegister { register, .. } => {
                let id = arch.from_dwarf(register.0).ok_or(StepError::ExpressionKind)?;
                let value = registers.get(id).ok_or(StepError::UnknownRegister(id))?;
                evaluation.resume_with_register(Value::Generic(value))
            }
            _ => return Err(StepError::ExpressionKind),
        }
        .map_err(StepError::Expression)?;
    }
    match evaluation.as_result() {
        [piece] => match piece.location {
            Location::Address { address } => Ok(address),
            Location::Value { value } => value.to_u64(u64::MAX).map_err(StepError::Expression),
            _ => Err(StepError::ExpressionKind),
        },
        _ => Err(StepError::ExpressionKind),
    }
}
