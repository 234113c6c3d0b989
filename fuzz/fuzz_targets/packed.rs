//! A compressed core file, whole and cut: what comes out of one is the beginning of what comes out of the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threaddump::collect::corefile::inspect_packed;

/// Bytes that are looked at; a few bytes may stand for terabytes.
const LIMIT: u64 = 1 << 20;

// Two bytes say where the file is cut.
fuzz_target!(|data: &[u8]| {
    let Some((place, file)) = data.split_first_chunk() else { return };
    let cut = &file[..file.len().min(u16::from_le_bytes(*place).into())];
    let (Some(whole), Some(part)) = (inspect_packed(file, LIMIT), inspect_packed(cut, LIMIT)) else { return };
    // lz4 gives nothing of a block that is damaged behind the cut.
    assert!(whole.starts_with(&part) || part.starts_with(&whole));
});
