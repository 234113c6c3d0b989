//! The facts of a crash: they come from a process that parsed hostile memory, and lie in files of its user.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threaddump::crashes::journal::Entry;
use threaddump::crashes::{Facts, Fingerprint, Id, Stored};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Some(id) = Id::parse(&text) {
        assert_eq!(id.as_str(), text);
    }
    if let Some(fingerprint) = Fingerprint::parse(&text) {
        assert_eq!(fingerprint.to_string(), text);
    }
    let Ok(facts) = Facts::decode(data) else { return };
    assert_eq!(Facts::decode(&facts.encode()).expect("they are within the limits"), facts);
    let stored = Stored { id: Id::of(facts.fingerprint, facts.uid), count: 1, removed: 0 };
    let _ = (facts.program(), Entry::stored(&facts, &stored));
});
