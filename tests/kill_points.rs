//! The tool is killed before and after every system call of an attach, while signals are on their way
//! to the target in every phase. The target, which counts, must not notice: no thread is left held, each
//! works on, each signal arrives once, a stopped target stays stopped, and its parent is told nothing.
mod hurt;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::process::Stdio;

use hurt::counter::Counter;
use hurt::tool::{Act, End, Phase, Stop, Watch, run};
use hurt::{number, one_at_a_time, summary};
use nix::sys::signal::Signal;

/// Kills by phase, and what was seen at them.
#[derive(Debug, Default)]
struct Tally {
    kills: BTreeMap<Phase, Counts>,
    /// The tool had seen a thread stop for a signal, and had not let it go.
    in_window: u64,
}

#[derive(Debug, Default)]
struct Counts {
    all: u64,
    /// Signals had been sent that could not arrive yet.
    with_signals: u64,
}

impl Tally {
    fn add(&mut self, stop: &Stop, in_flight: u64) {
        let counts = self.kills.entry(stop.phase).or_default();
        counts.all += 1;
        counts.with_signals += u64::from(in_flight > 0);
        self.in_window += u64::from(stop.signals_seen > 0);
    }

    fn count(&self) -> u64 {
        self.kills.values().map(|counts| counts.all).sum()
    }

    fn report(&self, what: &str, signals: u64) {
        let phase = |(phase, counts): (&Phase, &Counts)| {
            format!("{phase:?} {} ({} with signals on their way)", counts.all, counts.with_signals)
        };
        let phases: Vec<String> = self.kills.iter().map(phase).collect();
        summary(&format!(
            "{what}: {} blows: {}; {} between the sight of a signal and the detach; {signals} signals \
             arrived once",
            self.count(),
            phases.join(", ").to_lowercase(),
            self.in_window,
        ));
    }

    fn check_attach_phases(&self) {
        for phase in [Phase::Seize, Phase::Interrupt, Phase::Wait, Phase::Read, Phase::Detach] {
            let counts = self.kills.get(&phase).unwrap_or_else(|| panic!("no kill in phase {phase:?}"));
            assert!(counts.with_signals > 0, "no signals on their way in phase {phase:?}");
        }
    }
}

/// What happens to the tool.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Signal(Signal),
    /// It gets no more memory from the system.
    NoMemory,
}

/// An attempt: the blow falls at the stop with this number, counted from the start or in a phase.
struct Attempt {
    at: u64,
    only: Option<Phase>,
    blow: Blow,
    watch: Watch,
    /// Whether threads get signals between the attach and the request to stop.
    hold: bool,
    stopped: bool,
}

impl Attempt {
    fn new(at: u64) -> Attempt {
        let blow = Blow::Signal(Signal::SIGKILL);
        Attempt { at, only: None, blow, watch: Watch::Tracer, hold: true, stopped: false }
    }

    /// Runs the tool and checks the target. Gives how it ended and the stop at which the signal was sent.
    fn run(&self, counter: &mut Counter, tally: &mut Tally, threads: u64) -> (End, bool) {
        if self.stopped {
            counter.stop();
        }
        let (mut sent, mut held) = (false, false);
        let pid = counter.pid.to_string();
        let end = run(&["--quiet", &pid], "", Stdio::null(), self.watch, |stop| {
            if self.hold && !held && stop.phase == Phase::Interrupt {
                held = true;
                counter.wait_for_more(threads * 2);
            }
            if sent || !self.is_at(&stop) {
                return Act::GoOn;
            }
            sent = true;
            counter.wait_for_more(4);
            tally.add(&stop, counter.in_flight());
            match self.blow {
                Blow::Signal(signal) => Act::Send(signal),
                Blow::NoMemory => {
                    refuse_memory(stop.tool);
                    Act::GoOn
                }
            }
        });
        self.check(counter, &end);
        (end, sent)
    }

    fn is_at(&self, stop: &Stop) -> bool {
        match self.only {
            None => stop.index == self.at,
            Some(phase) => stop.phase == phase && stop.index_in_phase == self.at,
        }
    }

    fn check(&self, counter: &mut Counter, end: &End) {
        let checked = counter.check_state(self.stopped).and_then(|()| {
            if self.stopped {
                counter.go_on();
            }
            counter.check_goes_on()
        });
        if let Err(error) = checked {
            let Attempt { at, only, blow, hold, .. } = self;
            panic!("after {blow:?} at stop {at} of {only:?} (hold: {hold}, {end:?}): {error}");
        }
    }
}

/// Attempts at every stop from the first to the last.
fn at_every_stop(counter: &mut Counter, tally: &mut Tally, threads: u64, stopped: bool, hold: bool) {
    // The waits of the tool differ from run to run, so one that came to its end may have been short.
    let mut completed = 0;
    for at in 0.. {
        let attempt = Attempt { stopped, hold, ..Attempt::new(at) };
        let (_, sent) = attempt.run(counter, tally, threads);
        completed += u32::from(!sent);
        if completed == 3 {
            break;
        }
    }
}

