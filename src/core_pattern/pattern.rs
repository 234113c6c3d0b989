//! The pattern itself.
use std::path::Path;

use super::PatternError;

/// Bytes of a pattern; the kernel cuts what is longer, and says nothing (Linux 6.18).
pub const MAX_PATTERN: usize = 127;

/// What the handler has to be told, see [`crate::collect::crash::Event`].
const NEEDED: &[u8] = b"PIstugdFe";
/// Everything that the kernel can be asked for.
const KNOWN: &[u8] = b"PpIistugdFefEchC";

/// The pattern that makes the kernel call this program. What the pattern of a `previous` handler asks for is asked
/// for, too.
///
/// # Errors
/// If the kernel would not understand it, or cut it.
pub fn build(program: &Path, options: &[String], previous: Option<&str>) -> Result<String, PatternError> {
    let program = program.to_str().filter(|path| is_plain(path)).ok_or_else(|| {
        PatternError::refused(
            format!(
                "the path {} cannot stand in core_pattern: it has blanks, % or other special characters",
                program.display()
            ),
            "install the program at another path, such as /usr/local/bin/threaddump",
        )
    })?;
    let mut pattern = format!("|{program} handle-core");
    for option in options {
        if !is_plain(option) {
            let why = format!(
                "'{option}' cannot stand in core_pattern: it has blanks, % or other special characters"
            );
            return Err(PatternError::refused(why, "give a plain path"));
        }
        pattern = format!("{pattern} {option}");
    }
    let letters = NEEDED.iter().copied().chain(previous.into_iter().flat_map(more_letters));
    for letter in letters.map(char::from) {
        pattern = format!("{pattern} {letter}=%{letter}");
    }
    if pattern.len() > MAX_PATTERN {
        let why = format!(
            "the pattern would have {} bytes, and the kernel takes {MAX_PATTERN}: {pattern}",
            pattern.len()
        );
        return Err(PatternError::refused(
            why,
            "install the program at a shorter path, such as /usr/bin/threaddump, and give the store (--store) a short one",
        ));
    }
    Ok(pattern)
}

/// Whether the kernel takes a text as it is: it splits at blanks, and expands what follows %.
fn is_plain(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii_graphic() && character != '%')
}

/// What a pattern asks for that ours does not ask for anyway.
fn more_letters(pattern: &str) -> Vec<u8> {
    let mut letters = Vec::new();
    let mut bytes = pattern.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%'
            && let Some(letter) = bytes.next()
            && KNOWN.contains(&letter)
            && !NEEDED.contains(&letter)
            && !letters.contains(&letter)
        {
            letters.push(letter);
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(previous: Option<&str>) -> String {
        build(Path::new("/usr/bin/threaddump"), &[], previous).expect("short and plain")
    }

    #[test]
    fn the_pattern_fits() {
        let expected = "|/usr/bin/threaddump handle-core P=%P I=%I s=%s t=%t u=%u g=%g d=%d F=%F e=%e";
        assert_eq!(ours(None), expected);
        // Everything that can be asked for, and room for a longer path.
        let all = ours(Some("|/x %p %i %f %E %c %h %C %%P %q"));
        assert!(all.ends_with("e=%e p=%p i=%i f=%f E=%E c=%c h=%h C=%C"), "{all}");
        assert!(all.len() <= MAX_PATTERN, "{}", all.len());
    }

    #[test]
    fn what_the_kernel_would_cut_or_split_is_refused() {
        for path in ["/a b/threaddump", "/a%p/threaddump", "/a\n/threaddump", "/ä/threaddump"] {
            assert!(build(Path::new(path), &[], None).is_err(), "{path}");
        }
        let long = format!("/{}/threaddump", "x".repeat(70));
        let error = build(Path::new(&long), &[], None).expect_err("too long").to_string();
        assert!(error.contains("127"), "{error}");
        assert!(build(Path::new("/t"), &["--store=/a b".to_owned()], None).is_err());
    }
}
