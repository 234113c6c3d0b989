//! Threads of real programs that wait are the same by ptrace and by the relay inside of them: frames, registers,
//! names and ends. This is asked of `threaddump compare`; and once more the relay's own text is read here, which
//! it makes without anybody's help, and without the names of functions.
mod programs;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::{Signal, kill};
use support::process::wait_until;
use support::{Stop, record};
use threaddump::compare::{Comparison, Dump, Frame, Question, Thread, Verdict, compare, read, text};
use threaddump::ids::Tid;
use threaddump::report::Style;

const PROGRAMS: [&str; 6] = ["c++", "nginx", "postgres", "python3", "redis", "rust"];
/// For what one look has changed for the other.
const ATTEMPTS: usize = 5;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if std::env::var_os("LD_PRELOAD").is_none() {
        with_relay();
    }
    let trials = PROGRAMS.map(|name| Trial::test(name, move || Ok(record::outcome(name, run(name))?)));
    libtest_mimic::run(&arguments, trials.into()).exit();
}

fn folder() -> PathBuf {
    std::env::temp_dir().join("threaddump-ways")
}

fn place(pid: i32) -> PathBuf {
    folder().join(pid.to_string())
}

/// Becomes the same again, so that whatever is started has the relay in it.
fn with_relay() {
    let program = std::env::current_exe().expect("it runs");
    let library = Path::new(env!("CARGO_BIN_EXE_threaddump")).with_file_name(threaddump::preload::NAME);
    std::fs::create_dir_all(folder()).expect("it can be made");
    // Servers have users of their own.
    let everybody = std::fs::Permissions::from_mode(0o1777);
    std::fs::set_permissions(folder(), everybody).expect("it is ours");
    // No program here handles this signal but by its end.
    let settings = format!("helper=none,signal=PWR,out={}/%p", folder().display());
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env("LD_PRELOAD", library).env("THREADDUMP", settings);
    panic!("{}", command.exec());
}

fn start(name: &str) -> Result<programs::Program, Stop> {
    if name == "c++" {
        return programs::zoo("cpp_features", "");
    }
    let known = programs::ALL.iter().find(|(known, _)| *known == name);
    known.expect("it is one of them").1()
}

fn run(name: &str) -> Result<(), Stop> {
    let program = start(name)?;
    std::thread::sleep(Duration::from_secs(1));
    let counts = asked(name, &program)?;
    enough(counts)?;
    let mut counts = [0; Verdict::ALL.len()];
    let mut texts = Vec::new();
    for pid in program.processes() {
        let comparison = both(pid)?;
        for (count, verdict) in counts.iter_mut().zip(Verdict::ALL) {
            *count += comparison.count(verdict);
        }
        for moved in comparison.threads.iter().filter(|thread| thread.verdict == Verdict::Moved) {
            println!("  {pid}/{}: moved: {:?} {:?}", moved.tid, moved.why, moved.differences);
        }
        if !comparison.is_same() {
            let options = text::Options { style: Style::PLAIN, width: None, only_different: true };
            let mut out = Vec::new();
            text::write(&comparison, &options, &mut out).map_err(|error| error.to_string())?;
            texts.push(String::from_utf8_lossy(&out).into_owned());
        }
        refuses_alterations(&comparison)?;
        let _ = std::fs::remove_file(place(pid));
    }
    let [identical, moved, unreachable, differing, ..] = counts;
    let text =
        format!("{identical} identical, {moved} moved, {unreachable} unreachable, {differing} differing");
    record::summary(&format!("ptrace and relay: {name}: {text}"));
    if !texts.is_empty() {
        return Err(Stop::Fail(texts.join("\n")));
    }
    enough([identical, moved, unreachable, differing])
}

/// Whether there was a comparison at all.
fn enough([identical, moved, _, differing]: [usize; 4]) -> Result<(), Stop> {
    if identical == 0 || identical * 100 < (identical + moved + differing) * 95 {
        return Err(Stop::Fail(format!("only {identical} threads were really compared, {moved} moved")));
    }
    Ok(())
}

/// What the command says of all processes of a program.
fn asked(name: &str, program: &programs::Program) -> Result<[usize; 4], Stop> {
    let mut counts = [0; 4];
    for pid in program.processes() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_threaddump"));
        command.args(["compare", "--format", "json"]).arg(pid.to_string()).env_remove("LD_PRELOAD");
        let output = command.output().map_err(|error| error.to_string())?;
        let said = || {
            let (out, error) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            Stop::Fail(format!("process {pid}: {}\n{error}{out}", output.status))
        };
        if !output.status.success() {
            return Err(said());
        }
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|_| said())?;
        for (count, verdict) in counts.iter_mut().zip(Verdict::ALL) {
            let number = value["summary"][verdict.as_str()].as_u64().ok_or_else(said)?;
            *count += usize::try_from(number).map_err(|_| said())?;
        }
    }
    let [identical, moved, unreachable, differing] = counts;
    let text =
        format!("{identical} identical, {moved} moved, {unreachable} unreachable, {differing} differing");
    record::summary(&format!("threaddump compare: {name}: {text}"));
    Ok(counts)
}

fn both(pid: i32) -> Result<Comparison, Stop> {
    Comparison::best_of(ATTEMPTS, || {
        let left = by_ptrace(pid)?;
        let mut comparison = compare(Question::Ways, left, by_relay(pid)?);
        comparison.settle(&by_ptrace(pid)?);
        Ok(comparison)
    })
}