/// Attempts at so many stops, evenly spread; gives how many of the runs ended well.
fn at_some_stops(counter: &mut Counter, tally: &mut Tally, threads: u64, model: &Attempt, count: u64) -> u64 {
    let mut stops = 0;
    let pid = counter.pid.to_string();
    let end = run(&["--quiet", &pid], "", Stdio::null(), model.watch, |stop| {
        stops += u64::from(model.only.is_none_or(|phase| phase == stop.phase));
        Act::GoOn
    });
    assert_eq!(end.status, 0, "an undisturbed run works");
    let attempts = (0..count).map(|index| Attempt { at: stops * index / count, ..*model });
    attempts.filter(|attempt| attempt.run(counter, tally, threads).0.status == 0).count() as u64
}

/// Takes away the right to more memory than it has.
fn refuse_memory(pid: i32) {
    let mut command = std::process::Command::new("prlimit");
    let status = command.args(["--pid", &pid.to_string(), "--as=4096:4096"]).status();
    assert!(status.expect("prlimit is installed, with mount").success());
}

#[test]
fn killed_at_every_system_call_of_an_attach_to_8_threads() {
    let _lock = one_at_a_time();
    for stopped in [false, true] {
        let mut tally = Tally::default();
        let mut counter = Counter::start(8);
        for round in 0..2 * number("THREADDUMP_KILL_ROUNDS", 1) {
            at_every_stop(&mut counter, &mut tally, 8, stopped, round % 2 == 0);
        }
        let signals = counter.finish().expect("each arrives once");
        let what = if stopped { "8 stopped threads" } else { "8 threads" };
        tally.report(what, signals);
        tally.check_attach_phases();
        assert!(tally.count() >= 200);
        assert!(stopped || tally.in_window >= 20, "the window was hit");
    }
}

#[test]
fn killed_at_system_calls_of_an_attach_to_200_threads() {
    let _lock = one_at_a_time();
    for (stopped, count) in [(false, 250), (true, 80)] {
        let mut tally = Tally::default();
        let mut counter = Counter::start(200);
        let model = Attempt { stopped, ..Attempt::new(0) };
        let count = count * number("THREADDUMP_KILL_ROUNDS", 1);
        at_some_stops(&mut counter, &mut tally, 200, &model, count);
        let signals = counter.finish().expect("each arrives once");
        let what = if stopped { "200 stopped threads" } else { "200 threads" };
        tally.report(what, signals);
        tally.check_attach_phases();
    }
}

#[test]
fn killed_before_and_after_the_attach() {
    let _lock = one_at_a_time();
    let mut tally = Tally::default();
    let mut counter = Counter::start(8);
    for phase in [Phase::Before, Phase::After] {
        let model = Attempt { watch: Watch::Main, only: Some(phase), hold: false, ..Attempt::new(0) };
        at_some_stops(&mut counter, &mut tally, 8, &model, 40);
    }
    let signals = counter.finish().expect("each arrives once");
    tally.report("8 threads, first thread of the tool", signals);
    assert!(tally.count() >= 70);
}

#[test]
fn ended_by_other_signals_during_the_attach() {
    let _lock = one_at_a_time();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGSEGV, Signal::SIGPIPE] {
        let mut counter = Counter::start(8);
        let mut tally = Tally::default();
        let model = Attempt { blow: Blow::Signal(signal), ..Attempt::new(0) };
        at_some_stops(&mut counter, &mut tally, 8, &model, 20);
        let signals = counter.finish().expect("each arrives once");
        tally.report(&format!("8 threads, {signal}"), signals);
    }
}

#[test]
fn out_of_memory_before_and_during_the_attach() {
    let _lock = one_at_a_time();
    let mut counter = Counter::start(8);
    let pid = counter.pid.to_string();
    let (mut failed, mut worked) = (0, 0);
    // From too little to start with, to enough, in KiB.
    for limit in (2_000..60_000).step_by(1_450) {
        let limits = format!("ulimit -v {limit};");
        let end = run(&["--quiet", &pid], &limits, Stdio::null(), Watch::Tracer, |_| Act::GoOn);
        if end.status == 0 {
            worked += 1
        } else {
            failed += 1
        }
        let checked = counter.check_state(false).and_then(|()| counter.check_goes_on());
        checked.unwrap_or_else(|error| panic!("with {limit} KiB ({end:?}): {error}"));
    }
    summary(&format!("limits of memory: with {worked} there was a dump, with {failed} none"));
    let mut tally = Tally::default();
    let model = Attempt { blow: Blow::NoMemory, ..Attempt::new(0) };
    let worked = at_some_stops(&mut counter, &mut tally, 8, &model, 30);
    let signals = counter.finish().expect("each arrives once");
    tally.report(&format!("8 threads, no more memory ({worked} dumps all the same)"), signals);
    assert!(failed > 0);
}

#[test]
fn output_that_cannot_be_written() {
    let _lock = one_at_a_time();
    let mut counter = Counter::start(8);
    let pid = counter.pid.to_string();
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let (reader, writer) = std::io::pipe().expect("there are files left");
        drop(reader);
        for output in [Stdio::from(full), Stdio::from(writer)] {
            let end = run(&[&pid], "", output, Watch::Tracer, |_| Act::GoOn);
            statuses.push(end.status);
            let checked = counter.check_state(false).and_then(|()| counter.check_goes_on());
            checked.unwrap_or_else(|error| panic!("{end:?}: {error}"));
        }
    }
    let signals = counter.finish().expect("each arrives once");
    statuses.sort_unstable();
    statuses.dedup();
    summary(&format!("full disk and closed pipe: statuses {statuses:?}; {signals} signals arrived once"));
}
