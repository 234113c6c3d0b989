//! Reports and how they are printed. A case is a file `tests/golden/NAME.json`: the report as JSON,
//! which must come out of the JSON writer as it is. Beside it are its text for a pipe (`.txt`) and
//! for a terminal with colours (`.ansi`), and what the other formats make of it (`.gdb`, `.go`). With `THREADDUMP_BLESS=1` the outputs are written anew.
mod golden;

use std::fs;
use std::path::{Path, PathBuf};

use threaddump::report::{Report, Style, gdb, go, json, text};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(folder).expect("the folder is part of the sources");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn load(path: &Path) -> Report {
    let bytes = fs::read(path).expect("it was listed");
    let value = serde_json::from_slice(&bytes).expect("it is JSON");
    golden::report(&value)
}

fn compare(path: &Path, actual: &str) {
    if std::env::var_os("THREADDUMP_BLESS").is_some() {
        fs::write(path, actual).expect("sources can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        actual == expected,
        "{} differs; THREADDUMP_BLESS=1 rewrites it. Now it is:\n{actual}",
        path.display()
    );
}

fn as_text(report: &Report, style: Style) -> String {
    written(report, style, text::write)
}

type Write = fn(&Report, &Style, &mut dyn std::io::Write) -> std::io::Result<()>;

fn written(report: &Report, style: Style, write: Write) -> String {
    let mut out = Vec::new();
    write(report, &style, &mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("it is text")
}

fn as_json(report: &Report) -> String {
    let mut out = Vec::new();
    json::write(report, &mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("it is text")
}

#[test]
fn every_case_is_printed_as_before() {
    for path in cases() {
        let report = load(&path);
        compare(&path.with_extension("txt"), &as_text(&report, Style::PLAIN));
        compare(&path.with_extension("ansi"), &as_text(&report, Style::terminal(true)));
        compare(&path.with_extension("gdb"), &written(&report, Style::PLAIN, gdb::write));
        compare(&path.with_extension("go"), &written(&report, Style::PLAIN, go::write));
        compare(&path, &as_json(&report));
    }
}

#[test]
fn one_line_json_is_one_line_and_the_same_value() {
    for path in cases() {
        let report = load(&path);
        let mut line = Vec::new();
        json::write_line(&report, &mut line).expect("a Vec takes everything");
        let ends = line.iter().filter(|&&byte| byte == b'\n').count();
        assert!(ends == 1 && line.ends_with(b"\n"), "{}", path.display());
        let value: serde_json::Value = serde_json::from_slice(&line).expect("it is JSON");
        let pretty: serde_json::Value = serde_json::from_str(&as_json(&report)).expect("it is JSON");
        assert_eq!(value, pretty, "{}", path.display());
    }
}

#[test]
fn no_name_of_the_target_can_forge_a_line_or_reach_the_terminal() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hostile.json");
    let hostile = load(&path);
    let lines = |text: &str| text.lines().count();
    let harmless = golden::with_harmless_names(&hostile);
    let formats: [Write; 3] = [text::write, gdb::write, go::write];
    for (style, write) in
        [Style::PLAIN, Style::terminal(false)].into_iter().flat_map(|s| formats.map(|f| (s, f)))
    {
        let text = written(&hostile, style, write);
        let forbidden = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
        assert!(!text.chars().any(forbidden), "{text:?}");
        assert_eq!(lines(&text), lines(&written(&harmless, style, write)));
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_for_a_terminal_has_no_control_characters(
            name in any::<String>(), other in "[\\x00-\\x20\u{7f}-\u{9f}\u{202a}-\u{202e}a]{0,20}",
        ) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/incomplete.json");
            let report = load(&path);
            let lines = as_text(&report, Style::terminal(false)).lines().count();
            let formats: [(Write, usize); 3] = [
                (text::write, lines),
                (gdb::write, written(&report, Style::PLAIN, gdb::write).lines().count()),
                (go::write, written(&report, Style::PLAIN, go::write).lines().count()),
            ];
            for (name, (write, lines)) in [name, other].iter().flat_map(|n| formats.map(|f| (n, f))) {
                let text = written(&golden::with_names(&report, name), Style::terminal(false), write);
                let forbidden = |character: char| {
                    (character.is_control() && !matches!(character, '\n' | '\t'))
                        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                prop_assert!(!text.chars().any(forbidden));
                prop_assert_eq!(text.lines().count(), lines);
            }
        }
    }
}
