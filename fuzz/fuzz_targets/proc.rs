//! Texts of `/proc`: maps, stat, status and syscall. Names in them are the target's choice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threaddump::proc::{parse_maps, parse_stat, parse_status, parse_syscall};

fuzz_target!(|data: &[u8]| {
    let mappings = parse_maps(data);
    assert!(mappings.iter().all(|mapping| mapping.start < mapping.end));
    assert!(mappings.is_sorted_by(|one, next| one.end <= next.start));
    let _ = parse_stat(data);
    let _ = parse_status(data);
    let _ = parse_syscall(data);
});
