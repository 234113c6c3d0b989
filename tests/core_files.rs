//! Core files from the kernel, from gcore and from qemu; compressed, cut, sparse and in pipes.
#[path = "core_files/cut.rs"]
mod cut;
mod support;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::dump::{Ask, Report};
use support::process::{Running, bounded, settle};
use support::targets::all;
use support::{Stop, cores, dump, has_program, record, scratch};
use threaddump::collect::corefile::{CoreFile, Options};

/// Runs a test that may have to be left out.
fn test(what: &str, body: impl FnOnce() -> Result<(), Stop>) {
    if let Err(text) = record::outcome(what, body()) {
        panic!("{text}");
    }
}

/// A folder of its own for each test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = scratch("core-files").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("cargo's folder for tests can be written");
    folder
}

fn build(folder: &Path, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cores/threads.c");
    let program = folder.join("threads");
    let mut command = Command::new("cc");
    command.args(["-g", "-O1", "-pthread"]).args(flags).arg("-o").arg(&program).arg(source);
    assert!(command.status().expect("there is a compiler").success());
    program
}

/// The running target, in its folder, quiet.
fn start(folder: &Path) -> Result<Running, Stop> {
    let program = build(folder, &[]);
    let mut command = cores::allowed_to_dump(&program, folder);
    let running = Running::start_ready(&mut command, "threads", "ready")?;
    if settle(running.pid()) { Ok(running) } else { Err(Stop::Fail("the target is never quiet".to_owned())) }
}

/// A core file of the target after a real fault.
fn crashed(folder: &Path) -> Result<PathBuf, Stop> {
    cores::kernel_writes_files()?;
    let running = start(folder)?;
    kill(Pid::from_raw(running.pid()), Signal::SIGUSR1).expect("it is ours");
    cores::of_crash(&running, folder)
}

/// The core file of a small program, with its notes where the kernel writes them.
fn small(folder: &Path) -> Result<PathBuf, Stop> {
    // Other tests change the pattern.
    let file =
        File::options().write(true).create(true).truncate(false).open("/tmp/threaddump-core-pattern.lock");
    let lock = file.ok().and_then(|file| Flock::lock(file, FlockArg::LockExclusive).ok());
    cores::kernel_writes_files()?;
    let target = all().into_iter().find(|known| known.source.name == "jit_code");
    let program = target.expect("it is in tests/targets").build()?;
    let mut command = cores::allowed_to_dump(&program, folder);
    let running = Running::start_ready(&mut command, "jit_code", "ready")?;
    kill(Pid::from_raw(running.pid()), Signal::SIGABRT).expect("it is ours");
    let core = cores::of_crash(&running, folder)?;
    drop(lock);
    Ok(core)
}

type Frames = Vec<(i32, String, Vec<(u64, Option<String>, Option<u32>)>)>;

/// What must be the same, in the order of thread ids.
fn frames(report: &Report) -> Frames {
    let frames = |thread: &dump::Thread| {
        thread.frames.iter().map(|frame| (frame.pc, frame.function.clone(), frame.line)).collect()
    };
    let threads = report.threads.iter();
    let mut all: Frames = threads.map(|thread| (thread.tid, thread.end.clone(), frames(thread))).collect();
    all.sort();
    all
}

