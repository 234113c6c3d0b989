//! Programs of several languages, users and name spaces; both ways to the registers; other handlers.
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::Value;

use crate::Test;
use crate::programs::{build, crash, crasher, has, report, reports, text, threads, wait};
use crate::setting::{Settings, current, set_pattern};
use crate::support::{Stop, has_program};

pub(crate) const ALL: &[(&str, Test)] = &[
    ("a_cpp_program_is_shown_with_all_threads", cpp),
    ("a_rust_program_that_aborts_is_shown", rust),
    ("a_go_program_is_shown", go),
    ("a_python_program_is_shown", python),
    ("a_program_in_name_spaces_of_its_own_is_shown", name_spaces),
    ("another_user_may_read_his_own_report_alone", user),
    ("what_a_privileged_process_left_is_for_root", privileged),
    ("a_program_whose_first_thread_has_ended_is_shown", leader),
    ("a_program_that_is_traced_is_shown", traced),
    ("both_ways_give_the_same", both_ways),
    ("the_handler_before_gets_the_whole_core", chain),
    ("uninstalling_puts_everything_back", uninstall),
];

fn segv(settings: &Settings, command: &mut Command, user: u32) -> Result<Value, Stop> {
    let (signal, _) = crash(command)?;
    if signal != 11 {
        return Err(format!("it ended by signal {signal}").into());
    }
    report(settings, user)
}

