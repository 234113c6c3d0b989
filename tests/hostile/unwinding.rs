//! Unwind information that lies, turns in circles, or asks for endless work.
use super::case::{Case, Wants, called, stacked};
use super::craft::{
    BACK, CALL, CALL_RULES, Craft, TEXT, WAIT, block, cie, eh_frame, entry, fde, plain_cie, table, uleb,
};
use super::stage::Folder;

/// Words of the largest stack that is copied.
const WORDS: u64 = (16 << 20) / 8 - 8192;

const fn case(name: &'static str, make: fn(&Folder) -> Vec<String>, wants: Wants) -> Case {
    Case { name, make, wants }
}

pub(crate) const CASES: &[Case] = &[
    case("cfi: nothing wrong", |folder| called(folder, &Craft::new()), Wants::Whole),
    case("search table: not sorted", unsorted_table, Wants::Whole),
    case("search table: shuffled deep inside", shuffled_table, Wants::Whole),
    case("search table: entries of other functions", swapped_table, Wants::Whole),
    case("search table: pointers into nothing", |folder| table_of(folder, u64::MAX - 7, 2), Wants::Whole),
    case("search table: pointers to itself", |folder| table_of(folder, TEXT + 0x1100, 2), Wants::Whole),
    case("search table: pointers to the CIE", table_of_cie, Wants::Whole),
    case("search table: a count of four thousand million", huge_count, Wants::Whole),
    case("search table: points to itself as the section", table_is_section, Wants::Whole),
    case("search table: cut off", cut_table, Wants::Whole),
    case("search table: a million equal rows", equal_rows, Wants::Whole),
    case("cfi: a CFA that stays", |folder| ruled(folder, &[0x0c, 7, 0, 0x90, 0]), PROGRESS),
    case("cfi: a CFA below", |folder| ruled(folder, &[0x12, 7, 1]), PROGRESS),
    case(
        "cfi: a return address that is the function itself",
        |folder| ruled(folder, &[0x09, 16, 16]),
        PROGRESS,
    ),
    case("cfi: two stacks that lead to each other", two_stacks, PROGRESS),
    case("cfi: rows of a stack in turn", pivot_by_registers, Wants::Anything),
    case("cfi: a million frames", |folder| stacked(folder, &Craft::new(), 0, WORDS, 1), Wants::Anything),
    case("cfi: sixteen threads with a million frames each", many_deep, Wants::Says(&["work_limit"])),
    case("expression: an endless loop", |folder| cfa_expression(folder, &[0x2f, 0xfd, 0xff]), RULES),
    case("expression: an endless loop by a condition", |folder| cfa_expression(folder, LOOP), RULES),
    case("expression: a full stack", |folder| cfa_expression(folder, &[0x30; 5000]), RULES),
    case("expression: an empty stack", |folder| cfa_expression(folder, &[0x22; 10]), RULES),
    case("expression: nothing", |folder| cfa_expression(folder, &[]), RULES),
    case("expression: pieces without end", |folder| cfa_expression(folder, &[0x93, 1].repeat(4000)), RULES),
    case("expression: calls", |folder| cfa_expression(folder, &[0x98, 0, 0, 0x30]), RULES),
    case("expression: the value at entry", |folder| cfa_expression(folder, &[0xa3, 1, 0x57]), RULES),
    case("expression: longer than its section", long_expression, Wants::Anything),
    case("expression: division by nothing", |folder| cfa_expression(folder, &[0x31, 0x30, 0x1b]), RULES),
    case("expression: all registers loop on a million frames", register_bombs, Wants::Says(&["work_limit"])),
    case("rows: a megabyte of instructions at each of many addresses", instruction_bomb, Wants::Anything),
    case("rows: states remembered and never restored", |folder| ruled(folder, &[0x0a; 5000]), DAMAGED),
    case("rows: rules for a thousand columns", thousand_columns, DAMAGED),
    case("rows: a column that is no register", |folder| ruled(folder, &[0x0d, 99]), DAMAGED),
    case(
        "rows: advance by more than there is",
        |folder| ruled(folder, &[0x04, 255, 255, 255, 255]),
        Wants::Anything,
    ),
    case("rows: unknown instructions", |folder| ruled(folder, &[0x3f, 0x3e, 0x3c]), DAMAGED),
    case("rows: negative offsets that overflow", overflow, Wants::Anything),
    case("eh_frame: entries that name a CIE in themselves", own_cie, Wants::Anything),
    case("eh_frame: entries of the longest length", long_entries, Wants::Anything),
    case("eh_frame: a CIE of a megabyte for each entry", long_cies, Wants::Anything),
    case("eh_frame: augmentation without end", long_augmentation, Wants::Anything),
    case("eh_frame: indirect pointers", indirect, Wants::Anything),
    case("eh_frame: a hundred thousand overlapping entries", overlapping, Wants::Anything),
    case("eh_frame: random bytes", random, Wants::Anything),
];

