//! How much a store keeps, and what goes first.
use std::collections::{BTreeMap, BinaryHeap};
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
    // Wide enough for any sum: a user can make files as large as the file system likes, without a byte in them.
    let (mut count, mut bytes, mut freed) = (0, 0_u128, 0_u128);
    for &one in held {
        let is_new = new == Some((one.owner, one.id));
        let age = now.duration_since(one.latest).unwrap_or_default();
        if age > limits.age && !is_new {
            gone.push((one.owner, one.id));
            freed += u128::from(one.bytes);
            continue;
        }
        count += 1;
        bytes += u128::from(one.bytes);
        if !is_new {
            owners.entry(one.owner).or_default().push(one);
        }
    }
    // The last is the oldest.
    owners.values_mut().for_each(|list| list.sort_by_key(|one| std::cmp::Reverse((one.latest, one.id))));
    for by_bytes in [true, false] {
        let weight = |one: &Held| if by_bytes { u128::from(one.bytes) } else { 1 };
        let weigh = |(&owner, list): (&u32, &Vec<Held>)| (list.iter().map(weight).sum::<u128>(), owner);
        let mut heaviest: BinaryHeap<(u128, u32)> = owners.iter().map(weigh).collect();
        let is_over = |count: usize, bytes: u128, freed: u128| match by_bytes {
            true => bytes > u128::from(limits.bytes) || freed < u128::from(short),
            false => count > limits.crashes,
        };
        while is_over(count, bytes, freed) {
            let Some((all, owner)) = heaviest.pop() else { break };
            let Some(oldest) = owners.get_mut(&owner).and_then(Vec::pop) else { continue };
            gone.push((owner, oldest.id));
            count -= 1;
            bytes -= u128::from(oldest.bytes);
            freed += u128::from(oldest.bytes);
            heaviest.push((all - weight(&oldest), owner));
        }
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
    fn sums_that_do_not_fit_into_64_bits_hide_nothing() {
        let huge = |number| held(1, number, u64::MAX / 2, 5);
        let all = [huge(1), huge(2), huge(3), huge(4), held(2, 5, 10, 60)];
        let mut gone = gone(&all, limits(9, 100), 0, None);
        gone.sort_unstable();
        assert_eq!(gone, [key(all[0]), key(all[1]), key(all[2]), key(all[3])]);
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
        assert_eq!(gone(&all, limits(9, 10), u64::MAX, None), [key(all[1]), key(all[0])]);
        assert_eq!(gone(&all, limits(9, u64::MAX), u64::MAX, None), [key(all[1])]);
    }
}
