//! A text whose frames are named. None of its modules is there, so it passes as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threaddump::images::ImageOptions;
use threaddump::naming::{Options, name};
use threaddump::report::Style;

fuzz_target!(|data: &[u8]| {
    let images = ImageOptions { debug_dirs: Vec::new() };
    let options = Options { images, ..Options::default() };
    let mut out = Vec::new();
    let summary = name(&mut &data[..], &mut out, &options, &Style::PLAIN).expect("memory has no errors");
    if summary.named == 0 {
        assert_eq!(out, data);
    }
});
