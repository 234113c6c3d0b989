//! Targets made to hurt whoever looks at them. Each ends in a dump within limits, and what does not concern
//! the crafted files is shown as without them. `cargo test --test hostile -- NAME` runs some.
#[path = "hostile/case.rs"]
mod case;
#[path = "hostile/craft.rs"]
mod craft;
#[path = "hostile/debug_info.rs"]
mod debug_info;
#[path = "hostile/dwarf.rs"]
mod dwarf;
#[path = "hostile/files.rs"]
mod files;
#[path = "hostile/stage.rs"]
mod stage;
mod support;
#[path = "hostile/symbols.rs"]
mod symbols;
#[path = "hostile/unwinding.rs"]
mod unwinding;

use case::Case;
use libtest_mimic::{Arguments, Failed, Trial};
use stage::Folder;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--measure") {
        stage::measure();
    }
    let arguments = Arguments::from_args();
    let cases = [unwinding::CASES, files::CASES, symbols::CASES, debug_info::CASES].into_iter().flatten();
    let trials = cases.map(|case| Trial::test(case.name, move || run(case)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn run(case: &Case) -> Result<(), Failed> {
    let folder = Folder::new(case.name);
    let running = stage::start(&(case.make)(&folder))?;
    let outcome = stage::dump(running.pid(), &[])?;
    let limits = stage::within_limits(case.name, &outcome);
    let rest = stage::rest_is_whole(&outcome.report);
    let wanted = case.wants.check(&outcome.report);
    let wrong: Vec<String> = [limits, rest, wanted].into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Failed::from(wrong.join("\n"))) }
}
