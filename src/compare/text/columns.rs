//! Two columns, or one.
use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::rows::Row;
use crate::report::Style;
use crate::report::style::Role;

/// Below this a column shows too little of a frame.
const NARROWEST: usize = 36;
/// Where lines may have any length, columns are as wide as their cells, but not wider than this for one long one.
const WIDEST: usize = 100;
/// Two blanks before the first column, and a mark with blanks between the columns.
const BETWEEN: usize = 5;

/// Where the columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Side by side, each so wide, and what is longer is cut.
    Beside(usize),
    /// Side by side, as wide as it has to be.
    Free,
    /// One under the other, in lines of this width.
    Under(usize),
}

impl Layout {
    pub(super) fn new(width: Option<usize>) -> Layout {
        let Some(width) = width else { return Layout::Free };
        let column = width.saturating_sub(BETWEEN) / 2;
        if column < NARROWEST { Layout::Under(width) } else { Layout::Beside(column) }
    }
}

pub(super) fn write(rows: &[Row], layout: Layout, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    // What is escaped is longer than what it stands for.
    let escape = |cell: &Option<String>| cell.as_ref().map(|text| style.text(text).to_string());
    let rows: Vec<Row> = rows
        .iter()
        .map(|row| Row { left: escape(&row.left), right: escape(&row.right), same: row.same })
        .collect();
    match layout {
        Layout::Under(width) => rows.iter().try_for_each(|row| under(row, width, style, out)),
        Layout::Beside(width) => rows.iter().try_for_each(|row| beside(row, width, true, style, out)),
        Layout::Free => {
            let widths = rows.iter().filter_map(|row| row.left.as_deref()).map(UnicodeWidthStr::width);
            let width = widths.max().unwrap_or(0).min(WIDEST);
            rows.iter().try_for_each(|row| beside(row, width, false, style, out))
        }
    }
}

fn beside(row: &Row, width: usize, cut: bool, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mark = match (&row.left, &row.right) {
        _ if row.same => ' ',
        (Some(_), None) => '<',
        (None, _) => '>',
        _ => '|',
    };
    let cell = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or("");
        if cut { shortened(text, width) } else { text.to_owned() }
    };
    let (left, right) = (cell(&row.left), cell(&row.right));
    let padding = " ".repeat(width.saturating_sub(left.width()));
    let line = format!("{left}{padding} {mark} {right}");
    let line = line.trim_end();
    match row.same {
        true => writeln!(out, "  {line}"),
        false => writeln!(out, "  {}", style.paint(Role::Warning, line)),
    }
}

fn under(row: &Row, width: usize, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let room = width.saturating_sub(2);
    if let (true, Some(text)) = (row.same, &row.left) {
        return writeln!(out, "  {}", shortened(text, room));
    }
    for (mark, cell) in [('<', &row.left), ('>', &row.right)] {
        if let Some(text) = cell {
            let line = format!("{mark} {}", shortened(text, room));
            writeln!(out, "{}", style.paint(Role::Warning, line.as_str()))?;
        }
    }
    Ok(())
}

/// So much of a text that it takes no more columns.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |&character: &char| {
        used += character.width().unwrap_or(0);
        used <= width
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let cell = |text: &str| Some(text.to_owned());
        vec![
            Row { left: cell("#0   a"), right: cell("#0   b"), same: false },
            Row { left: None, right: cell("#1   only"), same: false },
            Row { left: cell("#1   日本\x1b[2J"), right: cell("#2   日本\x1b[2J"), same: true },
        ]
    }

    fn printed(width: Option<usize>) -> String {
        let mut out = Vec::new();
        write(&rows(), Layout::new(width), &Style::PLAIN, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_are_as_wide_as_they_have_to_be_without_a_terminal() {
        let expected =
            "  #0   a         | #0   b\n                 > #1   only\n  #1   日本\\e[2J   #2   日本\\e[2J\n";
        assert_eq!(printed(None), expected);
    }

    #[test]
    fn lines_fit_a_terminal_of_any_width() {
        for width in [1, 2, 7, 20, 60, 76, 77, 80, 81, 133, 400] {
            for line in printed(Some(width)).lines() {
                assert!(line.width() <= width.max(3), "{width}: {line:?}");
            }
        }
        assert_eq!(Layout::new(Some(76)), Layout::Under(76));
        assert_eq!(Layout::new(Some(80)), Layout::Beside(37));
    }

    #[test]
    fn a_narrow_terminal_has_one_under_the_other() {
        let expected = "< #0   a\n> #0   b\n> #1   only\n  #1   日本\\e[2J\n";
        assert_eq!(printed(Some(60)), expected);
    }

    #[test]
    fn wide_characters_count_twice_when_a_cell_is_cut() {
        assert_eq!(shortened("日本語", 5), "日本…");
        assert_eq!(shortened("日本語", 6), "日本語");
        assert_eq!(shortened("abc", 2), "a…");
    }
}
