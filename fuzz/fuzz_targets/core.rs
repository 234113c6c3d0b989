//! A core file: read, saved, loaded, dumped.
#![no_main]

#[path = "../common/panics.rs"]
mod panics;

use libfuzzer_sys::fuzz_target;
use threaddump::collect::corefile::{self, read};
use threaddump::dump::{Options, replay};
use threaddump::report::{Style, json, text};
use threaddump::snapshot::ModuleImage;
use threaddump::snapshot::file::{load, save};

fuzz_target!(|data: &[u8]| {
    panics::allow_caught_ones_of_libraries();
    // Files of this machine are none of the input.
    let options = corefile::Options { sysroot: Some("/proc/self/fdinfo".into()), ..Default::default() };
    let Ok(mut snapshot) = read(data, 0, &options) else { return };
    for module in &mut snapshot.modules {
        if module.image == ModuleImage::File {
            module.image = ModuleImage::None;
        }
    }
    let mut saved = Vec::new();
    save(&snapshot, &mut saved).expect("a vector takes everything");
    load(&mut &saved[..]).expect("what was saved can be loaded");
    let report = replay(&snapshot, &Options::with_debug_dirs(None));
    let mut out = Vec::new();
    text::write(&report, &Style::PLAIN, &mut out).expect("a vector takes everything");
    json::write(&report, &mut out).expect("a vector takes everything");
});
