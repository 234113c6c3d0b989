//! Lines that hold a frame without its names. Two shapes are known: that of `--format go` and of the relay,
//! a function and on the next line its place; and that of the text for people.
//!
//! Everything here takes bytes: a text may come from anywhere.

/// A place in a module, as a text names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Path, or only its last part.
    pub(super) path: Vec<u8>,
    /// File address of the pc.
    pub(super) offset: u64,
    /// Build ID; empty if there is none.
    pub(super) build_id: Vec<u8>,
}

/// The second line of a frame in Go's shape: a tab, `PATH+0xOFFSET (ID) +0xAFTER sp=0x… pc=0x…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) place: Place,
    /// `PATH+0xOFFSET (ID)` as it stands.
    pub(super) head: Vec<u8>,
    /// ` +0xAFTER`, if it is there: how far behind the start of the function.
    pub(super) after: Option<Vec<u8>>,
    /// What follows, as it stands.
    pub(super) tail: Vec<u8>,
}

/// A frame of the text for people: `  #3  0x… NAME+0xOFFSET  (build ID …)  [how]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextFrame {
    pub(super) place: Place,
    /// What is before the name, as it stands.
    pub(super) head: Vec<u8>,
    /// What follows the build ID, as it stands.
    pub(super) tail: Vec<u8>,
    /// Whether the pc is looked up as it is: nothing called from there.
    pub(super) exact: bool,
}

/// Build IDs have 20 bytes as a rule; the longest known have 32.
const MAX_ID: usize = 64;

/// The location line of a frame that has no source line yet.
pub(super) fn location(line: &[u8]) -> Option<Location> {
    let whole = line.strip_prefix(b"\t")?;
    let mut rest = whole;
    while let Some((before, token)) = last_token(rest) {
        let is_register = [&b"sp="[..], b"pc=", b"fp="]
            .iter()
            .any(|name| token.strip_prefix(*name).is_some_and(|value| hexadecimal(value).is_some()));
        if !is_register {
            break;
        }
        rest = before;
    }
    let tail = &whole[rest.len()..];
    let mut after = None;
    if let Some((before, token)) = last_token(rest)
        && token.strip_prefix(b"+").and_then(hexadecimal).is_some()
    {
        after = Some(rest[before.len()..].to_vec());
        rest = before;
    }
    let place = place(rest)?;
    Some(Location { place, head: rest.to_vec(), after, tail: tail.to_vec() })
}

/// A frame of the text for people that has no name.
pub(super) fn text_frame(line: &[u8]) -> Option<TextFrame> {
    let trimmed = line.trim_ascii_start();
    let after_hash = trimmed.strip_prefix(b"#")?;
    let digits = after_hash.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let after_index = after_hash.get(digits..)?.trim_ascii_start();
    let end = after_index.iter().position(|&byte| byte == b' ')?;
    hexadecimal(&after_index[..end])?;
    let name_at = line.len() - after_index[end..].trim_ascii_start().len();
    let rest = &line[name_at..];
    let id_at = find(rest, b"  (build ID ")?;
    let close = id_at + rest[id_at..].iter().position(|&byte| byte == b')')?;
    let tail = &rest[close + 1..];
    let named = [&rest[..id_at], &rest[id_at + 1..=close]].concat();
    let exact = &after_hash[..digits] == b"0" || find(tail, b"[interrupted by a signal]").is_some();
    Some(TextFrame { place: place(&named)?, head: line[..name_at].to_vec(), tail: tail.to_vec(), exact })
}

