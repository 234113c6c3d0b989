//! What a process answers that is asked by way of its relay.
#![no_main]

use std::io::{self, Cursor, Read, Write};

use libfuzzer_sys::fuzz_target;
use threaddump::collect::relay::Session;
use threaddump_arch::Arch;

/// Answers with the input, whatever is asked.
struct Answers<'a>(Cursor<&'a [u8]>);

impl Read for Answers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Answers<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    for arch in Arch::ALL {
        ask(data, arch);
    }
});

fn ask(data: &[u8], arch: Arch) {
    let Ok(mut session) = Session::open(Answers(Cursor::new(data)), arch) else { return };
    let _ = session.maps();
    let _ = session.auxv();
    let _ = session.hold();
    let _ = session.syscall(1);
    let mut memory = [0; 100];
    let _ = session.read(0x1000, &mut memory);
    let _ = session.release();
}