fn all_workers(report: &Value, count: usize, culprit: &str) -> Result<(), Stop> {
    let all = threads(report);
    let workers =
        all.iter().filter(|thread| text(thread, "name").starts_with("worker-") && has(thread, "wait_here"));
    if workers.count() != count
        || !has(&all[0], culprit)
        || report["complete"] != true
        || report["source"] != "crash"
    {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

fn cpp(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let report = segv(settings, Command::new(crasher()?).args(["segv", "7"]), 0)?;
    all_workers(&report, 7, "crash")?;
    let signal = &report["signal"];
    if signal["address"] != "0x8"
        || signal["name"] != "SIGSEGV"
        || signal["tid"] != threads(&report)[0]["tid"]
    {
        return Err(format!("{signal:#}").into());
    }
    Ok(())
}

fn rust(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let program = build("abort.rs", &["rustc", "-g", "-Cpanic=abort", "--edition=2024"])?;
    crash(&mut Command::new(program))?;
    let report = report(settings, 0)?;
    let named = threads(&report).iter().filter(|thread| text(thread, "name").starts_with("rust-"));
    let waiting = named.filter(|thread| has(thread, "wait_here")).count();
    if waiting != 3 || report["signal"]["name"] != "SIGABRT" || !has(&threads(&report)[0], "abort::main") {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

fn go(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let program = build("crash.go", &["go", "build"])?;
    crash(&mut Command::new(program))?;
    let report = report(settings, 0)?;
    let nameless = threads(&report).iter().any(|thread| text(thread, "name").is_empty());
    if threads(&report).len() < 3
        || nameless
        || !threads(&report).iter().any(|thread| has(thread, "runtime."))
    {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

fn python(settings: &Settings) -> Result<(), Stop> {
    if !has_program("python3") {
        return Err(Stop::Skip("python3 is not installed".to_owned()));
    }
    settings.install(&[])?;
    let code = "import threading,time,ctypes\n[threading.Thread(target=time.sleep,args=(600,),daemon=True).start() for _ in range(3)]\ntime.sleep(.2)\nctypes.string_at(8)";
    let report = segv(settings, Command::new("python3").args(["-c", code]), 0)?;
    let named = threads(&report).iter().filter(|thread| text(thread, "name").starts_with("python3")).count();
    if named != 4 || !has(&threads(&report)[0], "string_at") && !has(&threads(&report)[0], "strlen") {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

fn name_spaces(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount", "--mount-proc", "sh", "-c", "\"$0\" segv 3; exit 139"])
        .arg(crasher()?);
    let report = segv(settings, &mut command, 0)?;
    all_workers(&report, 3, "crash")?;
    let inner = report["process"]["ns_pid"].as_i64();
    if inner.is_none_or(|inner| inner > 10) || inner == report["process"]["pid"].as_i64() {
        return Err(format!("{:#}", report["process"]).into());
    }
    Ok(())
}

fn user(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65533", "--regid", "65533", "--clear-groups"])
        .arg(crasher()?)
        .args(["segv", "3"]);
    let report = segv(settings, &mut command, 65533)?;
    all_workers(&report, 3, "crash")?;
    let folder = settings.store.join("65533");
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())?.flatten() {
        let facts = entry.metadata().map_err(|error| error.to_string())?;
        if facts.uid() != 65533 || facts.mode() & 0o077 != 0 {
            return Err(format!("{:?}: {facts:?}", entry.path()).into());
        }
    }
    Ok(())
}

fn privileged(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    // It changes its user without starting another program.
    settings.set_dumpable("0");
    crash(Command::new(crasher()?).args(["user", "2"]))?;
    settings.set_dumpable("2");
    let report = segv(settings, Command::new(crasher()?).args(["user", "3"]), 0)?;
    all_workers(&report, 3, "crash")?;
    if !reports(settings, 65533).is_empty() || reports(settings, 0).len() != 1 {
        return Err("the user has got it, or there is more than one".to_owned().into());
    }
    Ok(())
}

fn leader(settings: &Settings) -> Result<(), Stop> {
    settings.install(&[])?;
    let report = segv(settings, Command::new(crasher()?).args(["leader", "3"]), 0)?;
    let all = threads(&report);
    let waiting = all.iter().filter(|thread| has(thread, "wait_here")).count();
    if waiting != 3 || text(&all[0], "name") != "culprit" || !has(&all[0], "crash_later") {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

fn traced(settings: &Settings) -> Result<(), Stop> {
    settings.install(&["--via", "ptrace"])?;
    let mut command = settings.command(&["run", "-q", "-o", "/dev/null", "--"]);
    command.arg(crasher()?).args(["segv", "3"]);
    let report = segv(settings, &mut command, 0)?;
    all_workers(&report, 3, "crash")?;
    if report["process"]["tracer"].is_null() || !report["problems"].to_string().contains("cannot attach") {
        return Err(format!("{report:#}").into());
    }
    Ok(())
}

/// Name, registers and frames of a thread.
type Compared = (String, Value, Vec<(String, String)>);

/// All threads, without what differs between two runs.
fn compared(report: &Value) -> Vec<Compared> {
    let all = threads(report).iter().map(|thread| {
        let frames = thread["frames"].as_array().into_iter().flatten();
        let frames = frames.map(|frame| (text(frame, "pc").to_owned(), text(frame, "function").to_owned()));
        (text(thread, "name").to_owned(), thread["registers"].clone(), frames.collect())
    });
    all.collect()
}

fn both_ways(settings: &Settings) -> Result<(), Stop> {
    if !has_program("setarch") {
        return Err(Stop::Skip("setarch is not installed".to_owned()));
    }
    let mut both = Vec::new();
    for way in ["notes", "ptrace"] {
        settings.install(&["--via", way])?;
        let _ = std::fs::remove_dir_all(&settings.store);
        let mut command = Command::new("setarch");
        command.args(["-R"]).arg(crasher()?).args(["segv", "5"]);
        let report = segv(settings, &mut command, 0)?;
        all_workers(&report, 5, "crash")?;
        let wrong = report["problems"].to_string();
        if wrong.contains("registers") {
            return Err(format!("by {way}: {wrong}").into());
        }
        both.push(compared(&report));
    }
    match both[0].iter().zip(&both[1]).find(|(one, other)| one != other) {
        None if both[0].len() == both[1].len() => Ok(()),
        different => Err(format!("notes and ptrace differ: {different:#?}").into()),
    }
}

fn chain(settings: &Settings) -> Result<(), Stop> {
    let folder = settings.program.parent().expect("it is in a folder").to_owned();
    let (script, core, arguments) = (folder.join("before"), folder.join("core"), folder.join("arguments"));
    let text = format!(
        "#!/bin/sh\nprintf '%s|' \"$@\" > {}\ncat > {}.part\nmv {1}.part {1}\n",
        arguments.display(),
        core.display()
    );
    let written = std::fs::write(&script, text).and_then(|()| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
    });
    written.map_err(|error| error.to_string())?;
    set_pattern(&format!("|{} %P %s x%%%e %c", script.display()));
    // One thread, and the same addresses each time.
    let alike = || -> Result<Vec<u8>, Stop> {
        let mut command = Command::new("setarch");
        crash(
            command.arg("-R").arg(crasher()?).args(["segv", "0"]).env_clear().env("PATH", "/usr/bin:/bin"),
        )?;
        wait("the core", || core.exists().then_some(()))?;
        let bytes = std::fs::read(&core).map_err(|error| error.to_string())?;
        std::fs::remove_file(&core).map_err(|error| error.to_string())?;
        Ok(bytes)
    };
    let can_be_alike = has_program("setarch");
    let before = if can_be_alike { alike()? } else { Vec::new() };
    settings.install(&["--chain"])?;
    if can_be_alike {
        let after = alike()?;
        // Ids, times and random bytes.
        let differ = before.iter().zip(&after).filter(|(one, other)| one != other).count();
        if before.len() != after.len() || differ > 1000 {
            let (one, other) = (before.len(), after.len());
            return Err(format!("a core of {one} bytes has {other} then, and {differ} are different").into());
        }
        wait("the report", || reports(settings, 0).pop())?;
        let _ = std::fs::remove_dir_all(&settings.store);
    }
    let mut command = Command::new(crasher()?);
    let report = segv(settings, command.args(["segv", "3"]), 0)?;
    all_workers(&report, 3, "crash")?;
    wait("the core", || core.exists().then_some(()))?;
    let pid = report["process"]["pid"].as_i64().unwrap_or(0);
    let told = std::fs::read_to_string(&arguments).map_err(|error| error.to_string())?;
    if !told.starts_with(&format!("{pid}|11|x%crasher|")) {
        return Err(format!("it was told {told}").into());
    }
    // What was read first and the rest together are one whole core, which shows the same.
    let output = settings.command(&["core", "--format", "json"]).arg(&core).output();
    let output = output.map_err(|error| error.to_string())?;
    let of_core: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let without_names = |report: &Value| -> Vec<_> {
        compared(report).into_iter().map(|(_, registers, frames)| (registers, frames)).collect()
    };
    if without_names(&report) != without_names(&of_core)
        || of_core["problems"].to_string().contains("truncated")
    {
        return Err(format!("the core shows something else: {of_core:#}").into());
    }
    Ok(())
}

fn uninstall(settings: &Settings) -> Result<(), Stop> {
    let before = current();
    let said = settings.install(&[])?;
    let status = settings.command(&["core-pattern", "status"]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    if !said.contains("threaddump") || !text.contains("crashes go to    threaddump") || current().1 != "512" {
        return Err(format!("{said}{text}").into());
    }
    settings.install(&["--hold", "2s"])?;
    let output =
        settings.command(&["core-pattern", "uninstall"]).output().map_err(|error| error.to_string())?;
    let left = ["/etc/sysctl.d/99-threaddump.conf", "/var/lib/threaddump/core-pattern.json"];
    let left: Vec<_> = left.iter().filter(|path| std::path::Path::new(path).exists()).collect();
    if !output.status.success() || current() != before || !left.is_empty() {
        return Err(format!("{before:?} became {:?}, left: {left:?}", current()).into());
    }
    let again =
        settings.command(&["core-pattern", "uninstall"]).output().map_err(|error| error.to_string())?;
    if again.status.code() != Some(2) {
        return Err(format!("a second time: {again:?}").into());
    }
    // What somebody else has set stays, and the limit goes back with us.
    settings.install(&[])?;
    set_pattern("|/bin/other %P");
    let output =
        settings.command(&["core-pattern", "uninstall"]).output().map_err(|error| error.to_string())?;
    let wanted = ("|/bin/other %P".to_owned(), before.1);
    let after = current();
    if !output.status.success() || after != wanted {
        return Err(format!("another one's pattern became {after:?}: {output:?}").into());
    }
    Ok(())
}
