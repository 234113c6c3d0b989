//! A dump as text, in the shape of what a Go program prints when it crashes.
use core::fmt::{self, Write};

use threaddump_arch::{Registers, SIGNALS};
use threaddump_dwarf::End;

use crate::output::Output;
use crate::record::{Frame, Reached, Sink, Thread, Unreached};

/// A number in decimal digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

/// A number in decimal digits, without the machinery of formatting.
pub(crate) fn decimal(mut value: u64) -> Decimal {
    let mut decimal = Decimal { digits: [b'0'; 20], start: 20 };
    while decimal.start > 0 {
        decimal.start -= 1;
        decimal.digits[decimal.start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    decimal
}

/// Writes a dump as text.
#[derive(Debug)]
pub(crate) struct Text<'o> {
    output: &'o mut Output,
    blocks: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.output.push(text.as_bytes());
        Ok(())
    }
}

impl<'o> Text<'o> {
    pub(crate) fn new(output: &'o mut Output) -> Text<'o> {
        Text { output, blocks: 0 }
    }

    /// Adds a formatted piece.
    fn put(&mut self, arguments: fmt::Arguments<'_>) {
        // Our writer has no errors; it remembers them.
        let _ = self.write_fmt(arguments);
    }

    /// Bytes of the program, with control characters and quotes escaped.
    fn foreign(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte < 0x20 || matches!(byte, 0x7f | b'"' | b'\\') {
                self.put(format_args!("\\x{byte:02x}"));
            } else {
                self.output.push(&[byte]);
            }
        }
    }

    fn label(&mut self, thread: &Thread<'_>) {
        self.put(format_args!("thread {} [tid {}, \"", thread.index, thread.tid));
        self.foreign(thread.name);
        self.put(format_args!("\"]:"));
    }
}

impl Sink for Text<'_> {
    fn thread(&mut self, thread: &Thread<'_>) {
        if self.blocks > 0 {
            self.put(format_args!("\n-----\n\n"));
        }
        self.blocks += 1;
        match thread.how {
            Reached::Signal { signal, code, address, pc } => {
                match SIGNALS.get((signal as usize).wrapping_sub(1)) {
                    Some((name, description)) => self.put(format_args!("{name}: {description}\n")),
                    None => self.put(format_args!("SIG{signal}: signal {signal}\n")),
                }
                self.put(format_args!("PC={pc:#x} m={} sigcode={code}", thread.index));
                if let Some(address) = address {
                    self.put(format_args!(" addr={address:#x}"));
                }
                self.put(format_args!("\n\n"));
                self.label(thread);
            }
            Reached::Not { why, state, wait_channel } => {
                self.label(thread);
                self.put(format_args!(
                    " not reached: {}; state {}",
                    match why {
                        Unreached::Blocks => "it blocks the signal",
                        Unreached::Silent => "it did not answer",
                    },
                    char::from(if state == 0 { b'?' } else { state })
                ));
                if let Some(channel) = wait_channel {
                    self.put(format_args!(", waits in "));
                    self.foreign(channel);
                }
            }
        }
        self.put(format_args!("\n"));
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        match frame.function {
            Some((name, _)) => {
                self.foreign(name);
                self.put(format_args!("(...)\n\t"));
            }
            None => self.put(format_args!("??(...)\n\t")),
        }
        match frame.module {
            Some((path, offset, build_id)) => {
                self.foreign(path);
                self.put(format_args!("+{offset:#x}"));
                if !build_id.is_empty() {
                    self.put(format_args!(" ("));
                    for byte in build_id {
                        self.put(format_args!("{byte:02x}"));
                    }
                    self.put(format_args!(")"));
                }
            }
            None => self.put(format_args!("?")),
        }
        if let Some((_, offset)) = frame.function {
            self.put(format_args!(" +{offset:#x}"));
        }
        self.put(format_args!(" sp={:#x} pc={:#x}\n", frame.sp, frame.pc));
    }

    fn elided(&mut self, count: usize) {
        self.put(format_args!("...{count} frames elided...\n"));
    }

    fn end(&mut self, end: Option<End>) {
        match end {
            Some(End::Root) => {}
            Some(end) => self.put(format_args!("...the walk ends here: {end}...\n")),
            None => self.put(format_args!("...the walk ends here: the time is over...\n")),
        }
    }

    fn registers(&mut self, registers: &Registers) {
        for (_, info, value) in registers.iter() {
            self.put(format_args!("{:<6} {value:#x}\n", info.name));
        }
    }

    fn missing(&mut self, count: usize) {
        self.put(format_args!("\n...{count} threads are not shown: the time is over...\n"));
    }
}
