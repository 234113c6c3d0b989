//! Core files that the kernels of other machines wrote, each held against what gdb says of it: every
//! thread, every frame, every register; and against what the program said of itself before it crashed.
//! `tests/vm/cores.sh` made them.
mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use support::compare::Comparison;
use support::dump::{Dump, Report};
use support::process::bounded;
use support::{Stop, dump, gdb, has_program, record, scratch};

/// Registers that gdb does not show.
const NOT_IN_GDB: [(&str, &str); 5] = [
    ("arm", "orig_r0"),
    ("i386", "orig_eax"),
    ("x86_64", "orig_rax"),
    ("x86_64", "fs_base"),
    ("x86_64", "gs_base"),
];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let folders = std::fs::read_dir(root().join("tests/fixtures/cores")).expect("they are in the repository");
    let mut names: Vec<String> = folders
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names.len(), 7, "{names:?}");
    let trials = names.into_iter().map(|name| {
        let title = format!("core file of {name}");
        Trial::test(title.clone(), move || Ok::<(), Failed>(record::outcome(&title, compare(&name))?))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn compare(arch: &str) -> Result<(), Stop> {
    let folder = root().join("tests/fixtures/cores").join(arch);
    let core = unpack(&folder, arch, "core")?;
    let program = unpack(&folder, arch, "program")?;
    let title = format!("core file of {arch}");
    // The compressed one is read as well as the plain one.
    let mut dump = dump::run_core_of(&folder.join("core.zst"), &program)?;
    let calls = dump.report.threads.iter().filter(|thread| thread.syscall.is_some()).count();
    if calls != 4 {
        return Err(format!("{calls} of 4 threads are in a system call").into());
    }
    if dump.report.process.arch.as_deref() != Some(arch) || dump.report.threads.len() != 6 {
        return Err(format!("{:?}, {} threads", dump.report.process, dump.report.threads.len()).into());
    }
    held_against_the_program(&folder, &program, &title)?;
    if arch == "aarch64" {
        record::summary(&format!("{title}: {} return addresses with signature", signed(&folder, &program)?));
    }
    place_program(&mut dump.report, &program);
    let debugger = gdb::run_foreign(&core, &program)?;
    let outcome = Comparison::run(&format!("core-{arch}"), &dump.report, &debugger, &[], None)?;
    let registers = registers(arch, &dump, &debugger)?;
    outcome.finish(&title)?;
    record::summary(&format!("{title}: {registers} registers the same"));
    Ok(())
}

/// Where the names of its functions are to be looked up.
fn place_program(report: &mut Report, program: &Path) {
    let modules = report.modules.iter_mut().map(|module| &mut module.path);
    let frames = report.threads.iter_mut().flat_map(|thread| &mut thread.frames);
    // No process here has anything to do with it.
    report.process.pid = i32::MAX;
    for path in modules.chain(frames.filter_map(|frame| frame.module.as_mut())) {
        if path == "/job/threads" {
            *path = program.display().to_string();
        }
    }
}

fn unpack(folder: &Path, arch: &str, name: &str) -> Result<PathBuf, Stop> {
    if !has_program("zstd") {
        return Err(Stop::Skip("zstd is not installed (Debian package zstd)".to_owned()));
    }
    let path = scratch("foreign-cores").join(format!("{arch}-{name}"));
    let mut command = Command::new("zstd");
    command.args(["-qdcf"]).arg(folder.join(name).with_extension("zst"));
    let out = File::create(&path).map_err(|error| error.to_string())?;
    let status = command.stdout(out).status().map_err(|error| error.to_string())?;
    if status.success() { Ok(path) } else { Err(format!("zstd ended with {status}").into()) }
}

/// The addresses that the program knew, by the script that the virtual machines use.
fn held_against_the_program(folder: &Path, program: &Path, title: &str) -> Result<(), Stop> {
    let text = scratch("foreign-cores").join("text");
    let mut command = bounded(env!("CARGO_BIN_EXE_threaddump"));
    command.arg("core").arg("--exe").arg(program).arg("-o").arg(&text).arg(folder.join("core.zst"));
    command.status().map_err(|error| error.to_string())?;
    let mut check = bounded("awk");
    check.arg("-f").arg(root().join("tests/vm/check.awk")).arg(folder.join("said")).arg(&text);
    let output = check.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        record::summary(&format!("{title}: {}", said.trim_end()));
        return Ok(());
    }
    Err(format!("{title}: {said}{}", std::fs::read_to_string(text).unwrap_or_default()).into())
}

/// How many are signed; each must be the pc beside it once the bits of `NT_ARM_PAC_MASK` are gone.
fn signed(folder: &Path, program: &Path) -> Result<usize, Stop> {
    let mut command = bounded(env!("CARGO_BIN_EXE_threaddump"));
    command.args(["core", "-v", "--exe"]).arg(program).arg(folder.join("core.zst"));
    let output = command.output().map_err(|error| error.to_string())?;
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let mut count = 0;
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains("(signed ")) {
        let pc = line.split_whitespace().nth(1).and_then(number);
        let raw = line.split("(signed ").nth(1).and_then(|rest| number(rest.split(')').next()?));
        if raw == pc || raw.map(|raw| raw & !0x007f_0000_0000_0000) != pc {
            return Err(format!("{line}: not the same address").into());
        }
        count += 1;
    }
    // All functions of the program, in each thread.
    if count < 55 { Err(format!("only {count} signed return addresses").into()) } else { Ok(count) }
}

/// How many are the same.
fn registers(arch: &str, dump: &Dump, debugger: &BTreeMap<i32, gdb::Thread>) -> Result<usize, Stop> {
    let mut same = 0;
    let mut different = String::new();
    for thread in &dump.report.threads {
        let (tid, ours) = (thread.tid, thread.registers.iter().flatten());
        let theirs = debugger.get(&tid).map(|thread| &thread.registers);
        for (name, value) in ours.filter(|(name, _)| !NOT_IN_GDB.contains(&(arch, name))) {
            let other = theirs.and_then(|theirs| theirs.get(in_gdb(arch, name)));
            let value = value.strip_prefix("0x").and_then(|value| u64::from_str_radix(value, 16).ok());
            if value.is_some() && value.as_ref() == other {
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
