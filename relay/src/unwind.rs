//! The process as the walker of stacks sees it.
use core::cell::Cell;

use threaddump_dwarf::{CfiError, CodeAddress, Context, ExpressionRef, Row, Target};

use crate::cfi::{Bytes, MAX_ENTRY, Section, has_expressions};
use crate::elf::{Elf, Elves};
use crate::maps::Maps;
use crate::memory::Memory;
use crate::symbols::{Symbol, Symbols};

/// Rules that are kept: many threads are in the same places.
const ROWS: usize = 64;
/// Entries with expressions of one thread that are kept.
const EXPRESSIONS: usize = 8;
/// Bytes for copies of them.
pub(crate) const EXPRESSION_BYTES: usize = 4 * MAX_ENTRY;

/// What is known of the process and its objects.
#[derive(Debug)]
pub(crate) struct Tables<'m> {
    pub(crate) memory: Memory,
    pub(crate) maps: Maps<'m>,
    elves: Elves,
    symbols: Symbols,
    rows: [Option<(u64, Row)>; ROWS],
    section: Section,
    context: Context,
}

impl<'m> Tables<'m> {
    pub(crate) fn new(memory: Memory, maps: Maps<'m>) -> Tables<'m> {
        Tables {
            memory,
            maps,
            elves: Elves::new(),
            symbols: Symbols::new(),
            rows: [const { None }; ROWS],
            section: Section::new(),
            context: Context::new(),
        }
    }

    /// The object that holds an address.
    pub(crate) fn elf_at(&mut self, address: u64) -> Option<Elf> {
        let start = self.maps.module_at(address)?.start;
        self.elves.at(&mut self.memory, start)
    }

    /// The exported function that holds an address.
    pub(crate) fn symbol_at(&mut self, address: u64) -> Option<Symbol> {
        let elf = self.elf_at(address)?;
        self.symbols.at(&mut self.memory, &elf, address)
    }
}

/// One thread's walk.
pub(crate) struct Walked<'t, 'm> {
    pub(crate) tables: &'t mut Tables<'m>,
    room: Cell<&'t mut [u8]>,
    expressions: [(u64, &'t [u8]); EXPRESSIONS],
    next: usize,
}

impl<'t, 'm> Walked<'t, 'm> {
    pub(crate) fn new(tables: &'t mut Tables<'m>, room: &'t mut [u8]) -> Walked<'t, 'm> {
        Walked { tables, room: Cell::new(room), expressions: [(0, &[]); EXPRESSIONS], next: 0 }
    }

    /// Keeps the copied section for the expressions of an address.
    fn keep(&mut self, lookup: u64) -> Result<(), CfiError> {
        let bytes = self.tables.section.as_bytes();
        let (place, rest) = self.room.take().split_at_mut_checked(bytes.len()).ok_or(CfiError::Work)?;
        self.room.set(rest);
        place.copy_from_slice(bytes);
        if let Some(slot) = self.expressions.get_mut(self.next % EXPRESSIONS) {
            *slot = (lookup, place);
        }
        self.next += 1;
        Ok(())
    }

    fn kept(&self, lookup: u64) -> Option<&'t [u8]> {
        self.expressions.iter().find(|(known, _)| *known == lookup).map(|(_, bytes)| *bytes)
    }
}

impl<'t> Target for Walked<'t, '_> {
    type Reader = Bytes<'t>;
    type Row = Row;

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.tables.memory.read(address, bytes)
    }

    fn row(&mut self, address: CodeAddress) -> Result<Option<Row>, CfiError> {
        let lookup = address.lookup();
        let place = (lookup ^ lookup >> 6) as usize % ROWS;
        if let Some(Some((known, row))) = self.tables.rows.get(place)
            && *known == lookup
        {
            return Ok(Some(row.clone()));
        }
        let Some(header) = self.tables.elf_at(lookup).and_then(|elf| elf.frame_header) else {
            return Ok(None);
        };
        let tables = &mut *self.tables;
        match tables.section.load(&mut tables.memory, header, lookup) {
            None => return Ok(None),
            Some(result) => result?,
        }
        let Some(row) = tables.section.row(&mut tables.context, lookup)? else { return Ok(None) };
        if has_expressions(&row) {
            if self.kept(lookup).is_none() {
                self.keep(lookup)?;
            }
        } else if let Some(slot) = tables.rows.get_mut(place) {
            *slot = Some((lookup, row.clone()));
        }
        Ok(Some(row))
    }

    fn expression(&self, address: CodeAddress, place: ExpressionRef) -> Option<Bytes<'t>> {
        place.get(&Bytes::new(self.kept(address.lookup())?, threaddump_dwarf::gimli::LittleEndian))
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> usize {
        for length in [bytes.len(), bytes.len() / 2, 2] {
            if bytes.get_mut(..length).is_some_and(|part| self.tables.memory.read(address, part)) {
                return length;
            }
        }
        0
    }

    fn is_executable(&self, address: u64) -> bool {
        self.tables.maps.is_executable(address)
    }

    fn is_generated(&self, address: u64) -> bool {
        self.tables.maps.is_generated(address)
    }

    fn region(&self, address: u64) -> Option<(u64, u64)> {
        self.tables.maps.at(address).map(|mapping| (mapping.start, mapping.end))
    }
}
