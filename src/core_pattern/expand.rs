//! What the kernel would have made of a pattern.
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// The program and arguments that a pattern means, given letters and their values. As the kernel does it, blanks
/// divide the pattern before it is expanded, and letters that are not known become nothing. `None` if the pattern
/// calls no program.
pub fn expand(pattern: &str, given: &[(u8, Vec<u8>)]) -> Option<Vec<OsString>> {
    let words = pattern.strip_prefix('|')?.split_ascii_whitespace();
    let expanded = words.map(|word| OsString::from_vec(expand_word(word.as_bytes(), given)));
    let arguments: Vec<OsString> = expanded.collect();
    (!arguments.is_empty()).then_some(arguments)
}

fn expand_word(word: &[u8], given: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut bytes = word.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, byte == b'%') {
            (byte, false) => text.push(byte),
            _ => match bytes.next() {
                Some(b'%') => text.push(b'%'),
                Some(letter) => {
                    let value = given.iter().find(|(known, _)| known == letter);
                    text.extend(value.map(|(_, value)| value.as_slice()).unwrap_or_default());
                }
                None => {}
            },
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_expanded_as_the_kernel_does() {
        let given = [(b'P', b"42".to_vec()), (b'e', b"a b/%P".to_vec())];
        let expected = ["/usr/bin/x", "42", "a b/%P", "p42:%", "", ""].map(OsString::from);
        assert_eq!(expand("|/usr/bin/x %P  %e p%P:%% %q %", &given), Some(expected.to_vec()));
        assert_eq!(expand("core.%P", &given), None);
        assert_eq!(expand("|", &given), None);
    }
}
