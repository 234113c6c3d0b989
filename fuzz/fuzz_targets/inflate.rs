//! A deflate stream, divided among several threads and decoded in parts; libdeflate is asked for the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

// How many threads it is divided for, then the stream.
fuzz_target!(|data: &[u8]| {
    let Some((&workers, stream)) = data.split_first() else { return };
    threaddump::images::inspect_stream(stream, usize::from(workers % 4));
});