fn threaddump(arguments: &[&str]) -> Command {
    let mut command = bounded(env!("CARGO_BIN_EXE_threaddump"));
    command.arg("core").args(arguments);
    command
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the program was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn one_process_has_the_same_frames_live_from_gcore_and_from_its_crash() {
    test("frames of a process and its cores", || {
        let folder = folder("same");
        cores::kernel_writes_files()?;
        let running = start(&folder)?;
        let live = dump::run(running.pid(), &Ask::default())?.report;
        let gcore = dump::run_core(&cores::gcore(running.pid(), &folder)?, &Ask::default())?.report;
        // The signal changes nothing but that it is there.
        kill(Pid::from_raw(running.pid()), Signal::SIGSEGV).expect("it is ours");
        let core = cores::of_crash(&running, &folder)?;
        let crash = dump::run_core(&core, &Ask::default())?.report;
        assert_eq!(live.threads.len(), 10);
        assert!(live.complete && gcore.complete && crash.complete);
        assert_eq!(frames(&live), frames(&gcore));
        assert_eq!(frames(&live), frames(&crash));
        assert!(gcore.signal.is_none(), "{:?}", gcore.signal);
        let signal = crash.signal.expect("it was killed by one");
        assert_eq!((signal.name.as_str(), signal.code_name.as_deref()), ("SIGSEGV", Some("SI_USER")));
        assert_eq!(signal.tid, Some(crash.threads[0].tid));
        let count: usize = live.threads.iter().map(|thread| thread.frames.len()).sum();
        record::summary(&format!(
            "core files: {} threads, {count} frames the same live, from gcore, from a crash",
            10
        ));
        Ok(())
    });
}

#[test]
fn the_thread_that_crashed_comes_first_with_its_signal() {
    test("a crash", || {
        let folder = folder("first");
        let core = crashed(&folder)?;
        let report = dump::run_core(&core, &Ask::default())?.report;
        let first = &report.threads[0];
        assert_eq!(first.frames[0].function.as_deref(), Some("fault"));
        assert_eq!(first.frames[1].function.as_deref(), Some("victim"));
        assert_ne!(first.tid, report.process.pid);
        let signal = report.signal.expect("it crashed");
        assert_eq!(signal.address.as_deref(), Some("0x1234"));
        assert_eq!(signal.code_name.as_deref(), Some("SEGV_MAPERR"));
        assert_eq!(signal.tid, Some(first.tid));
        let shown = text(&output(threaddump(&[]).arg(&core)).stdout);
        let line = format!(
            "SIGSEGV (11), SEGV_MAPERR: nothing is mapped there, at address 0x1234, in thread {}",
            first.tid
        );
        assert!(shown.contains(&line), "{shown}");
        assert!(shown.contains("name unknown: got SIGSEGV"), "{shown}");
        Ok(())
    });
}

#[test]
fn compressed_files_and_pipes_give_the_same_output() {
    test("compressed core files", || {
        let folder = folder("packed");
        let core = crashed(&folder)?;
        let plain = frames(&dump::run_core(&core, &Ask::default())?.report);
        let json = |input: File| {
            let mut command = threaddump(&["--format", "json", "-"]);
            let output = command.stdin(input).output().expect("the program was built");
            frames(&serde_json::from_slice(&output.stdout).expect("it is JSON"))
        };
        assert_eq!(plain, json(File::open(&core).expect("it is there")), "redirected");
        for program in ["cat", "zstd", "xz", "lz4", "gzip"] {
            if !has_program(program) {
                record::skip(&format!("core compressed by {program}"), "it is not installed");
                continue;
            }
            let packed = folder.join(format!("packed.{program}"));
            let fast = if program == "xz" { "-1c" } else { "-c" };
            let mut command = bounded(program);
            if program != "cat" {
                command.arg(fast);
            }
            let out = File::create(&packed).expect("the folder is ours");
            let input = File::open(&core).expect("it is there");
            assert!(command.stdin(input).stdout(out).status().expect(program).success());
            assert_eq!(plain, frames(&dump::run_core(&packed, &Ask::default())?.report), "{program}");
            let mut pipe = Command::new("cat").arg(&packed).stdout(Stdio::piped()).spawn().expect("cat");
            let mut command = threaddump(&["--format", "json", "-"]);
            command.stdin(pipe.stdout.take().expect("it is piped"));
            let output = command.output().expect("the program was built");
            pipe.wait().expect("it ends");
            let report: Report = serde_json::from_slice(&output.stdout).expect("it is JSON");
            assert_eq!(plain, frames(&report), "{program} in a pipe");
        }
        Ok(())
    });
}

#[test]
fn a_saved_snapshot_of_a_core_gives_the_same_output() {
    test("snapshot of a core file", || {
        let folder = folder("snapshot");
        let core = crashed(&folder)?;
        let saved = folder.join("snapshot");
        for format in ["text", "json"] {
            let first = output(threaddump(&["--format", format, "--save-snapshot"]).arg(&saved).arg(&core));
            let mut replay = bounded(env!("CARGO_BIN_EXE_threaddump"));
            let again = output(replay.args(["replay", "--format", format]).arg(&saved));
            assert_eq!(text(&first.stdout), text(&again.stdout), "{format}");
            assert_eq!((first.status.code(), again.status.code()), (Some(0), Some(0)));
        }
        Ok(())
    });
}

#[test]
fn a_program_that_moved_is_found_by_the_options_and_a_wrong_one_refused() {
    test("--exe and --sysroot", || {
        let folder = folder("moved");
        let core = crashed(&folder)?;
        let moved = folder.join("elsewhere");
        std::fs::rename(folder.join("threads"), &moved).expect("the folder is ours");
        let without = output(threaddump(&[]).arg(&core));
        assert_eq!(without.status.code(), Some(1));
        assert!(text(&without.stdout).contains("cannot use "), "{}", text(&without.stdout));
        let with = output(threaddump(&["--exe"]).arg(&moved).arg(&core));
        assert_eq!(with.status.code(), Some(0), "{}", text(&with.stdout));
        assert!(text(&with.stdout).contains(" fault+0x"));
        let wrong = output(threaddump(&["--exe", "/bin/sh"]).arg(&core));
        assert_eq!(wrong.status.code(), Some(1));
        assert!(
            text(&wrong.stdout).contains("/bin/sh does not fit: its build ID is"),
            "{}",
            text(&wrong.stdout)
        );
        // The same files below another directory.
        let root = folder.join("root");
        let report = dump::run_core(&core, &Ask::default())?.report;
        for module in report.modules.iter().filter(|module| module.path.starts_with('/')) {
            let to = root.join(&module.path[1..]);
            std::fs::create_dir_all(to.parent().expect("it has one")).expect("the folder is ours");
            let from =
                if module.path.ends_with("/threads") { moved.clone() } else { module.path.clone().into() };
            std::fs::copy(from, to).expect("it can be copied");
        }
        let below = output(threaddump(&["--sysroot"]).arg(&root).arg(&core));
        assert_eq!(below.status.code(), Some(0), "{}", text(&below.stdout));
        assert!(text(&below.stdout).contains(" fault+0x"));
        Ok(())
    });
}

#[test]
fn code_that_a_compiler_registered_is_named_in_a_core() {
    test("registered code in core files", || {
        let folder = folder("registered");
        let target =
            all().into_iter().find(|known| known.source.name == "gdb_jit" && known.variant == "object");
        let program = target.expect("it is in tests/targets").build()?;
        let mut command = cores::allowed_to_dump(&program, &folder);
        let running = Running::start_ready(&mut command, "gdb_jit", "ready")?;
        settle(running.pid());
        let live = dump::run(running.pid(), &Ask::default())?.report;
        let mut cores = vec![cores::gcore(running.pid(), &folder)?];
        if cores::kernel_writes_files().is_ok() {
            kill(Pid::from_raw(running.pid()), Signal::SIGSEGV).expect("it is ours");
            let before = cores[0].clone();
            std::fs::rename(&before, folder.join("by-gdb")).expect("it is ours");
            cores = vec![folder.join("by-gdb"), cores::of_crash(&running, &folder)?];
        }
        for core in cores {
            let report = dump::run_core(&core, &Ask::default())?.report;
            assert_eq!(frames(&report), frames(&live), "{}", core.display());
            let names = report.threads[0].frames.iter().filter_map(|frame| frame.function.as_deref());
            assert!(names.clone().any(|name| name == "piece_inner"), "{:?}", names.collect::<Vec<_>>());
        }
        Ok(())
    });
}

#[test]
fn a_core_of_100_gigabytes_of_nothing_costs_nothing() {
    test("a sparse core file", || {
        let folder = folder("sparse");
        let core = crashed(&folder)?;
        // Its last segment grows to 100 GiB: in a process that is what a large heap looks like.
        let file = File::options().read(true).write(true).open(&core).expect("it is ours");
        let mut header = [0; 64];
        file.read_exact_at(&mut header, 0).expect("it has one");
        let count = u64::from(u16::from_le_bytes([header[56], header[57]]));
        let (at, size) = (64 + (count - 1) * 56, 100_u64 << 30);
        file.write_all_at(
            &(file.metadata().expect("ours").len().next_multiple_of(4096)).to_le_bytes(),
            at + 8,
        )
        .expect("ours");
        file.write_all_at(&0x10_0000_0000_u64.to_le_bytes(), at + 16).expect("ours");
        file.write_all_at(&[size.to_le_bytes(), size.to_le_bytes()].concat(), at + 32).expect("ours");
        file.set_len(file.metadata().expect("ours").len() + size).expect("the file system has holes");
        let start = Instant::now();
        let mut command = Command::new("sh");
        // More memory than this it may not touch.
        command
            .args(["-c", "ulimit -d 500000 && exec \"$0\" core \"$1\""])
            .arg(env!("CARGO_BIN_EXE_threaddump"));
        let output = output(command.arg(&core));
        assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
        Ok(())
    });
}

#[test]
fn a_core_that_does_not_fit_is_cut_at_the_limit() {
    test("--unpack-limit", || {
        let folder = folder("limit");
        let core = crashed(&folder)?;
        let mut command = threaddump(&["--unpack-limit", "64K", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program was built");
        let bytes = std::fs::read(&core).expect("it is ours");
        let mut input = child.stdin.take().expect("it is piped");
        // It stops reading.
        let _ = input.write_all(&bytes);
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let shown = text(&output.stdout);
        assert!(shown.contains("has reached 65536 bytes (--unpack-limit allows more)"), "{shown}");
        Ok(())
    });
}

#[test]
fn a_core_of_qemu_finds_its_libraries_by_the_list_of_the_linker() {
    test("a core file of qemu", || {
        if !has_program("qemu-x86_64-static") {
            return Err(Stop::Skip(
                "qemu-x86_64-static is not installed (Debian package qemu-user-static)".to_owned(),
            ));
        }
        for (variant, flags) in [("pie", &[][..]), ("no-pie", &["-no-pie"]), ("static", &["-static"])] {
            let folder = folder(&format!("qemu-{variant}"));
            let program = build(&folder, flags);
            let mut command = cores::allowed_to_dump(Path::new("/usr/bin/qemu-x86_64-static"), &folder);
            let running = Running::start_ready(command.arg(&program), "qemu", "ready")?;
            std::thread::sleep(Duration::from_millis(500));
            kill(Pid::from_raw(running.pid()), Signal::SIGSEGV).expect("it is ours");
            support::process::wait_until(|| {
                support::process::states(running.pid()).iter().all(|(_, state)| *state == 'Z')
            });
            let files = std::fs::read_dir(&folder).expect("ours").flatten().map(|entry| entry.path());
            let core =
                files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "core"));
            let core =
                core.ok_or_else(|| Stop::Skip("this qemu writes no core files of its own".to_owned()))?;
            let report = dump::run_core(&core, &Ask::default())?.report;
            let names = |report: &Report| {
                let frames = report.threads.iter().flat_map(|thread| &thread.frames);
                frames.filter_map(|frame| frame.function.clone()).collect::<Vec<String>>()
            };
            let found = names(&report);
            assert_eq!(report.threads.len(), 10, "{variant}");
            assert_eq!(found.iter().filter(|name| *name == "sleeper").count(), 8, "{variant}: {found:?}");
            let libc = report.modules.iter().any(|module| module.path.contains("/libc.so"));
            assert_eq!(libc, variant != "static", "{variant}: {:?}", report.modules);
        }
        Ok(())
    });
}

#[test]
fn what_is_no_core_is_refused_with_the_reason() {
    let folder = folder("refused");
    let empty = folder.join("empty");
    File::create(&empty).expect("the folder is ours");
    let cases: [(&Path, &str); 4] = [
        (&empty, "it is empty"),
        (Path::new("/bin/sh"), "not a core file"),
        (Path::new("/nonexistent"), "no such file or directory"),
        (Path::new("/etc/passwd"), "it is not a core file"),
    ];
    for (path, reason) in cases {
        let output = output(threaddump(&[]).arg(path));
        assert_eq!(output.status.code(), Some(2), "{}", path.display());
        assert!(
            output.stdout.is_empty() && text(&output.stderr).contains(reason),
            "{}",
            text(&output.stderr)
        );
    }
}
