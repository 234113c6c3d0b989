//! Unwind sections that lie: what can still be used is used.
use super::section::{Builder, Cie, Kind, eh, ordinary};
use crate::{CfiError, Context, FdeIndex, FileAddress};

const FUNCTIONS: u64 = 100;

/// Functions of 16 bytes from 0x1000 on, each with a CFA of its own, and their search table.
fn functions() -> (Builder, Vec<(u64, usize)>) {
    let mut builder = Builder::new(Kind::Eh);
    let cie = builder.cie(ordinary());
    let rows = (0..FUNCTIONS)
        .map(|index| {
            let start = 0x1000 + 16 * index;
            (start, builder.fde(cie, start, 16, &[0x0e, 8 + index as u8]))
        })
        .collect();
    (builder, rows)
}

/// Whether the table is used, and whether every function is found.
#[track_caller]
fn check(bytes: &[u8], table: &[u8], used: bool) {
    let cfi = eh(bytes, Some(table));
    assert_eq!(!cfi.wants_index(), used);
    let index = FdeIndex::of_eh_frame(&cfi);
    assert_eq!(index.len(), FUNCTIONS as usize);
    let mut context = Context::new();
    for function in 0..FUNCTIONS {
        for offset in [0, 7, 15] {
            let address = FileAddress(0x1000 + 16 * function + offset);
            let row = cfi.row(&mut context, address, None).expect("the entries are good");
            let expected = crate::Cfa::RegisterOffset(super::scene::id("rsp"), 8 + function as i64);
            assert_eq!(row.as_ref().expect("covered").cfa, expected);
            assert_eq!(row, cfi.row(&mut context, address, index.entry(address)).expect("good"));
        }
    }
    for outside in [0, 0xfff, 0x1000 + 16 * FUNCTIONS, u64::MAX] {
        assert_eq!(cfi.row(&mut context, FileAddress(outside), None), Ok(None), "{outside:#x}");
        assert_eq!(index.entry(FileAddress(outside)), None, "{outside:#x}");
    }
}

#[test]
fn a_whole_search_table_is_used() {
    let (builder, rows) = functions();
    check(&builder.bytes, &Builder::table(&rows), true);
}

#[test]
fn a_table_that_is_not_sorted_is_left_aside() {
    let (builder, mut rows) = functions();
    rows.reverse();
    check(&builder.bytes, &Builder::table(&rows), false);
    rows.reverse();
    rows.swap(0, 1);
    check(&builder.bytes, &Builder::table(&rows), false);
}

#[test]
fn a_cut_table_is_left_aside() {
    let (builder, rows) = functions();
    let table = Builder::table(&rows);
    for length in [0, 1, 3, 4, 8, 11, 12, 13, 20, table.len() / 2, table.len() - 1] {
        check(&builder.bytes, &table[..length], false);
    }
}

#[test]
fn a_table_with_a_wrong_head_is_left_aside() {
    let (builder, rows) = functions();
    let table = Builder::table(&rows);
    let changed = |place: usize, value: u8| {
        let mut table = table.clone();
        table[place] = value;
        table
    };
    check(&builder.bytes, &changed(0, 2), false); // version
    check(&builder.bytes, &changed(1, 0xff), false); // no pointer to .eh_frame
    check(&builder.bytes, &changed(2, 0xff), false); // no count
    check(&builder.bytes, &changed(3, 0xff), false); // no table
    check(&builder.bytes, &changed(3, 0xbb), false); // indirect rows
    check(&builder.bytes, &changed(3, 0x01), false); // rows of no fixed size
    check(&builder.bytes, &changed(4, 0xf0), false); // another .eh_frame
    check(&builder.bytes, &changed(8, 0), false); // no entries
    check(&builder.bytes, &changed(11, 0xff), false); // four thousand million entries
}

#[test]
fn a_count_that_overflows_is_left_aside() {
    let (builder, rows) = functions();
    let table = Builder::table(&rows);
    for count in [u64::MAX, u64::MAX / 8, 1 << 61, 1 << 60] {
        let mut wide = table[..8].to_vec();
        wide[2] = 0x04; // eight bytes
        wide.extend(count.to_le_bytes());
        wide.extend(&table[12..]);
        check(&builder.bytes, &wide, false);
    }
}

#[test]
fn a_table_that_points_to_nothing_is_an_error_of_that_address() {
    let (builder, mut rows) = functions();
    rows[50].1 = builder.bytes.len() + 0x1000;
    let table = Builder::table(&rows);
    let cfi = eh(&builder.bytes, Some(&table));
    let mut context = Context::new();
    let bad = cfi.row(&mut context, FileAddress(0x1000 + 16 * 50), None);
    assert!(matches!(bad, Err(CfiError::Damaged(_))), "{bad:?}");
    assert!(matches!(cfi.row(&mut context, FileAddress(0x1000), None), Ok(Some(_))));
}

