//! Exit statuses.
use std::process::ExitCode;

/// How a run ended. The numbers are a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was shown.
    Complete = 0,
    /// Something was shown, but threads or frames are missing; each is named.
    Incomplete = 1,
    /// Nothing could be shown.
    Nothing = 2,
    /// Wrong usage (`EX_USAGE` of sysexits.h).
    Usage = 64,
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
        ExitCode::from(exit as u8)
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
