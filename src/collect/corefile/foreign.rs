//! A small core file of any architecture, in its width and byte order.
use threaddump_arch::Arch;

/// Where its stack is.
pub(super) const STACK: u64 = 0x7000;

/// Bytes that are written as a program of an architecture writes them.
struct Writer {
    arch: Arch,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(arch: Arch) -> Writer {
        Writer { arch, bytes: Vec::new() }
    }

    fn number(&mut self, value: u64, size: usize) -> &mut Writer {
        let little = value.to_le_bytes();
        if self.arch.is_big_endian() {
            self.bytes.extend(little[..size].iter().rev());
        } else {
            self.bytes.extend(&little[..size]);
        }
        self
    }

    fn half(&mut self, value: u64) -> &mut Writer {
        self.number(value, 4)
    }

    fn word(&mut self, value: u64) -> &mut Writer {
        self.number(value, self.arch.pointer_size().into())
    }

    fn words(&mut self, values: &[u64]) -> &mut Writer {
        values.iter().for_each(|value| {
            self.word(*value);
        });
        self
    }

    fn text(&mut self, text: &[u8], size: usize) -> &mut Writer {
        let end = self.bytes.len() + size;
        self.bytes.extend(text);
        self.bytes.resize(end, 0);
        self
    }

    fn align(&mut self) -> &mut Writer {
        let end = self.bytes.len().next_multiple_of(self.arch.pointer_size().into());
        self.bytes.resize(end, 0);
        self
    }

    fn note(&mut self, kind: u64, descriptor: &Writer) {
        self.half(5).half(descriptor.bytes.len() as u64).half(kind).text(b"CORE", 8);
        let size = descriptor.bytes.len().next_multiple_of(4);
        self.text(&descriptor.bytes, size);
    }
}

/// A register set in which each byte of the stack pointer is where the layout says; found by trying.
fn registers(arch: Arch) -> Vec<u8> {
    let (size, word) = (arch.prstatus_size(), usize::from(arch.pointer_size()));
    let mut stack = Writer::new(arch);
    stack.word(STACK + 16);
    let with_stack_at = |at: usize| {
        let mut bytes = vec![0; size];
        bytes[at..at + word].copy_from_slice(&stack.bytes);
        bytes
    };
    let is_it = |bytes: &Vec<u8>| {
        let read = arch.registers_from_prstatus(bytes).and_then(|registers| registers.sp());
        read == Some(STACK + 16)
    };
    (0..=size - word).step_by(word).map(with_stack_at).find(is_it).expect("it has a stack pointer")
}

fn notes(arch: Arch) -> Writer {
    let mut notes = Writer::new(arch);
    let mut thread = Writer::new(arch);
    // struct elf_prstatus; two seconds and 3 microseconds, and one and 4.
    thread.half(11).half(0).half(0).number(11, 2).align().words(&[0; 2]);
    thread.half(43).half(0).half(0).half(0).align().words(&[2, 3, 1, 4, 0, 0, 0, 0]);
    thread.bytes.extend(registers(arch));
    thread.half(0).align();
    notes.note(1, &thread);
    let mut process = Writer::new(arch);
    let user = if matches!(arch, Arch::I386 | Arch::Arm) { 2 } else { 4 };
    process.half(0).align().word(0).number(1000, user).number(1000, user);
    process.half(42).half(1).half(0).half(0).text(b"program", 16).text(b"a b ", 80);
    notes.note(3, &process);
    let mut signal = Writer::new(arch);
    signal.half(11).half(0).half(1).align().word(0x1234);
    let size = 128 - signal.bytes.len();
    notes.note(0x5349_4749, signal.text(b"", size));
    let mut files = Writer::new(arch);
    notes.note(0x4649_4c45, files.words(&[1, 4096, 0x1000, 0x2000, 3]).text(b"/no/such/file", 14));
    notes
}

/// One thread, its notes and its stack.
pub(super) fn core(arch: Arch) -> Vec<u8> {
    let wide = arch.pointer_size() == 8;
    let (header, segment) = if wide { (64, 56) } else { (52, 32) };
    let notes = notes(arch);
    let mut out = Writer::new(arch);
    let order = if arch.is_big_endian() { 2 } else { 1 };
    out.text(&[0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, order, 1], 16);
    out.number(4, 2).number(arch.elf_machine().into(), 2).half(1).words(&[0, header, 0]);
    out.half(0).number(header, 2).number(segment, 2).number(2, 2).number(0, 6);
    let start = header + 2 * segment;
    let size = notes.bytes.len() as u64;
    for (kind, flags, offset, address, size) in [(4, 0, start, 0, size), (1, 6, start + size, STACK, 4096)] {
        out.half(kind);
        if wide {
            out.half(flags);
        }
        out.words(&[offset, address, 0, size, size]);
        if !wide {
            out.half(flags);
        }
        out.word(4);
    }
    out.bytes.extend(notes.bytes);
    out.text(&[7; 4096], 4096);
    out.bytes
}
