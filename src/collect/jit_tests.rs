use super::super::memory::Memory;
use super::*;

/// Descriptor and entries in our own memory, which is read like that of another.
struct Lab {
    descriptor: Box<[u64; 3]>,
    #[expect(clippy::vec_box, reason = "they must not move")]
    entries: Vec<Box<[u64; 4]>>,
}

impl Lab {
    /// So many entries, the last registered first in the list.
    fn new(count: usize) -> Lab {
        let mut lab = Lab { descriptor: Box::new([1, 0, 0]), entries: Vec::new() };
        (0..count).for_each(|_| lab.register());
        lab
    }

    fn address(&self, index: usize) -> u64 {
        self.entries[index].as_ptr() as u64
    }

    fn register(&mut self) {
        let index = self.entries.len() as u64;
        self.entries.push(Box::new([self.descriptor[2], 0, 0x1000 * index, index]));
        let new = self.address(index as usize);
        *self.descriptor = [1 | 1 << 32, new, new];
    }

    fn place(&self) -> u64 {
        self.descriptor.as_ptr() as u64
    }

    fn read(&self) -> Lists {
        Lists::read(&memory(), &[self.place()])
    }

    /// The numbers of the entries that are found now, if the lists were read before.
    fn found(&self, before: &Lists) -> (Vec<u64>, Vec<String>) {
        let memory = memory();
        let seen = before.look(&memory, memory.via());
        let (entries, problems) = before.entries(&seen, &memory);
        (entries.iter().map(|entry| entry.size).collect(), problems)
    }
}

fn memory() -> Memory {
    Memory::of(Tid(std::process::id() as i32))
}

fn down(from: u64) -> Vec<u64> {
    (0..from).rev().collect()
}

#[test]
fn a_list_is_found_from_the_newest_entry_on() {
    let lab = Lab::new(3);
    let lists = lab.read();
    assert!(lists.0[0].problems.is_empty());
    assert_eq!(lab.found(&lists), (down(3), Vec::new()));
    let none = Lists::read(&memory(), &[]);
    assert_eq!(lab.found(&none), (Vec::new(), Vec::new()));
}

#[test]
fn what_is_registered_before_the_stop_is_found() {
    let mut lab = Lab::new(3);
    let lists = lab.read();
    lab.register();
    lab.register();
    assert_eq!(lab.found(&lists), (down(5), Vec::new()));
    for _ in 0..MAX_HELD {
        lab.register();
    }
    assert_eq!(lab.found(&lists), (down(5 + MAX_HELD as u64), Vec::new()), "read after the release");
    let empty = Lab::new(0);
    let lists = empty.read();
    assert_eq!(empty.found(&lists), (Vec::new(), Vec::new()));
}

#[test]
fn what_is_unregistered_before_the_stop_is_left_out() {
    let mut lab = Lab::new(4);
    let lists = lab.read();
    lab.entries[3][0] = lab.address(1);
    *lab.descriptor = [1 | 2 << 32, lab.address(2), lab.address(3)];
    assert_eq!(lab.found(&lists), (vec![3, 1, 0], Vec::new()));
    let lists = lab.read();
    *lab.descriptor = [1 | 2 << 32, lab.address(3), lab.address(1)];
    assert_eq!(lab.found(&lists), (vec![1, 0], Vec::new()), "the newest one");
}

#[test]
fn an_entry_at_the_place_of_an_old_one_is_read_again() {
    let mut lab = Lab::new(2);
    let lists = lab.read();
    lab.entries[1][3] = 77;
    *lab.descriptor = [1 | 1 << 32, lab.address(1), lab.address(1)];
    lab.descriptor[0] |= 1 << 33;
    assert_eq!(lab.found(&lists).0, [77, 0]);
}

#[test]
fn circles_and_holes_end_a_list_and_are_told() {
    let mut lab = Lab::new(3);
    lab.entries[0][0] = lab.address(2);
    let lists = lab.read();
    assert_eq!(lab.found(&lists).0, down(3));
    assert_eq!(lists.0[0].problems, ["the list of generated code goes in a circle"]);
    lab.entries[0][0] = 0x10;
    let lists = lab.read();
    assert_eq!(lab.found(&lists).0, down(3));
    assert_eq!(lists.0[0].problems, ["cannot read the list of generated code at 0x10"]);
    lab.entries[0][0] = u64::MAX - 3;
    assert_eq!(lab.read().0[0].problems.len(), 1);
}

#[test]
fn circles_made_before_the_stop_end_as_well() {
    let mut lab = Lab::new(1);
    let lists = lab.read();
    lab.register();
    lab.entries[1][0] = lab.address(1);
    let (found, problems) = lab.found(&lists);
    assert_eq!((found, problems.len()), (vec![1], 1));
    lab.descriptor[2] = 0x10;
    let unreadable = "cannot read the list of generated code at 0x10".to_owned();
    assert_eq!(lab.found(&lists), (Vec::new(), vec![unreadable]));
}

#[test]
fn a_list_without_end_is_cut() {
    let lab = Lab::new(MAX_ENTRIES + 2);
    let lists = lab.read();
    assert_eq!(lab.found(&lists).0.len(), MAX_ENTRIES);
    assert!(lists.0[0].problems[0].starts_with("only "), "{:?}", lists.0[0].problems);
}

#[test]
fn descriptors_that_are_none_are_passed_over() {
    let mut lab = Lab::new(1);
    lab.descriptor[0] = 2;
    let lists = lab.read();
    assert!(lab.found(&lists).0.is_empty());
    assert_eq!(lists.0[0].problems, ["generated code is registered in an unknown version, 2"]);
    for place in [0, 8, u64::MAX, u64::MAX - 20] {
        let lists = Lists::read(&memory(), &[place]);
        assert_eq!(lab.found(&lists), (Vec::new(), Vec::new()), "{place:#x}");
    }
}

#[test]
fn entries_that_changed_their_order_are_followed_as_they_are_now() {
    let mut lab = Lab::new(4);
    let lists = lab.read();
    let places: Vec<u64> = (0..4).map(|index| lab.address(index)).collect();
    for (from, to) in [(1, 3), (3, 0), (0, 2)] {
        lab.entries[from][0] = places[to];
    }
    lab.entries[2][0] = 0;
    *lab.descriptor = [1 | 1 << 32, places[1], places[1]];
    assert_eq!(lab.found(&lists), (vec![1, 3, 0, 2], Vec::new()));
}