fn by_ptrace(pid: i32) -> Result<Dump, Stop> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threaddump"));
    command.args(["--format", "json", "--no-lines", "--via", "ptrace"]).arg(pid.to_string());
    command.env_remove("LD_PRELOAD");
    let output = command.output().map_err(|error| error.to_string())?;
    let mut dump = read::parse(&output.stdout)
        .map_err(|error| format!("process {pid}: {error}; {}", String::from_utf8_lossy(&output.stderr)))?;
    for thread in &mut dump.threads {
        thread.frames.retain(|frame| !frame.inlined);
        for frame in &mut thread.frames {
            (frame.function, frame.function_offset) = (None, None);
        }
    }
    Ok(dump)
}

/// Asks the relay for one, which writes it as a whole.
fn by_relay(pid: i32) -> Result<Dump, Stop> {
    let path = place(pid);
    let _ = std::fs::remove_file(&path);
    let length = || std::fs::metadata(&path).map_or(0, |facts| facts.len());
    kill(nix::unistd::Pid::from_raw(pid), Signal::SIGPWR).map_err(|error| error.to_string())?;
    if !wait_until(|| length() > 0) {
        return Err(Stop::Fail(format!("process {pid}: the relay has written nothing")));
    }
    let mut before = 0;
    while before != length() {
        before = length();
        std::thread::sleep(Duration::from_millis(200));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let threads = text.split("\n-----\n\n").map(thread).collect::<Option<Vec<Thread>>>();
    let threads = threads.ok_or_else(|| format!("process {pid}: what is this?\n{text}"))?;
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    Ok(Dump {
        captured_at: String::new(),
        source: "relay".to_owned(),
        complete: true,
        pid: threaddump::ids::Pid(pid),
        name: String::new(),
        exe: exe.map(|path| path.to_string_lossy().into_owned()),
        arch: "x86_64".to_owned(),
        start_time: None,
        threads,
    })
}

fn thread(block: &str) -> Option<Thread> {
    let head = block.lines().find(|line| line.starts_with("thread "))?;
    let (tid, rest) = head.split_once("[tid ")?.1.split_once(", \"")?;
    let (name, rest) = rest.split_once("\"]:")?;
    let why = rest.trim_start().strip_prefix("not reached: ");
    let mut thread = Thread {
        tid: Tid(tid.parse().ok()?),
        name: Some(name.to_owned()),
        state: None,
        stopped: why.is_none(),
        syscall: None,
        cpu_ns: None,
        registers: Vec::new(),
        frames: Vec::new(),
        omitted: 0,
        end: if why.is_some() { "unreached" } else { "root" }.to_owned(),
        problems: why.iter().map(|&why| why.to_owned()).collect(),
    };
    for line in block.lines().skip_while(|&line| line != head).skip(1) {
        if let Some(place) = line.strip_prefix('\t') {
            thread.frames.push(frame(place)?);
        } else if let Some(end) = line.strip_prefix("...the walk ends here: ") {
            end.clone_into(&mut thread.end);
        } else if let Some((name, value)) = line.split_once(' ').filter(|(name, _)| !name.contains('(')) {
            thread.registers.push((name.to_owned(), hex(value.trim())?));
        }
    }
    Some(thread)
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn frame(line: &str) -> Option<Frame> {
    let pc = hex(line.rsplit_once(" pc=")?.1)?;
    let place = line.split_once(" sp=")?.0.split_once(" (").map_or(line, |(place, _)| place);
    let module = place.rsplit_once("+0x").filter(|_| !place.starts_with('?'));
    let offset = module.and_then(|(_, digits)| u64::from_str_radix(digits, 16).ok());
    Some(Frame {
        pc,
        module: module.map(|(path, _)| path.to_owned()),
        module_offset: offset,
        function: None,
        function_offset: None,
        file: None,
        line: None,
        inlined: false,
        how: "signal".to_owned(),
    })
}

/// Whatever is altered in either is found.
fn refuses_alterations(comparison: &Comparison) -> Result<(), Stop> {
    let identical = comparison.threads.iter().filter(|thread| thread.verdict == Verdict::Identical);
    for tid in identical.map(|thread| thread.tid) {
        for left in [true, false] {
            for what in 0..3 {
                let (mut one, mut other) = (comparison.left.clone(), comparison.right.clone());
                let side = if left { &mut one } else { &mut other };
                let at = side.threads.iter().position(|thread| thread.tid == tid).expect("it is in both");
                let thread = &mut side.threads[at];
                match what {
                    0 => thread
                        .registers
                        .iter_mut()
                        .filter(|(name, _)| name == "rbx")
                        .for_each(|rbx| rbx.1 ^= 1),
                    1 => thread.frames.last_mut().expect("it has frames").pc ^= 1,
                    _ => drop(side.threads.remove(at)),
                }
                let altered = compare(Question::Ways, one, other);
                let found = altered.threads.iter().find(|thread| thread.tid == tid).expect("it is in one");
                if found.verdict != Verdict::Differing || altered.is_same() {
                    return Err(Stop::Fail(format!(
                        "thread {tid}: alteration {what}, left: {left}: not seen"
                    )));
                }
            }
        }
    }
    Ok(())
}
