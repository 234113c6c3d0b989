//! Core files made by hand: what is odd in them is not found on every machine.
use std::io::{Cursor, Read, Write};

use proptest::prelude::*;
use threaddump_arch::Arch;

use super::unpack::Packing;
use super::*;
use crate::ids::Tid;

#[path = "foreign.rs"]
mod foreign;

/// Notes and memory of a core file.
#[derive(Clone, Default)]
struct Made {
    notes: Vec<u8>,
    loads: Vec<(u64, u32, Vec<u8>)>,
}

fn note(kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(5_u32.to_le_bytes());
    bytes.extend((descriptor.len() as u32).to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(b"CORE\0\0\0\0");
    bytes.extend(descriptor);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn prstatus(tid: i32, signal: i16, pc: u64, sp: u64) -> Vec<u8> {
    let mut bytes = vec![0; 336];
    bytes[12..14].copy_from_slice(&signal.to_le_bytes());
    bytes[32..36].copy_from_slice(&tid.to_le_bytes());
    let registers = &mut bytes[112..];
    registers[16 * 8..17 * 8].copy_from_slice(&pc.to_le_bytes());
    registers[19 * 8..20 * 8].copy_from_slice(&sp.to_le_bytes());
    note(1, &bytes)
}

fn siginfo(number: i32, code: i32, address: u64) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[8..12].copy_from_slice(&code.to_le_bytes());
    bytes[16..24].copy_from_slice(&address.to_le_bytes());
    note(0x5349_4749, &bytes)
}

fn psinfo(pid: i32, name: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 136];
    bytes[24..28].copy_from_slice(&pid.to_le_bytes());
    bytes[40..40 + name.len()].copy_from_slice(name);
    bytes[56..60].copy_from_slice(b"a b ");
    note(3, &bytes)
}

fn file_table(files: &[(u64, u64, u64, &str)]) -> Vec<u8> {
    let mut bytes = [files.len() as u64, 4096].map(u64::to_le_bytes).concat();
    for (start, end, page, _) in files {
        bytes.extend([*start, *end, *page].map(u64::to_le_bytes).concat());
    }
    files.iter().for_each(|(.., path)| bytes.extend([path.as_bytes(), b"\0"].concat()));
    note(0x4649_4c45, &bytes)
}

impl Made {
    fn with(notes: &[Vec<u8>]) -> Made {
        Made { notes: notes.concat(), loads: Vec::new() }
    }

