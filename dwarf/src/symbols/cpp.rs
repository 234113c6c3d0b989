//! C++ names, taken apart within a time limit.
//!
//! cpp_demangle 0.5 goes back and tries again wherever a name does not end as it should, and what
//! it tries again may do the same inside: `_Z1f` and forty times `ISt` take a day. It has no limit
//! but one on nesting. So names nested deeply enough for this are given to a thread of their own,
//! which is left behind if it does not answer.
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cpp_demangle::{BorrowedSymbol, DemangleOptions, ParseOptions};

use super::demangle::Limited;

/// Nesting that is harmless: each level can triple the time, which is a microsecond for none.
const SHALLOW: usize = 8;
/// Back references that are harmless: each can double the text.
const FEW_REFERENCES: usize = 24;
/// Levels of nesting that are taken apart at all; the library's own default.
const DEPTH: u32 = 96;
/// Stack for that many levels, in bytes. In a debug build they have been seen to need more than 2 MiB.
const STACK: usize = 64 << 20;
/// How long a name may take. Real ones need less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(1);
/// Threads that may be left behind. With this many, no further name is risked.
const MAX_STUCK: usize = 2;

/// Codes of operators and of what else may begin an expression, two letters each. Two parameters of
/// built-in types can look like one; that only makes a name less simple.
const OPERATORS: &[u8] = b"nwnadldaawpsngaddecoplmimldvrmanoreoaSpLmImLdVrMaNoReOlsrslSrSeqneltgtlegessnt\
aaooppmmcmpmptclixqucvlistszatazititetwtrsrgsdcscccrcdtdsfpfLsZsPspiltlnxflfrfRdidXdxcp";

static WORKER: Mutex<Worker> = Mutex::new(Worker { line: None, stuck: 0 });

struct Worker {
    line: Option<(Sender<String>, Receiver<Option<String>>)>,
    stuck: usize,
}

/// The demangled name, if it is a C++ name.
pub(super) fn demangle(raw: &str) -> Option<String> {
    if is_simple(raw) {
        return take_apart(raw);
    }
    let mut worker = WORKER.lock().unwrap_or_else(PoisonError::into_inner);
    if worker.stuck >= MAX_STUCK {
        return None;
    }
    let (questions, answers) = match worker.line.take() {
        Some(line) => line,
        None => start()?,
    };
    questions.send(raw.to_owned()).ok()?;
    match answers.recv_timeout(PATIENCE) {
        Ok(answer) => {
            worker.line = Some((questions, answers));
            answer
        }
        // It ends when it has an answer, or with the program.
        Err(_) => {
            worker.stuck += 1;
            None
        }
    }
}

fn start() -> Option<(Sender<String>, Receiver<Option<String>>)> {
    let (questions, inbox) = channel::<String>();
    let (outbox, answers) = channel();
    let work = move || inbox.iter().map(|raw| take_apart(&raw)).all(|answer| outbox.send(answer).is_ok());
    let thread =
        std::thread::Builder::new().name("demangle".to_owned()).stack_size(STACK).spawn(move || _ = work());
    thread.ok().map(|_| (questions, answers))
}

/// Whether a name is too flat to take long.
fn is_simple(raw: &str) -> bool {
    let mut rest = raw.as_bytes();
    let (mut depth, mut references) = (0_usize, 0_usize);
    while let Some((first, after)) = rest.split_first() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // Digits before `E` or `_` are a literal or an index, others the length of an identifier.
        let is_length = digits > 0 && !matches!(rest.get(digits), Some(b'E' | b'_'));
        let length = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse::<usize>().ok());
        if let Some(length) = length.filter(|_| is_length) {
            rest = rest.get(digits.saturating_add(length)..).unwrap_or(&rest[digits..]);
            continue;
        }
        let pair = [*first, after.first().copied().unwrap_or(0)];
        match first {
            b'E' => depth = depth.saturating_sub(1),
            b'S' | b'T' => references += 1,
            b'I' | b'N' | b'X' | b'L' | b'F' | b'J' | b'D' | b'U' | b'Z' | b'C' => depth += 1,
            _ if OPERATORS.as_chunks::<2>().0.contains(&pair) => depth += 1,
            _ => {}
        }
        if depth > SHALLOW || references > FEW_REFERENCES {
            return false;
        }
        rest = after;
    }
    true
}

fn take_apart(raw: &str) -> Option<String> {
    // The library is written not to panic; a mistake in it must not cost the dump.
    catch_unwind(AssertUnwindSafe(|| readable(raw))).ok().flatten()
}

fn readable(raw: &str) -> Option<String> {
    // `name@VERSION` and `name@plt` are no part of the mangling.
    let (mangled, suffix) = raw.split_at(raw.find('@').unwrap_or(raw.len()));
    let parse = ParseOptions::default().recursion_limit(DEPTH);
    let (symbol, tail) = BorrowedSymbol::with_tail_and_options(mangled.as_bytes(), &parse).ok()?;
    let mut readable = Limited::default();
    let options = DemangleOptions::new().recursion_limit(DEPTH);
    let complete = symbol.structured_demangle(&mut readable, &options).is_ok();
    if !complete && !readable.full {
        return None;
    }
    // Compilers append `.cold`, `.part.0`, `.lto_priv.3`; anything else was not understood.
    match tail.first() {
        None => {}
        Some(b'.' | b'$') => {
            let _ = write!(readable, "{}", String::from_utf8_lossy(tail));
        }
        Some(_) => return None,
    }
    let _ = readable.write_str(suffix);
    Some(readable.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_never_end_are_given_up() {
        let begin = std::time::Instant::now();
        for piece in ["ISt", "IS_", "clnw", "dlcl", "LDT", "C1I", "StUl", "nw", "IN", "XL"] {
            for start in ["_Z1f", "_Z1fIX", "_ZN"] {
                for count in [12, 40, 500] {
                    demangle(&format!("{start}{}", piece.repeat(count)));
                    demangle(&format!("{start}{}?{}", piece.repeat(count), "E".repeat(count)));
                }
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    }

    #[test]
    fn ordinary_names_are_simple_and_templates_of_templates_are_not() {
        for name in ["_Z3fooiiiiiiiiiiiiiiii", "_ZN2v88internal12_GLOBAL__N_13runEPNS0_7IsolateE", "main"] {
            assert!(is_simple(name), "{name}");
        }
        assert!(!is_simple(&format!("_Z1f{}", "ISt".repeat(12))));
        assert!(!is_simple(&format!("_Z1fIX{}", "clnw".repeat(12))));
    }
}
