//! Two dumps in JSON, read and compared in both ways. A zero byte stands between them; without one the only
//! dump is compared with itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threaddump::compare::text::Options;
use threaddump::compare::{Question, compare, json, read::parse, text};
use threaddump::report::Style;

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|&byte| byte == 0);
    let (first, second) = at.map_or((data, data), |at| (&data[..at], &data[at + 1..]));
    let (Ok(left), Ok(right)) = (parse(first), parse(second)) else { return };
    for question in [Question::Ways, Question::Moments] {
        let mut comparison = compare(question, left.clone(), right.clone());
        if at.is_none() && question == Question::Moments {
            assert!(comparison.is_same());
        }
        comparison.settle(&left);
        for width in [None, Some(data.len() % 200)] {
            let options = Options { style: Style::terminal(false), width, only_different: false };
            let mut out = Vec::new();
            text::write(&comparison, &options, &mut out).expect("memory has no errors");
            let out = String::from_utf8(out).expect("it is text");
            assert!(!out.chars().any(|character| character != '\n' && character.is_control()));
        }
        json::write(&comparison, &mut Vec::new()).expect("memory has no errors");
    }
});