/// A stack ends where nothing of it was copied, or where a word is no return address.
const PROGRESS: Wants =
    Wants::Says(&["no_progress", "unwind_rules_failed", "unreadable_stack", "bad_return_address"]);
const RULES: Wants = Wants::Says(&["unwind_rules_failed", "damaged_unwind_info"]);
const DAMAGED: Wants = Wants::Says(&["damaged_unwind_info", "unwind_info_too_large"]);
/// `DW_OP_lit1; DW_OP_bra -4`
const LOOP: &[u8] = &[0x31, 0x28, 0xfc, 0xff];

/// Instructions for the function that is called.
fn ruled(folder: &Folder, rules: &[u8]) -> Vec<String> {
    let mut craft = Craft::new();
    craft.rules(rules, &[]);
    called(folder, &craft)
}

fn cfa_expression(folder: &Folder, expression: &[u8]) -> Vec<String> {
    ruled(folder, &[&[0x0f][..], &block(expression)].concat())
}

/// Rows of single addresses, so that a table can be as long as it likes.
fn rows_of(craft: &Craft) -> Vec<(u64, u64)> {
    let (_, rows) = eh_frame(craft.text_size, &CALL_RULES, &[]);
    rows.into_iter().map(|(start, place)| (start, craft.eh_address() + place)).collect()
}

fn with_table(folder: &Folder, rows: &[(u64, u64)], count: u32) -> Vec<String> {
    let mut craft = Craft::new();
    craft.table = Some(table(craft.eh_address(), count, rows));
    called(folder, &craft)
}

fn unsorted_table(folder: &Folder) -> Vec<String> {
    let mut rows = rows_of(&Craft::new());
    rows.reverse();
    with_table(folder, &rows, 2)
}

/// In order where it is looked at first, and the entries that matter at the wrong end.
fn shuffled_table(folder: &Folder) -> Vec<String> {
    let right = rows_of(&Craft::new());
    let mut rows: Vec<(u64, u64)> = (0..70_000).map(|index| (0x10_0000 + index, right[1].1)).collect();
    rows.extend(&right);
    with_table(folder, &rows, rows.len() as u32)
}

fn swapped_table(folder: &Folder) -> Vec<String> {
    let rows = rows_of(&Craft::new());
    with_table(folder, &[(rows[0].0, rows[1].1), (rows[1].0, rows[0].1)], 2)
}

fn table_of(folder: &Folder, place: u64, count: u32) -> Vec<String> {
    let rows = rows_of(&Craft::new());
    with_table(folder, &[(rows[0].0, place), (rows[1].0, place)], count)
}

fn table_of_cie(folder: &Folder) -> Vec<String> {
    let at = Craft::new().eh_address();
    table_of(folder, at, 2)
}

fn huge_count(folder: &Folder) -> Vec<String> {
    with_table(folder, &rows_of(&Craft::new()), u32::MAX)
}

fn table_is_section(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    let size = craft.eh_frame.as_ref().map_or(0, Vec::len) as u64;
    let itself = (craft.eh_address() + size).next_multiple_of(16);
    craft.table = Some(table(itself, 1, &[(CALL, itself)]));
    called(folder, &craft)
}

fn cut_table(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    if let Some(table) = &mut craft.table {
        table.truncate(21);
    }
    called(folder, &craft)
}

fn equal_rows(folder: &Folder) -> Vec<String> {
    let row = rows_of(&Craft::new())[1];
    with_table(folder, &vec![(CALL, row.1); 1_000_000], 1_000_000)
}

/// CFA = the word at the stack pointer; the return address is below it.
fn two_stacks(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    craft.rules(&CALL_RULES, &[0x0f, 3, 0x77, 0, 0x06]);
    let path = folder.write("crafted.so", &craft.build());
    vec![format!("{},0,pivot,{WAIT:#x},{BACK:#x}", path.display())]
}

