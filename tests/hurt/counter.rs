//! The process of counter.c: its work, its signals, and what its parent is told.
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Running, Words, build, check_released, comes, scratch_file, threads};

// Words of the shared file.
const READY: u64 = 0;
const TARGET: u64 = 1;
const SENT: u64 = 2;
const RECEIVED: u64 = 3;
const DOUBLED: u64 = 4;
const STRANGE: u64 = 5;
const USR1_SENT: u64 = 6;
const USR1_GOT: u64 = 7;
const USR2_SENT: u64 = 8;
const USR2_GOT: u64 = 9;
const STOP_REPORTS: u64 = 10;
const CONTINUE_REPORTS: u64 = 11;
const CHILD_SIGNALS: u64 = 12;
const REST: u64 = 14;
const WORK: u64 = 512;
const SEEN: u64 = (WORK + 2 * 256) * 8;

/// A running counter with its parent and its sender.
pub(crate) struct Counter {
    _running: Running,
    words: Words,
    path: PathBuf,
    pub(crate) pid: i32,
    threads: u64,
    /// Numbered signals below this have been seen to arrive once.
    verified: u64,
    told: [u64; 3],
}

impl Counter {
    pub(crate) fn start(threads: u64) -> Counter {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        let path = scratch_file(&format!("counter-{threads}.words"));
        let mut command = Command::new(PROGRAM.get_or_init(|| build("counter")));
        command.arg(&path).args([threads.to_string(), "2000".to_owned()]);
        let _ = std::fs::remove_file(&path);
        let running = Running::start(&mut command);
        assert!(comes(|| std::fs::metadata(&path).is_ok_and(|facts| facts.len() > SEEN)));
        let words = Words::open(&path);
        assert!(comes(|| words.get(READY) == 1), "the counter starts");
        let pid = i32::try_from(words.get(TARGET)).expect("a process id");
        Counter { _running: running, words, path, pid, threads, verified: 0, told: [0; 3] }
    }

    /// Signals sent so far, of all kinds.
    pub(crate) fn signals(&self) -> u64 {
        [SENT, USR1_SENT, USR2_SENT].iter().map(|&word| self.words.get(word)).sum()
    }

