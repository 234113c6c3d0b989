//! Programs with code that is in no file, or whose names are not where their files are: what the worker without rights
//! gets of that.
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Test;
use crate::programs::{has, reports, text, threads, wait};
use crate::setting::Settings;
use crate::support::{Stop, find_program, has_program};

pub(crate) const ALL: &[(&str, Test)] = &[
    ("functions_of_node_have_their_own_names", node),
    ("registered_objects_are_copied_before_the_process_goes", registered),
    ("a_perf_map_is_found_where_the_process_was", perf_map),
    ("a_perf_map_of_others_is_refused", foreign),
    ("files_of_split_dwarf_are_found_where_the_compiler_ran", split),
];

/// A folder in which every user may run programs.
fn folder(name: &str) -> Result<PathBuf, Stop> {
    let folder = PathBuf::from("/tmp/td-programs").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(folder)
}

/// Runs the words of a shell, with `$SRC` one of the targets.
fn build(source: &str, words: &str, folder: &Path) -> Result<(), Stop> {
    if !has_program("cc") {
        return Err(Stop::Skip("cc is not installed".to_owned()));
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets").join(source);
    let mut command = Command::new("sh");
    command.args(["-ec", words]).env("SRC", source).current_dir(folder);
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
    }
}

/// Starts a program, waits until it says that it is ready, does something, and lets it crash by a signal.
fn crash(command: &mut Command, before: impl FnOnce(i32) -> Result<(), Stop>) -> Result<(), Stop> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let mut line = String::new();
    let output = child.stdout.take().ok_or_else(|| "it has no output".to_owned())?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)
        .map_err(|error| error.to_string())?;
    if line.trim_end() != "ready" {
        let _ = child.kill();
        return Err(format!("it says {line:?}, and ended: {:?}", child.wait()).into());
    }
    let pid = wait("the program", || deepest(child.id() as i32))?;
    let prepared = before(pid);
    let sent = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGABRT);
    let ended = wait("the end", || child.try_wait().ok().flatten());
    if ended.is_err() {
        let _ = child.kill();
    }
    ended?;
    prepared.and(sent.map_err(|error| Stop::Fail(error.to_string())))
}

/// The last of a line of children, once it sleeps.
fn deepest(pid: i32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    match children.split_whitespace().next().and_then(|child| child.parse().ok()) {
        Some(child) => deepest(child),
        None => std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.contains(") S "))
            .then_some(pid),
    }
}

/// The report about a program: others may crash meanwhile.
fn report(settings: &Settings, user: u32, program: &str) -> Result<Value, Stop> {
    wait("the report", || {
        let all = reports(settings, user).into_iter();
        all.rev().find(|report| text(&report["process"], "exe").ends_with(program))
    })
}

fn frames(report: &Value) -> Vec<&Value> {
    threads(report).iter().filter_map(|thread| thread["frames"].as_array()).flatten().collect()
}

