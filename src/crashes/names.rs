//! Names of the files in a store. They alone say what was counted: no file is read for that.
use std::fmt;

use md5::{Digest, Md5};

use super::Fingerprint;

/// Characters of an id.
const DIGITS: usize = 12;
/// No program crashes a million times a second for a year; a larger number was made up.
const MAX_NUMBER: u64 = 1_000_000_000_000_000;

/// What crashes of one user that look alike are called: 12 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; DIGITS]);

/// The files of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// What it is listed by.
    Facts,
    /// The report, schema `threaddump/1`.
    Json,
    /// The report as text.
    Text,
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileName {
    pub(super) id: Id,
    /// From 1.
    pub(super) number: u64,
    pub(super) kind: Kind,
}

impl Id {
    /// The id of a user's crashes with this fingerprint. Two users have different ones, so that root can
    /// tell them apart.
    pub fn of(fingerprint: Fingerprint, owner: u32) -> Id {
        let mut hash = Md5::new();
        hash.update(fingerprint.bytes());
        hash.update(owner.to_le_bytes());
        let digits = super::fingerprint::hex(&hash.finalize());
        Id(std::array::from_fn(|place| digits.as_bytes()[place]))
    }

    /// `None` if the text is no whole id.
    pub fn parse(text: &str) -> Option<Id> {
        let digits: [u8; DIGITS] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(Id(digits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only digits get in")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Kind {
    /// The last one written is the one that counts.
    pub(super) const ALL: [Kind; 3] = [Kind::Text, Kind::Json, Kind::Facts];

    pub(super) const fn ending(self) -> &'static str {
        match self {
            Kind::Facts => "facts",
            Kind::Json => "json",
            Kind::Text => "txt",
        }
    }
}

impl FileName {
    /// `None` for what is no file of ours.
    pub(super) fn parse(name: &str) -> Option<FileName> {
        let (id, rest) = name.split_once('-')?;
        let (digits, ending) = rest.split_once('.')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.ending() == ending)?;
        let number = digits.parse().ok().filter(|number| (1..=MAX_NUMBER).contains(number))?;
        let file = FileName { id: Id::parse(id)?, number, kind };
        // There is one way to write a number.
        (file.to_string() == name).then_some(file)
    }
}

/// The number after this one.
pub(super) const fn next(number: u64) -> u64 {
    if number < MAX_NUMBER { number + 1 } else { MAX_NUMBER }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.id, self.number, self.kind.ending())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_says_which_and_how_many() {
        let name = "0123456789ab-17.json";
        let file = FileName::parse(name).expect("it is one");
        assert_eq!((file.id.as_str(), file.number, file.kind), ("0123456789ab", 17, Kind::Json));
        assert_eq!(file.to_string(), name);
    }

    #[test]
    fn everything_else_is_not_ours() {
        for wrong in [
            "",
            ".lock",
            "0123456789ab-0.json",
            "0123456789ab-01.json",
            "0123456789ab-+1.json",
            "0123456789ab-1.html",
            "0123456789AB-1.json",
            "0123456789a-1.json",
            "0123456789ab-1000000000000001.json",
            "0123456789ab-99999999999999999999.json",
            "../456789ab-1.json",
        ] {
            assert_eq!(FileName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn users_do_not_share_ids() {
        let fingerprint = Fingerprint::parse("000102030405060708090a0b0c0d0e0f").expect("it is one");
        assert_ne!(Id::of(fingerprint, 0), Id::of(fingerprint, 1000));
        assert_eq!(Id::parse(Id::of(fingerprint, 0).as_str()), Some(Id::of(fingerprint, 0)));
    }

    proptest! {
        #[test]
        fn no_name_makes_the_parser_panic(name in "\\PC*", near in "[0-9a-f]{11,13}-[0-9+]{0,20}\\.(json|txt|facts)?") {
            for name in [name, near] {
                if let Some(file) = FileName::parse(&name) {
                    prop_assert_eq!(file.to_string(), name);
                }
            }
        }
    }
}
