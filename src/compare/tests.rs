//! Dumps written by hand, and what is said of them: no process is needed.
use super::*;

/// A thread in `futex`, as ptrace sees it.
fn waiting(tid: i32) -> Thread {
    let frame = |pc: u64, function: &str| Frame {
        pc,
        module: Some("/lib/libc.so.6".to_owned()),
        module_offset: Some(pc & 0xffff),
        function: Some(function.to_owned()),
        function_offset: Some(0x12),
        file: Some("file.c".to_owned()),
        line: Some(7),
        inlined: false,
        how: "cfi".to_owned(),
    };
    Thread {
        tid: Tid(tid),
        name: Some("worker".to_owned()),
        state: Some('S'),
        stopped: true,
        syscall: Some(Call { number: 202, name: Some("futex".to_owned()), args: [1, 2, 3, 4, 5, 6] }),
        cpu_ns: Some(30_000_000),
        registers: [
            ("rip", 0x7f00_0000_1234),
            ("rsp", 0x7ffc_0000_0100),
            ("rax", 0xffff_ffff_ffff_fe00),
            ("orig_rax", 202),
            ("rbx", 5),
            ("rdi", 1),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        frames: vec![
            Frame { inlined: true, ..frame(0x7f00_0000_1234, "futex_wait") },
            frame(0x7f00_0000_1234, "pthread_cond_wait"),
            frame(0x7f00_0000_5678, "work"),
            frame(0x7f00_0000_9abc, "start_thread"),
        ],
        omitted: 0,
        end: "root".to_owned(),
        problems: Vec::new(),
    }
}

fn set(thread: &mut Thread, name: &str, value: u64) {
    let register = thread.registers.iter_mut().find(|(known, _)| known == name).expect("it is there");
    register.1 = value;
}

/// The same as the relay sees it: from inside of a handler, before which the call was undone.
fn relayed(tid: i32, restarts: bool) -> Thread {
    let mut thread = waiting(tid);
    thread.registers.retain(|(name, _)| name != "orig_rax");
    thread.syscall = None;
    if restarts {
        set(&mut thread, "rip", 0x7f00_0000_1232);
        set(&mut thread, "rax", 202);
        thread.frames.remove(0);
        thread.frames[0].pc -= 2;
        thread.frames[0].module_offset = Some(0x1232);
        thread.frames[0].function_offset = Some(0x10);
        thread.frames[0].line = Some(6);
    } else {
        set(&mut thread, "rax", (-4_i64).cast_unsigned());
    }
    for frame in &mut thread.frames {
        frame.how = "signal".to_owned();
    }
    let handler = Frame {
        module: Some("/tmp/libthreaddump_relay.so".to_owned()),
        how: "context".to_owned(),
        ..thread.frames[0].clone()
    };
    let trampoline = Frame {
        function: Some("__restore_rt".to_owned()),
        how: "cfi".to_owned(),
        ..thread.frames[0].clone()
    };
    thread.frames.splice(0..0, [handler.clone(), handler, trampoline]);
    thread
}

fn dump(threads: Vec<Thread>) -> Dump {
    Dump {
        captured_at: "2026-11-25T20:00:00Z".to_owned(),
        source: "ptrace".to_owned(),
        complete: true,
        pid: crate::ids::Pid(10),
        name: "program".to_owned(),
        exe: Some("/usr/bin/program".to_owned()),
        arch: "x86_64".to_owned(),
        start_time: None,
        threads,
    }
}

fn ways(left: Vec<Thread>, right: Vec<Thread>) -> Comparison {
    compare(Question::Ways, dump(left), dump(right))
}

fn both() -> (Vec<Thread>, Vec<Thread>) {
    ((10..14).map(waiting).collect(), (10..14).map(|tid| relayed(tid, tid % 2 == 0)).collect())
}

/// The verdict of the only thread that is not identical, and what was named.
fn odd(comparison: &Comparison) -> (i32, Verdict, Vec<String>) {
    let odd: Vec<&Compared> =
        comparison.threads.iter().filter(|thread| thread.verdict != Verdict::Identical).collect();
    let [thread] = odd.as_slice() else { panic!("{odd:?}") };
    let names = thread.differences.iter().map(|difference| match (difference.frame, &difference.register) {
        (Some(frame), _) => format!("frame {frame} {}", difference.what),
        (None, Some(register)) => register.clone(),
        (None, None) => difference.what.to_owned(),
    });
    (thread.tid.0, thread.verdict, names.collect())
}

#[test]
fn a_thread_that_waits_is_the_same_from_outside_and_from_inside() {
    let (left, right) = both();
    let comparison = ways(left, right);
    let states: Vec<_> =
        comparison.threads.iter().map(|thread| (thread.verdict, &thread.differences)).collect();
    assert!(comparison.is_same() && comparison.is_of_use(), "{states:?}");
    assert_eq!(comparison.count(Verdict::Identical), 4, "{states:?}");
    assert_eq!(text::summary(&comparison), "4 identical, 0 moved, 0 unreachable, 0 differing");
}

/// The same two looks on another processor: the registers get its names, and the call is seen as given.
fn elsewhere(arch: &str, thread: &mut Thread, pc: u64, result: u64) {
    let names = match arch {
        "i386" => [("rip", "eip"), ("rsp", "esp"), ("rax", "eax"), ("rbx", "ebx"), ("rdi", "edi")],
        _ => [("rip", "pc"), ("rsp", "sp"), ("rax", "r0"), ("rbx", "r19"), ("rdi", "r1")],
    };
    thread.registers.retain(|(name, _)| name != "orig_rax");
    for (name, value) in &mut thread.registers {
        let new = names.iter().find(|(known, _)| known == name).expect("it has a name there");
        *value = match new.0 {
            "rip" => pc,
            "rax" => result,
            _ => *value,
        };
        new.1.clone_into(name);
    }
    let first = thread.frames.iter_mut().find(|frame| frame.pc >> 12 == 0x7_f000_0001);
    let first = first.expect("the frame of the call");
    first.pc = pc;
    first.module_offset = Some(pc & 0xffff);
    first.function_offset = Some(pc & 0xff);
}

#[test]
fn what_a_handler_does_to_a_call_is_known_of_each_processor_with_the_relay() {
    let call = 0x7f00_0000_1230;
    let eintr = (-4_i64).cast_unsigned();
    // What a debugger sees, and what the handler saw: the place and the result.
    let cases = [
        ("i386", (call + 2, 0xffff_fdfc), (call + 2, eintr & 0xffff_ffff)),
        ("i386", (call + 2, 0xffff_fe00), (call, 202)),
        ("aarch64", (call, 1), (call + 4, eintr)),
        ("aarch64", (call, 1), (call, 1)),
    ];
    for (arch, debugger, handler) in cases {
        let both = |altered: u64| {
            let (mut left, mut right) = (waiting(10), waiting(10));
            right.syscall = None;
            for thread in [&mut left, &mut right] {
                thread.frames.remove(0);
            }
            elsewhere(arch, &mut left, debugger.0, debugger.1);
            elsewhere(arch, &mut right, handler.0, handler.1 ^ altered);
            let dump = |thread| Dump { arch: arch.to_owned(), ..dump(vec![thread]) };
            compare(Question::Ways, dump(left), dump(right))
        };
        let same = both(0);
        assert!(same.is_same(), "{arch} {debugger:x?} {handler:x?}: {:?}", same.threads[0].differences);
        assert!(!both(0x10).is_same(), "{arch}: another result");
    }
}

#[test]
fn one_register_altered_in_either_dump_is_named() {
    // All registers of all threads, one at a time.
    for index in 0..4 {
        for register in ["rip", "rsp", "rax", "rbx", "rdi"] {
            for altered_left in [true, false] {
                let (mut left, mut right) = both();
                let thread = if altered_left { &mut left[index] } else { &mut right[index] };
                let value = thread.register(register).expect("it is there");
                set(thread, register, value ^ 0x10);
                let comparison = ways(left, right);
                let (tid, verdict, names) = odd(&comparison);
                assert_eq!(tid, 10 + index as i32);
                assert!(names.iter().any(|name| name == register), "{register}: {names:?}");
                assert_eq!(verdict, Verdict::Differing, "{register}, left: {altered_left}");
            }
        }
    }
}

type Alter = (&'static str, fn(&mut Frame));

#[test]
fn one_frame_altered_in_either_dump_is_named() {
    let alterations: [Alter; 6] = [
        ("pc", |frame| frame.pc += 1),
        ("function", |frame| frame.function = Some("other".to_owned())),
        ("module", |frame| frame.module = None),
        ("line", |frame| frame.line = Some(8)),
        ("file", |frame| frame.file = None),
        ("inlined", |frame| frame.inlined = true),
    ];
    for index in 0..4 {
        for from_outermost in 0..3 {
            for (what, alter) in alterations {
                for altered_left in [true, false] {
                    let (mut left, mut right) = both();
                    let thread = if altered_left { &mut left[index] } else { &mut right[index] };
                    let place = thread.frames.len() - 1 - from_outermost;
                    alter(&mut thread.frames[place]);
                    let comparison = ways(left, right);
                    // Where in its function the call is depends on the way.
                    let restarts = index % 2 == 0;
                    if restarts && from_outermost == 2 && matches!(what, "file" | "line") {
                        assert!(comparison.is_same());
                        continue;
                    }
                    let (tid, verdict, names) = odd(&comparison);
                    assert_eq!((tid, verdict), (10 + index as i32, Verdict::Differing), "{what}");
                    assert!(!comparison.is_same());
                    if restarts && from_outermost == 2 {
                        assert!(names.iter().all(|name| name.starts_with("frame ")), "{names:?}");
                        continue;
                    }
                    // Where both have one frame for the call, that before it is left out.
                    let frame = 3 - from_outermost - usize::from(restarts);
                    assert_eq!(names, [format!("frame {frame} {what}")]);
                }
            }
        }
    }
}

#[test]
fn a_frame_or_a_thread_that_is_missing_in_either_dump_is_named() {
    for index in 0..4 {
        for altered_left in [true, false] {
            for whole in [true, false] {
                let (mut left, mut right) = both();
                let side = if altered_left { &mut left } else { &mut right };
                if whole {
                    side.remove(index);
                } else {
                    side[index].frames.pop();
                }
                let comparison = ways(left, right);
                let (tid, verdict, _) = odd(&comparison);
                assert_eq!((tid, verdict), (10 + index as i32, Verdict::Differing));
                assert!(!comparison.is_same());
            }
        }
    }
}

#[test]
fn a_name_or_an_end_altered_is_named() {
    let (left, mut right) = both();
    right[1].name = Some("other".to_owned());
    assert_eq!(odd(&ways(left.clone(), right)), (11, Verdict::Differing, vec!["name".to_owned()]));
    let (_, mut right) = both();
    right[2].end = "no_progress".to_owned();
    assert_eq!(odd(&ways(left, right)), (12, Verdict::Differing, vec!["end".to_owned()]));
}

#[test]
fn what_runs_has_moved_and_what_cannot_be_asked_is_unreachable() {
    let (mut left, mut right) = both();
    left[0].syscall = None;
    left[0].frames[2].pc += 4;
    right[1].stopped = false;
    right[1].problems.push("it blocks the signal".to_owned());
    set(&mut right[2], "rip", 0x7f00_0000_2222);
    right[2].frames[3].pc = 0x7f00_0000_2222;
    let comparison = ways(left, right);
    let verdicts: Vec<Verdict> = comparison.threads.iter().map(|thread| thread.verdict).collect();
    assert_eq!(verdicts, [Verdict::Moved, Verdict::Unreachable, Verdict::Moved, Verdict::Identical]);
    assert_eq!(comparison.threads[1].why.as_deref(), Some("it blocks the signal"));
    assert!(comparison.is_same() && comparison.is_of_use());
}

#[test]
fn a_third_dump_tells_what_has_gone_on() {
    let (left, mut right) = both();
    right[1].frames[1].pc += 1;
    set(&mut right[1], "rbx", 6);
    set(&mut right[2], "rbx", 6);
    right.remove(3);
    let mut comparison = ways(left.clone(), right);
    assert_eq!(comparison.count(Verdict::Differing), 3);
    let mut again = left.clone();
    again.remove(3);
    set(&mut again[1], "rbx", 7);
    comparison.settle(&dump(again));
    let verdicts: Vec<Verdict> = comparison.threads.iter().map(|thread| thread.verdict).collect();
    let settled = [Verdict::Identical, Verdict::Identical, Verdict::Differing, Verdict::Moved];
    assert_eq!(verdicts, settled, "the third has stood still, and is not the same");
    assert!(comparison.threads[1].why.as_deref().is_some_and(|why| why.ends_with(": rbx")));
    let (left, mut right) = both();
    set(&mut right[0], "rbx", 6);
    set(&mut right[1], "rdi", 6);
    set(&mut right[2], "rbx", 6);
    let mut comparison = ways(left.clone(), right);
    let mut again = left.clone();
    again[0].frames[3].pc += 8;
    set(&mut again[1], "rbx", 9);
    set(&mut again[2], "rsp", 9);
    comparison.settle(&dump(again));
    let verdicts: Vec<Verdict> = comparison.threads.iter().map(|thread| thread.verdict).collect();
    let settled = [Verdict::Moved, Verdict::Differing, Verdict::Moved, Verdict::Identical];
    assert_eq!(verdicts, settled, "another register that changes explains nothing");
    let mut still = ways(left.clone(), vec![]);
    still.settle(&dump(left));
    assert_eq!(still.count(Verdict::Differing), 4, "who is there before and after was there between");
}

#[test]
fn a_thread_that_hangs_has_not_moved() {
    let mut right: Vec<Thread> = (10..15).map(waiting).collect();
    right[0].frames[3].pc += 4;
    set(&mut right[1], "rsp", 0x7ffc_0000_0200);
    right[2].syscall = None;
    right[3].cpu_ns = Some(60_000_000);
    right.push(waiting(20));
    let mut left: Vec<Thread> = (10..15).map(waiting).collect();
    left.push(waiting(19));
    let comparison = compare(Question::Moments, dump(left.clone()), dump(right));
    let verdicts: Vec<(i32, Verdict)> =
        comparison.threads.iter().map(|thread| (thread.tid.0, thread.verdict)).collect();
    let expected = [
        (10, Verdict::Moved),
        (11, Verdict::Moved),
        (12, Verdict::Moved),
        (13, Verdict::Moved),
        (14, Verdict::Identical),
        (19, Verdict::Ended),
        (20, Verdict::Appeared),
    ];
    assert_eq!(verdicts, expected);
    assert!(!comparison.is_same());
    let same = compare(Question::Moments, dump(left.clone()), dump(left));
    assert!(same.is_same());
    assert!(text::summary(&same).ends_with(": nothing moved"));
}

#[test]
fn text_and_json_survive_hostile_names() {
    let (mut left, mut right) = both();
    for thread in left.iter_mut().chain(&mut right) {
        thread.name = Some("\x1b[2J\n\u{202e}\"".repeat(20));
        let last = thread.frames.last_mut().expect("it has frames");
        last.function = Some("f\n\x1b]0;x\x07".repeat(50));
    }
    right[0].frames.pop();
    let comparison = ways(left, right);
    for width in [None, Some(0), Some(1), Some(50), Some(120)] {
        for color in [false, true] {
            let style = crate::report::Style::terminal(color);
            let mut out = Vec::new();
            let options = text::Options { style, width, only_different: false };
            text::write(&comparison, &options, &mut out).expect("memory takes everything");
            let text = String::from_utf8(out).expect("text").replace("\x1b[0m", "");
            let codes = ["\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[1;31m"];
            let text = codes.iter().fold(text, |text, code| text.replace(code, ""));
            assert!(!text.chars().any(|character| character != '\n' && character.is_control()), "{text:?}");
        }
    }
    let mut out = Vec::new();
    json::write(&comparison, &mut out).expect("memory takes everything");
    let value: serde_json::Value = serde_json::from_slice(&out).expect("it is JSON");
    assert_eq!(value["summary"]["differing"], 1);
    assert_eq!(value["same"], false);
}

#[test]
fn what_is_read_is_what_was_written() {
    let golden = include_str!("../../tests/golden/complete.json");
    let dump = read::parse(golden.as_bytes()).expect("it is a dump");
    assert!(!dump.threads.is_empty() && !dump.threads[0].frames.is_empty());
    for wrong in ["", "{}", "[]", "{\"schema\":\"threaddump/2\"}", "{\"schema\":\"threaddump/1\"}", "null"] {
        read::parse(wrong.as_bytes()).expect_err(wrong);
    }
    let twice = golden.repeat(2);
    assert!(matches!(read::parse(twice.as_bytes()), Err(read::ReadError::Several)));
    for (from, to) in
        [("\"0x", "\"0X"), ("\"0x", "\"0x0"), ("\"tid\": ", "\"tid\": -"), ("\"inlined\"", "\"in\"")]
    {
        assert!(golden.contains(from), "{from}");
        read::parse(golden.replace(from, to).as_bytes()).expect_err(to);
    }
    let deep = format!("{{\"schema\":\"threaddump/1\",\"x\":{}", "[".repeat(1_000_000));
    read::parse(deep.as_bytes()).expect_err("too deep");
}

#[test]
fn dumps_in_the_wrong_order_are_noticed() {
    let at = |captured_at: &str| Dump { captured_at: captured_at.to_owned(), ..dump(vec![waiting(1)]) };
    let (early, late) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00.5Z"));
    let notes = |left: &Dump, right: &Dump| compare(Question::Moments, left.clone(), right.clone()).notes;
    assert_eq!(notes(&late, &early), ["the first dump was made after the second one"]);
    assert!(notes(&early, &late).is_empty() && notes(&late, &late).is_empty());
}
