//! The relay in small programs: what is shown, and that nothing else changes.
mod relay;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use relay::{Block, again_for_i386, build, build_rust, build_with, parse, run, run_with_relay, unique};

const SIGQUIT: i32 = 3;
const SIGABRT: i32 = 6;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;

fn whole(blocks: &[Block]) {
    for block in blocks {
        assert!(block.reached && !block.ended_early, "{block:#?}");
    }
}

fn is_in(block: &Block, function: &str) -> bool {
    block.functions.iter().any(|name| name == function)
}

#[test]
fn a_crash_in_malloc_shows_all_threads_and_ends_as_without_us() {
    let program = build("locks");
    let without = run(&program, &["malloc"], None);
    let (with, text) = run_with_relay(&program, &["malloc"], "");
    assert_eq!(with, without);
    assert_eq!(with.status, -SIGABRT);
    let blocks = parse(&text);
    assert_eq!(blocks.len(), 2, "{text}");
    whole(&blocks);
    assert_eq!(blocks[0].signal.as_deref(), Some("SIGABRT: abort"));
    assert!(is_in(&blocks[0], "main") && is_in(&blocks[1], "pause"), "{text}");
    assert_eq!(blocks[0].registers, if relay::is_i386() { 13 } else { 21 });
}

#[test]
fn a_crash_with_the_locks_of_stdio_held_shows_all_threads() {
    let program = build("locks");
    let (outcome, text) = run_with_relay(&program, &["stdio"], "registers=no");
    assert_eq!(outcome.status, -SIGSEGV);
    let blocks = parse(&text);
    whole(&blocks);
    assert_eq!((blocks.len(), blocks[0].registers), (2, 0), "{text}");
    assert!(text.contains("sigcode=1 addr=0x8\n"), "{text}");
}

#[test]
fn a_crash_in_dlopen_shows_all_threads() {
    let program = build("locks");
    let library = build_with("crashing_library", "crashing_library.so", &["-shared", "-fPIC"]);
    let library = library.to_str().expect("a plain path");
    let (outcome, text) = run_with_relay(&program, &["dlopen", library], "");
    assert_eq!(outcome.status, -SIGSEGV);
    let blocks = parse(&text);
    whole(&blocks);
    assert_eq!(blocks.len(), 2);
    assert!(is_in(&blocks[0], "main"), "{text}");
}

#[test]
fn without_free_descriptors_a_dump_goes_to_its_file_and_the_program_goes_on() {
    let program = build("locks");
    let (outcome, text) = run_with_relay(&program, &["fds"], "");
    assert_eq!((outcome.status, outcome.stdout.as_str(), outcome.stderr.as_str()), (7, "went on\n", ""));
    let blocks = parse(&text);
    whole(&blocks);
    assert_eq!(blocks.len(), 2);
    let (outcome, text) = run_with_relay(&program, &["fds-crash"], "");
    assert_eq!(outcome.status, -SIGSEGV);
    assert_eq!(parse(&text).len(), 2);
}

#[test]
fn overflowed_stacks_are_shown_from_both_ends() {
    let program = build("stacks");
    for (how, threads) in [("main", 2), ("thread", 3)] {
        let (outcome, text) = run_with_relay(&program, &[how], "");
        assert_eq!(outcome.status, -SIGSEGV, "{how}");
        let blocks = parse(&text);
        assert_eq!(blocks.len(), threads, "{text}");
        whole(&blocks);
        assert_eq!(blocks[0].functions.len(), 100, "{how}");
        assert!(text.contains(" frames elided...\n"));
    }
    let (outcome, text) = run_with_relay(&program, &[], "");
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "went on\n"));
    whole(&parse(&text));
}

#[test]
fn a_handler_uses_less_than_two_kilobytes_of_the_signal_stack() {
    let (outcome, text) = run_with_relay(&build("stacks"), &["measure"], "");
    assert_eq!(parse(&text).len(), 2);
    let used: i64 = outcome.stdout.trim().parse().expect("a number");
    println!("relay: {used} bytes of the signal stack besides the kernel's frame");
    assert!((1..2048).contains(&used), "{used} bytes");
}

#[test]
fn the_message_of_a_rust_stack_overflow_is_kept() {
    if relay::is_i386() {
        println!("skipped: a stack overflow in Rust: its compiler has no library for i386 here");
        return;
    }
    let program = build_rust("overflow");
    for arguments in [&[][..], &["thread"]] {
        let without = run(&program, arguments, None);
        let (with, text) = run_with_relay(&program, arguments, "");
        assert_eq!(with.status, -SIGABRT);
        assert!(with.stderr.contains("has overflowed its stack"), "{}", with.stderr);
        let plain = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        assert_eq!(
            (with.status, &with.stdout, plain(&with.stderr)),
            (without.status, &without.stdout, plain(&without.stderr))
        );
        assert_eq!(parse(&text).len(), arguments.len() + 1);
    }
}