/// The table is in order where it is sampled, so it is used until it misleads.
#[test]
fn a_table_that_misleads_is_found_out() {
    let (builder, rows) = functions();
    let mut context = Context::new();
    let whole = Builder::table(&rows);
    let cfi = eh(&builder.bytes, Some(&whole));
    for address in [0, 0xfff, 0x1000, 0x1000 + 16 * FUNCTIONS, u64::MAX] {
        assert!(!cfi.table_misleads(FileAddress(address)), "{address:#x}");
    }
    let mut swapped = rows.clone();
    (swapped[7].1, swapped[8].1) = (rows[8].1, rows[7].1);
    let swapped = Builder::table(&swapped);
    let cfi = eh(&builder.bytes, Some(&swapped));
    let address = FileAddress(0x1000 + 16 * 7);
    assert_eq!(cfi.row(&mut context, address, None), Ok(None));
    assert!(cfi.table_misleads(address));
    assert!(!cfi.table_misleads(FileAddress(0x1000)));
    let place = rows[0].1;
    let shuffled: Vec<_> = (0..70_000).map(|index| (0x10_0000 + index, place)).chain(rows).collect();
    let shuffled = Builder::table(&shuffled);
    let cfi = eh(&builder.bytes, Some(&shuffled));
    assert!(!cfi.wants_index(), "the samples are in order");
    assert!(cfi.table_misleads(FileAddress(0x1000)));
}

#[test]
fn empty_sections_cover_nothing() {
    let mut context = Context::new();
    for table in [None, Some(&[][..])] {
        let cfi = eh(&[], table);
        assert_eq!(cfi.row(&mut context, FileAddress(0x1000), None), Ok(None));
        assert!(FdeIndex::of_eh_frame(&cfi).is_empty());
    }
    assert_eq!(Builder::new(Kind::Debug).row(0x1000), Ok(None));
    let (_, rows) = functions();
    let table = Builder::table(&rows);
    assert!(eh(&[], Some(&table)).row(&mut context, FileAddress(0x1000), None).is_err());
}

#[test]
fn a_damaged_entry_does_not_hide_the_others() {
    let (builder, rows) = functions();
    let mut bytes = builder.bytes.clone();
    let pointer = rows[10].1 + 4;
    bytes[pointer..pointer + 4].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]); // to no CIE
    let cfi = eh(&bytes, None);
    let index = FdeIndex::of_eh_frame(&cfi);
    assert_eq!(index.len(), FUNCTIONS as usize - 1);
    let mut context = Context::new();
    let mut row = |function: u64| cfi.row(&mut context, FileAddress(0x1000 + 16 * function), None);
    assert_eq!(row(10), Ok(None));
    assert!(matches!((row(9), row(11)), (Ok(Some(_)), Ok(Some(_)))));
}

#[test]
fn entries_up_to_the_end_of_a_cut_section_are_found() {
    let (builder, rows) = functions();
    let cut = &builder.bytes[..rows[60].1 + 5];
    let cfi = eh(cut, None);
    assert_eq!(FdeIndex::of_eh_frame(&cfi).len(), 60);
    let mut context = Context::new();
    assert!(matches!(cfi.row(&mut context, FileAddress(0x1000 + 16 * 59), None), Ok(Some(_))));
    assert_eq!(cfi.row(&mut context, FileAddress(0x1000 + 16 * 60), None), Ok(None));
}

#[test]
fn discarded_functions_at_address_zero_hide_nothing() {
    let mut builder = Builder::new(Kind::Debug);
    let plain = Cie { augmentation: "", data: Vec::new(), ..ordinary() };
    let cie = builder.cie(plain);
    for length in 0..20 {
        builder.fde(cie, 0, 0x2000 + length, &[0x0e, 99]);
    }
    builder.fde(cie, 0x1000, 0x10, &[0x0e, 16]);
    let row = builder.row(0x1008).expect("good").expect("covered");
    assert_eq!(row.cfa, crate::Cfa::RegisterOffset(super::scene::id("rsp"), 16));
    assert_eq!(builder.row(0x1010), Ok(None));
}

#[test]
fn an_entry_that_wraps_around_covers_nothing() {
    let mut builder = Builder::new(Kind::Eh);
    let cie = builder.cie(Cie { data: vec![0x00], ..ordinary() });
    builder.fde(cie, u64::MAX - 8, u64::MAX, &[]);
    builder.fde(cie, 0x1000, u64::MAX, &[]);
    builder.fde(cie, 0x1000, 0, &[]);
    for address in [0, 0xfff, 0x1000, 0x1001, u64::MAX] {
        assert_eq!(builder.row(address), Ok(None), "{address:#x}");
    }
}

#[test]
fn long_common_information_named_in_turn_is_no_work_without_end() {
    // 20,000 entries that name two CIEs of 60 KB alternately: 1.2 GB to parse without a limit.
    let mut builder = Builder::new(Kind::Eh);
    let augmentation: &'static str = format!("zR{}", "S".repeat(60_000)).leak();
    let cies = [(); 2].map(|()| builder.cie(Cie { augmentation, ..ordinary() }));
    for index in 0..20_000 {
        builder.fde(cies[index % 2], 0x1000 + 16 * index as u64, 16, &[]);
    }
    let begin = std::time::Instant::now();
    let cfi = eh(&builder.bytes, None);
    assert!(FdeIndex::of_eh_frame(&cfi).len() < 20_000);
    assert!(cfi.row(&mut Context::new(), FileAddress(0x9_0000), None).is_ok());
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

#[test]
fn entries_of_excessive_length_are_refused() {
    let mut builder = Builder::new(Kind::Eh);
    let cie = builder.cie(ordinary());
    let long = builder.fde(cie, 0x1000, 16, &vec![0; 2 << 20]);
    let place = builder.fde(cie, 0x2000, 16, &[]);
    let table = Builder::table(&[(0x1000, long), (0x2000, place)]);
    let cfi = eh(&builder.bytes, Some(&table));
    assert_eq!(cfi.row(&mut Context::new(), FileAddress(0x1000), None), Err(CfiError::TooLarge));
    assert!(matches!(cfi.row(&mut Context::new(), FileAddress(0x2000), None), Ok(Some(_))));
}
