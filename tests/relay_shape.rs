//! The text of the relay beside that of Go's runtime under `GOTRACEBACK=crash`, line shape by line shape.
//!
//! Differences on purpose: Go shows all goroutines in its first block, with blank lines between them, and a
//! thread of its own is `goroutine 0`; ours are `thread N [tid T, "name"]:`. Where Go has arguments or `...`
//! in the parentheses we have `...`; where it has a source line we have an address in a module, with its build
//! ID, and no frame pointer. Go prints a negative `sigcode` without its sign.
mod relay;

use std::fs;
use std::process::Command;

use relay::{build, run_with_relay, unique};

/// The form of a line, without what differs from run to run; registers keep their names.
fn shape(line: &str) -> String {
    let is_hex = |text: &str| {
        text.strip_prefix("0x")
            .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let padded = line.get(..7).zip(line.get(7..));
    if let Some((name, value)) = padded
        && is_hex(value)
        && name.ends_with(' ')
    {
        return format!("register {name}");
    }
    let words: Vec<&str> = line.split(' ').collect();
    if let [pc, m, code, ..] = words[..]
        && pc.strip_prefix("PC=").is_some_and(is_hex)
        && m.strip_prefix("m=").is_some_and(|m| m.parse::<u32>().is_ok())
        && code.strip_prefix("sigcode=").is_some_and(|code| code.parse::<i64>().is_ok())
    {
        return "PC".to_owned();
    }
    if (line.starts_with("goroutine ") || line.starts_with("thread ")) && line.ends_with("]:") {
        return "thread".to_owned();
    }
    if let Some(place) = line.strip_prefix('\t') {
        let has = |name: &str| place.split(' ').any(|word| word.strip_prefix(name).is_some_and(is_hex));
        return if has("sp=") && has("pc=") { "place" } else { "place without addresses" }.to_owned();
    }
    if line.ends_with(')') && line.contains('(') {
        return "function".to_owned();
    }
    line.to_owned()
}

/// The shapes of a block, with runs of frames as one.
fn shapes(block: &str) -> Vec<String> {
    let mut shapes: Vec<String> = block.lines().map(shape).collect();
    // Inlined functions have no addresses in Go.
    shapes.retain(|shape| shape != "place without addresses");
    let mut folded: Vec<String> = Vec::new();
    for shape in shapes {
        let last = folded.len().checked_sub(1).and_then(|last| folded.get(last));
        let is_frame = |shape: &str| matches!(shape, "function" | "place");
        if !(is_frame(&shape) && last.is_some_and(|last| is_frame(last))) {
            folded.push(if is_frame(&shape) { "function".to_owned() } else { shape });
        }
    }
    folded
}

fn go_text() -> Option<String> {
    let folder = unique("shape");
    fs::create_dir(&folder).expect("a new name");
    let source = "package main\nimport (\"os\"; \"syscall\"; \"time\")\nfunc spin() { for {} }\n\
        func main() {\n\tgo spin()\n\ttime.Sleep(50 * time.Millisecond)\n\
        \tsyscall.Kill(os.Getpid(), syscall.SIGQUIT)\n\ttime.Sleep(time.Hour)\n}\n";
    fs::write(folder.join("main.go"), source).expect("writable");
    let mut go = Command::new("go");
    go.args(["build", "-o", "program", "main.go"]).current_dir(&folder).env("GO111MODULE", "off");
    let built = go.env("GOCACHE", folder.join("cache")).output().ok()?;
    assert!(built.status.success(), "{built:?}");
    let output =
        Command::new(folder.join("program")).env("GOTRACEBACK", "crash").output().expect("it was built");
    fs::remove_dir_all(&folder).expect("ours");
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_text_has_the_shape_of_gos() {
    let Some(go) = go_text() else { return println!("skipped: go: not installed") };
    let (_, ours) = run_with_relay(&build("stacks"), &[], "quit=abort");
    let separator = "\n-----\n\n";
    let (go, ours): (Vec<&str>, Vec<&str>) = (go.split(separator).collect(), ours.split(separator).collect());
    assert!(go.len() > 2 && ours.len() == 2, "{go:#?} {ours:#?}");
    // All of Go's but the first, in which it shows its goroutines, and the last, which it may have cut short.
    let expected = shapes(go[1]);
    assert!(expected.len() > 20, "{expected:?}");
    for block in &ours {
        assert_eq!(shapes(block), expected, "{block}");
    }
    // The start and the end of the first block.
    assert_eq!(shapes(go[0])[..4], expected[..4]);
    assert_eq!(shapes(go[0])[shapes(go[0]).len() - 21..], expected[expected.len() - 21..]);
}
