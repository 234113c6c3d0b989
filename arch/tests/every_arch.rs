//! What must be true of every architecture, and what registers look like in the order of a dump.
use std::collections::HashSet;
use std::fmt::Write;
use std::path::PathBuf;

use threaddump_arch::{Arch, CallBefore, FrameRecord, MAX_REGISTERS, Registers};

/// Lengths that `PTRACE_GETREGSET` was seen to give (Linux 6.1 and 7.2); that of loongarch64 is from
/// `arch/loongarch/include/asm/elf.h`.
const PRSTATUS: [(Arch, usize); 8] = [
    (Arch::X86_64, 216),
    (Arch::I386, 68),
    (Arch::Aarch64, 272),
    (Arch::Arm, 72),
    (Arch::Riscv64, 256),
    (Arch::Ppc64le, 384),
    (Arch::S390x, 216),
    (Arch::Loongarch64, 360),
];

/// A register set in which every byte tells its place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + 1) as u8).collect()
}

fn dump(registers: &Registers) -> String {
    let mut text = String::new();
    for (_, info, value) in registers.iter() {
        let _ = writeln!(text, "{:<9}{value:#x}", info.name);
    }
    text
}

#[test]
fn names_and_numbers_are_unique_and_lead_back() {
    for arch in Arch::ALL {
        let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
        assert!(arch.registers().len() <= MAX_REGISTERS, "{}", arch.name());
        for (id, info) in arch.iter() {
            assert!(names.insert(info.name), "{} has two registers {}", arch.name(), info.name);
            assert!(info.width.is_power_of_two() && info.width <= 8, "{} of {}", info.name, arch.name());
            if let Some(number) = info.dwarf {
                assert!(numbers.insert(number), "{} has two numbers {number}", arch.name());
                assert_eq!(arch.from_dwarf(number), Some(id), "{} of {}", info.name, arch.name());
            }
        }
        assert_eq!(arch.from_dwarf(u16::MAX), None);
        assert_eq!(Arch::from_name(arch.name()), Some(arch));
        assert_eq!(Arch::from_elf(arch.elf_machine(), arch.pointer_size() == 8), Some(arch));
    }
    assert_eq!(Arch::from_elf(62, false), None, "x32");
}

