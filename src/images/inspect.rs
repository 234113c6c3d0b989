//! Everything that is ever done with one ELF object, for tests with arbitrary bytes.
use std::cell::Cell;

use threaddump_arch::Arch;
use threaddump_dwarf::symbols::{DebugInfo, UnitJob};

use super::batch::{Need, inflate};
use super::elf::{Elf, Layout};
use super::sections::Contents;
use super::store::Store;
use super::{generated, mini, named, notes};

/// Opens `bytes` as an ELF file and as a memory image and looks up an address in all of it.
/// Returns how much was found, in no particular unit. Never panics.
pub fn inspect(bytes: &[u8], address: u64) -> usize {
    let store = Store::new();
    let bytes = store.keep_bytes(bytes.to_vec());
    let layouts = [Layout::File, Layout::Memory];
    let kinds = Arch::ALL.into_iter().flat_map(|arch| layouts.map(|layout| (arch, layout)));
    kinds.map(|(arch, layout)| one(bytes, layout, arch, address, &store)).sum()
}

/// The same with an object that a JIT compiler registered.
pub fn inspect_generated(bytes: &[u8], address: u64) -> usize {
    let store = Store::new();
    one(store.keep_bytes(generated::link(bytes)), Layout::File, Arch::X86_64, address, &store)
}

fn one<'s>(bytes: &'s [u8], layout: Layout, arch: Arch, address: u64, store: &'s Store) -> usize {
    let Ok(elf) = Elf::parse(bytes, layout, arch) else { return 0 };
    let order = elf.order();
    let found = Cell::new(0_usize);
    let count = |amount: usize| found.set(found.get().saturating_add(amount));
    count(notes::build_id(&elf).map_or(0, <[u8]>::len));
    let bias = elf.bias(address & !0xfff).unwrap_or(0);
    count(elf.at_address(address).map_or(0, |(bytes, _)| bytes.len()));
    let contents = Contents::new(elf, store);
    if let Some(eh) = contents.eh_sections() {
        count(eh.eh_frame.len());
    }
    count(contents.debug(".debug_frame").len());
    count(named::address(&contents.raw_tables(bias), b"main").map_or(0, |_| 1));
    for table in contents.symtab().into_iter().chain(contents.dynsym(bias)) {
        count(table.resolve(&[0, address, u64::MAX]).into_iter().flatten().count());
    }
    let mut info = DebugInfo::open(contents.supply(), None).in_order(order);
    inflate(Need::all_of(&contents, info.parts(&[address])));
    let answers = info.jobs(&[address]).into_iter().map(UnitJob::run).collect();
    info.accept(answers);
    count(info.at(address).map_or(0, |function| function.frames.len()));
    // As if it had packed or split units of its own, too.
    if let Some(unit) = info.missing() {
        count(info.supply_package(|name| contents.debug(name)).map_or(0, |()| 1));
        info.supply(&unit, |name| contents.debug(name)).unwrap_or_else(|_| info.supply_nothing(&unit));
        count(info.at(address).map_or(0, |function| function.frames.len()));
    }
    count(mini::unpack(&contents).and_then(Result::ok).map_or(0, <[u8]>::len));
    found.get()
}
