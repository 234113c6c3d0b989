//! Running a case: a C program maps the crafted files, threaddump dumps it, and what has nothing to do
//! with them must be shown as without them.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::Value;

use crate::support::process::{Running, settle};
use crate::support::{record, scratch};

/// Memory one dump may take, in bytes. A dump of the program without crafted files takes about 10 MB.
const MEMORY: u64 = 200 << 20;
/// How long a dump should take. Other tests run at the same time, so this is only told.
const SHOULD: Duration = Duration::from_secs(1);
/// How long a dump may take before it counts as hanging.
const HANG: Duration = Duration::from_secs(60);

/// What came of a dump.
pub(crate) struct Outcome {
    pub(crate) report: Value,
    pub(crate) cpu: Duration,
    pub(crate) memory: u64,
}

/// A file written for a case.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(case: &str) -> Folder {
        let name: String = case.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = scratch("hostile").join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("cargo's folder for tests can be written");
        Folder(path)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("cargo's folder for tests can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Builds a C program of this folder.
pub(crate) fn program(name: &str, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/hostile/{name}.c"));
    let out = scratch("hostile").join(format!("{name}-{}", flags.concat()));
    let temporary = out.with_extension(format!("{}", std::process::id()));
    // Tests of one program that run at the same time would share the temporary file.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let modified = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    if modified(&out).is_some_and(|built| modified(&source).is_none_or(|changed| built >= changed)) {
        return out;
    }
    let mut command = Command::new("cc");
    command.args(["-O1", "-g", "-fno-omit-frame-pointer", "-pthread"]).args(flags);
    let status = command.arg(&source).arg("-o").arg(&temporary).status().expect("a C compiler is installed");
    assert!(status.success(), "{name} does not build");
    std::fs::rename(&temporary, &out).expect("cargo's folder for tests can be written");
    out
}

/// The program that maps files.
pub(crate) fn mapper() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("mapper", &[]))
}

/// Starts the program that maps files and waits until all its threads wait.
pub(crate) fn start(arguments: &[String]) -> Result<Running, String> {
    let running = Running::start_ready(Command::new(mapper()).args(arguments), "mapper", "ready")?;
    settle(running.pid());
    Ok(running)
}

/// Dumps a process to JSON.
pub(crate) fn dump(pid: i32, options: &[String]) -> Result<Outcome, String> {
    let mut arguments =
        vec!["--format".to_owned(), "json".to_owned(), "--timeout".to_owned(), "30s".to_owned()];
    arguments.extend(options.iter().cloned());
    arguments.push(pid.to_string());
    let (text, status, outcome) = measured(&arguments)?;
    if !matches!(status, Some(0 | 1)) {
        return Err(format!("threaddump ended with {status:?}: {text}"));
    }
    let report = serde_json::from_str(&text).map_err(|error| format!("no valid JSON: {error}"))?;
    Ok(Outcome { report, ..outcome })
}

/// Runs threaddump in a process of its own whose only child it is, because the memory of ended children is
/// told as the largest of all.
pub(crate) fn measured(arguments: &[String]) -> Result<(String, Option<i32>, Outcome), String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(this);
    command.arg("--measure").args(arguments);
    let output = command.output().map_err(|error| error.to_string())?;
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = notes.lines().last().and_then(|line| line.strip_prefix("measured ")).unwrap_or_default();
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let &[status, cpu, memory] = numbers.as_slice() else {
        return Err(format!("threaddump did not end as it should:\n{notes}"));
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = if status > 1 { format!("{text}{notes}") } else { text };
    let outcome = Outcome { report: Value::Null, cpu: Duration::from_micros(cpu), memory };
    Ok((text, i32::try_from(status).ok(), outcome))
}

/// What `--measure` does: threaddump with the rest of the arguments, then a line with exit status, CPU time in
/// microseconds and peak memory in bytes.
pub(crate) fn measure() -> ! {
    let program = std::env::var_os("THREADDUMP_UNDER_TEST");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_threaddump").into()));
    let mut child = command.args(std::env::args_os().skip(2)).spawn().expect("the program was built");
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().expect("it is our child") {
            Some(status) => break status,
            None if begin.elapsed() > HANG => {
                let _ = child.kill();
                eprintln!("threaddump hangs: killed after {HANG:?}");
                std::process::exit(1);
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let Some(code) = status.code() else {
        eprintln!("threaddump was killed: {status}");
        std::process::exit(1);
    };
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it has no other errors than wrong arguments");
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    eprintln!("\nmeasured {code} {cpu} {}", usage.max_rss() << 10);
    std::process::exit(0);
}

/// Checks a dump against the limits and tells what it took.
pub(crate) fn within_limits(case: &str, outcome: &Outcome) -> Result<(), String> {
    let (seconds, megabytes) = (outcome.cpu.as_secs_f64(), outcome.memory >> 20);
    let slow = if outcome.cpu > SHOULD { "  SLOW" } else { "" };
    record::summary(&format!("hostile {case}: {seconds:.2} s, {megabytes} MB{slow}"));
    if outcome.memory > MEMORY {
        return Err(format!("{megabytes} MB of memory are too much"));
    }
    Ok(())
}

/// A thread's frames: function, module, and how each was found.
pub(crate) fn frames(thread: &Value) -> Vec<String> {
    let list = thread["frames"].as_array().cloned().unwrap_or_default();
    list.iter().map(|frame| format!("{} {} {}", frame["function"], frame["module"], frame["how"])).collect()
}

/// Threads of a name.
pub(crate) fn threads<'v>(report: &'v Value, name: &str) -> Vec<&'v Value> {
    let all = report["threads"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(|thread| thread["name"] == name).collect()
}

/// What a dump of the program shows when nothing crafted is mapped.
fn undisturbed() -> Result<&'static Value, String> {
    static REPORT: OnceLock<Result<Value, String>> = OnceLock::new();
    let report = REPORT.get_or_init(|| dump(start(&[])?.pid(), &[]).map(|outcome| outcome.report));
    report.as_ref().map_err(Clone::clone)
}

/// Checks that what does not concern the crafted files is shown as without them.
pub(crate) fn rest_is_whole(report: &Value) -> Result<(), String> {
    let before = undisturbed()?;
    for (was, is) in [(&before["threads"][0], &report["threads"][0])]
        .into_iter()
        .chain(threads(before, "innocent").into_iter().zip(threads(report, "innocent")))
    {
        if frames(was) != frames(is) || was["end"] != is["end"] || is["end"] != "root" {
            return Err(format!("the stack of {} is not whole: {} {:#?}", is["name"], is["end"], frames(is)));
        }
    }
    if threads(report, "innocent").len() != 1 {
        return Err("the innocent thread is missing".to_owned());
    }
    let facts = |module: &Value| format!("{} {}", module["path"], module["build_id"]);
    let modules = |report: &Value| -> Vec<String> {
        report["modules"].as_array().into_iter().flatten().map(facts).collect()
    };
    let now = modules(report);
    match modules(before).iter().find(|module| !now.contains(module)) {
        Some(missing) => Err(format!("module {missing} is not shown")),
        None => Ok(()),
    }
}

/// All problems of a report, the walks' among them, one per line.
pub(crate) fn problems(report: &Value) -> String {
    let of = |place: &Value| -> Vec<String> {
        let list = place["problems"].as_array().into_iter().flatten();
        list.map(|problem| problem["message"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut lines = of(report);
    for thread in report["threads"].as_array().into_iter().flatten() {
        lines.extend(of(thread));
        lines.push(format!("{}: {}", thread["end"], thread["end_detail"]));
    }
    lines.join("\n")
}