#[test]
fn programs_see_and_set_their_own_handlers() {
    let program = build("handlers");
    let without = run(&program, &[], None);
    let (with, text) = run_with_relay(&program, &[], "");
    assert_eq!(with, without);
    assert_eq!((with.stdout.as_str(), with.status), ("all right\n", -SIGFPE));
    // One for each SIGQUIT that was not blocked, and one for the crash; none for what it handles itself.
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with("SIG")).collect();
    assert_eq!(heads.iter().filter(|head| **head == "SIGQUIT: quit").count(), 3, "{heads:?}");
    assert_eq!(heads.iter().filter(|head| **head == "SIGFPE: floating-point exception").count(), 1);
    assert_eq!(heads.len(), 4);
}

#[test]
fn children_of_fork_dump_themselves_and_those_of_vfork_touch_nothing() {
    let program = build("children");
    let folder = unique("children");
    fs::create_dir(&folder).expect("a new name");
    let settings = format!("helper=none,out={}/%p", folder.display());
    let outcome = run(&program, &[], Some(&settings));
    assert_eq!(outcome.status, 6, "{outcome:?}");
    let words: Vec<Vec<&str>> = outcome.stdout.lines().map(|line| line.split(' ').collect()).collect();
    let (fork, vfork, parent) = (&words[0], &words[1], &words[2]);
    assert_eq!((fork[2], vfork[2]), ("400", "3"), "wait statuses in {}", outcome.stdout);
    let names: BTreeSet<String> = fs::read_dir(&folder)
        .expect("it is there")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, BTreeSet::from([fork[1].to_owned(), parent[1].to_owned()]));
    let child = parse(&fs::read_to_string(folder.join(fork[1])).expect("text"));
    assert_eq!(child.len(), 1);
    whole(&child);
    // The thread that waits for its child of vfork cannot answer.
    let text = fs::read_to_string(folder.join(parent[1])).expect("text");
    let blocks = parse(&text);
    assert_eq!(blocks.len(), 3);
    assert_eq!(blocks.iter().filter(|block| !block.reached).count(), 1, "{text}");
    assert!(text.contains("not reached: it did not answer; state D"), "{text}");
    fs::remove_dir_all(&folder).expect("ours");
}

#[test]
fn under_a_filter_only_the_documented_calls_are_made() {
    let program = build("filtered");
    let (outcome, text) = run_with_relay(&program, &[], "");
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "went on\n"), "{outcome:?}");
    let blocks = parse(&text);
    whole(&blocks);
    assert_eq!(blocks.len(), 2);
    let (outcome, text) = run_with_relay(&program, &["crash"], "");
    assert_eq!(outcome.status, -SIGSEGV);
    assert_eq!(parse(&text).len(), 2);
}

#[test]
fn the_manual_lists_the_calls_that_a_dump_makes_under_a_filter() {
    let read = |name: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("it is committed")
    };
    let (source, manual) = (read("tests/relay/filtered.c"), read("man/threaddump-relay.7"));
    let (_, list) = source.split_once("// What a dump needs.").expect("a comment");
    let (list, _) = list.split_once("// What this program needs.").expect("a comment");
    let calls: Vec<&str> = list.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let calls: Vec<&str> = calls.into_iter().filter_map(|word| word.strip_prefix("SYS_")).collect();
    assert!(calls.len() > 10);
    let listed = manual.replace(",\n", ", ");
    assert!(listed.contains(&format!("\n{}\n", calls.join(", "))), "{calls:?}");
}

#[test]
fn c_programs_install_it_themselves() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let include = format!("-I{}", manifest.join("relay/include").display());
    // Under its own name: that of the file beside the program tells which programs it is for.
    let folder = unique("linked");
    fs::create_dir(&folder).expect("a new name");
    fs::copy(relay::library(), folder.join(threaddump::preload::NAME)).expect("it was built");
    let folder = folder.display();
    let (link, path) = (format!("-L{folder}"), format!("-Wl,-rpath,{folder}"));
    let program = build_with("install", "install", &[&include, &link, &path, "-lthreaddump_relay"]);
    let path = unique("installed");
    let outcome = run(&program, &[&format!("helper=none,out={}", path.display())], None);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "went on\n"), "{outcome:?}");
    whole(&parse(&fs::read_to_string(&path).expect("a dump")));
    fs::remove_file(&path).expect("ours");
}

#[test]
fn what_follows_a_dump_is_as_set() {
    let program = build("stacks");
    for (quit, status) in [("go", 0), ("die", -SIGQUIT), ("abort", -SIGABRT)] {
        let (outcome, text) = run_with_relay(&program, &[], &format!("quit={quit}"));
        assert_eq!(outcome.status, status, "{quit}");
        assert_eq!(parse(&text).len(), 2, "{quit}");
    }
    let (outcome, _) = run_with_relay(&program, &[], "quit=maybe");
    assert_eq!(outcome.status, 0);
    assert_eq!(outcome.stderr, "threaddump relay: cannot understand the setting 'quit=maybe'\n");
}

