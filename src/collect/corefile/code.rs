//! Code that the core leaves out because it is in files: on some architectures only code tells that a thread
//! is in a system call.
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use super::super::memory::ReadMemory;
use super::super::modules::file_build_id;
use super::memory::CoreMemory;
use super::modules::Disk;
use crate::ids::Tid;
use crate::snapshot::{Mapping, Module};

/// The memory of the core, and the files that are mapped where it has none.
#[derive(Debug)]
pub(super) struct WithFiles<'a> {
    pub(super) memory: &'a CoreMemory<'a>,
    pub(super) disk: &'a Disk,
    pub(super) mappings: &'a [Mapping],
    pub(super) modules: &'a [Module],
    /// Where the executable starts (process address), or 0.
    pub(super) entry: u64,
    /// By the start of the module; `None` where nothing tells that it is the right file.
    pub(super) opened: Mutex<HashMap<u64, Option<File>>>,
}

impl WithFiles<'_> {
    fn read_file(&self, address: u64, buffer: &mut [u8]) -> Option<usize> {
        let after = self.mappings.partition_point(|mapping| mapping.end <= address);
        let mapping = self.mappings.get(after).filter(|mapping| mapping.start <= address)?;
        let module = self.modules.iter().find(|module| (module.start..module.end).contains(&address))?;
        if !mapping.has_file() || mapping.path != module.path {
            return None;
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let file = opened.entry(module.start).or_insert_with(|| self.open(module)).as_ref()?;
        let offset = mapping.offset.checked_add(address - mapping.start)?;
        let room = usize::try_from(mapping.end - address).unwrap_or(usize::MAX).min(buffer.len());
        file.read_at(&mut buffer[..room], offset).ok()
    }

    /// Only the file with the build ID that is in the core.
    fn open(&self, module: &Module) -> Option<File> {
        let is_exe = (module.start..module.end).contains(&self.entry);
        let file = self.disk.open(&module.path, is_exe).ok()?;
        (module.build_id.is_some() && file_build_id(&file) == module.build_id).then_some(file)
    }
}

impl ReadMemory for WithFiles<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        match self.memory.read(address, buffer) {
            0 => self.read_file(address, buffer).unwrap_or(0),
            length => length,
        }
    }

    fn read_by(&self, _: Tid, address: u64, buffer: &mut [u8]) -> usize {
        self.read(address, buffer)
    }
}
