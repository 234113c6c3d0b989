//! Debug files that are cut off, overwritten, or another program's.
use std::fs;

use crate::build::Folder;
use crate::program::{dump, is_bare, is_whole, start};

/// What is done to a file: it is cut off at a third or two thirds, its end is overwritten, or its middle.
fn damages(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut list = vec![
        ("empty", Vec::new()),
        ("a third", bytes[..bytes.len() / 3].to_vec()),
        ("two thirds", bytes[..bytes.len() * 2 / 3].to_vec()),
        ("no ELF file", b"#!/bin/sh\n".repeat(100)),
    ];
    for (name, start) in [("the middle", bytes.len() / 3), ("the end", bytes.len() * 2 / 3)] {
        let mut copy = bytes.to_vec();
        let end = (start + bytes.len() / 4).min(copy.len());
        copy[start..end].fill(0xa5);
        list.push((name, copy));
    }
    list
}

/// Whether the names of the functions that are not inlined are there, from wherever.
fn has_names(frames: &[String]) -> bool {
    let has = |name: &str| frames.iter().any(|frame| frame.split([':', '.']).next() == Some(name));
    has("stay") && has("outer") && has("main")
}

#[test]
fn a_damaged_debug_file_costs_its_own_names() {
    let folder = Folder::new("damaged-debug");
    let id = folder.separate();
    // With its symbol table left, the program has names whatever the debug file says.
    folder.run("separate_debug.c", "strip --strip-debug -o named full");
    let dir = folder.path("dir");
    let place = folder.put(&dir, &id);
    let whole = fs::read(&place).unwrap();
    let arguments = ["--debug-dir", dir.to_str().unwrap()];
    let (named, bare) = (start(&folder.path("named")), start(&folder.path("prog")));
    assert!(is_whole(&dump(named.pid(), &arguments, &[]).0));
    for (what, bytes) in damages(&whole) {
        fs::write(&place, bytes).unwrap();
        let (frames, problems) = dump(named.pid(), &arguments, &[]);
        assert!(has_names(&frames), "{what}: {frames:?} {problems:?}");
        dump(bare.pid(), &arguments, &[]);
    }
}

#[test]
fn a_debug_file_of_another_program_is_refused_with_both_build_ids() {
    let folder = Folder::new("other-debug");
    let id = folder.separate();
    let dir = folder.path("dir");
    folder.run("separate_debug.c", "cc -O1 -g -Wl,--build-id=0x1234567890 $SRC -o prog.debug");
    let place = folder.put(&dir, &id);
    let running = start(&folder.path("prog"));
    let (frames, problems) = dump(running.pid(), &["--debug-dir", dir.to_str().unwrap()], &[]);
    assert!(is_bare(&frames), "{frames:?}");
    let note = format!("cannot use debug file {}: its build ID is 1234567890, not {id}", place.display());
    assert!(problems.contains(&note), "{problems:?}");
}

#[test]
fn a_linked_debug_file_that_was_changed_is_refused_with_both_checksums() {
    let folder = Folder::new("other-checksum");
    folder.run(
        "separate_debug.c",
        "cc -O2 -g -Wl,--build-id=none $SRC -o full && objcopy --only-keep-debug full prog.debug && \
         strip -o prog full && objcopy --add-gnu-debuglink=prog.debug prog",
    );
    let running = start(&folder.path("prog"));
    assert!(is_whole(&dump(running.pid(), &[], &[]).0));
    let mut bytes = fs::read(folder.path("prog.debug")).unwrap();
    bytes.push(0);
    fs::write(folder.path("prog.debug"), bytes).unwrap();
    let (frames, problems) = dump(running.pid(), &[], &[]);
    assert!(is_bare(&frames), "{frames:?}");
    let is_note = |text: &String| text.contains("prog.debug: its checksum is ") && text.contains(", not ");
    assert!(problems.iter().any(is_note), "{problems:?}");
}

const SPLIT: &str = "gcc -O2 -gdwarf-5 -gsplit-dwarf -c $SRC -o a.o && gcc a.o -o prog";

#[test]
fn a_damaged_dwo_file_costs_functions_but_no_lines_and_no_symbols() {
    let folder = Folder::new("damaged-dwo");
    folder.run("split_dwarf.c", SPLIT);
    let running = start(&folder.path("prog"));
    assert!(is_whole(&dump(running.pid(), &[], &[]).0));
    for (what, bytes) in damages(&fs::read(folder.path("a.dwo")).unwrap()) {
        fs::write(folder.path("a.dwo"), bytes).unwrap();
        let (frames, problems) = dump(running.pid(), &[], &[]);
        let lines = frames.iter().all(|frame| frame.contains(':'));
        assert!(has_names(&frames) && lines, "{what}: {frames:?} {problems:?}");
        assert!(
            is_whole(&frames) || problems.iter().any(|text| text.contains("split debug file")),
            "{what}: {problems:?}"
        );
    }
    fs::remove_file(folder.path("a.dwo")).unwrap();
    let (frames, problems) = dump(running.pid(), &[], &[]);
    assert!(has_names(&frames), "{frames:?}");
    assert!(problems.iter().any(|text| text.ends_with("was not found")), "{problems:?}");
}

