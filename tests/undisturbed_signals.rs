//! Dumps in a loop during a storm of signals: each queued one arrives exactly once, no ordinary one is
//! lost, timers and the signals of ended children go on.
mod hurt;

use std::process::{Command, Stdio};

use hurt::{Running, Words, build, check_released, comes, number, scratch_file, summary};
use threaddump::collect::{Options, live};
use threaddump::ids::Pid;

// Words of the file that storm.c maps.
const READY: u64 = 0;
const SENT: u64 = 2;
const RECEIVED: u64 = 3;
const DOUBLED: u64 = 4;
const STRANGE: u64 = 5;
const DONE: u64 = 6;
const ORDINARY_SENT: u64 = 7;
const ORDINARY_GOT: u64 = 8;
const TIMER_TICKS: u64 = 9;
const TIMER_OVERRUNS: u64 = 10;
const ALARMS: u64 = 11;
const CHILDREN: u64 = 13;
const REAPED: u64 = 14;
const CHILD_SIGNALS: u64 = 15;
const WRONG_STATUS: u64 = 16;
const SEEN: u64 = 512 * 8;

#[test]
fn every_signal_of_a_storm_arrives_once_while_dumps_run() {
    let wanted = number("THREADDUMP_STORM_SIGNALS", 200_000);
    let path = scratch_file("storm.words");
    let _ = std::fs::remove_file(&path);
    let mut command = Command::new(build("storm"));
    let running = Running::start(command.arg(&path).arg(wanted.to_string()));
    let pid = running.pid();
    assert!(comes(|| std::fs::metadata(&path).is_ok_and(|facts| facts.len() > SEEN)));
    let words = Words::open(&path);
    assert!(comes(|| words.get(READY) == 1), "it starts");
    let mut dumps = 0;
    let mut marks = [0; 4];
    while words.get(DONE) == 0 {
        if dumps % 10 == 0 {
            let mut tool = Command::new(hurt::tool());
            let status = tool.args(["--quiet", &pid.to_string()]).stdout(Stdio::null()).status();
            assert!(status.expect("it starts").success());
        } else {
            let prepared = live::prepare(Pid(pid), &Options::default()).expect("it can be read");
            prepared.capture().expect("it can be stopped");
        }
        check_released(pid, false).unwrap_or_else(|error| panic!("after {dumps} dumps: {error}"));
        dumps += 1;
        if dumps % 50 == 0 {
            let now = [RECEIVED, ORDINARY_GOT, TIMER_TICKS, CHILDREN].map(|word| words.get(word));
            assert!(now.iter().zip(&marks).all(|(now, before)| now > before), "{marks:?} {now:?}");
            marks = now;
        }
    }
    check(&words, wanted, dumps);
    let _ = std::fs::remove_file(&path);
}

fn check(words: &Words, wanted: u64, dumps: u64) {
    let get = |word| words.get(word);
    comes(|| get(RECEIVED) >= wanted && get(ORDINARY_GOT) >= get(ORDINARY_SENT));
    let seen = words.bytes(SEEN, wanted);
    let wrong: Vec<usize> = (0..seen.len()).filter(|&number| seen[number] != 1).collect();
    assert!(wrong.is_empty(), "{} numbered signals came other than once: {:?}", wrong.len(), &wrong[..1]);
    assert_eq!((get(SENT), get(RECEIVED), get(DOUBLED), get(STRANGE)), (wanted, wanted, 0, 0));
    assert_eq!(get(ORDINARY_GOT), get(ORDINARY_SENT), "each was sent after the last had come");
    assert!(comes(|| get(CHILDREN) == get(REAPED)) && get(WRONG_STATUS) == 0);
    let (ticks, alarms, children) = (get(TIMER_TICKS), get(ALARMS), get(CHILDREN));
    let ordinary = get(ORDINARY_GOT);
    assert!([ticks, alarms, children, ordinary, get(CHILD_SIGNALS)].iter().all(|&count| count > 100));
    assert!(dumps > 20, "only {dumps} dumps");
    summary(&format!(
        "storm: {wanted} numbered signals and {ordinary} ordinary ones arrived once under {dumps} dumps; besides \
         {ticks} ticks of a timer ({} overruns), {alarms} alarms, {children} children collected with {} SIGCHLDs",
        get(TIMER_OVERRUNS),
        get(CHILD_SIGNALS),
    ));
}
