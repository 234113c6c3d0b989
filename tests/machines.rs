//! The program on other processors, in virtual machines: what it shows of live processes, held against core files that the
//! kernels there wrote right after, as gdb reads them. Two of them on every run; `tests/vm/all.sh` does the same for all.
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use support::{Stop, dump, foreign, gdb, has_program, record};

fn main() {
    let mut arguments = Arguments::from_args();
    // They share what is fetched and built.
    arguments.test_threads = Some(1);
    let wanted = std::env::var("THREADDUMP_MACHINES").unwrap_or_else(|_| "aarch64 i386".to_owned());
    let trials = wanted.split_whitespace().map(|arch| {
        let arch = arch.to_owned();
        let title = format!("live on {arch}");
        Trial::test(title.clone(), move || Ok::<(), Failed>(record::outcome(&title, machine(&arch))?))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn emulator(arch: &str) -> String {
    format!("qemu-system-{}", if arch == "ppc64le" { "ppc64" } else { arch })
}

fn machine(arch: &str) -> Result<(), Stop> {
    let emulator = emulator(arch);
    let needed = [&*emulator, "cpio", "depmod", "apt-get", "dpkg-deb", "xz", "awk", "gdb-multiarch"];
    if let Some(missing) = needed.iter().find(|name| !has_program(name)) {
        return Err(Stop::Skip(format!("no {missing}")));
    }
    let mut command = Command::new("sh");
    command.arg(root().join("tests/vm/live.sh")).arg(arch);
    if arch == "x86_64" {
        command.arg(env!("CARGO_BIN_EXE_threaddump"));
    }
    if arch == "aarch64" {
        command.env("VM_CFLAGS", "-mbranch-protection=standard");
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let (text, messages) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(100) {
        return Err(Stop::Skip(format!("what it takes could not be fetched: {}", messages.trim_end())));
    }
    if !output.status.success() || !text.contains(": 0 differ") {
        return Err(Stop::Fail(format!("{text}{messages}")));
    }
    text.lines().for_each(record::summary);
    let narrow = (arch == "aarch64").then_some(("narrow", "arm"));
    let own = ["threads", "waits", "sleep", "cat"].map(|name| (name, arch));
    let mut failures = String::new();
    for (name, arch_of_it) in own.into_iter().chain(narrow) {
        match process(arch, name, arch_of_it) {
            Err(Stop::Fail(text)) => failures += &text,
            result => result?,
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.into()) }
}

fn process(machine: &str, name: &str, arch: &str) -> Result<(), Stop> {
    let target = std::env::var_os("VM_DIR").map_or_else(|| root().join("target/vm"), PathBuf::from);
    let out = target.join(format!("live-{machine}/out"));
    let sysroot = out.join("sysroot");
    let (core, json) = (out.join(name).with_extension("core"), out.join(name).with_extension("json"));
    let mut live = dump::read(&json)?;
    let again = dump::run_core_below(&core, &sysroot)?.report;
    let program = ["sleep", "cat"].contains(&name).then_some("bin/busybox");
    let program = sysroot.join(program.map_or(format!("job/{name}"), str::to_owned));
    let debugger = gdb::run_foreign(&core, &program, Some(&sysroot))?;
    let mut failures = String::new();
    for (how, report) in [("live", &mut live), ("core", &mut { again })] {
        let title = format!("{how} on {machine}, {name}");
        if report.process.arch.as_deref() != Some(arch) || report.threads.is_empty() {
            return Err(format!("{title}: {:?}, {} threads", report.process, report.threads.len()).into());
        }
        // On arm nothing says where a stripped C library begins threads, and that of riscv64 has few rules.
        let known = !["arm", "riscv64"].contains(&arch);
        if known && program.starts_with(sysroot.join("job")) && !report.complete {
            return Err(format!("{title}: incomplete").into());
        }
        foreign::place(report, |path| {
            path.strip_prefix('/').map(|path| sysroot.join(path).display().to_string())
        });
        let accepted = format!("{how}-{machine}-{name}");
        match foreign::compare(&accepted, &title, report, &debugger, &core) {
            Err(Stop::Fail(text)) => failures += &text,
            result => result?,
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.into()) }
}
