//! A process made of a few pictures: stacks with labels, functions, and rows.
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use gimli::{EndianSlice, LittleEndian};
use threaddump_arch::{Arch, RegisterId, Registers};

use crate::{Cfa, CfiError, CodeAddress, End, ExpressionRef, Frame, How, Row, Rule, Section, Target, Walker};

pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Where the pictures put things; each function has `FUNCTION` bytes.
pub(super) const STACK: u64 = 0x7ffd_0000_0000;
pub(super) const OTHER_STACK: u64 = 0x7f00_0000_0000;
pub(super) const START: u64 = 0x40_1000;
pub(super) const MAIN: u64 = 0x40_1100;
pub(super) const MIDDLE: u64 = 0x40_1200;
pub(super) const LEAF: u64 = 0x40_1300;
pub(super) const HANDLER: u64 = 0x40_1400;
pub(super) const TRAMPOLINE: u64 = 0x40_1500;
const FUNCTION: u64 = 0x100;

/// The return address of the direct call that stands in every function, to the function after it.
pub(super) const fn after_call(function: u64) -> u64 {
    function + 0x20
}

/// The return address of the call through a register that stands in every function.
pub(super) const fn after_indirect_call(function: u64) -> u64 {
    function + 0x40
}

/// One line of the picture of a stack, lowest address first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    /// Names the address of the next word.
    At(&'static str),
    /// A word with this value.
    Is(u64),
    /// A word with the address of a label.
    To(&'static str),
    /// So many words that nobody looks at.
    Unused(usize),
}
pub(super) use Line::{At, Is, To, Unused};

pub(super) fn id(name: &str) -> RegisterId {
    let found = Arch::X86_64.iter().find(|(_, info)| info.name == name);
    found.unwrap_or_else(|| panic!("no register {name}")).0
}

/// A row of an ordinary function: the return address is the word below the CFA.
pub(super) fn row(base: &str, offset: i64) -> Row {
    let mut row = Row::new(Arch::X86_64.pc());
    row.cfa = Cfa::RegisterOffset(id(base), offset);
    row.set(Arch::X86_64.pc(), Rule::Offset(-8));
    row
}

/// The same with a register saved at CFA + offset.
pub(super) fn saving(mut row: Row, name: &str, offset: i64) -> Row {
    row.set(id(name), Rule::Offset(offset));
    row
}

/// The row of the outermost function.
pub(super) fn outermost() -> Row {
    let mut row = row("rsp", 8);
    row.set(Arch::X86_64.pc(), Rule::Undefined);
    row
}

pub(super) fn registers(values: &[(&str, u64)]) -> Registers {
    let mut registers = Registers::new(Arch::X86_64);
    values.iter().for_each(|(name, value)| registers.set(id(name), *value));
    registers
}

type Rules = Result<Rc<Row>, CfiError>;

/// A process.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    code: Vec<(u64, Vec<u8>)>,
    stacks: Vec<(u64, Vec<u8>)>,
    rows: Vec<(Range<u64>, Rules)>,
    expressions: Vec<u8>,
    labels: HashMap<&'static str, u64>,
    pub(super) generated: Option<Range<u64>>,
    pub(super) reads: u64,
}

impl Scene {
    /// A process with the functions `START` to `HANDLER`, and this stack.
    pub(super) fn new(stack: &[Line]) -> Scene {
        let mut scene = Scene::default();
        for function in [START, MAIN, MIDDLE, LEAF, HANDLER] {
            let mut code = vec![0x90; FUNCTION as usize];
            // call the next function; call *%rax
            let distance = (FUNCTION - 0x20) as u32;
            code[0x1b] = 0xe8;
            code[0x1c..0x20].copy_from_slice(&distance.to_le_bytes());
            code[0x3e..0x40].copy_from_slice(&[0xff, 0xd0]);
            scene.code.push((function, code));
        }
        scene.stack(STACK, stack)
    }

    /// Adds a stack that begins at this address.
    pub(super) fn stack(mut self, base: u64, lines: &[Line]) -> Scene {
        let mut address = base;
        for line in lines {
            match line {
                At(label) => assert_eq!(self.labels.insert(label, address), None, "{label} is there twice"),
                Is(_) | To(_) => address += 8,
                Unused(words) => address += 8 * *words as u64,
            }
        }
        let mut bytes = Vec::new();
        for line in lines {
            match line {
                At(_) => {}
                Is(value) => bytes.extend(value.to_le_bytes()),
                To(label) => bytes.extend(self.at(label).to_le_bytes()),
                Unused(words) => bytes.extend(std::iter::repeat_n(0xee, 8 * words)),
            }
        }
        self.stacks.push((base, bytes));
        self
    }

