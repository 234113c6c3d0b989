//! Whether there is memory for one more.

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;
/// This part of all memory has to be available.
const PART: u64 = 16;

/// What is missing, in words; `None` if there is enough, or nobody knows.
pub(super) fn short() -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open("/proc/meminfo").ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    short_in(&text)
}

fn short_in(text: &str) -> Option<String> {
    let number = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let (total, available) = (number("MemTotal")?, number("MemAvailable")?);
    (available < total / PART)
        .then(|| format!("memory is short: {} of {} MiB are available", available >> 10, total >> 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixteenth_has_to_be_there() {
        let text = |available| format!("MemTotal: 1600 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n");
        assert_eq!(short_in(&text(100)), None);
        assert!(short_in(&text(99)).is_some());
        assert_eq!(short_in(""), None);
        assert_eq!(short_in("MemTotal: x kB\nMemAvailable: 1 kB"), None);
    }
}
