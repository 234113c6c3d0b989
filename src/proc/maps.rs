//! `/proc/PID/maps` (proc_pid_maps(5)).
use super::{decimal, hexadecimal};
use crate::snapshot::{Mapping, Permissions};

/// Lines after this many are not read; the kernel's own limit on mappings is 65,530 unless raised.
pub const MAX_LINES: usize = 1_000_000;

/// The mappings of a process, by ascending address, without overlaps. Lines that are none are left
/// out.
pub fn parse_maps(text: &[u8]) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.split(|&byte| byte == b'\n').take(MAX_LINES) {
        let Some(mapping) = parse_line(line) else { continue };
        // The kernel lists them in order; a read in several pieces may see one twice.
        if mappings.last().is_none_or(|last| last.end <= mapping.start) {
            mappings.push(mapping);
        }
    }
    mappings
}

/// `start-end perms offset major:minor inode path`, where the path may hold anything.
fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let (start, end) = split_pair(fields.next()?, b'-')?;
    let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
    let permissions = parse_permissions(fields.next()?)?;
    let offset = hexadecimal(fields.next()?)?;
    let (major, minor) = split_pair(fields.next()?, b':')?;
    let device = (u32::try_from(hexadecimal(major)?).ok()?, u32::try_from(hexadecimal(minor)?).ok()?);
    let inode = decimal(fields.next()?)?;
    let (path, deleted) = parse_path(fields.next().unwrap_or_default().trim_ascii_start());
    (start < end).then_some(Mapping { start, end, permissions, offset, device, inode, path, deleted })
}

fn split_pair(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

fn parse_permissions(text: &[u8]) -> Option<Permissions> {
    let &[read, write, execute, shared] = text else { return None };
    Some(Permissions {
        read: read == b'r',
        write: write == b'w',
        execute: execute == b'x',
        shared: shared == b's',
    })
}

/// Path and whether it was marked as deleted. The kernel escapes the newline alone (seen on Linux
/// 6.18: blanks, backslashes and invalid UTF-8 come as they are), so only `\012` is undone.
fn parse_path(text: &[u8]) -> (Vec<u8>, bool) {
    let (text, deleted) = match text.strip_suffix(b" (deleted)") {
        Some(path) => (path, true),
        None => (text, false),
    };
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(br"\012") {
            path.push(b'\n');
            rest = after;
        } else {
            path.push(first);
            rest = after;
        }
    }
    (path, deleted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(line: &[u8]) -> Mapping {
        let mut mappings = parse_maps(line);
        assert_eq!(mappings.len(), 1, "{}", String::from_utf8_lossy(line));
        mappings.remove(0)
    }

    #[test]
    fn a_file_mapping_has_all_its_fields() {
        let mapping = one(b"55d0a0e5b000-55d0a0e5f000 r-xp 00004000 fe:01 1311     /usr/bin/cat\n");
        assert_eq!((mapping.start, mapping.end), (0x55d0_a0e5_b000, 0x55d0_a0e5_f000));
        assert_eq!((mapping.offset, mapping.device, mapping.inode), (0x4000, (0xfe, 1), 1311));
        assert!(mapping.permissions.read && mapping.permissions.execute);
        assert!(!mapping.permissions.write && !mapping.permissions.shared);
        assert_eq!((mapping.path.as_slice(), mapping.deleted), (&b"/usr/bin/cat"[..], false));
    }

    #[test]
    fn paths_are_taken_whole() {
        let cases: [(&[u8], &[u8], bool); 9] = [
            (b"", b"", false),
            (b"                          [stack]", b"[stack]", false),
            (b"    /a b  c", b"/a b  c", false),
            (br"    /a\012b", b"/a\nb", false),
            (br"    /a\040b\\c", br"/a\040b\\c", false),
            (b"    /a\xff\xfe", b"/a\xff\xfe", false),
            (b"    /usr/lib/libx.so (deleted)", b"/usr/lib/libx.so", true),
            (b"    /memfd:jit (deleted)", b"/memfd:jit", true),
            (b"    /odd (deleted) name", b"/odd (deleted) name", false),
        ];
        for (tail, path, deleted) in cases {
            let mapping = one(&[b"1000-2000 rw-s 00000000 00:01 7 ", tail].concat());
            assert_eq!((mapping.path.as_slice(), mapping.deleted), (path, deleted));
        }
    }

    #[test]
    fn lines_that_are_no_mappings_are_left_out() {
        for line in [
            &b""[..],
            b"\n\n",
            b"1000-2000",
            b"2000-1000 r--p 0 0:0 0",
            b"1000-1000 r--p 0 0:0 0",
            b"1000_2000 r--p 0 0:0 0",
            b"11112222333344445-2 r--p 0 0:0 0",
            b"1000-2000 r--pp 0 0:0 0",
            b"1000-2000 r--p 0 0:0 x",
            b"+1000-2000 r--p 0 0:0 0",
        ] {
            assert_eq!(parse_maps(line), [], "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn overlapping_lines_keep_the_first() {
        let text = b"1000-3000 r--p 0 0:0 0\n2000-4000 r--p 0 0:0 0\n3000-4000 r--p 0 0:0 0\n";
        let starts: Vec<u64> = parse_maps(text).iter().map(|mapping| mapping.start).collect();
        assert_eq!(starts, [0x1000, 0x3000]);
    }

    #[test]
    fn our_own_maps_hold_this_function() {
        let text = std::fs::read("/proc/self/maps").expect("/proc is mounted");
        let here = our_own_maps_hold_this_function as *const () as u64;
        let mappings = parse_maps(&text);
        let found = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&here));
        assert!(found.expect("a mapping").permissions.execute);
    }

    proptest! {
        #[test]
        fn any_bytes_give_ordered_mappings(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mappings = parse_maps(&text);
            prop_assert!(mappings.windows(2).all(|pair| pair[0].end <= pair[1].start));
        }

        #[test]
        fn almost_lines_never_panic(text in r"([0-9a-f\-rwxsp: /\\]{0,60}\n){0,5}") {
            parse_maps(text.as_bytes());
        }
    }
}
