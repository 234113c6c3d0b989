//! Saved snapshots, and the dump of those that can be read.
#![no_main]

#[path = "../common/panics.rs"]
mod panics;

use libfuzzer_sys::fuzz_target;
use threaddump::dump::{Options, replay};
use threaddump::report::{Style, json, text};
use threaddump::snapshot::ModuleImage;
use threaddump::snapshot::file::{load, save};

fuzz_target!(|data: &[u8]| {
    panics::allow_caught_ones_of_libraries();
    let Ok(mut snapshot) = load(&mut &*data) else { return };
    let mut again = Vec::new();
    save(&snapshot, &mut again).expect("a vector takes everything");
    // Files of this machine are none of the input.
    for module in &mut snapshot.modules {
        if module.image == ModuleImage::File {
            module.image = ModuleImage::None;
        }
    }
    let report = replay(&snapshot, &Options::with_debug_dirs(None));
    let mut out = Vec::new();
    text::write(&report, &Style::PLAIN, &mut out).expect("a vector takes everything");
    json::write(&report, &mut out).expect("a vector takes everything");
});
