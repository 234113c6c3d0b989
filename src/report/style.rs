//! Colours, and how much is escaped: what depends on where text goes.
use std::fmt;

use super::escape::{Escaped, Escaping, escaped};

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The first line of a report or thread.
    Title,
    /// The name of a function.
    Function,
    /// A source file with its line.
    Source,
    /// What the eye may skip.
    Quiet,
    /// What is missing or went wrong.
    Warning,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    color: bool,
    escaping: Escaping,
}

/// Something in a colour.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    value: T,
    role: Option<Role>,
}

impl Style {
    /// For files and pipes: no colours.
    pub const PLAIN: Style = Style { color: false, escaping: Escaping::Lines };

    /// For a terminal (or for a pager, with colours asked for).
    pub const fn terminal(color: bool) -> Style {
        Style { color, escaping: Escaping::Terminal }
    }

    /// Text from the target, made harmless.
    pub const fn text<'a>(&self, text: &'a str) -> Escaped<'a> {
        escaped(text, self.escaping)
    }

    /// Something in the colour of its role. Text from the target goes through [`Style::text`]
    /// first.
    pub const fn paint<T: fmt::Display + Copy>(&self, role: Role, value: T) -> Painted<T> {
        Painted { value, role: if self.color { Some(role) } else { None } }
    }

    /// Text from the target in a colour.
    pub const fn name<'a>(&self, role: Role, text: &'a str) -> Painted<Escaped<'a>> {
        self.paint(role, self.text(text))
    }
}

impl Role {
    /// Parameters of the SGR sequence (ECMA-48).
    const fn code(self) -> &'static str {
        match self {
            Role::Title => "1",
            Role::Function => "33",
            Role::Source => "32",
            Role::Quiet => "2",
            Role::Warning => "1;31",
        }
    }
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            None => self.value.fmt(f),
            Some(role) => {
                write!(f, "\x1b[{}m", role.code())?;
                self.value.fmt(f)?;
                f.write_str("\x1b[0m")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_written_only_where_they_are_wanted() {
        assert_eq!(Style::terminal(true).name(Role::Title, "a\n").to_string(), "\x1b[1ma\\n\x1b[0m");
        assert_eq!(Style::terminal(false).name(Role::Title, "a").to_string(), "a");
        assert_eq!(Style::PLAIN.name(Role::Warning, "a").to_string(), "a");
    }
}
