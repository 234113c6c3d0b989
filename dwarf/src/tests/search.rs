//! The three ways to find an entry agree on a real program: this test itself.
use object::{Object, ObjectSection};
use threaddump_arch::Arch;

use super::scene::Slice;
use crate::{Context, DebugCfi, EhCfi, EhSections, FdeIndex, FileAddress, Row};

fn slice(bytes: &[u8]) -> Slice<'_> {
    Slice::new(bytes, gimli::LittleEndian)
}

struct Program {
    eh_frame: (Vec<u8>, u64),
    eh_frame_hdr: (Vec<u8>, u64),
    text: std::ops::Range<u64>,
}

fn this_program() -> Program {
    let bytes = std::fs::read("/proc/self/exe").expect("a test can read itself");
    let file = object::File::parse(&*bytes).expect("a test is an ELF file");
    let section = |name| {
        let section = file.section_by_name(name).expect(name);
        (section.data().expect(name).to_vec(), section.address())
    };
    let (text, start) = section(".text");
    Program {
        eh_frame: section(".eh_frame"),
        eh_frame_hdr: section(".eh_frame_hdr"),
        text: start..start + text.len() as u64,
    }
}

impl Program {
    fn cfi(&self, with_table: bool) -> EhCfi<Slice<'_>> {
        let (table, address) = &self.eh_frame_hdr;
        let sections = EhSections {
            eh_frame: slice(&self.eh_frame.0),
            eh_frame_address: self.eh_frame.1,
            eh_frame_hdr: with_table.then(|| (slice(table), *address)),
            text_address: None,
            got_address: None,
        };
        EhCfi::new(Arch::X86_64, sections)
    }

    /// So many addresses, evenly over the code and a little beyond.
    fn addresses(&self, count: u64) -> impl Iterator<Item = FileAddress> {
        let (start, length) = (self.text.start - 0x100, self.text.end - self.text.start + 0x200);
        (0..count).map(move |index| FileAddress(start + (length / count) * index + index % 7))
    }
}

#[test]
fn search_table_index_and_linear_search_find_the_same_rows() {
    let program = this_program();
    let (searched, linear) = (program.cfi(true), program.cfi(false));
    assert!(!searched.wants_index(), "the linker's search table is usable");
    assert!(linear.wants_index());
    let index = FdeIndex::of_eh_frame(&linear);
    assert!(index.len() > 1000, "{}", index.len());
    let mut context = Context::new();
    let mut covered = 0;
    for (number, address) in program.addresses(20_000).enumerate() {
        let by_table = searched.row(&mut context, address, None).expect("good");
        let place = index.entry(address);
        let by_index = place.map(|place| linear.row(&mut context, address, Some(place)).expect("good"));
        assert_eq!(by_table, by_index.flatten(), "{address:x?}");
        covered += usize::from(by_table.is_some());
        if number % 400 == 0 {
            assert_eq!(by_table, linear.row(&mut context, address, None).expect("good"), "{address:x?}");
        }
    }
    assert!(covered > 15_000, "most of the code is covered: {covered}");
}

#[test]
fn a_section_that_runs_on_past_its_end_gives_the_same_rows() {
    // As when only .eh_frame_hdr is known and what follows .eh_frame is in the same segment.
    let program = this_program();
    let mut longer = this_program();
    longer.eh_frame.0.extend((0..100_000_u32).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()));
    let (exact, longer) = (program.cfi(true), longer.cfi(true));
    let mut context = Context::new();
    for address in program.addresses(2000) {
        let row = |cfi: &EhCfi<Slice<'_>>, context: &mut Context| cfi.row(context, address, None);
        assert_eq!(row(&exact, &mut context), row(&longer, &mut context));
    }
}

#[test]
fn the_same_rows_come_out_of_debug_frame() {
    use super::section::{Builder, Cie, Kind, ordinary};
    let mut builder = Builder::new(Kind::Debug);
    let cie = builder.cie(Cie { version: 4, augmentation: "", data: Vec::new(), ..ordinary() });
    // Not in the order of addresses, as linkers leave them.
    for function in [5_u64, 1, 3, 2, 4] {
        builder.fde(cie, 0x1000 * function, 0x800, &[0x44, 0x0e, 8 * function as u8]);
    }
    let cfi = DebugCfi::new(Arch::X86_64, slice(&builder.bytes));
    let index = FdeIndex::of_debug_frame(&cfi);
    assert_eq!(index.len(), 5);
    let mut context = Context::new();
    for address in (0..0x7000).step_by(0x123).map(FileAddress) {
        let linear = cfi.row(&mut context, address, None).expect("good");
        let place = index.entry(address);
        assert_eq!(place.is_some(), linear.is_some());
        let by_index = place.and_then(|place| cfi.row(&mut context, address, Some(place)).expect("good"));
        assert_eq!(by_index, linear);
    }
}

#[test]
fn rows_of_this_program_are_those_of_ordinary_functions() {
    let program = this_program();
    let cfi = program.cfi(true);
    let mut context = Context::new();
    let rows: Vec<Row> =
        program.addresses(5000).filter_map(|address| cfi.row(&mut context, address, None).ok()?).collect();
    assert!(rows.iter().all(|row| row.return_address == Arch::X86_64.pc()));
    let usual = rows.iter().filter(|row| row.get(Arch::X86_64.pc()) == crate::Rule::Offset(-8));
    assert!(usual.count() * 100 > rows.len() * 99);
}
