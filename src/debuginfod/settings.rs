//! What the environment says, in the words of the elfutils client (debuginfod-find(1)).
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest file that is fetched, in bytes, if `DEBUGINFOD_MAXSIZE` does not say less.
const MAX_SIZE: u64 = 4 << 30;
/// Servers that are asked.
const MAX_SERVERS: usize = 16;

/// Where to ask, where to keep, and how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Servers, the first to be asked first.
    pub urls: Vec<String>,
    /// The cache; `None` if there is no place for one.
    pub cache: Option<PathBuf>,
    /// Time for everything that is fetched.
    pub budget: Duration,
    /// How long one server may be silent, or slower than 100 kB in this time.
    pub patience: Duration,
    /// Largest file, in bytes.
    pub max_size: u64,
}

impl Settings {
    /// As the environment says. `budget` is the time for everything.
    pub fn from_environment(budget: Duration) -> Settings {
        Settings::of(budget, |name| std::env::var_os(name), Path::is_dir)
    }

    fn of(
        budget: Duration,
        variable: impl Fn(&str) -> Option<OsString>,
        is_dir: impl Fn(&Path) -> bool,
    ) -> Settings {
        let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
        let number = |name| text(name)?.trim().parse().ok().filter(|&number: &u64| number > 0);
        let urls = text("DEBUGINFOD_URLS").unwrap_or_default();
        // Newer clients know words that say which signatures are asked for.
        let urls = urls.split_whitespace().filter(|word| !word.starts_with("ima:")).take(MAX_SERVERS);
        let urls: Vec<String> = urls.map(|url| url.trim_end_matches('/').to_owned()).collect();
        // A silent server should be known as such before the time is over.
        let share = budget * 9 / 10 / u32::try_from(urls.len().max(1)).unwrap_or(1);
        Settings {
            cache: cache(&variable, is_dir),
            budget,
            patience: number("DEBUGINFOD_TIMEOUT").map_or(share, Duration::from_secs).min(budget),
            max_size: number("DEBUGINFOD_MAXSIZE").unwrap_or(MAX_SIZE).min(MAX_SIZE),
            urls,
        }
    }
}

/// Where the elfutils client has its cache: the old place too, if it is in use.
fn cache(variable: impl Fn(&str) -> Option<OsString>, is_dir: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = path("DEBUGINFOD_CACHE_PATH") {
        return Some(path);
    }
    let home = path("HOME");
    let old = home.as_ref().map(|home| home.join(".debuginfod_client_cache"));
    old.filter(|old| is_dir(old)).or_else(|| {
        let base = path("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")))?;
        Some(base.join("debuginfod_client"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], dirs: &[&str]) -> Settings {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        Settings::of(Duration::from_secs(30), variable, |path| dirs.iter().any(|dir| Path::new(dir) == path))
    }

    #[test]
    fn servers_are_words_of_a_variable() {
        let settings = of(&[("DEBUGINFOD_URLS", " http://a/ ima:enforcing https://b:8/x/ ")], &[]);
        assert_eq!(settings.urls, ["http://a", "https://b:8/x"]);
        assert_eq!(settings.patience, Duration::from_millis(13_500), "a half for each");
        assert!(of(&[], &[]).urls.is_empty());
    }

    #[test]
    fn the_cache_is_that_of_the_elfutils_client() {
        let cache = |variables: &[(&str, &str)], dirs: &[&str]| of(variables, dirs).cache;
        assert_eq!(cache(&[], &[]), None);
        let home = [("HOME", "/h")];
        assert_eq!(cache(&home, &[]), Some("/h/.cache/debuginfod_client".into()));
        let old = "/h/.debuginfod_client_cache";
        assert_eq!(cache(&home, &[old]), Some(old.into()));
        let xdg = [("HOME", "/h"), ("XDG_CACHE_HOME", "/x")];
        assert_eq!(cache(&xdg, &[]), Some("/x/debuginfod_client".into()));
        let own = [("HOME", "/h"), ("DEBUGINFOD_CACHE_PATH", "/c")];
        assert_eq!(cache(&own, &[old]), Some("/c".into()));
    }

    #[test]
    fn limits_are_numbers_and_never_beyond_ours() {
        let settings = of(&[("DEBUGINFOD_TIMEOUT", "5"), ("DEBUGINFOD_MAXSIZE", "1000")], &[]);
        assert_eq!((settings.patience, settings.max_size), (Duration::from_secs(5), 1000));
        let wrong = of(&[("DEBUGINFOD_TIMEOUT", "600"), ("DEBUGINFOD_MAXSIZE", "x")], &[]);
        assert_eq!((wrong.patience, wrong.max_size), (Duration::from_secs(30), MAX_SIZE));
    }
}