    fn bytes(&self) -> Vec<u8> {
        let count = self.loads.len() + 1;
        let many = count >= 0xffff;
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(16, &4_u16.to_le_bytes());
        put(18, &62_u16.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(54, &56_u16.to_le_bytes());
        put(56, &(count.min(0xffff) as u16).to_le_bytes());
        let data = (64 + count * 56) as u64;
        let end = data + self.notes.len() as u64;
        let after = self.loads.iter().fold(end, |at, (.., memory)| at + memory.len() as u64);
        if many {
            put(40, &after.to_le_bytes());
        }
        bytes.extend(segment(4, 0, data, 0, self.notes.len() as u64));
        let mut at = end;
        for (start, flags, memory) in &self.loads {
            bytes.extend(segment(1, *flags, at, *start, memory.len() as u64));
            at += memory.len() as u64;
        }
        bytes.extend(&self.notes);
        self.loads.iter().for_each(|(.., memory)| bytes.extend(memory));
        if many {
            let mut section = [0; 64];
            section[44..48].copy_from_slice(&(count as u32).to_le_bytes());
            bytes.extend(section);
        }
        bytes
    }

    fn read(&self) -> Result<Snapshot, CoreError> {
        read(&self.bytes(), 0, &Options::default())
    }
}

fn segment(kind: u32, flags: u32, offset: u64, address: u64, size: u64) -> Vec<u8> {
    let mut bytes = [kind, flags].map(u32::to_le_bytes).concat();
    bytes.extend([offset, address, 0, size, size.max(4096), 4].map(u64::to_le_bytes).concat());
    bytes
}

fn small() -> Made {
    let mut made = Made::with(&[
        prstatus(43, 11, 0x1000, 0x7008),
        psinfo(42, b"program"),
        siginfo(11, 1, 0x10),
        file_table(&[(0x1000, 0x2000, 3, "/no/such/file (deleted)")]),
        prstatus(42, 11, 0x1010, 0x9008),
    ]);
    made.loads = vec![(0x1000, 5, Vec::new()), (0x7000, 6, vec![7; 4096]), (0x9000, 6, vec![8; 4096])];
    made
}

fn messages(snapshot: &Snapshot) -> String {
    snapshot.problems.iter().map(|problem| problem.message.clone() + "\n").collect()
}

#[test]
fn the_thread_that_got_the_signal_comes_first() {
    let snapshot = small().read().expect("a core");
    let tids: Vec<i32> = snapshot.threads.iter().map(|thread| thread.tid.0).collect();
    assert_eq!(tids, [43, 42]);
    let signal = snapshot.signal.expect("there is one");
    assert_eq!(
        (signal.number, signal.code, signal.address, signal.tid),
        (11, Some(1), Some(0x10), Some(Tid(43)))
    );
    assert_eq!(snapshot.process.pid, Pid(42));
    assert_eq!(snapshot.process.name, b"program");
    assert_eq!(snapshot.process.cmdline, [b"a b"]);
    assert_eq!(snapshot.threads[0].registers.as_ref().and_then(|set| set.pc()), Some(0x1000));
    assert!(snapshot.threads[1].stacks[0].bytes == [8; 4096]);
    assert_eq!(snapshot.mappings[0].path, b"/no/such/file");
    assert!(snapshot.mappings[0].deleted && snapshot.mappings[0].offset == 3 * 4096);
}

#[test]
fn a_signal_without_a_fault_has_no_address() {
    let with = |info: Vec<u8>, signal| {
        let notes = [prstatus(1, signal, 0, 0), info];
        Made::with(&notes).read().expect("a core").signal.map(|facts| (facts.number, facts.address))
    };
    assert_eq!(with(siginfo(6, -6, 0x1234), 6), Some((6, None)), "that would be the sender");
    assert_eq!(with(siginfo(11, 0, 0x1234), 11), Some((11, None)), "sent by kill");
    assert_eq!(with(siginfo(11, 0x80, 0), 11), Some((11, None)), "a general protection fault");
    assert_eq!(with(Vec::new(), 5), Some((5, None)), "without the note");
    assert_eq!(with(siginfo(19, 0, 0), 19), None, "a debugger stopped it");
    assert_eq!(with(Vec::new(), 0), None);
}

#[test]
fn more_segments_than_the_header_can_count_are_read() {
    let mut made = small();
    made.loads.extend((0..70_000).map(|index| (0x10_0000 + index * 8192, 6, Vec::new())));
    let snapshot = made.read().expect("a core");
    assert_eq!(snapshot.mappings.len(), 70_003);
    assert_eq!(messages(&snapshot), "");
    // Cut before the section header that has the number.
    let bytes = made.bytes();
    let cut = read(&bytes[..bytes.len() - 64], 0, &Options::default()).expect("a core");
    assert_eq!(cut.mappings.len(), 65_534);
    assert!(messages(&cut).contains("does not say how many segments"), "{}", messages(&cut));
}

#[test]
fn what_is_no_core_file_is_named() {
    let error = |bytes: &[u8]| read(bytes, 0, &Options::default()).expect_err("no core").to_string();
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = small().bytes();
        bytes[at..at + value.len()].copy_from_slice(value);
        error(&bytes)
    };
    assert_eq!(error(b""), "it is empty");
    assert_eq!(error(b"text"), "it is not a core file");
    assert_eq!(error(b"\x7fEL"), "it is truncated: it ends in its header");
    assert_eq!(changed(16, &[2]), "it is an ELF executable, not a core file");
    assert_eq!(changed(16, &[3]), "it is an ELF executable or shared library, not a core file");
    assert_eq!(changed(18, &[8]), "it is a core file of a 64-bit little-endian MIPS program");
    assert_eq!(
        changed(18, &[0xff, 0xff]),
        "it is a core file of a 64-bit little-endian ELF machine 65535 program"
    );
    let foreign = "a note about a thread has not the form of aarch64, which the header names";
    assert_eq!(changed(18, &[183]), foreign);
    assert!(changed(4, &[1]).contains("32-bit"), "x32");
    assert_eq!(error(&Made::default().bytes()), "it has no notes about threads");
}

#[test]
fn overlapping_segments_do_not_confuse() {
    let mut made = small();
    made.loads.push((0x7800, 6, vec![9; 4096]));
    made.loads.push((u64::MAX - 8, 6, vec![9; 4]));
    let snapshot = made.read().expect("a core");
    assert!(messages(&snapshot).contains("1 segments of the core file overlap"), "{}", messages(&snapshot));
    assert!(snapshot.mappings.is_sorted_by_key(|mapping| mapping.end));
}

#[test]
fn threads_that_all_have_one_stack_do_not_fill_the_memory() {
    let notes: Vec<Vec<u8>> = (1..2000).map(|tid| prstatus(tid, 0, 0, 0x7008)).collect();
    let mut made = Made::with(&notes);
    made.loads = vec![(0x7000, 6, vec![7; 4 << 20])];
    let snapshot = made.read().expect("a core");
    let copied: usize =
        snapshot.threads.iter().flat_map(|thread| &thread.stacks).map(|piece| piece.bytes.len()).sum();
    assert!(copied <= MAX_STACKS + (4 << 20), "{copied}");
    assert_eq!(snapshot.threads.len(), 1999);
}

