//! Processes of other architectures: their core files, and files they had mapped, below a folder.
use std::collections::BTreeMap;
use std::path::Path;

use super::cfi::Executable;
use super::compare::{Comparison, Outcome};
use super::dump::Report;
use super::{Stop, gdb, record};

/// Registers that gdb does not show.
const NOT_IN_GDB: [(&str, &str); 5] = [
    ("arm", "orig_r0"),
    ("i386", "orig_eax"),
    ("x86_64", "orig_rax"),
    ("x86_64", "fs_base"),
    ("x86_64", "gs_base"),
];

/// In `msr`: floating point, vectors, both together (`MSR_FP`, `MSR_VEC`, `MSR_VSX`). The kernel gives and takes these units from a
/// thread as it is scheduled, so that they are not the same in a dump and in the core file after it.
const PPC64LE_UNITS: u64 = 0x0280_2000;

/// Compares a report whose files are at hand with gdb's view of a core file: frames, names, registers.
pub(crate) fn compare(
    program: &str,
    title: &str,
    report: &Report,
    debugger: &BTreeMap<i32, gdb::Thread>,
    core: &Path,
) -> Result<(), Stop> {
    let arch = report.process.arch.as_deref().unwrap_or_default();
    let executable = Executable::of_core(core)?;
    let outcome: Outcome = Comparison::run_with(program, report, debugger, executable)?;
    let registers = registers(arch, report, debugger);
    outcome.finish(title)?;
    record::summary(&format!("{title}: {} registers the same", registers?));
    Ok(())
}

/// Puts the files of a report below a folder: `place` gives the new path.
pub(crate) fn place(report: &mut Report, place: impl Fn(&str) -> Option<String>) {
    // No process here has anything to do with it.
    report.process.pid = i32::MAX;
    let modules = report.modules.iter_mut().map(|module| &mut module.path);
    let frames = report.threads.iter_mut().flat_map(|thread| &mut thread.frames);
    for path in modules.chain(frames.filter_map(|frame| frame.module.as_mut())) {
        if let Some(other) = place(path) {
            *path = other;
        }
    }
}

/// How many are the same.
fn registers(arch: &str, report: &Report, debugger: &BTreeMap<i32, gdb::Thread>) -> Result<usize, Stop> {
    let mut same = 0;
    let mut different = String::new();
    for thread in &report.threads {
        let (tid, ours) = (thread.tid, thread.registers.iter().flatten());
        let theirs = debugger.get(&tid).map(|thread| &thread.registers);
        for (name, value) in ours.filter(|(name, _)| !NOT_IN_GDB.contains(&(arch, name))) {
            let other = theirs.and_then(|theirs| theirs.get(in_gdb(arch, name)));
            let value = value.strip_prefix("0x").and_then(|value| u64::from_str_radix(value, 16).ok());
            let known = if (arch, name.as_str()) == ("ppc64le", "msr") { !PPC64LE_UNITS } else { u64::MAX };
            if value.is_some_and(|value| other.is_some_and(|other| value & known == other & known)) {
                same += 1;
            } else {
                different += &format!("thread {tid}: {name} {value:#x?}, gdb has {other:#x?}\n");
            }
        }
    }
    if different.is_empty() { Ok(same) } else { Err(different.into()) }
}

/// gdb's name of a register.
fn in_gdb<'n>(arch: &str, name: &'n str) -> &'n str {
    const AARCH64: [&str; 30] = [
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
        "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29",
    ];
    match (arch, name) {
        ("aarch64", "lr") => "x30",
        ("aarch64", "pac_mask") => "pauth_cmask",
        ("aarch64", "pstate") => "cpsr",
        ("arm", "fp") => "r11",
        ("arm", "ip") => "r12",
        ("riscv64", "s0") => "fp",
        ("x86_64", "rflags") => "eflags",
        ("ppc64le", "link") => "lr",
        ("ppc64le", "ccr") => "cr",
        ("s390x", "pc") => "pswa",
        ("aarch64", _) => {
            let number = name.strip_prefix('r').and_then(|number| number.parse::<usize>().ok());
            number.and_then(|number| AARCH64.get(number)).copied().unwrap_or(name)
        }
        _ => name,
    }
}
