//! Names from the target are hostile: a thread may be called anything. Here they become text that
//! neither forges lines nor moves a terminal's cursor. Meant for reading; JSON has its own rules.
use std::fmt::{self, Write};

/// How much of a text is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// Control characters and line separators, so that one name stays on one line.
    Lines,
    /// Also what changes how a terminal shows its surroundings, or what it does not show at all:
    /// bidirectional controls and invisible characters.
    Terminal,
}

/// Text with what is dangerous replaced by `\n`, `\e`, `\x07` or `\u{202e}`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    text: &'a str,
    escaping: Escaping,
}

/// Wraps a text for printing.
pub const fn escaped(text: &str, escaping: Escaping) -> Escaped<'_> {
    Escaped { text, escaping }
}

/// Bytes as text that is no longer than needed to lose nothing: UTF-8 as it is, other bytes as
/// `\xNN`.
pub fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

impl Escaping {
    /// Whether this character may not be printed as it is.
    pub const fn hides(self, character: char) -> bool {
        match character {
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => true,
            _ => matches!(self, Escaping::Terminal) && is_deceptive(character),
        }
    }
}

/// Bidirectional controls (UAX #9) and characters without a shape of their own.
const fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text;
        while let Some(at) = rest.find(|character| self.escaping.hides(character)) {
            f.write_str(&rest[..at])?;
            let mut characters = rest[at..].chars();
            if let Some(character) = characters.next() {
                escape(character, f)?;
            }
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

fn escape(character: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match character {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x1b' => f.write_str("\\e"),
        '\0'..='\x7f' => write!(f, "\\x{:02x}", u32::from(character)),
        _ => write!(f, "\\u{{{:x}}}", u32::from(character)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        let text = escaped("\x1b[31mred\n\u{9b}2J", Escaping::Lines).to_string();
        assert_eq!(text, "\\e[31mred\\n\\u{9b}2J");
    }

    #[test]
    fn text_direction_cannot_be_changed_on_a_terminal() {
        assert_eq!(escaped("a\u{202e}b", Escaping::Terminal).to_string(), "a\\u{202e}b");
        assert_eq!(escaped("a\u{202e}b", Escaping::Lines).to_string(), "a\u{202e}b", "data in a pipe");
    }

    #[test]
    fn ordinary_names_are_left_alone() {
        for name in ["nginx: worker", "größe", "日本", "C:\\x", "a\"b"] {
            assert_eq!(escaped(name, Escaping::Terminal).to_string(), name);
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_kept_visible() {
        assert_eq!(readable(b"a\xffb\x80\xc3\xa4"), "a\\xffb\\x80ä");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for escaping in [Escaping::Lines, Escaping::Terminal] {
                for text in [text.as_str(), &readable(&bytes)] {
                    let shown = escaped(text, escaping).to_string();
                    prop_assert!(!shown.chars().any(|character| escaping.hides(character)));
                    prop_assert!(!shown.chars().any(char::is_control));
                }
            }
        }
    }
}
