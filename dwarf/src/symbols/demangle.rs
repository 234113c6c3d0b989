//! Readable names from mangled ones, whatever the name is.
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cpp;

/// The longest mangled name that is taken apart, in bytes. Names of deeply nested C++ templates
/// reach tens of kilobytes.
pub(super) const MAX_MANGLED: usize = 64 * 1024;
/// The longest name given out, in bytes, without the ellipsis.
pub const MAX_NAME: usize = 4096;
/// The demangled name, if `raw` is a mangled Rust (legacy or v0) or C++ name; at most [`MAX_NAME`]
/// bytes and an ellipsis. Hashes of Rust names are left out.
pub fn demangle(raw: &str) -> Option<String> {
    if raw.len() > MAX_MANGLED || !looks_mangled(raw) {
        return None;
    }
    // The library is written not to panic; a mistake in it must not cost the dump.
    let readable = catch_unwind(AssertUnwindSafe(|| rust(raw))).ok()?;
    readable.or_else(|| cpp::demangle(raw)).filter(|readable| !readable.is_empty())
}

/// The name to show for a raw one: demangled if it can be, else itself, length-limited.
pub fn display_name(raw: &str) -> String {
    demangle(raw).unwrap_or_else(|| {
        let mut name = Limited::default();
        let _ = name.write_str(raw);
        name.text
    })
}

fn looks_mangled(raw: &str) -> bool {
    ["_Z", "__Z", "_R", "__R", "___Z"].iter().any(|prefix| raw.starts_with(prefix))
}

fn rust(raw: &str) -> Option<String> {
    let name = rustc_demangle::try_demangle(raw).ok()?;
    // Legacy names look like C++ ones; only the hash at the end tells them apart.
    if raw.starts_with("_Z") && !has_legacy_hash(raw) {
        return None;
    }
    let mut readable = Limited::default();
    let complete = write!(readable, "{name:#}").is_ok();
    (complete || readable.full).then_some(readable.text)
}

/// Whether the last path component is `h` and sixteen hexadecimal digits.
fn has_legacy_hash(raw: &str) -> bool {
    let path = match raw.find("E.").or_else(|| raw.find("E@")) {
        Some(end) => &raw[..=end],
        None => raw,
    };
    let hash = path.strip_suffix('E').and_then(|path| path.get(path.len().checked_sub(19)?..));
    let digits = hash.and_then(|hash| hash.strip_prefix("17h"));
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Text that stops growing at [`MAX_NAME`] bytes.
#[derive(Default)]
pub(super) struct Limited {
    pub(super) text: String,
    /// Whether the text was cut.
    pub(super) full: bool,
    /// Empty writes count too: a demangler can loop for ever without writing anything.
    writes: usize,
}

impl Write for Limited {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.writes += 1;
        let room = MAX_NAME.saturating_sub(self.text.len());
        if self.full {
            return Err(fmt::Error);
        }
        if piece.len() <= room && self.writes < 16 * MAX_NAME {
            self.text.push_str(piece);
            return Ok(());
        }
        let end = (0..=room.min(piece.len())).rev().find(|&end| piece.is_char_boundary(end));
        self.text.push_str(&piece[..end.unwrap_or(0)]);
        self.text.push('…');
        self.full = true;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_names_lose_their_hash() {
        let legacy = "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE";
        assert_eq!(demangle(legacy).unwrap(), "core::fmt::Formatter::pad");
        assert_eq!(demangle(&format!("{legacy}.llvm.123")).unwrap(), "core::fmt::Formatter::pad");
        let v0 = "_RNvMsr_NtCs3ssYzQotkvD_3std4pathNtB5_7PathBuf3newCs15kBYyAo9fc_7mycrate";
        assert_eq!(demangle(v0).unwrap(), "<std::path::PathBuf>::new");
    }

    #[test]
    fn cpp_names_keep_their_parameters() {
        assert_eq!(demangle("_ZN5space3fooEibc").unwrap(), "space::foo(int, bool, char)");
        assert_eq!(demangle("_ZN3Foo3barEv.cold").unwrap(), "Foo::bar() [clone .cold]");
        assert_eq!(
            demangle("_ZNSaIcED1Ev@@GLIBCXX_3.4").unwrap(),
            "std::allocator<char>::~allocator()@@GLIBCXX_3.4"
        );
    }

    #[test]
    fn cpp_names_that_look_like_legacy_rust_stay_cpp() {
        assert_eq!(demangle("_ZN3foo3barE").unwrap(), "foo::bar");
    }

    #[test]
    fn other_names_stay_as_they_are() {
        for name in ["main", "", "_", "_Zebra", "_R", "_ZN", "__libc_start_main"] {
            assert_eq!(display_name(name), name);
        }
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        let long = "é".repeat(3000);
        let shown = display_name(&long);
        assert!(shown.len() <= MAX_NAME + '…'.len_utf8());
        assert!(shown.ends_with('…'));
    }

    /// Each substitution doubles the text: forty of them would be a terabyte.
    #[test]
    fn a_name_that_explodes_is_cut() {
        let mut name = String::from("_Z1fI1A");
        for index in 0..60 {
            name.push_str("N1BI");
            name.push_str(&if index == 0 { "S_S_".to_owned() } else { "S0_S0_".to_owned() });
            name.push_str("EE");
        }
        name.push_str("Evv");
        let shown = display_name(&name);
        assert!(shown.len() <= MAX_NAME + '…'.len_utf8());
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        for piece in ["P", "K", "I", "N", "X", "Dp", "F", "A_", "L", "sr", "T", "cv", "_ZN1aI"] {
            let _ = demangle(&format!("_Z1f{}", piece.repeat(MAX_MANGLED / 2 / piece.len())));
            let _ = demangle(&format!("_ZN1a{}", piece.repeat(20_000 / piece.len())));
        }
        for piece in ["I", "N", "B", "T", "R", "D", "F", "NvC", "INvC1a1b", "Y", "X", "M"] {
            let _ = demangle(&format!("_R{}", piece.repeat(MAX_MANGLED / 2 / piece.len())));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_panics_or_grows(name in "(_Z|_ZN|_R|__R|)[a-zA-Z0-9_.$@]{0,80}") {
            proptest::prop_assert!(display_name(&name).len() <= MAX_NAME + '…'.len_utf8());
        }

        /// Pieces that real names are made of reach further into the demanglers.
        #[test]
        fn no_mixture_of_real_pieces_panics_or_grows(
            start in proptest::sample::select(vec!["_Z", "_ZN", "_Z1f", "_RNv", "_RINv", "_RNvMs_"]),
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "N", "E", "I", "1a", "3foo", "S_", "S0_", "S1_", "St", "Sa", "T_", "T0_", "P", "R", "K", "F",
                "v", "i", "J", "X", "Dp", "DT", "cl", "cv", "L", "Li1", "fp_", "A_", "M", "Z", "s_", "d", "U",
                "UlvE_", "Ut_", "C1", "D2", "sr", "nw", "st", "B1_", "B_", "Nt", "Nv", "Cs_1a", "Y", "G_", "p",
            ]), 0..120),
        ) {
            let name = format!("{start}{}", pieces.concat());
            proptest::prop_assert!(display_name(&name).len() <= MAX_NAME + '…'.len_utf8());
        }
    }
}
