//! How much a store keeps, and what goes first.
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::Id;

/// How much a store keeps. What looks alike counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Crashes, of all users together.
    pub crashes: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Age of the latest of those that look alike.
    pub age: Duration,
    /// Bytes of the file system that stay free. `None`: a twentieth of it, or a gibibyte if that is less.
    pub keep_free: Option<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { crashes: 1000, bytes: 1 << 30, age: Duration::from_secs(90 * 24 * 60 * 60), keep_free: None }
    }
}

impl Limits {
    /// Bytes that stay free on a file system of this size.
    pub(super) fn keep_free(&self, size: u64) -> u64 {
        self.keep_free.unwrap_or((size / 20).min(1 << 30))
    }
}

/// Crashes that look alike, as far as limits are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) owner: u32,
    pub(super) id: Id,
    pub(super) bytes: u64,
    pub(super) latest: SystemTime,
}

/// What has to go, so that the limits are kept and `short` more bytes of the file system are free. `new` stays.
///
/// Where there is too much, the oldest of the user who has most goes first: otherwise one who lets programs crash
/// on purpose could push out the crashes of others.
pub(super) fn surplus(
    held: &[Held],
    limits: &Limits,
    short: u64,
    new: Option<(u32, Id)>,
    now: SystemTime,
) -> Vec<(u32, Id)> {
    let mut gone = Vec::new();
    let mut owners: BTreeMap<u32, Vec<Held>> = BTreeMap::new();
    let (mut count, mut bytes, mut freed) = (0, 0_u64, 0_u64);
    for &one in held {
        let is_new = new == Some((one.owner, one.id));
        let age = now.duration_since(one.latest).unwrap_or_default();
        if age > limits.age && !is_new {
            gone.push((one.owner, one.id));
            freed = freed.saturating_add(one.bytes);
            continue;
        }
        count += 1;
        bytes = bytes.saturating_add(one.bytes);
        if !is_new {
            owners.entry(one.owner).or_default().push(one);
        }
    }
    // The last is the oldest.
    owners.values_mut().for_each(|list| list.sort_by_key(|one| std::cmp::Reverse((one.latest, one.id))));
    while count > limits.crashes || bytes > limits.bytes || freed < short {
        let by_bytes = bytes > limits.bytes || freed < short;
        let weight = |list: &[Held]| match by_bytes {
            true => list.iter().fold(0_u64, |sum, one| sum.saturating_add(one.bytes)),
            false => list.len() as u64,
        };
        let Some(list) = owners.values_mut().max_by_key(|list| weight(list)) else { break };
        let Some(oldest) = list.pop() else { break };
        gone.push((oldest.owner, oldest.id));
        count -= 1;
        bytes = bytes.saturating_sub(oldest.bytes);
        freed = freed.saturating_add(oldest.bytes);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(owner: u32, number: u8, bytes: u64, age: u64) -> Held {
        let id = Id::parse(&format!("{number:012x}")).expect("it is one");
        Held { owner, id, bytes, latest: now() - Duration::from_secs(age) }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    fn limits(crashes: usize, bytes: u64) -> Limits {
        Limits { crashes, bytes, age: Duration::from_secs(1000), keep_free: None }
    }

    fn gone(held: &[Held], limits: Limits, short: u64, new: Option<(u32, Id)>) -> Vec<(u32, Id)> {
        surplus(held, &limits, short, new, now())
    }

    fn key(held: Held) -> (u32, Id) {
        (held.owner, held.id)
    }

    #[test]
    fn nothing_goes_within_the_limits() {
        let all = [held(1, 1, 10, 5), held(1, 2, 10, 6)];
        assert_eq!(gone(&all, limits(2, 20), 0, None), []);
    }

    #[test]
    fn the_oldest_goes_first() {
        let all = [held(1, 1, 10, 5), held(1, 2, 10, 60), held(1, 3, 10, 7)];
        assert_eq!(gone(&all, limits(2, 1000), 0, None), [key(all[1])]);
        assert_eq!(gone(&all, limits(9, 10), 0, None), [key(all[1]), key(all[2])]);
        assert_eq!(gone(&all, limits(9, 1000), 11, None), [key(all[1]), key(all[2])]);
    }

    #[test]
    fn what_is_too_old_goes_in_any_case() {
        let all = [held(1, 1, 10, 5), held(1, 2, 10, 1001)];
        assert_eq!(gone(&all, limits(9, 1000), 0, None), [key(all[1])]);
    }

    #[test]
    fn who_has_most_gives_first() {
        let all = [held(1, 1, 10, 900), held(2, 2, 10, 1), held(2, 3, 10, 2), held(2, 4, 10, 3)];
        assert_eq!(gone(&all, limits(3, 1000), 0, None), [key(all[3])]);
        let all = [held(1, 1, 10, 900), held(2, 2, 900, 1)];
        assert_eq!(gone(&all, limits(9, 500), 0, None), [key(all[1])]);
    }

    #[test]
    fn the_new_one_stays() {
        let all = [held(1, 1, 10, 2000), held(1, 2, 10, 5)];
        assert_eq!(gone(&all, limits(1, 1000), 0, Some(key(all[0]))), [key(all[1])]);
        assert_eq!(gone(&all, limits(0, 0), 1000, Some(key(all[0]))), [key(all[1])]);
    }

    #[test]
    fn sizes_that_cannot_be_do_not_overflow() {
        let all = [held(1, 1, u64::MAX, 5), held(1, 2, u64::MAX, 6)];
        assert_eq!(gone(&all, limits(9, 10), u64::MAX, None), [key(all[1])]);
    }
}
