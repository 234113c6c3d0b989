//! Saved snapshots that were changed: whatever is in one, it is refused or shown, within limits.
#[path = "hostile/stage.rs"]
#[allow(dead_code, reason = "each test program uses a part of this")]
mod stage;
mod support;

use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use stage::Folder;
use support::process::{Running, settle};
use support::record;
use threaddump::dump::{Options, replay};
use threaddump::report::{Style, json, text};
use threaddump::snapshot::file::{load, save};

/// Changed snapshots that are tried.
const ROUNDS: u64 = 4000;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--measure") {
        stage::measure();
    }
    let arguments = Arguments::from_args();
    let tests =
        vec![Trial::test("changed snapshots are refused or shown", || changed().map_err(Failed::from))];
    libtest_mimic::run(&arguments, tests).exit();
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("it is below a usize")
    }
}

fn snapshot() -> Result<Vec<u8>, String> {
    let folder = Folder::new("snapshot");
    let path = folder.0.join("saved");
    let mut command = Command::new(stage::program("crowd", &[]));
    let running = Running::start_ready(command.arg("names"), "crowd", "ready")?;
    settle(running.pid());
    let options = ["--save-snapshot".to_owned(), path.display().to_string()];
    stage::dump(running.pid(), &options)?;
    std::fs::read(&path).map_err(|error| error.to_string())
}

/// What numbers in the head become, beside other numbers.
const WORDS: [&[u8]; 9] = [
    b"18446744073709551615",
    b"9223372036854775808",
    b"4294967295",
    b"-1",
    b"0",
    b"1",
    b"4096",
    b"null",
    b"[]",
];

/// A number of the head becomes another; gives how much longer the head is now.
fn change_number(bytes: &mut Vec<u8>, head: usize, numbers: &mut Numbers) -> i64 {
    let at = numbers.below(head.min(bytes.len()));
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|skip| at + skip) else { return 0 };
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if start >= head {
        return 0;
    }
    let word = match numbers.below(3) {
        0 => numbers.next().to_string().into_bytes(),
        1 => numbers.below(70_000).to_string().into_bytes(),
        _ => WORDS[numbers.below(WORDS.len())].to_vec(),
    };
    let grown = word.len() as i64 - length as i64;
    bytes.splice(start..start + length, word).for_each(drop);
    grown
}

/// Numbers in the head change, and bytes anywhere: changed, removed, added, cut off. Gives how much longer the
/// head is now.
fn change(bytes: &mut Vec<u8>, head: usize, numbers: &mut Numbers) -> i64 {
    let mut grown = 0;
    for _ in 0..1 + numbers.below(3) {
        let after = head.saturating_add_signed(grown as isize);
        let at = numbers.below(bytes.len());
        let value = numbers.next().to_le_bytes();
        match numbers.below(12) {
            0..7 => grown += change_number(bytes, after, numbers),
            7 | 8 => bytes[at] ^= 1 << (value[0] % 8),
            9 => bytes[at] = value[0],
            10 => bytes.truncate(at.max(1)),
            _ => bytes.splice(at..(at + numbers.below(64)).min(bytes.len()), value).for_each(drop),
        }
    }
    grown
}

fn changed() -> Result<(), String> {
    let original = snapshot()?;
    let loaded = load(&mut original.as_slice()).map_err(|error| error.to_string())?;
    let line = original.iter().position(|&byte| byte == b'\n').ok_or("no first line")? + 1;
    let length = original[line..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).ok_or("no head")?;
    let head = line + 8 + usize::try_from(length).map_err(|error| error.to_string())?;
    let mut numbers = Numbers(42);
    let (mut shown, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let mut bytes = original.clone();
        // The length of the head goes with its contents, or hardly anything would be read.
        let grown = change(&mut bytes, head, &mut numbers);
        if let Some(field) = bytes.get_mut(line..line + 8) {
            field.copy_from_slice(&length.saturating_add_signed(grown).to_le_bytes());
        }
        match load(&mut bytes.as_slice()) {
            Err(_) => refused += 1,
            Ok(snapshot) => {
                shown += 1;
                show(&snapshot)?;
                let mut again = Vec::new();
                save(&snapshot, &mut again).map_err(|error| error.to_string())?;
            }
        }
    }
    show(&loaded)?;
    record::summary(&format!("changed snapshots: {shown} shown, {refused} refused, of {ROUNDS}"));
    if shown > 0 && refused > 0 { Ok(()) } else { Err("all went the same way".to_owned()) }
}

fn show(snapshot: &threaddump::snapshot::Snapshot) -> Result<(), String> {
    let report = replay(snapshot, &Options::with_debug_dirs(Vec::new()));
    let mut out = Vec::new();
    text::write(&report, &Style::PLAIN, &mut out).map_err(|error| error.to_string())?;
    json::write(&report, &mut out).map_err(|error| error.to_string())?;
    if out.len() < 64 << 20 { Ok(()) } else { Err(format!("{} bytes of output", out.len())) }
}