#[test]
fn a_thread_that_is_named_twice_is_shown_once() {
    let made = Made::with(&[prstatus(1, 6, 0, 0), prstatus(1, 6, 0, 0), prstatus(2, 6, 0, 0)]);
    let snapshot = made.read().expect("a core");
    assert_eq!(snapshot.threads.len(), 2);
    assert!(messages(&snapshot).contains("thread 1"));
}

#[test]
fn the_stack_that_a_truncated_file_lacks_is_missed() {
    let bytes = small().bytes();
    let snapshot = read(&bytes[..bytes.len() - 4096], 0, &Options::default()).expect("a core");
    assert!(messages(&snapshot).starts_with("the core file is truncated"), "{}", messages(&snapshot));
    assert_eq!(snapshot.threads[0].stacks.len(), 1);
    assert!(snapshot.threads[1].problems[0].message.contains("is not in the core"));
}

fn packed(program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut command = std::process::Command::new(program);
    let piped = std::process::Stdio::piped;
    let mut child = command.arg("-c").stdin(piped()).stdout(piped()).spawn().ok()?;
    let mut input = child.stdin.take()?;
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let mut out = Vec::new();
    child.stdout.take()?.read_to_end(&mut out).ok()?;
    writer.join().ok()?.ok()?;
    child.wait().ok()?.success().then_some(out)
}

#[test]
fn several_streams_one_after_the_other_are_one() {
    let text: Vec<u8> = (0..300_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
    for program in ["zstd", "xz", "lz4", "gzip"] {
        let Some(one) = packed(program, &text) else {
            println!("skip {program}: it is not installed");
            continue;
        };
        let two = packed(program, b"the end").expect("as before");
        let packing = Packing::of(&one).expect("it is known");
        assert_eq!(packing.name(), program);
        let mut out = Vec::new();
        packing.reader(Cursor::new([one.clone(), two].concat())).read_to_end(&mut out).expect(program);
        assert!(out == [&text[..], b"the end"].concat(), "{program}: {} bytes", out.len());
        let cut = packing.reader(Cursor::new(&one[..one.len() / 2])).read_to_end(&mut Vec::new());
        assert!(cut.is_err(), "{program}");
    }
}

proptest! {
    #[test]
    fn cut_and_damaged_files_are_survived(
        end in 0_usize..12_000,
        changes in proptest::collection::vec((0_usize..2000, any::<u8>()), 0..8),
    ) {
        let mut bytes = small().bytes();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(end);
        if let Ok(snapshot) = read(&bytes, 0, &Options::default()) {
            prop_assert!(!snapshot.threads.is_empty());
            prop_assert!(snapshot.mappings.is_sorted_by_key(|mapping| mapping.start));
        }
    }
}

#[test]
fn a_32_bit_view_of_a_64_bit_thread_is_refused_by_name() {
    // What a debugger for i386 gets of an x86_64 thread, and a whole note beside it.
    let made = Made::with(&[note(1, &[0; 144]), prstatus(2, 6, 0, 0)]);
    let snapshot = made.read().expect("a core");
    assert_eq!(snapshot.threads.len(), 1);
    let text = "a program for x86_64 has the form of i386: who wrote the core did not see all";
    assert!(messages(&snapshot).contains(text), "{}", messages(&snapshot));
    let error = Made::with(&[note(1, &[0; 148])]).read().expect_err("nothing is left");
    assert!(error.to_string().contains("x86_64 has the form of arm"), "{error}");
}

#[test]
fn notes_are_read_in_the_width_and_byte_order_of_every_architecture() {
    for arch in Arch::ALL {
        let snapshot = read(&foreign::core(arch), 0, &Options::default()).expect("a core");
        assert_eq!(snapshot.process.arch, arch);
        assert_eq!((snapshot.process.pid.0, snapshot.process.uid), (42, Some(1000)), "{}", arch.name());
        assert_eq!(snapshot.process.name, b"program");
        assert_eq!(snapshot.process.cmdline, [b"a b"]);
        let thread = &snapshot.threads[0];
        assert_eq!((thread.tid, thread.cpu_ns), (Tid(43), Some(3_000_007_000)), "{}", arch.name());
        let registers = thread.registers.as_ref().expect("they are in the note");
        assert_eq!(registers.sp(), Some(foreign::STACK + 16), "{}", arch.name());
        assert_eq!(thread.stacks[0].bytes.len(), 4096);
        let signal = snapshot.signal.expect("there is one");
        assert_eq!(
            (signal.number, signal.code, signal.address),
            (11, Some(1), Some(0x1234)),
            "{}",
            arch.name()
        );
        let file = &snapshot.mappings[0];
        assert_eq!((file.start, file.offset, &file.path[..]), (0x1000, 3 * 4096, &b"/no/such/file"[..]));
    }
}

#[test]
fn the_layout_of_a_note_is_that_of_the_kernel() {
    let layout = Arch::X86_64.core_layout();
    assert_eq!(layout.registers + layout.registers_size + 8, 336, "pr_fpvalid and its padding follow");
}
