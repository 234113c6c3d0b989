//! The text of a source file, by line.
use md5::{Digest, Md5};

use crate::report::SourceLine;
use crate::report::escape::readable;

/// Longest line that is shown, in bytes; generated and packed files have lines of megabytes.
const MAX_LINE: usize = 400;
/// The start of each so many lines is remembered.
const STRIDE: u32 = 256;

/// A source file.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    /// Where the lines 1, 257, 513, … begin.
    starts: Vec<usize>,
    checksum: [u8; 16],
}

impl Text {
    pub(super) fn new(bytes: Vec<u8>) -> Text {
        let ends = memchr::memchr_iter(b'\n', &bytes);
        let starts = ends.skip(STRIDE as usize - 1).step_by(STRIDE as usize).map(|end| end + 1);
        let starts = std::iter::once(0).chain(starts).collect();
        let checksum = Md5::digest(&bytes).into();
        Text { bytes, starts, checksum }
    }

    /// MD5 of the file.
    pub(super) fn checksum(&self) -> [u8; 16] {
        self.checksum
    }

    /// Up to so many lines from one on, which counts from 1.
    pub(super) fn lines(&self, first: u32, count: usize) -> Vec<SourceLine> {
        let Some(before) = first.checked_sub(1) else { return Vec::new() };
        let start = self.starts.get((before / STRIDE) as usize).and_then(|&at| self.bytes.get(at..));
        let lines = start.unwrap_or_default().split_inclusive(|&byte| byte == b'\n');
        let lines = lines.skip((before % STRIDE) as usize).take(count);
        (first..).zip(lines).map(|(line, text)| SourceLine { line, text: shown(text) }).collect()
    }
}

fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.get(..MAX_LINE) {
        Some(start) if line.len() > MAX_LINE => {
            // Not in the middle of a character.
            let rest = line[MAX_LINE..].iter().take_while(|byte| **byte & 0xc0 == 0x80).take(3).count();
            format!("{}…", readable(line.get(..start.len() + rest).unwrap_or(start)))
        }
        _ => readable(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, first: u32, count: usize) -> Vec<(u32, String)> {
        let lines = Text::new(text.as_bytes().to_vec()).lines(first, count);
        lines.into_iter().map(|line| (line.line, line.text)).collect()
    }

    #[test]
    fn lines_are_counted_from_one() {
        let text = "a\nb\r\n\nlast";
        let all = [(1, ""), (2, "b"), (3, ""), (4, "last")].map(|(line, text)| (line, text.to_owned()));
        assert_eq!(lines(text, 2, 2), all[1..3]);
        assert_eq!(lines(text, 3, 9), all[2..]);
        for none in [0, 5, u32::MAX] {
            assert_eq!(lines(text, none, 3), [], "{none}");
        }
        assert_eq!(lines("", 1, 1), []);
    }

    #[test]
    fn lines_far_down_are_found() {
        let text: String = (1..=1000).map(|line| format!("{line}\n")).collect();
        for line in [1, 2, 255, 256, 257, 258, 511, 512, 513, 514, 999, 1000] {
            assert_eq!(lines(&text, line, 1), [(line, line.to_string())]);
        }
        assert_eq!(lines(&text, 1001, 1), []);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = format!("{}ä{}", "x".repeat(MAX_LINE - 1), "y".repeat(1 << 20));
        assert_eq!(lines(&text, 1, 1)[0].1, format!("{}ä…", "x".repeat(MAX_LINE - 1)));
        assert_eq!(lines(&"z".repeat(MAX_LINE), 1, 1)[0].1, "z".repeat(MAX_LINE));
    }

    #[test]
    fn the_checksum_is_md5() {
        let text = Text::new(b"123456789".to_vec());
        assert_eq!(crate::snapshot::hex(&text.checksum()), "25f9e794323b453885f5181f1b624d0b");
    }
}