fn node(settings: &Settings) -> Result<(), Stop> {
    // Its path may be a link.
    let node = find_program("node")
        .and_then(|node| node.canonicalize().ok())
        .ok_or_else(|| Stop::Skip("node is not installed".to_owned()))?;
    settings.install(&[])?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/waits.js");
    let mut command = Command::new(node);
    command.args(["--perf-basic-prof", "--always-sparkplug", "--no-opt"]).arg(script);
    // It writes a log where it is.
    command.current_dir(folder("node")?);
    let mut map = PathBuf::new();
    crash(&mut command, |pid| {
        map = format!("/tmp/perf-{pid}.map").into();
        Ok(())
    })?;
    let report = report(settings, 0, "/node");
    let _ = std::fs::remove_file(map);
    let report = report?;
    let named = |wanted: &str| {
        frames(&report).into_iter().any(|frame| {
            let name = text(frame, "function");
            frame["function_from"] == "perf_map" && name.contains(wanted) && name.contains("waits.js")
        })
    };
    if !named("waitsAtLast") || !named("callsOften") {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

fn registered(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let folder = folder("registered")?;
    build(
        "gdb_jit.c",
        "cc -O2 -g -fomit-frame-pointer -fno-stack-protector -DPIECE -c $SRC -o p.o; cc -O2 -g $SRC -o p",
        &folder,
    )?;
    crash(&mut Command::new(folder.join("p")), |_| Ok(()))?;
    let report = report(settings, 0, "/p")?;
    let of_jit = frames(&report).into_iter().filter(|frame| frame["function_from"] == "jit");
    let names: Vec<&str> = of_jit.map(|frame| text(frame, "function")).collect();
    if names != ["piece_inner", "piece_outer"] || threads(&report)[0]["end"] != "root" {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

/// Builds the program that makes code by itself.
fn jit_code() -> Result<PathBuf, Stop> {
    let folder = folder("jit")?;
    build("jit_code.c", "cc -O2 -g -fno-omit-frame-pointer $SRC -o jit", &folder)?;
    Ok(folder.join("jit"))
}

/// Writes a perf map that names its code, as it finds it from inside.
fn write_map(pid: i32, path: &str, owner: u32, name: &str) -> Result<PathBuf, Stop> {
    let wrong = |error: std::io::Error| Stop::Fail(error.to_string());
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).map_err(wrong)?;
    let line =
        maps.lines().find(|line| line.contains("rwxp")).ok_or_else(|| "there is no code".to_owned())?;
    let start = line.split('-').next().unwrap_or_default();
    let path = PathBuf::from(format!("/proc/{pid}/root{path}"));
    std::fs::write(&path, format!("{start} c {name}\n")).map_err(wrong)?;
    chown(&path, Some(owner), None).map_err(wrong)?;
    Ok(path)
}

fn perf_map(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let program = jit_code()?;
    // A folder that goes with the process, and is not that of this machine.
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount", "sh", "-c"]);
    command.arg("exec 9<\"$0\" && mount -t tmpfs none /tmp && cat <&9 >/tmp/jit && chmod 755 /tmp/jit; /tmp/jit; exit 0");
    command.arg(&program);
    crash(&mut command, |pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let inner = ids.split_whitespace().last().unwrap_or_default();
        write_map(pid, &format!("/tmp/perf-{inner}.map"), 0, "made inside").map(drop)
    })?;
    let report = report(settings, 0, "/tmp/jit")?;
    if !frames(&report).iter().any(|frame| frame["function"] == "made inside") {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

fn foreign(settings: &Settings) -> Result<(), Stop> {
    if !has_program("setpriv") {
        return Err(Stop::Skip("setpriv is not installed".to_owned()));
    }
    settings.install(&[])?;
    let program = jit_code()?;
    for (owner, is_used) in [(12345, false), (65533, true)] {
        let _ = std::fs::remove_dir_all(settings.store.join("65533"));
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65533", "--regid", "65533", "--clear-groups"]).arg(&program);
        let mut map = PathBuf::new();
        crash(&mut command, |pid| {
            map = format!("/tmp/perf-{pid}.map").into();
            write_map(pid, &map.display().to_string(), owner, "made by somebody").map(drop)
        })?;
        let report = report(settings, 65533, "/jit");
        let _ = std::fs::remove_file(map);
        let report = report?;
        let named = frames(&report).iter().any(|frame| frame["function"] == "made by somebody");
        let refused = report["problems"].to_string().contains("it belongs to user 12345");
        if named != is_used || refused == is_used {
            return Err(format!("{owner}: {report:#}").into());
        }
    }
    Ok(())
}

fn split(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let folder = folder("split")?;
    let words = "mkdir compiled linked; cd compiled; cc -O2 -gdwarf-5 -gsplit-dwarf -c $SRC -o a.o; cc a.o -o ../linked/p";
    build("split_dwarf.c", words, &folder)?;
    let program = folder.join("linked/p");
    crash(&mut Command::new(&program), |_| Ok(()))?;
    let found = report(settings, 0, "/linked/p")?;
    // It was inlined, so only that file knows it.
    if !has(&threads(&found)[0], "inlined") || found["complete"] != true {
        return Err(format!("{found:#}").into());
    }
    let _ = std::fs::remove_dir_all(&settings.store);
    std::fs::remove_dir_all(folder.join("compiled")).map_err(|error| error.to_string())?;
    crash(&mut Command::new(&program), |_| Ok(()))?;
    let found = report(settings, 0, "/linked/p")?;
    if has(&threads(&found)[0], "inlined") || !found["problems"].to_string().contains("a.dwo") {
        return Err(format!("{found:#}").into());
    }
    Ok(())
}
