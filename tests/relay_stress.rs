//! The relay under load: thousands of dumps of a busy program, and crowds of threads that crash at once.
mod relay;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use relay::{build, parse, preload, record, run_with_relay, unique};

/// Both keep all processors busy.
static ALONE: Mutex<()> = Mutex::new(());

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn thousands_of_dumps_of_a_busy_program_lose_and_leak_nothing() {
    let _alone = ALONE.lock();
    let count = setting("THREADDUMP_RELAY_DUMPS", 1000);
    let path = unique("storm");
    let mut command = Command::new(build("busy"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    preload(&mut command, &format!("helper=none,registers=no,out={}", path.display()));
    let mut program = command.spawn().expect("it can be started");
    let mut input = program.stdin.take().expect("a pipe");
    let mut output = program.stdout.take().expect("a pipe");
    let pid = Pid::from_raw(program.id() as i32);
    let mut byte = [0];
    output.read_exact(&mut byte).expect("it has started");
    let start = Instant::now();
    let (mut threads, mut early) = (0, 0);
    for number in 0..count {
        kill(pid, Signal::SIGQUIT).expect("it lives");
        output.read_exact(&mut byte).expect("it lives");
        assert_eq!(byte, *b".");
        if number % 100 == 0 || number + 1 == count {
            let text = fs::read_to_string(&path).expect("a dump");
            let blocks = parse(text.rsplit("\nSIGQUIT: quit\nPC=0x0").next().expect("text"));
            // Eight at work, the first, and those that are just made.
            assert!(blocks.iter().map(|block| block.tid).collect::<BTreeSet<_>>().len() >= 9, "{text}");
            threads += blocks.len();
            early += blocks.iter().filter(|block| block.ended_early || !block.reached).count();
            fs::remove_file(&path).expect("ours");
            if number == 100 || count <= 100 {
                // From here on nothing may grow.
                input.write_all(b"?").expect("it lives");
                output.read_exact(&mut byte).expect("it lives");
                assert_eq!(byte, *b"!");
            }
        } else {
            // Dumps are appended to one file; each is looked at alone.
            fs::remove_file(&path).expect("each signal makes a dump");
        }
    }
    let time = start.elapsed();
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("it ends by itself");
    assert!(program.wait().expect("it ended").success());
    let words: Vec<i64> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [seen, fds, left, grown] = words[..] else { panic!("{rest}") };
    assert_eq!((seen, fds, left), (count as i64, 0, 1), "signals seen, descriptors and threads more: {rest}");
    assert!(grown < 16 << 10, "{grown} KiB of memory more");
    let each = time / u32::try_from(count).expect("not so many");
    record(&format!(
        "{count} dumps of a busy program, {each:?} each; {early} of {threads} threads looked at were \
         not whole; nothing lost or left"
    ));
}

#[test]
fn a_crash_during_a_dump_that_was_asked_for_has_one_of_its_own() {
    let _alone = ALONE.lock();
    let program = build("during");
    let count = setting("THREADDUMP_RELAY_CRASHES", 200) / 4;
    let mut joined = 0;
    for round in 0..count {
        let (outcome, text) =
            run_with_relay(&program, &[&(round * 997 % 20_000).to_string()], "registers=no");
        assert_eq!(outcome.status, -11, "{text}");
        let last = text.rfind("SIGSEGV: segmentation violation\n").expect("the crash is shown");
        // It may be part of a dump that was being made, and leads one in the end.
        let before = text.matches("SIGSEGV: segmentation violation\n").count() - 1;
        assert!(before <= 1, "after {before} others it got its turn");
        joined += before;
        let blocks = parse(&text[last..]);
        assert_eq!(blocks.len(), 5, "{text}");
        assert!(blocks.iter().all(|block| block.reached && !block.ended_early), "{text}");
    }
    record(&format!("{count} crashes amid dumps: all whole, {joined} joined the dump before"));
}

#[test]
fn signals_that_come_during_a_dump_are_one_request() {
    let _alone = ALONE.lock();
    let mut command = Command::new(build("busy"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    preload(&mut command, "helper=none,out=/dev/null");
    let mut program = command.spawn().expect("it can be started");
    let mut output = program.stdout.take().expect("a pipe");
    output.read_exact(&mut [0]).expect("it has started");
    let pid = Pid::from_raw(program.id() as i32);
    for _ in 0..2000 {
        kill(pid, Signal::SIGQUIT).expect("it lives");
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    drop(program.stdin.take());
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("it ends by itself");
    assert!(program.wait().expect("it ended").success(), "{rest}");
    let dots = rest.bytes().filter(|&byte| byte == b'.').count();
    assert!((1..=2000).contains(&dots) && rest.contains(" fds 0 threads 1 "), "{rest}");
    record(&format!("2000 signals without a pause: its handler ran {dots} times"));
}

#[test]
fn crowds_that_crash_at_once_make_one_whole_dump_each() {
    let _alone = ALONE.lock();
    let count = setting("THREADDUMP_RELAY_CRASHES", 200);
    let program = build("crowd");
    let (mut segv, mut abort) = (0, 0);
    for _ in 0..count {
        let (outcome, text) = run_with_relay(&program, &[], "registers=no");
        let blocks = parse(&text);
        let tids: BTreeSet<i32> = blocks.iter().map(|block| block.tid).collect();
        let indexes: BTreeSet<usize> = blocks.iter().map(|block| block.index).collect();
        assert_eq!((blocks.len(), tids.len(), indexes.len()), (9, 9, 9), "{text}");
        assert!(blocks.iter().all(|block| block.reached && !block.ended_early), "{text}");
        match outcome.status {
            -11 => segv += 1,
            -6 => abort += 1,
            other => panic!("status {other}"),
        }
        // It died of what the first block says.
        let expected =
            if outcome.status == -11 { "SIGSEGV: segmentation violation" } else { "SIGABRT: abort" };
        assert_eq!(blocks[0].signal.as_deref(), Some(expected));
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    }
    record(&format!(
        "{count} crashes of four threads at once: {segv} by SIGSEGV, {abort} by SIGABRT, all whole"
    ));
}

/// The middle one.
fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn a_thousand_threads_are_held_and_let_go_by_the_relay_as_by_ptrace() {
    let _alone = ALONE.lock();
    let (threads, rounds) = (1000, setting("THREADDUMP_RELAY_ROUNDS", 5));
    let path = unique("thousand");
    let mut command = Command::new(build("thousand"));
    command.arg(threads.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    preload(&mut command, &format!("helper=none,registers=no,out={}", path.display()));
    let mut program = command.spawn().expect("it can be started");
    let mut input = program.stdin.take().expect("a pipe");
    let mut output = BufReader::new(program.stdout.take().expect("a pipe")).lines();
    let pid = program.id();
    assert_eq!(output.next().expect("it runs").expect("text"), "ready");
    let mut ask = || -> (u64, u64) {
        input.write_all(b"\n").expect("it lives");
        let line = output.next().expect("it lives").expect("text");
        let (still, quits) = line.split_once(' ').expect("two numbers");
        (still.parse().expect("a number"), quits.parse().expect("a number"))
    };
    let (mut idle, mut relay, mut ptrace, mut held) = (vec![], vec![], vec![], vec![]);
    for round in 1..=rounds as u64 {
        ask();
        std::thread::sleep(std::time::Duration::from_millis(200));
        idle.push(ask().0);
        kill(Pid::from_raw(pid as i32), Signal::SIGQUIT).expect("it lives");
        // Its handler runs after the dump.
        let mut longest = 0;
        loop {
            let (still, quits) = ask();
            longest = longest.max(still);
            if quits == round {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        relay.push(longest);
        let text = fs::read_to_string(&path).expect("a dump");
        fs::remove_file(&path).expect("ours");
        let blocks = parse(&text);
        assert_eq!(blocks.len(), threads);
        assert!(blocks.iter().all(|block| block.reached && !block.ended_early));
        ask();
        let dump = Command::new(env!("CARGO_BIN_EXE_threaddump")).arg(pid.to_string()).output();
        let text = String::from_utf8_lossy(&dump.expect("it can be started").stdout).into_owned();
        assert_eq!(text.matches("\nthread ").count(), threads, "{text}");
        let line = text.split("held for ").nth(1).and_then(|rest| rest.split(" ms").next());
        let milliseconds: f64 = line.and_then(|number| number.trim().parse().ok()).expect("a time");
        held.push((milliseconds * 1000.0) as u64);
        ptrace.push(ask().0);
    }
    drop(input);
    assert!(program.wait().expect("ours").success());
    record(&format!(
        "{threads} threads, median of {rounds} in microseconds: a spinning thread stood still {} idle, {} for a \
         dump of the relay, {} for one by ptrace, which says it held them {}",
        median(idle),
        median(relay),
        median(ptrace),
        median(held)
    ));
}
