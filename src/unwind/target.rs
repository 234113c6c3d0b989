//! One thread of a snapshot, as the walker sees it.
use std::rc::Rc;

use threaddump_dwarf::{CfiError, CodeAddress, ExpressionRef, Row, Target};

use super::effort::Allowance;
use super::tables::Tables;
use crate::images::Slice;
use crate::snapshot::Snapshot;
use crate::snapshot::memory::SnapshotMemory;

pub(super) struct ThreadTarget<'t, 'i, 's> {
    snapshot: &'t Snapshot,
    memory: SnapshotMemory<'t>,
    tables: &'t mut Tables<'i, 's>,
    allowance: Allowance<'t>,
}

impl<'t, 'i, 's> ThreadTarget<'t, 'i, 's> {
    pub(super) fn new(
        snapshot: &'t Snapshot,
        thread: usize,
        tables: &'t mut Tables<'i, 's>,
        allowance: Allowance<'t>,
    ) -> ThreadTarget<'t, 'i, 's> {
        ThreadTarget { snapshot, memory: SnapshotMemory::for_thread(snapshot, thread), tables, allowance }
    }

    /// What is left of the work this thread may make.
    pub(super) fn allowance(&self) -> &Allowance<'t> {
        &self.allowance
    }
}

impl<'s> Target for ThreadTarget<'_, '_, 's> {
    type Reader = Slice<'s>;
    type Row = Rc<Row>;

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.memory.read(address, bytes)
    }

    fn row(&mut self, address: CodeAddress) -> Result<Option<Rc<Row>>, CfiError> {
        self.tables.row(address.lookup())
    }

    fn expression(&self, address: CodeAddress, place: ExpressionRef) -> Option<Slice<'s>> {
        let bytes = self.tables.expression(address.lookup(), place)?;
        self.allowance.spend_expression(bytes.slice()).then_some(bytes)
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> usize {
        let code = self.tables.code(address, bytes.len());
        if !code.is_empty() {
            let length = code.len().min(bytes.len());
            bytes[..length].copy_from_slice(&code[..length]);
            return length;
        }
        // Code without a file was copied in pieces around the addresses that the stacks hold.
        for length in [bytes.len(), bytes.len() / 2, 2] {
            if length <= bytes.len() && self.memory.read(address, &mut bytes[..length]) {
                return length;
            }
        }
        0
    }

    fn is_executable(&self, address: u64) -> bool {
        self.tables.is_executable(address)
    }

    fn is_generated(&self, address: u64) -> bool {
        let mapping = self.snapshot.mapping_at(address);
        mapping.is_some_and(|mapping| mapping.permissions.execute && !mapping.has_file())
            && !self.tables.is_module(address)
    }

    fn region(&self, address: u64) -> Option<(u64, u64)> {
        self.snapshot.mapping_at(address).map(|mapping| (mapping.start, mapping.end))
    }
}
