//! Core files that the kernels of other machines wrote, each held against what gdb says of it: every
//! thread, every frame, every register; and against what the program said of itself before it crashed.
//! `tests/vm/cores.sh` made them.
mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use support::process::bounded;
use support::{Stop, dump, foreign, gdb, has_program, record, scratch};

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
    foreign::place(&mut dump.report, |path| (path == "/job/threads").then(|| program.display().to_string()));
    let debugger = gdb::run_foreign(&core, &program, None)?;
    foreign::compare(&format!("core-{arch}"), &title, &dump.report, &debugger, &core)
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
