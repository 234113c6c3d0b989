//! Every program of `tests/targets` is built, started, dumped, held against what its first comment
//! says, and compared with gdb. One test per variant; `cargo test --test zoo -- NAME` runs some.
mod support;

use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use support::compare::Comparison;
use support::process::{Running, Stopped, settle};
use support::targets::{Target, all};
use support::{Stop, dump, expect, gdb, record};

fn main() {
    let arguments = Arguments::from_args();
    let targets = all().into_iter().map(|target| Trial::test(target.title(), move || run(&target)));
    let names = Trial::test("names of different tools are recognised", || {
        support::names::check_rules();
        Ok(())
    });
    libtest_mimic::run(&arguments, targets.chain([names]).collect()).exit();
}

fn run(target: &Target) -> Result<(), Failed> {
    let title = target.title();
    let runs = match target.values("args") {
        list if list.is_empty() => vec![""],
        list => list,
    };
    let mut failures = Vec::new();
    for arguments in runs {
        let name = format!("{title} {arguments}").trim_end().to_owned();
        match one(target, arguments, &name) {
            Ok(()) => {}
            Err(Stop::Skip(reason)) => record::skip(&name, &reason),
            Err(Stop::Fail(text)) => failures.push(text),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failed::from(failures.join("\n"))) }
}

fn one(target: &Target, arguments: &str, name: &str) -> Result<(), Stop> {
    let running = start(target, arguments, name)?;
    let pid = running.pid();
    // What spins is stopped, so that both tools see the same instant.
    let quiet = settle(pid);
    let _stopped = (target.has("spins") || !quiet).then(|| Stopped::new(pid));
    let debug_dirs: Vec<_> = target.debug_dir().into_iter().collect();
    let ask = dump::Ask {
        debug_dirs: debug_dirs.clone(),
        max_frames: target.value("max-frames").map(str::to_owned),
        scan: target.has("scan"),
    };
    let dump = dump::run(pid, &ask)?;
    let mut wrong = expect::check(target, &dump);
    match target.value("no-gdb") {
        Some(reason) => record::skip(&format!("{name} against gdb"), reason),
        None => {
            let program = target.gdb_reads();
            let ask = gdb::Ask { debug_dirs: debug_dirs.clone(), program, ..Default::default() };
            let debugger = gdb::run(pid, &ask)?;
            let reference = target.reference().map(|file| (target.program(), file));
            let outcome = Comparison::run(&target.title(), &dump.report, &debugger, &debug_dirs, reference)?;
            wrong.extend(outcome.finish(name).err());
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Stop::Fail(format!("{name}:\n{}", wrong.join("\n")))) }
}

fn start(target: &Target, arguments: &str, name: &str) -> Result<Running, Stop> {
    let built = target.build()?;
    let program = if target.has("copy") {
        let copy = built.with_extension("copy");
        std::fs::copy(&built, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
        copy
    } else {
        built
    };
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace());
    Ok(Running::start_ready(&mut command, name, "ready")?)
}