/// `PATH+0xOFFSET`, then maybe `(ID)` or `(build ID ID)`.
fn place(text: &[u8]) -> Option<Place> {
    let (path_and_offset, build_id) = match text.strip_suffix(b")") {
        Some(open) => {
            let at = open.iter().rposition(|&byte| byte == b'(')?;
            let digits = &open[at + 1..];
            let digits = digits.strip_prefix(b"build ID ").unwrap_or(digits);
            (text[..at].strip_suffix(b" ")?, unhex(digits)?)
        }
        None => (text, Vec::new()),
    };
    let plus = path_and_offset.iter().rposition(|&byte| byte == b'+')?;
    let offset = hexadecimal(&path_and_offset[plus + 1..])?;
    let path = path_and_offset[..plus].to_vec();
    (!path.is_empty()).then_some(Place { path, offset, build_id })
}

/// Splits at the last blank; the blank belongs to neither.
fn last_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|&byte| byte == b' ')?;
    Some((&text[..at], &text[at + 1..]))
}

/// `0x` and up to 16 digits.
fn hexadecimal(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").filter(|digits| (1..=16).contains(&digits.len()))?;
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then(|| std::str::from_utf8(digits).ok())??;
    u64::from_str_radix(digits, 16).ok()
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() > MAX_ID * 2 {
        return None;
    }
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place_of(path: &str, offset: u64, build_id: &[u8]) -> Place {
        Place { path: path.as_bytes().to_vec(), offset, build_id: build_id.to_vec() }
    }

    #[test]
    fn a_location_is_taken_apart_and_can_be_put_together() {
        let line = b"\t/usr/lib/a b+0x1/libc.so.6+0x42 (00ff) +0x1b sp=0x7ffc pc=0x7f42";
        let found = location(line).expect("it is one");
        assert_eq!(found.place, place_of("/usr/lib/a b+0x1/libc.so.6", 0x42, &[0, 0xff]));
        assert_eq!(found.after.as_deref(), Some(&b" +0x1b"[..]));
        assert_eq!(found.tail, b" sp=0x7ffc pc=0x7f42");
        let bare = location(b"\t/bin/x+0x10").expect("it is one");
        assert_eq!((bare.place, bare.after), (place_of("/bin/x", 0x10, &[]), None));
        let words = location(b"\t/bin/x+0x10 (build ID 0a0b) pc=0x1").expect("it is one");
        assert_eq!(words.place.build_id, [10, 11]);
    }

    #[test]
    fn other_lines_are_no_locations() {
        for line in [
            &b"\t/src/main.c:12 +0x1b pc=0x7f42"[..],
            b"/bin/x+0x10",
            b"\t? pc=0x12",
            b"\t+0x12",
            b"\t/bin/x+0x10 (xyz)",
            b"\t/bin/x+0x12345678901234567 (00)",
            b"\t",
            b"",
        ] {
            assert_eq!(location(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_text_frame_keeps_what_is_around_its_name() {
        let line = b"  #3  0x000055e9f1a4f621 sleep+0x2621  (build ID e310)  [by frame pointer]";
        let found = text_frame(line).expect("it is one");
        assert_eq!(found.place, place_of("sleep", 0x2621, &[0xe3, 0x10]));
        assert_eq!(found.head, b"  #3  0x000055e9f1a4f621 ");
        assert_eq!(found.tail, b"  [by frame pointer]");
        assert!(!found.exact);
        assert!(text_frame(b"  #0  0x1 x+0x1  (build ID 00)").expect("it is one").exact);
        assert_eq!(text_frame(b"  #3  0x00007fdaf07e424a main+0x7a  at x.c:58  in libc.so.6"), None);
        assert_eq!(text_frame(b"  #1  inlined into #2    xnanosleep  at lib/xnanosleep.c:57"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (location(&line), text_frame(&line));
        }

        #[test]
        fn nearly_right_lines_are_survived(line in "[\t #0-9a-fx+ ().=pc/bIDuil]{0,80}") {
            if let Some(found) = location(line.as_bytes()) {
                let again = [b"\t", &found.head[..], &found.after.unwrap_or_default(), &found.tail].concat();
                prop_assert_eq!(again, line.as_bytes());
            }
            let _ = text_frame(line.as_bytes());
        }
    }
}
