//! Codes, numbers and times in words.
use crate::report::{END_EXITED, END_KERNEL_WORKER, END_NOT_STOPPED, END_RUNNING, Signal, Thread, codes};

/// A state of a thread (`/proc/PID/stat`) in words, if it is one that can be told.
pub(crate) fn state_of(state: char) -> Option<&'static str> {
    Some(match state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "uninterruptible sleep",
        'T' => "stopped",
        't' => "stopped by a debugger",
        'Z' | 'X' => "exiting",
        'I' => "idle",
        _ => return None,
    })
}

/// What a thread is doing.
pub(super) fn doing(thread: &Thread) -> String {
    match thread.end.as_str() {
        END_KERNEL_WORKER => return "kernel worker, no stack of its own".to_owned(),
        END_EXITED => return "exited; the process lives on in its other threads".to_owned(),
        _ => {}
    }
    let state = match thread.state.map(|state| state_of(state).ok_or(state)) {
        Some(Ok(words)) => words,
        Some(Err(other)) => return format!("state {other}"),
        None => "state unknown",
    };
    let Some(call) = &thread.syscall else { return state.to_owned() };
    // Core files do not tell the state; the call does.
    let state = if thread.state.is_some() { format!("{state} ") } else { String::new() };
    match call.name {
        Some(name) => format!("{state}in {name}"),
        None => format!("{state}in system call {}", call.number),
    }
}

/// A signal with its number, its cause, the address it is about, and the thread that got it.
pub(super) fn signal(signal: &Signal) -> String {
    let mut text = format!("{} ({})", signal.name, signal.number);
    match (signal.code_name, signal.code) {
        (Some(name), Some(code)) => {
            let meaning =
                codes::meaning(signal.number, code).map_or(String::new(), |words| format!(": {words}"));
            text += &format!(", {name}{meaning}");
        }
        (None, Some(code)) => text += &format!(", code {code}"),
        (_, None) => {}
    }
    if let Some(address) = signal.address {
        text += &format!(", at address {:#x}", address.0);
    }
    if let Some(tid) = signal.tid {
        text += &format!(", in thread {tid}");
    }
    text
}

/// What `/proc` knows of a thread beyond that, where there is little else.
pub(super) fn facts(thread: &Thread) -> String {
    let mut parts = Vec::new();
    let waits =
        thread.wait_channel.as_ref().filter(|_| thread.frames.is_empty() || thread.state == Some('D'));
    parts.extend(waits.map(|function| format!("waits in {function}")));
    // The kernel counts in ticks, of which there are few in a second.
    let used = thread.cpu_ns.filter(|&ns| ns > 0 && thread.frames.is_empty() && !thread.stopped);
    parts.extend(used.map(|ns| format!("used {} of processor time", duration(ns))));
    parts.join(", ")
}

/// How a frame was found, where that is not the normal case.
pub(super) fn how(code: &str) -> Option<&str> {
    match code {
        "context" | "cfi" => None,
        "signal" => Some("interrupted by a signal"),
        "frame_pointer" => Some("by frame pointer"),
        "leaf" => Some("by the top of the stack"),
        "scan" => Some("by scan, may be wrong"),
        other => Some(other),
    }
}

/// Why a walk ended before its root.
pub(in crate::report) fn end(thread: &Thread) -> Option<String> {
    if thread.has_whole_stack() {
        return None;
    }
    let reason = match thread.end.as_str() {
        END_NOT_STOPPED => "it was not stopped, so there are no registers",
        END_RUNNING => "it was running, and /proc tells registers only of threads that wait",
        "no_unwind_info" => "there is no unwind information",
        "unreadable_stack" => "the stack could not be read",
        "stack_cut" => "not all of the stack was copied",
        "work_limit" => "the walk takes too much work",
        "no_progress" => "the next frame is not further out",
        "bad_return_address" => "the return address is not in executable memory",
        "damaged_unwind_info" => "the unwind information is damaged",
        "unwind_info_too_large" => "the unwind information is too large",
        "unknown_register" => "a register is lost that the unwind rules need",
        "unwind_rules_failed" => "the unwind rules cannot be applied",
        other => other,
    };
    Some(thread.end_detail.clone().unwrap_or_else(|| reason.to_owned()))
}

/// A length of time with three digits or so.
pub(crate) fn duration(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.0} µs", seconds * 1e6),
        1_000_000..10_000_000 => format!("{:.2} ms", seconds * 1e3),
        10_000_000..1_000_000_000 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

/// A count with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// Digits in groups of three.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An RFC 3339 time in UTC, to be read: `2025-11-23 21:00:00.123 UTC`.
pub(crate) fn time(rfc_3339: &str) -> String {
    let Some(bare) = rfc_3339.strip_suffix('Z') else { return rfc_3339.to_owned() };
    let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    let millis: String = fraction.chars().take(3).collect();
    let dot = if millis.is_empty() { "" } else { "." };
    format!("{}{dot}{millis} UTC", seconds.replacen('T', " ", 1))
}

/// The same without fractions: start times have a resolution of 10 ms.
pub(crate) fn seconds(rfc_3339: &str) -> String {
    let whole = rfc_3339.split('.').next().unwrap_or(rfc_3339).trim_end_matches('Z');
    time(&format!("{whole}Z"))
}

/// The last part of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

/// Columns between the places that tabs lead to.
const TAB: usize = 8;

/// A line with spaces instead of tabs.
pub(crate) fn without_tabs(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut column = 0;
    for character in line.chars() {
        let width = if character == '\t' { TAB - column % TAB } else { 1 };
        if character == '\t' {
            text.extend(std::iter::repeat_n(' ', width));
        } else {
            text.push(character);
        }
        column += width;
    }
    text
}

/// At most `max` characters.
pub(crate) fn limited(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_fitting_unit() {
        let texts = [900, 85_400, 1_934_000, 20_100_000, 1_250_000_000].map(duration);
        assert_eq!(texts, ["900 ns", "85 µs", "1.93 ms", "20 ms", "1.25 s"]);
    }

    #[test]
    fn large_counts_are_grouped() {
        assert_eq!(count(1, "thread"), "1 thread");
        assert_eq!(count(98_000, "frame"), "98,000 frames");
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn times_lose_what_nobody_reads() {
        assert_eq!(time("2025-11-23T21:00:00.123456789Z"), "2025-11-23 21:00:00.123 UTC");
        assert_eq!(time("2025-11-23T21:00:00Z"), "2025-11-23 21:00:00 UTC");
        assert_eq!(time("odd"), "odd");
        assert_eq!(seconds("2025-11-23T21:00:00.12Z"), "2025-11-23 21:00:00 UTC");
    }

    #[test]
    fn paths_and_long_texts_are_shortened() {
        assert_eq!(base_name("/usr/lib/libc.so.6"), "libc.so.6");
        assert_eq!(base_name("[vdso]"), "[vdso]");
        assert_eq!(base_name("/"), "/");
        assert_eq!(limited("aäb", 2), "aä…");
    }
}
