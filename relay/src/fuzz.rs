//! Hostile input for what reads the settings, `/proc` and the memory of the process. No promise is made about it.
use core::sync::atomic::AtomicU32;

use threaddump_dwarf::Context;

use crate::cfi::Section;
use crate::elf::{Elf, Elves};
use crate::maps::{self, ARENA, Maps};
use crate::memory::Memory;
use crate::options::Options;
use crate::proc::{parse_status, parse_syscall};
use crate::sys::calls;
use crate::sys::memory::Leading;
use crate::threads::MILLISECOND;
use crate::{output, symbols};

/// Settings: whatever they are, the options stay ones that can be met.
pub fn settings(text: &[u8]) {
    let mut options = Options::DEFAULT;
    let result = options.apply(text);
    assert!(options.are_valid(), "{options:?}");
    if let Err(setting) = result {
        assert!(text.windows(setting.len()).any(|part| part == setting));
    }
    output::try_expand(text);
}

/// Texts of `/proc`, and the map from an open file.
pub fn proc(text: &[u8], map: i32) {
    static LEADER: AtomicU32 = AtomicU32::new(0);
    let _ = parse_status(text);
    let _ = parse_syscall(text);
    for line in text.split(|&byte| byte == b'\n') {
        let _ = maps::bounds(line);
    }
    let Ok(mut leading) = Leading::take(&LEADER, 1) else { return };
    if ARENA.map()
        && let Some(arena) = ARENA.lend(&mut leading)
    {
        let maps = Maps::read(arena, map);
        for address in [0, 0x1000, 0x7000_0000_0000, u64::MAX] {
            let _ = (maps.is_executable(address), maps.is_generated(address));
            if let Some(module) = maps.module_at(address) {
                let _ = maps.path(module);
            }
        }
    }
    leading.end();
}

/// What begins at this address of the process as a loaded object, and the addresses in it.
pub fn object(start: u64, addresses: &[u64]) {
    let mut memory = Memory::new(calls::getpid(), true, calls::now() + 5000 * MILLISECOND);
    let (mut section, mut context) = (Section::new(), Context::new());
    let Some(elf) = Elf::read(&mut memory, start) else { return };
    assert!(elf.build_id().len() <= crate::elf::MAX_BUILD_ID);
    let _ = Elves::new().at(&mut memory, start);
    for &address in addresses {
        if let Some(symbol) = symbols::find(&mut memory, &elf, address) {
            let _ = symbol.name();
        }
        let Some(header) = elf.frame_header else { continue };
        if let Some(Ok(())) = section.load(&mut memory, header, address) {
            let _ = section.row(&mut context, address);
        }
    }
}
