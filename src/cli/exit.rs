//! Exit statuses.
use std::process::ExitCode;

/// How a run ended. The numbers are a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was shown: 0.
    Complete,
    /// Something was shown, but threads or frames are missing; each is named: 1.
    Incomplete,
    /// Nothing could be shown: 2.
    Nothing,
    /// Wrong usage (`EX_USAGE` of sysexits.h): 64.
    Usage,
    /// That of a program which was run, or why it was not.
    Of(u8),
}

impl Exit {
    /// The status of several targets together. None at all count as nothing shown.
    pub fn of_all(exits: &[Exit]) -> Exit {
        if exits.iter().all(|&exit| exit == Exit::Nothing) {
            Exit::Nothing
        } else if exits.iter().all(|&exit| exit == Exit::Complete) {
            Exit::Complete
        } else {
            Exit::Incomplete
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Complete => 0,
            Exit::Incomplete => 1,
            Exit::Nothing => 2,
            Exit::Usage => 64,
            Exit::Of(status) => status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Exit::{Complete, Incomplete, Nothing};
    use super::*;

    #[test]
    fn several_targets_are_complete_only_if_all_are() {
        assert_eq!(Exit::of_all(&[Complete, Complete]), Complete);
        assert_eq!(Exit::of_all(&[Complete, Nothing]), Incomplete);
        assert_eq!(Exit::of_all(&[Nothing, Incomplete]), Incomplete);
        assert_eq!(Exit::of_all(&[Nothing, Nothing]), Nothing);
        assert_eq!(Exit::of_all(&[]), Nothing);
    }
}
