//! Programs that crash while threaddump is the kernel's handler. Each test changes the settings of this machine,
//! and puts them back; it is a skip where that cannot be.
#[path = "crash/hard.rs"]
mod hard;
#[path = "crash/plain.rs"]
mod plain;
#[path = "crash/programs.rs"]
mod programs;
#[path = "crash/setting.rs"]
mod setting;
#[path = "crash/storm.rs"]
mod storm;
mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use setting::Settings;
use support::{Stop, record};

/// A test.
pub(crate) type Test = fn(&Settings) -> Result<(), Stop>;

fn main() {
    let mut arguments = Arguments::from_args();
    // They share the settings of the machine.
    arguments.test_threads = Some(1);
    let all = plain::ALL.iter().chain(storm::ALL).chain(hard::ALL);
    let trials = all.map(|&(name, test)| Trial::test(name, move || run(name, test)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn run(name: &str, test: Test) -> Result<(), Failed> {
    let result = Settings::take().and_then(|settings| test(&settings));
    Ok(record::outcome(&format!("crash: {name}"), result)?)
}
