//! Register names and values with a known-bit each.
use crate::Arch;

/// No architecture records more registers than this.
pub const MAX_REGISTERS: usize = 48;

/// Index of a register in its architecture's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegisterId(u8);

impl RegisterId {
    /// The register at this place of the architecture's table.
    pub const fn new(index: u8) -> RegisterId {
        assert!((index as usize) < MAX_REGISTERS);
        RegisterId(index)
    }

    /// The place in the architecture's table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Facts about one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterInfo {
    /// The name Go's `dumpregs` and the ABI document use.
    pub name: &'static str,
    /// The DWARF number of the ABI document, if it has one.
    pub dwarf: Option<u16>,
    /// Bytes of the register that carry a value.
    pub width: u8,
    /// Whether the ABI makes the called function preserve it.
    pub callee_saved: bool,
}

/// Values of the registers of one frame. What is not known has no value, never a made-up one.
#[derive(Clone, PartialEq, Eq)]
pub struct Registers {
    arch: Arch,
    known: u64,
    values: [u64; MAX_REGISTERS],
}

impl Registers {
    /// A set in which nothing is known.
    pub const fn new(arch: Arch) -> Registers {
        Registers { arch, known: 0, values: [0; MAX_REGISTERS] }
    }

    /// The architecture these are registers of.
    pub const fn arch(&self) -> Arch {
        self.arch
    }

    /// The value, if it is known.
    pub const fn get(&self, id: RegisterId) -> Option<u64> {
        if self.known & (1 << id.index()) != 0 { Some(self.values[id.index()]) } else { None }
    }

    /// Makes the value known.
    pub const fn set(&mut self, id: RegisterId, value: u64) {
        self.known |= 1 << id.index();
        self.values[id.index()] = value;
    }

    /// Makes the value unknown.
    pub const fn forget(&mut self, id: RegisterId) {
        self.known &= !(1 << id.index());
        self.values[id.index()] = 0;
    }

    /// The program counter (process address).
    pub const fn pc(&self) -> Option<u64> {
        self.get(self.arch.pc())
    }

    /// The stack pointer (process address).
    pub const fn sp(&self) -> Option<u64> {
        self.get(self.arch.sp())
    }

    /// The frame pointer (process address, if the code uses one).
    pub const fn fp(&self) -> Option<u64> {
        self.get(self.arch.fp())
    }

    /// Known registers with their table entries, in print order.
    pub fn iter(&self) -> impl Iterator<Item = (RegisterId, &'static RegisterInfo, u64)> + '_ {
        self.arch.iter().filter_map(|(id, info)| self.get(id).map(|value| (id, info, value)))
    }
}

impl core::fmt::Debug for Registers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut map = f.debug_map();
        for (_, info, value) in self.iter() {
            map.entry(&info.name, &format_args!("{value:#x}"));
        }
        map.finish()
    }
}