#[test]
fn pc_sp_and_fp_are_there_and_calls_preserve_the_stack_pointer() {
    for arch in Arch::ALL {
        let name = arch.name();
        assert!(arch.info(arch.sp()).callee_saved && arch.info(arch.fp()).callee_saved, "{name}");
        assert!(!arch.info(arch.pc()).callee_saved, "{name}");
        assert!(arch.info(arch.sp()).dwarf.is_some(), "{name}: rules are based on it");
        let returns_to = arch.link().unwrap_or(arch.pc());
        assert!(arch.info(returns_to).dwarf.is_some(), "{name}: rules give it");
        let ids = HashSet::from([arch.pc(), arch.sp(), arch.fp()]);
        assert_eq!(ids.len(), 3, "{name}");
        assert!(!arch.frame_records().is_empty(), "{name}");
        for record in arch.frame_records() {
            if let FrameRecord::Pointer { caller_fp, return_address, .. } = record {
                assert_eq!(
                    (caller_fp - return_address).unsigned_abs(),
                    u64::from(arch.pointer_size()),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn register_sets_become_the_recorded_text() {
    let bless = std::env::var_os("THREADDUMP_BLESS").is_some();
    for (arch, length) in PRSTATUS {
        assert_eq!(arch.prstatus_size(), length, "{}", arch.name());
        let bytes = pattern(length);
        let registers = arch.registers_from_prstatus(&bytes).expect("the right length");
        assert!(registers.pc().is_some() && registers.sp().is_some(), "{}", arch.name());
        let saved = arch.registers_from_signal_context(&pattern(arch.signal_context_size()));
        let saved = saved.expect("the right length");
        assert!(saved.pc().is_some() && saved.sp().is_some() && saved.fp().is_some(), "{}", arch.name());
        let text = format!("{}\nsaved by a signal:\n{}", dump(&registers), dump(&saved));
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{}.txt", arch.name()));
        if bless {
            std::fs::write(&path, &text).expect("the folder is there");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, golden, "{}", path.display());
    }
}

#[test]
fn register_sets_of_other_lengths_are_refused() {
    for arch in Arch::ALL {
        let bytes = pattern(arch.prstatus_size() + 1);
        assert_eq!(arch.registers_from_prstatus(&bytes), None, "{}", arch.name());
        assert_eq!(arch.registers_from_prstatus(&bytes[2..]), None, "{}", arch.name());
        let short = &bytes[..arch.signal_context_size().min(bytes.len()) / 2];
        assert_eq!(arch.registers_from_signal_context(short), None, "{}", arch.name());
    }
}

#[test]
fn numbers_are_read_in_the_byte_order_and_width_of_the_target() {
    for arch in Arch::ALL {
        let expected = if arch.is_big_endian() { 0x0102_0304 } else { 0x0403_0201 };
        assert_eq!(arch.number(&[1, 2, 3, 4]), expected, "{}", arch.name());
        let mut bytes = vec![0; arch.prstatus_size()];
        bytes.fill(0xff);
        let widest = if arch.pointer_size() == 4 { u64::from(u32::MAX) } else { u64::MAX };
        let registers = arch.registers_from_prstatus(&bytes).expect("the right length");
        assert_eq!(registers.pc(), Some(widest), "{}", arch.name());
    }
}

/// The code that a handler returns to.
const TRAMPOLINES: [(Arch, &[u8], u16); 16] = [
    (Arch::X86_64, &[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], 0),
    (Arch::I386, &[0xb8, 173, 0, 0, 0, 0xcd, 0x80], 140),
    (Arch::I386, &[0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80], 4),
    (Arch::Aarch64, &[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4], 128),
    (Arch::Arm, &[0xad, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef], 128),
    (Arch::Arm, &[0xad, 0x70, 0xa0, 0xe3, 0xad, 0, 0x90, 0xef], 128),
    (Arch::Arm, &[0xad, 0x27, 0x00, 0xdf], 128),
    (Arch::Arm, &[0x4f, 0xf0, 0xad, 0x07, 0x00, 0xdf], 128),
    (Arch::Arm, &[0x77, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef], 0),
    (Arch::Arm, &[0x77, 0x27, 0x00, 0xdf], 0),
    (Arch::Riscv64, &[0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0], 128),
    (Arch::Ppc64le, &[0x80, 0, 0x21, 0x38, 0xac, 0, 0, 0x38, 0x02, 0, 0, 0x44], 128),
    (Arch::S390x, &[0x0a, 173], 296),
    (Arch::S390x, &[0x0a, 119], 176),
    (Arch::Loongarch64, &[0x0b, 0x2c, 0x82, 0x03, 0, 0, 0x2b, 0], 128),
    (Arch::X86_64, &[0xb8, 15, 0, 0, 0, 0x0f, 0x05], 0),
];

#[test]
fn signal_trampolines_are_told_from_other_code() {
    for (arch, code, context) in TRAMPOLINES {
        let name = arch.name();
        assert!(code.len() <= Arch::TRAMPOLINE);
        let found = arch.signal_trampoline(code).unwrap_or_else(|| panic!("{name}: {code:x?}"));
        assert_eq!(found.context, context, "{name}: {code:x?}");
        assert_eq!(arch.signal_trampoline(&code[..code.len() - 1]), None, "{name}: cut");
        let bytes = pattern(arch.signal_context_size());
        assert!(arch.registers_from_trampoline(found, &bytes).is_some(), "{name}");
    }
    for arch in Arch::ALL {
        assert!(TRAMPOLINES.iter().any(|(of, ..)| *of == arch), "{} has none", arch.name());
    }
}

#[test]
fn a_signal_frame_on_an_alternate_stack_is_found_by_its_layout() {
    for arch in Arch::ALL.into_iter().filter(|arch| !matches!(arch, Arch::X86_64 | Arch::I386)) {
        let word = usize::from(arch.pointer_size());
        let base = 0x1000_0000_u64;
        let mut stack = vec![0; 2048];
        let frame = 64 * word;
        let mut put = |offset: usize, value: u64| {
            let bytes = if arch.is_big_endian() { value.to_be_bytes() } else { value.to_le_bytes() };
            let piece = if arch.is_big_endian() { &bytes[8 - word..] } else { &bytes[..word] };
            stack[frame + offset..][..word].copy_from_slice(piece);
        };
        put(2 * word, base - 4096);
        put(4 * word, 8192);
        // Every word of the context a plausible value; then what single architectures look at.
        for offset in (5 * word..arch.signal_context_size()).step_by(word) {
            put(offset, 0x2000_0000 + offset as u64);
        }
        match arch {
            Arch::Ppc64le => put(224, base + frame as u64 + 232),
            Arch::S390x => put(40, 0x0705_0001_8000_0000),
            _ => {}
        }
        let found: Vec<_> = arch.find_signal_frames(&stack, base).collect();
        assert_eq!(found.len(), 1, "{}", arch.name());
        assert_eq!(found[0].context, base + frame as u64, "{}", arch.name());
        assert!(found[0].registers.sp().is_some_and(|sp| sp > 0x2000_0000), "{}", arch.name());
    }
}

#[test]
fn no_bytes_confuse_the_readers() {
    let mut state = 1_u32;
    let mut bytes = [0_u8; 24];
    for round in 0..20_000 {
        for byte in &mut bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        let code = &bytes[..round % 25];
        let (before, at) = code.split_at(code.len() / 2);
        for arch in Arch::ALL {
            arch.entry_state(before, at);
            arch.may_move_sp(code);
            arch.signal_trampoline(code);
            let mut registers = Registers::new(arch);
            for (id, _) in arch.iter() {
                registers.set(id, u64::from(state) << 32 | u64::from(state));
            }
            arch.system_call_in(&registers, before, at);
            arch.is_new_thread(&registers);
            if let CallBefore::Direct(distance) = arch.call_before(code) {
                assert!(distance.unsigned_abs() <= 1 << 33, "{}", arch.name());
            }
        }
    }
}