/// The frame pointer and the stack pointer change places at each frame.
fn pivot_by_registers(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::new();
    craft.rules(&CALL_RULES, &[0x09, 7, 6, 0x09, 6, 7]);
    stacked(folder, &craft, 0, 10_000, 1)
}

fn many_deep(folder: &Folder) -> Vec<String> {
    stacked(folder, &Craft::new(), 0, WORDS / 4, 16)
}

fn long_expression(folder: &Folder) -> Vec<String> {
    ruled(folder, &[&[0x0f][..], &uleb(1 << 40)].concat())
}

/// Each of the registers, by an expression that never ends.
fn register_bombs(folder: &Folder) -> Vec<String> {
    let registers = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let rules: Vec<u8> =
        registers.iter().flat_map(|register| [0x16, *register, 3, 0x2f, 0xfd, 0xff]).collect();
    let mut craft = Craft::new();
    craft.rules(&CALL_RULES, &rules);
    stacked(folder, &craft, 0, WORDS, 1)
}

/// Instructions that change nothing, before every address of a large function.
fn instruction_bomb(folder: &Folder) -> Vec<String> {
    let mut craft = Craft::with_text(4 << 20);
    craft.rules(&CALL_RULES, &[0x0e, 8].repeat((1 << 19) - 64));
    stacked(folder, &craft, 1, 1_000_000, 1)
}

fn thousand_columns(folder: &Folder) -> Vec<String> {
    let rules: Vec<u8> = (0..1000).flat_map(|column| [&[0x07][..], &uleb(column + 20)].concat()).collect();
    ruled(folder, &rules)
}

fn overflow(folder: &Folder) -> Vec<String> {
    ruled(folder, &[&[0x0c, 7][..], &uleb(u64::MAX >> 1), &[0x11, 16], &uleb(u64::MAX >> 1)].concat())
}

fn with_eh_frame(folder: &Folder, bytes: Vec<u8>) -> Vec<String> {
    let mut craft = Craft::new();
    craft.eh_frame = Some(bytes);
    craft.table = None;
    called(folder, &craft)
}

fn own_cie(folder: &Folder) -> Vec<String> {
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        bytes.extend(fde(bytes.len(), bytes.len(), CALL, 0x10, &[]));
    }
    with_eh_frame(folder, bytes)
}

fn long_entries(folder: &Folder) -> Vec<String> {
    let mut bytes = plain_cie();
    bytes.extend([0xff; 4]);
    bytes.extend(u64::MAX.to_le_bytes());
    bytes.extend([0; 64]);
    with_eh_frame(folder, bytes)
}

/// Every entry names another long CIE in turn.
fn long_cies(folder: &Folder) -> Vec<String> {
    let one = cie(&[0; 60_000]);
    let two = [one.clone(), one.clone()].concat();
    let mut bytes = two;
    for index in 0..100_000 {
        let which = if index % 2 == 0 { 0 } else { one.len() };
        bytes.extend(fde(bytes.len(), which, CALL + 0x100 + index, 1, &[]));
    }
    with_eh_frame(folder, bytes)
}

fn long_augmentation(folder: &Folder) -> Vec<String> {
    let names = [&b"z"[..], &b"R".repeat(1 << 20), b"\0"].concat();
    let mut bytes = entry(&[&[0, 0, 0, 0, 1][..], &names, &[1, 0x78, 16, 1, 0]].concat());
    bytes.extend(fde(bytes.len(), 0, CALL, 0x10, &[]));
    with_eh_frame(folder, bytes)
}

fn indirect(folder: &Folder) -> Vec<String> {
    let mut bytes = entry(
        &[&[0, 0, 0, 0, 1][..], b"zPLR\0", &[1, 0x78, 16, 12, 0x80, 0, 0x10, 0, 0, 0, 0, 0, 0, 0x90, 0x90]]
            .concat(),
    );
    bytes.extend(fde(bytes.len(), 0, CALL, 0x10, &[]));
    with_eh_frame(folder, bytes)
}

fn overlapping(folder: &Folder) -> Vec<String> {
    let mut bytes = plain_cie();
    for index in 0..100_000 {
        bytes.extend(fde(bytes.len(), 0, CALL - index % 64, 0x10_0000, &[]));
    }
    with_eh_frame(folder, bytes)
}

fn random(folder: &Folder) -> Vec<String> {
    let mut state = 0x1234_5678_9abc_def0_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let bytes = std::iter::repeat_with(next).take(1 << 20).collect();
    with_eh_frame(folder, bytes)
}
