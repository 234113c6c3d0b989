//! Lines that outlive a test program: skips with their reason, and one summary per comparison. The
//! files are printed at the end of a whole run.
use std::fs::OpenOptions;
use std::io::Write;

use super::{Stop, scratch};

fn append(file: &str, line: &str) {
    let path = scratch("results").join(file);
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.expect("cargo's folder for tests can be written");
    // One write per line, so that two tests at a time do not mix theirs.
    file.write_all(format!("{line}\n").as_bytes()).expect("cargo's folder for tests can be written");
}

/// A test, or a part of one, that cannot run here.
pub(crate) fn skip(what: &str, reason: &str) {
    println!("skip {what}: {reason}");
    append("skips.txt", &format!("{what}: {reason}"));
}

/// Tells a skip from a failure, which is given in words.
pub(crate) fn outcome(what: &str, result: Result<(), Stop>) -> Result<(), String> {
    match result {
        Ok(()) => Ok(()),
        Err(Stop::Skip(reason)) => {
            skip(what, &reason);
            Ok(())
        }
        Err(Stop::Fail(text)) => Err(text),
    }
}

/// The result of one comparison.
pub(crate) fn summary(line: &str) {
    println!("{line}");
    append("comparisons.txt", line);
}