#[test]
fn a_dwo_file_of_another_build_is_refused_with_both_ids() {
    let folder = Folder::new("other-dwo");
    folder.run("split_dwarf.c", SPLIT);
    folder.run("split_dwarf.c", "gcc -O1 -DOTHER -gdwarf-5 -gsplit-dwarf -c $SRC -o b.o && mv b.dwo a.dwo");
    let running = start(&folder.path("prog"));
    let (frames, problems) = dump(running.pid(), &[], &[]);
    assert!(has_names(&frames) && !is_whole(&frames), "{frames:?}");
    let note = problems.iter().find(|text| text.contains("a.dwo: its dwo id is ")).expect("a note");
    let ids: Vec<&str> =
        note.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 16).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{note}");
}

#[test]
fn a_damaged_package_costs_functions_but_no_lines_and_no_symbols() {
    let folder = Folder::new("damaged-dwp");
    folder.run(
        "split_dwarf.c",
        "gcc -O2 -gdwarf-4 -gsplit-dwarf -c $SRC -o a.o && gcc a.o -o prog && dwp -e prog -o prog.dwp && rm a.dwo",
    );
    let running = start(&folder.path("prog"));
    assert_eq!(dump(running.pid(), &[], &[]).1, Vec::<String>::new());
    assert!(is_whole(&dump(running.pid(), &[], &[]).0));
    let package = fs::read(folder.path("prog.dwp")).unwrap();
    for length in [64, package.len() / 2, package.len() - 1] {
        fs::write(folder.path("prog.dwp"), &package[..length]).unwrap();
        let (_, problems) = dump(running.pid(), &[], &[]);
        let note = format!("prog.dwp: it is cut off: it has {length} bytes of {}", package.len());
        assert!(problems.iter().any(|text| text.ends_with(&note)), "{problems:?}");
    }
    for (what, bytes) in damages(&package) {
        fs::write(folder.path("prog.dwp"), bytes).unwrap();
        let (frames, problems) = dump(running.pid(), &[], &[]);
        let lines = frames.iter().all(|frame| frame.contains(':'));
        assert!(has_names(&frames) && lines, "{what}: {frames:?} {problems:?}");
        assert!(is_whole(&frames) || !problems.is_empty(), "{what}");
    }
}

#[test]
fn damaged_mini_debug_info_costs_its_own_names() {
    let folder = Folder::new("damaged-mini");
    folder.run(
        "mini_debug_info.c",
        "cc -O2 -g -Wl,--build-id=sha1 -rdynamic $SRC -o full && strip -o bare full && \
         objcopy -S -w --keep-symbol='stay*' full mini && xz -c mini > mini.xz && \
         cp mini.xz damaged.xz && objcopy --add-section .gnu_debugdata=mini.xz bare prog",
    );
    let functions = |what: &str| {
        let running = start(&folder.path("prog"));
        let (frames, problems) = dump(running.pid(), &[], &[]);
        assert!(frames.iter().any(|frame| frame.starts_with("outer")), "{what}: {frames:?}");
        (frames[0].starts_with("stay"), problems)
    };
    assert_eq!(functions("whole"), (true, Vec::new()));
    for (what, bytes) in damages(&fs::read(folder.path("mini.xz")).unwrap()) {
        fs::write(folder.path("damaged.xz"), bytes).unwrap();
        folder.run("mini_debug_info.c", "objcopy --add-section .gnu_debugdata=damaged.xz bare prog");
        let (found, problems) = functions(what);
        let is_note = |text: &String| text.contains("cannot use .gnu_debugdata of ");
        // An empty section is none.
        assert!(!found && (what == "empty" || problems.iter().any(is_note)), "{what}: {problems:?}");
    }
    folder.run(
        "mini_debug_info.c",
        "cc -O2 -g -Wl,--build-id=0x1234567890 -rdynamic $SRC -o second && \
         objcopy -S -w --keep-symbol='stay*' second mini && xz -c mini > mini.xz && \
         objcopy --add-section .gnu_debugdata=mini.xz bare prog",
    );
    let (found, problems) = functions("another build ID");
    let is_note = |text: &String| text.contains("its build ID is 1234567890, not ");
    assert!(!found && problems.iter().any(is_note), "{problems:?}");
}