#[test]
fn a_dump_follows_no_link_and_only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let program = build("stacks");
    let (victim, link) = (unique("victim"), unique("link"));
    fs::write(&victim, "precious").expect("writable");
    std::os::unix::fs::symlink(&victim, &link).expect("writable");
    let outcome = run(&program, &[], Some(&format!("helper=none,out={}", link.display())));
    assert_eq!(fs::read_to_string(&victim).expect("readable"), "precious");
    let (first, rest) = outcome.stderr.split_once('\n').expect("lines");
    assert_eq!(first, format!("threaddump relay: cannot open '{}': ELOOP", link.display()));
    assert!(rest.starts_with("SIGQUIT: quit\n"), "{outcome:?}");
    let path = unique("private");
    run(&program, &[], Some(&format!("helper=none,out={}", path.display())));
    let mode = fs::metadata(&path).expect("it was written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    [victim, link, path].iter().for_each(|path| fs::remove_file(path).expect("ours"));
}

#[test]
fn a_reader_that_is_slow_or_gone_does_no_harm() {
    use std::io::Write;
    let program = build("stacks");
    let start = |stderr: fs::File| {
        let mut command = Command::new(&program);
        relay::preload(&mut command, "helper=none,limit=500ms");
        command.stderr(stderr).output().expect("it can be started")
    };
    let (reader, writer) = std::io::pipe().expect("descriptors");
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).expect("ours");
    let mut writer = fs::File::from(std::os::fd::OwnedFd::from(writer));
    while writer.write(&[b' '; 4096]).is_ok() {}
    let full = start(writer.try_clone().expect("descriptors"));
    assert_eq!((full.status.code(), full.stdout.as_slice()), (Some(0), &b"went on\n"[..]));
    drop(reader);
    let gone = start(writer);
    assert_eq!((gone.status.code(), gone.stdout.as_slice()), (Some(0), &b"went on\n"[..]));
}

#[test]
fn the_helper_shows_names_and_lines_of_what_the_signal_interrupted() {
    let program = build("locks");
    let path = unique("helped");
    let outcome = run(&program, &["stdio"], Some(&format!("out={}", path.display())));
    assert_eq!(outcome.status, -SIGSEGV);
    let text = fs::read_to_string(&path).expect("a dump");
    let signal = text.lines().find(|line| line.starts_with("  signal ")).expect("the signal is shown");
    assert!(signal.contains("SIGSEGV") && signal.contains("at address 0x8, in thread"), "{signal}");
    assert!(text.contains("#0 ") && text.contains("in_stdio") && text.contains("locks.c:"), "{text}");
    assert!(!text.contains("PC=0x"), "not a second time");
    fs::remove_file(&path).expect("ours");
}

#[test]
fn without_its_helper_or_when_that_fails_the_relay_makes_the_dump() {
    let program = build("locks");
    for helper in ["/nonexistent/threaddump", "/bin/false", "/bin/true"] {
        let path = unique("unhelped");
        let outcome = run(&program, &["stdio"], Some(&format!("helper={helper},out={}", path.display())));
        assert_eq!(outcome.status, -SIGSEGV);
        let blocks = parse(&fs::read_to_string(&path).expect("a dump"));
        whole(&blocks);
        assert_eq!(blocks.len(), 2, "{helper}");
        fs::remove_file(&path).expect("ours");
    }
}

#[test]
fn the_library_asks_for_nothing_that_locks_or_allocates() {
    let output = Command::new("readelf").args(["--dyn-syms", "-W"]).arg(relay::library()).output();
    let output = output.expect("readelf is part of the compiler");
    let text = String::from_utf8_lossy(&output.stdout);
    let undefined = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.get(6) == Some(&"UND")).then(|| words.get(7).map(|name| (*name).to_owned())).flatten()
    };
    let found: BTreeSet<String> = text.lines().filter_map(undefined).collect();
    let list = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay/undefined.txt"));
    let list = list.expect("it is committed");
    let allowed = list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert_eq!(found, allowed);
    let embedded = fs::read(relay::library()).expect("it was built");
    let own = if relay::is_i386() { threaddump::preload::LIBRARY_I386 } else { threaddump::preload::LIBRARY };
    // The one for i386 may have been built by another compiler.
    assert!(own.is_empty() || embedded == own, "the embedded library is the one beside the program");
}

#[test]
fn all_of_this_again_in_i386_programs() {
    if let Err(why) = again_for_i386("all_of_this_again_in_i386_programs") {
        println!("skipped: relay in i386 programs: {why}");
    }
}
