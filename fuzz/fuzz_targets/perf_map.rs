//! Names of generated code in the form of perf. The answer is held against a plain one.
#![no_main]

use std::io::BufReader;

use libfuzzer_sys::fuzz_target;
use threaddump::collect::perf_map::read;

// How many addresses are asked for, the addresses in two bytes each, then the file.
fuzz_target!(|data: &[u8]| {
    let Some((&count, rest)) = data.split_first() else { return };
    let Some((addresses, file)) = rest.split_at_checked(2 * usize::from(count)) else { return };
    let pairs = addresses.chunks_exact(2);
    let mut wanted: Vec<u64> = pairs.map(|pair| u64::from(u16::from_le_bytes([pair[0], pair[1]]))).collect();
    wanted.extend([0, u64::MAX - 1, u64::MAX]);
    wanted.sort_unstable();
    wanted.dedup();
    let whole = read(&mut &*file, &wanted).expect("memory can be read");
    // In pieces as they come from a file.
    let parts = read(&mut BufReader::with_capacity(7, file), &wanted).expect("memory can be read");
    assert_eq!(whole.names, parts.names);
    assert!(whole.names.is_sorted_by(|one, next| one.to <= next.from));
    for name in &whole.names {
        assert!(name.start <= name.from && name.from < name.to);
        assert!(wanted.binary_search(&name.from).is_ok());
    }
});