    /// Numbered signals sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.words.get(SENT)
    }

    /// Signals that were sent and have not arrived.
    pub(crate) fn in_flight(&self) -> u64 {
        let received = self.words.get(RECEIVED) + self.words.get(USR1_GOT) + self.words.get(USR2_GOT);
        self.signals().saturating_sub(received)
    }

    /// Waits until so many more signals were sent, or no more are before others arrive.
    pub(crate) fn wait_for_more(&self, count: u64) {
        let start = self.sent();
        assert!(comes(|| self.sent() >= start + count || self.in_flight() >= 1990), "no signals are sent");
    }

    /// Stops it as a shell does, and waits until it stands and its parent knows.
    pub(crate) fn stop(&mut self) {
        let before = self.words.get(STOP_REPORTS);
        kill(Pid::from_raw(self.pid), Signal::SIGSTOP).expect("it lives");
        assert!(comes(|| threads(self.pid).iter().all(|thread| thread.state == 'T')));
        assert!(comes(|| self.words.get(STOP_REPORTS) > before), "its parent is told of the stop");
        self.told = self.told();
    }

    /// Lets it go on after [`Counter::stop`].
    pub(crate) fn go_on(&mut self) {
        let before = self.words.get(CONTINUE_REPORTS);
        kill(Pid::from_raw(self.pid), Signal::SIGCONT).expect("it lives");
        assert!(comes(|| self.words.get(CONTINUE_REPORTS) > before), "its parent is told that it goes on");
        // waitid tells of it from the SIGCONT on, but SIGCHLD is sent by the first thread that really runs.
        self.check_goes_on().unwrap_or_else(|error| panic!("after SIGCONT: {error}"));
        std::thread::sleep(std::time::Duration::from_millis(5));
        self.told = self.told();
    }

    fn told(&self) -> [u64; 3] {
        [STOP_REPORTS, CONTINUE_REPORTS, CHILD_SIGNALS].map(|word| self.words.get(word))
    }

    /// Checks that no thread is held and that its parent was told nothing.
    pub(crate) fn check_state(&self, stopped: bool) -> Result<(), String> {
        check_released(self.pid, stopped)?;
        let told = self.told();
        if told == self.told {
            return Ok(());
        }
        let change = format!("{:?} to {told:?}", self.told);
        Err(format!("its parent was told: stops, continues, SIGCHLDs from {change}"))
    }

    /// Checks that every thread works on, and that every signal sent until now arrives once.
    pub(crate) fn check_goes_on(&mut self) -> Result<(), String> {
        let goal: Vec<u64> = (0..self.threads).map(|index| self.words.get(WORK + index) + 1).collect();
        let (sent, ordinary) = (self.sent(), [USR1_SENT, USR2_SENT].map(|word| self.words.get(word)));
        let mut late: Vec<u64> = (0..self.threads).collect();
        let moves = comes(|| {
            late.retain(|&index| self.words.get(WORK + index) < goal[index as usize]);
            late.is_empty()
        });
        if !moves {
            return Err(format!("threads {late:?} do not go on: {:?}", threads(self.pid)));
        }
        let arrive = comes(|| {
            let seen = self.words.bytes(SEEN + self.verified, sent - self.verified);
            let count = seen.iter().take_while(|&&times| times != 0).count();
            self.verified += count as u64;
            self.verified == sent
        });
        if !arrive {
            return Err(format!("signal {} of {sent} does not arrive", self.verified));
        }
        let got = |index: usize| self.words.get([USR1_GOT, USR2_GOT][index]);
        if !comes(|| (0..2).all(|index| got(index) >= ordinary[index])) {
            return Err(format!("SIGUSR1 and SIGUSR2: sent {ordinary:?}, got {} and {}", got(0), got(1)));
        }
        self.check_counts()
    }

    /// Whether its parent was told of so many stops.
    pub(crate) fn is_told_of_stops(&self, count: u64) -> bool {
        self.words.get(STOP_REPORTS) >= count
    }

    /// What all threads have done.
    pub(crate) fn work(&self) -> Vec<u64> {
        (0..self.threads).map(|index| self.words.get(WORK + index)).collect()
    }

    fn check_counts(&self) -> Result<(), String> {
        let [doubled, strange] = [DOUBLED, STRANGE].map(|word| self.words.get(word));
        let [got1, got2] = [USR1_GOT, USR2_GOT].map(|word| self.words.get(word));
        let [sent1, sent2] = [USR1_SENT, USR2_SENT].map(|word| self.words.get(word));
        if doubled + strange > 0 || got1 > sent1 || got2 > sent2 {
            let ordinary = format!("SIGUSR1 {got1} of {sent1}, SIGUSR2 {got2} of {sent2}");
            return Err(format!("{doubled} signals came twice, {strange} changed; {ordinary}"));
        }
        Ok(())
    }

    /// Waits for the last signals; gives how many were sent in all, each of which arrived once.
    pub(crate) fn finish(mut self) -> Result<u64, String> {
        self.words.set(REST, 1);
        // One that is just being sent is still counted.
        std::thread::sleep(std::time::Duration::from_millis(20));
        self.check_goes_on()?;
        if self.in_flight() != 0 || self.words.get(RECEIVED) != self.sent() {
            return Err(format!("{} signals are missing", self.in_flight()));
        }
        let seen = self.words.bytes(SEEN, self.sent());
        let wrong = seen.iter().filter(|&&times| times != 1).count();
        let _ = std::fs::remove_file(&self.path);
        if wrong == 0 { Ok(self.signals()) } else { Err(format!("{wrong} signals came other than once")) }
    }
}
