//! Kinds of addresses.

/// An address as the ELF file of a module was linked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileAddress(pub u64);

/// Process address minus file address of a module. Wraps: a module may be loaded below the address
/// it was linked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoadBias(pub u64);

impl LoadBias {
    /// From the running target to the file.
    pub const fn to_file(self, process: u64) -> FileAddress {
        FileAddress(process.wrapping_sub(self.0))
    }

    /// From the file to the running target.
    pub const fn to_process(self, file: FileAddress) -> u64 {
        file.0.wrapping_add(self.0)
    }
}

/// The pc of a frame, with what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeAddress {
    /// Process address.
    pub pc: u64,
    /// Whether `pc` is the instruction to be executed next (the innermost frame, and one that a
    /// signal interrupted) rather than a return address, which may already belong to the next
    /// function or line.
    pub exact: bool,
}

impl CodeAddress {
    /// The address to look up: for a return address one byte less, which is inside the call.
    pub const fn lookup(self) -> u64 {
        if self.exact { self.pc } else { self.pc.saturating_sub(1) }
    }
}
