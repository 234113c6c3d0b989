//! What the crash handler is told: by the kernel in its arguments, by its worker through the pipe, and by worker
//! and broker to each other. The first byte says which.
#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use threaddump::collect::crash::{Dumpable, Event};
use threaddump::handler::inspect::{Slow, answers, frames, request};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else { return };
    match kind {
        b'E' => event(data),
        b'W' => {
            let whole = frames(data);
            // It takes long: each byte makes room for many.
            if data.len() < 64 {
                assert_eq!(frames(Slow(data)), whole);
            }
        }
        b'R' => drop(request(data)),
        b'A' => drop(answers(data)),
        _ => {}
    }
});

/// Arguments with NUL between them.
fn event(data: &[u8]) {
    let Ok(event) = Event::parse(data.split(|&byte| byte == 0).map(OsStr::from_bytes)) else { return };
    assert!(event.pid.0 > 0 && event.tid.0 > 0);
    assert!(event.pidfd.is_none_or(|number| number > 2));
    assert_eq!(event.reader(), if event.dumpable == Dumpable::ByUser { event.uid } else { 0 });
}