    /// The address of a label.
    pub(super) fn at(&self, label: &str) -> u64 {
        *self.labels.get(label).unwrap_or_else(|| panic!("no label {label}"))
    }

    /// Adds or overwrites code.
    pub(super) fn code(mut self, address: u64, bytes: &[u8]) -> Scene {
        let known = self
            .code
            .iter_mut()
            .find(|(start, code)| (*start..*start + code.len() as u64).contains(&address));
        match known {
            Some((start, code)) => {
                let offset = (address - *start) as usize;
                code[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            None => self.code.push((address, bytes.to_vec())),
        }
        self
    }

    /// Gives a function its rules.
    pub(super) fn rules(self, function: u64, row: Row) -> Scene {
        self.rules_in(function..function + FUNCTION, row)
    }

    pub(super) fn rules_in(mut self, range: Range<u64>, row: Row) -> Scene {
        self.rows.push((range, Ok(Rc::new(row))));
        self
    }

    pub(super) fn damaged(mut self, function: u64) -> Scene {
        self.rows.push((function..function + FUNCTION, Err(CfiError::TooLarge)));
        self
    }

    /// Keeps an expression for rules to refer to.
    pub(super) fn expression(&mut self, bytes: &[u8]) -> ExpressionRef {
        let offset = self.expressions.len() as u32;
        self.expressions.extend(bytes);
        ExpressionRef { section: Section::Eh, offset, length: bytes.len() as u32 }
    }

    pub(super) fn walk(&mut self, values: &[(&str, u64)]) -> (Vec<Frame>, End) {
        self.walk_with(registers(values), false)
    }

    pub(super) fn scan(&mut self, values: &[(&str, u64)]) -> (Vec<Frame>, End) {
        self.walk_with(registers(values), true)
    }

    pub(super) fn walk_with(&mut self, registers: Registers, scan: bool) -> (Vec<Frame>, End) {
        let mut walker = Walker::new(registers, scan);
        let mut frames = Vec::new();
        while let Some(frame) = walker.next(self) {
            frames.push(frame);
            assert!(frames.len() < 100_000, "the walk does not end");
        }
        assert_eq!(walker.next(self), None, "a walk that has ended stays so");
        (frames, walker.end().expect("a walk that gives no more frames says why"))
    }

    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        self.stacks.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..)?.get(..length)
        })
    }
}

impl Target for Scene {
    type Reader = Slice<'static>;
    type Row = Rc<Row>;

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.reads += 1;
        let found = self.bytes(address, bytes.len());
        found.inspect(|found| bytes.copy_from_slice(found)).is_some()
    }

    fn row(&mut self, address: CodeAddress) -> Result<Option<Rc<Row>>, CfiError> {
        let lookup = address.lookup();
        let found = self.rows.iter().find(|(range, _)| range.contains(&lookup));
        found.map(|(_, row)| row.clone()).transpose()
    }

    fn expression(&self, _: CodeAddress, place: ExpressionRef) -> Option<Slice<'static>> {
        // Tests are short: what they leak does not matter, and the type needs no lifetime.
        let all = EndianSlice::new(self.expressions.clone().leak(), LittleEndian);
        place.get(&all)
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> usize {
        for (start, code) in &self.code {
            let offset = address.checked_sub(*start).and_then(|offset| usize::try_from(offset).ok());
            let rest = offset.and_then(|offset| code.get(offset..)).unwrap_or_default();
            if rest.is_empty() {
                continue;
            }
            let length = rest.len().min(bytes.len());
            bytes[..length].copy_from_slice(&rest[..length]);
            return length;
        }
        0
    }

    fn is_executable(&self, address: u64) -> bool {
        self.code.iter().any(|(start, code)| (*start..*start + code.len() as u64).contains(&address))
    }

    fn is_generated(&self, address: u64) -> bool {
        self.generated.as_ref().is_some_and(|range| range.contains(&address))
    }

    fn region(&self, address: u64) -> Option<(u64, u64)> {
        let ranges = self.stacks.iter().map(|(start, bytes)| (*start, *start + bytes.len() as u64));
        ranges.into_iter().find(|(start, end)| (*start..*end).contains(&address))
    }
}

/// The pcs of frames, with how each was found: what most tests compare.
pub(super) fn pcs(frames: &[Frame]) -> Vec<(u64, How)> {
    frames.iter().map(|frame| (frame.address.pc, frame.how)).collect()
}
