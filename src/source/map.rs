//! Which lines are wanted, and where files are that are no longer at their paths.
use std::str::FromStr;

/// What to show of source files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// Lines for each frame; 0 for none.
    pub lines: usize,
    /// Rewriting of paths.
    pub maps: Vec<PathMap>,
}

/// Paths that begin with one prefix begin with another on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMap {
    from: String,
    to: String,
}

impl FromStr for PathMap {
    type Err = String;

    /// `FROM=TO`.
    fn from_str(text: &str) -> Result<PathMap, String> {
        let wrong = || "a source map is two folders, as in /build/x=/home/me/x".to_owned();
        let (from, to) = text.split_once('=').ok_or_else(wrong)?;
        if from.is_empty() || to.is_empty() {
            return Err(wrong());
        }
        Ok(PathMap { from: trimmed(from).to_owned(), to: trimmed(to).to_owned() })
    }
}

/// Without the slashes at the end, which mean nothing.
fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// The path that the longest fitting prefix makes of a name, if one fits.
pub(super) fn path(maps: &[PathMap], name: &str) -> Option<String> {
    let plain = normalized(name);
    let fitting = maps.iter().filter_map(|map| {
        let rest = rest(name, &map.from).or_else(|| rest(&plain, &map.from))?;
        Some((map, rest))
    });
    // Of two equally long ones the first counts.
    let (map, rest) = fitting.rev().max_by_key(|(map, _)| map.from.len())?;
    Some(format!("{}/{rest}", map.to))
}

/// What follows a prefix that ends between two parts of a path.
fn rest<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix)?.strip_prefix('/').map(|rest| rest.trim_start_matches('/'))
}

/// A path without `.` and `..`, as far as names alone tell. The compiler's folder may be in between, as
/// in `/build/x/obj/../src/a.c`.
fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(maps: &[&str], name: &str) -> Option<String> {
        let maps: Vec<PathMap> = maps.iter().map(|map| map.parse().expect("two folders")).collect();
        path(&maps, name)
    }

    #[test]
    fn the_longest_prefix_wins() {
        let maps = ["/build=/short", "/build/x/=/long/", "/build/x=/second", "/=/all"];
        assert_eq!(mapped(&maps, "/build/x/a.c").as_deref(), Some("/long/a.c"));
        assert_eq!(mapped(&maps, "/build/xy/a.c").as_deref(), Some("/short/xy/a.c"));
        assert_eq!(mapped(&maps, "/other/a.c").as_deref(), Some("/all/other/a.c"));
        assert_eq!(mapped(&maps[..1], "/building/a.c"), None);
        assert_eq!(mapped(&[], "/a.c"), None);
    }

    #[test]
    fn relative_names_and_detours_are_mapped_too() {
        assert_eq!(mapped(&["./csu=/src"], "./csu/../nptl/a.c").as_deref(), Some("/src/../nptl/a.c"));
        assert_eq!(mapped(&[".=/src"], "./nptl/a.c").as_deref(), Some("/src/nptl/a.c"));
        assert_eq!(mapped(&["nptl=/src"], "./nptl/a.c").as_deref(), Some("/src/a.c"));
        assert_eq!(mapped(&["/b/src=/s"], "/b/obj/../src/./a.c").as_deref(), Some("/s/a.c"));
        assert_eq!(normalized("../../a/../b"), "../../b");
    }

    #[test]
    fn a_map_needs_two_folders() {
        for wrong in ["", "a", "=b", "a="] {
            assert!(wrong.parse::<PathMap>().is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_it_panic(name in "\\PC*", from in "[/.a]{1,6}", to in "[/.a]{1,6}") {
            let _ = mapped(&[&format!("{from}={to}")], &name);
        }
    }
}
