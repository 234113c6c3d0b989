//! What the relay reads in its own process: settings, texts of `/proc`, and a loaded object.
#![no_main]

use std::io::Write;
use std::os::fd::AsRawFd;

use libfuzzer_sys::fuzz_target;
use threaddump_relay::fuzz;

/// As the loader places an object: at the start of a page.
#[repr(align(4096))]
struct Page([u8; 8192]);

// The first byte chooses. Of an object, eight addresses in it follow (two bytes each).
fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => fuzz::settings(rest),
        1 => {
            let Ok((reader, mut writer)) = std::io::pipe() else { return };
            // A pipe holds more than an input has.
            writer.write_all(rest).expect("there is room");
            drop(writer);
            fuzz::proc(rest, reader.as_raw_fd());
        }
        _ => {
            let Some((addresses, bytes)) = rest.split_first_chunk::<16>() else { return };
            let mut page = Box::new(Page([0; 8192]));
            let length = bytes.len().min(page.0.len());
            page.0[..length].copy_from_slice(&bytes[..length]);
            let start = page.0.as_ptr() as u64;
            let mut places = [0; 8];
            for (place, pair) in places.iter_mut().zip(addresses.chunks_exact(2)) {
                *place = start.wrapping_add(u64::from(u16::from_le_bytes([pair[0], pair[1]])));
            }
            fuzz::object(start, &places);
        }
    }
});
