//! JSON, schema `threaddump/1`: the report as it is.
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::Report;
use super::escape::Escaping;

/// Writes the report as one indented object and a newline.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    write_as(report, PrettyFormatter::new(), out)
}

/// Writes the report as one object on one line, for files that hold several.
///
/// # Errors
/// Those of `out`.
pub fn write_line(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    write_as(report, CompactFormatter, out)
}

/// Writes another value as one object on one line.
///
/// # Errors
/// Those of `out`.
pub fn write_value(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    write_as(value, CompactFormatter, out)
}

/// Writes any value as one indented object and a newline, as harmless as a report.
///
/// # Errors
/// Those of `out`.
pub(crate) fn write_indented(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    write_as(value, PrettyFormatter::new(), out)
}

fn write_as(value: &impl Serialize, formatter: impl Formatter, out: &mut dyn Write) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Harmless(formatter)))?;
    out.write_all(b"\n")
}

/// Writes `\u009b` for characters that a terminal would obey or not show. To a JSON reader that is the
/// same string.
#[derive(Debug)]
struct Harmless<F>(F);

/// Hands a call on.
macro_rules! same {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, out: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            self.0.$name(out $(, $argument)*)
        }
    )*};
}

impl<F: Formatter> Formatter for Harmless<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let hidden = |character| Escaping::Terminal.hides(character);
        let mut rest = fragment;
        while let Some(at) = rest.find(hidden) {
            out.write_all(&rest.as_bytes()[..at])?;
            let mut characters = rest[at..].chars();
            for unit in
                characters.next().iter().flat_map(|character| character.encode_utf16(&mut [0; 2]).to_vec())
            {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        out.write_all(rest.as_bytes())
    }

    same! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut out, Harmless(PrettyFormatter::new()));
        [text].serialize(&mut serializer).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_as_its_number() {
        let name = "a\u{9b}31m\u{202e}\x1b\x7f\"\\\n\u{e0001}日本";
        let json = written(name);
        let expected = r#"a\u009b31m\u202e\u001b\u007f\"\\\n\udb40\udc01日本"#;
        assert_eq!(json, format!("[\n  \"{expected}\"\n]"));
        let back: Vec<String> = serde_json::from_str(&json).expect("valid");
        assert_eq!(back, [name]);
    }
}
