//! The cache of the elfutils client: `BUILDID/debuginfo` for each debug file, empty for one that no
//! server had when it was asked.
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use threaddump_arch::Arch;

use crate::images::build_id_of;
use crate::snapshot::hex;
use crate::sys::mapping::open_regular;

/// How long it holds that no server has a file, if the cache does not say otherwise (`cache_miss_s`).
const MISS: Duration = Duration::from_secs(600);

/// What the cache says about a file.
#[derive(Debug)]
pub(super) enum Known {
    /// It is here, and the right one.
    Here(PathBuf),
    /// No server had it a short while ago.
    Nowhere,
    /// It has to be asked for; what is wrong with the one that is here.
    Unknown(Option<String>),
}

/// The folder of the cache. It is made when there is something to keep.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    path: PathBuf,
}

/// A file on its way into the cache; removed unless it is kept.
#[derive(Debug)]
pub(super) struct NewFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    kept: bool,
}

/// A cache for one run, where the real one cannot be written to. It goes away with its last user.
#[derive(Debug)]
pub(super) struct Temporary(PathBuf);

impl Temporary {
    /// # Errors
    ///
    /// As mkdtemp(3).
    pub(super) fn new() -> io::Result<Temporary> {
        Ok(Temporary(nix::unistd::mkdtemp(&std::env::temp_dir().join("threaddump-debuginfod-XXXXXX"))?))
    }

    pub(super) fn cache(&self) -> Cache {
        Cache::new(&self.0)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What is in use is open or mapped.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Cache {
    pub(super) fn new(path: &Path) -> Cache {
        Cache { path: path.to_owned() }
    }

    fn place(&self, id: &[u8]) -> PathBuf {
        self.path.join(hex(id)).join("debuginfo")
    }

    pub(super) fn look(&self, id: &[u8], arch: Arch) -> Known {
        let path = self.place(id);
        let Ok(meta) = fs::symlink_metadata(&path) else { return Known::Unknown(None) };
        if meta.is_file() && meta.len() == 0 {
            let age = meta.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            let is_fresh = age.is_some_and(|age| age < self.miss());
            return if is_fresh { Known::Nowhere } else { Known::Unknown(None) };
        }
        let checked = open_regular(&path).map_err(|error| error.to_string());
        match checked.and_then(|file| check(&file, id, arch)) {
            Ok(()) => Known::Here(path),
            Err(why) => Known::Unknown(Some(format!("cannot use {}: {why}", path.display()))),
        }
    }

    fn miss(&self) -> Duration {
        let text = fs::read_to_string(self.path.join("cache_miss_s")).ok();
        text.and_then(|text| text.trim().parse().ok()).map_or(MISS, Duration::from_secs)
    }

    /// Begins a file.
    ///
    /// # Errors
    ///
    /// In words.
    pub(super) fn create(&self, id: &[u8]) -> Result<NewFile, String> {
        let path = self.place(id);
        let make = || {
            let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            create_beside(&path)
        };
        let wrong = |error| format!("cannot write to the cache {}: {error}", self.path.display());
        let (file, temporary) = make().map_err(wrong)?;
        Ok(NewFile { file, temporary, path, kept: false })
    }

    /// Looks whether files can be kept in it.
    ///
    /// # Errors
    ///
    /// In words.
    pub(super) fn probe(&self, id: &[u8]) -> Result<(), String> {
        let folder = self.place(id).parent().map(Path::to_owned);
        let was_there = folder.as_ref().is_some_and(|folder| folder.exists());
        drop(self.create(id)?);
        if let Some(folder) = folder.filter(|_| !was_there) {
            // A folder that another client has put something into stays.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Remembers for a while that no server has a file.
    pub(super) fn keep_miss(&self, id: &[u8]) {
        // Without it the servers are asked again, that is all.
        let Ok(mut new) = self.create(id) else { return };
        new.kept = fs::rename(&new.temporary, &new.path).is_ok();
    }
}

impl NewFile {
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.file
            .write_all(bytes)
            .map_err(|error| format!("cannot write {}: {error}", self.temporary.display()))
    }

    /// Gives it its name, if it is the right one.
    ///
    /// # Errors
    ///
    /// In words.
    pub(super) fn keep(mut self, id: &[u8], arch: Arch) -> Result<PathBuf, String> {
        let words = |error: io::Error| format!("cannot write {}: {error}", self.path.display());
        check(&open_regular(&self.temporary).map_err(words)?, id, arch)?;
        self.file.set_permissions(fs::Permissions::from_mode(0o400)).map_err(words)?;
        fs::rename(&self.temporary, &self.path).map_err(words)?;
        self.kept = true;
        Ok(self.path.clone())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // It may have been removed by whoever waited for it.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// # Errors
///
/// In words, if the file has another build ID.
fn check(file: &File, id: &[u8], arch: Arch) -> Result<(), String> {
    let found = build_id_of(file, arch)?;
    if found.as_deref() == Some(id) {
        return Ok(());
    }
    let found = found.map_or_else(|| "missing".to_owned(), |found| hex(&found));
    Err(format!("its build ID is {found}, not {}", hex(id)))
}

/// A new file beside another; never one that exists, nor one a link leads to.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    for _ in 0..100 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!("debuginfo.{}-{number}.tmp", std::process::id()));
        match options.open(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, temporary)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> Cache {
        let path = std::env::temp_dir().join(format!("threaddump-debuginfod-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Cache::new(&path)
    }

    fn names(cache: &Cache, id: &[u8]) -> Vec<String> {
        let entries = fs::read_dir(cache.path.join(hex(id))).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_miss_is_remembered_for_a_while() {
        let cache = scratch("miss");
        assert!(matches!(cache.look(b"\x01", Arch::X86_64), Known::Unknown(None)));
        cache.keep_miss(b"\x01");
        assert!(matches!(cache.look(b"\x01", Arch::X86_64), Known::Nowhere));
        assert_eq!(names(&cache, b"\x01"), ["debuginfo"]);
        fs::write(cache.path.join("cache_miss_s"), "0\n").unwrap();
        assert!(matches!(cache.look(b"\x01", Arch::X86_64), Known::Unknown(None)));
        fs::remove_dir_all(&cache.path).unwrap();
    }

    #[test]
    fn only_the_right_file_is_kept_or_used() {
        let cache = scratch("right");
        let program = fs::read("/bin/sleep").unwrap();
        let id = build_id_of(&File::open("/bin/sleep").unwrap(), Arch::X86_64).unwrap().unwrap();
        let put = |id: &[u8]| {
            let mut new = cache.create(id).unwrap();
            new.write(&program).unwrap();
            new.keep(id, Arch::X86_64)
        };
        let error = put(b"\xab\xcd").unwrap_err();
        assert_eq!(error, format!("its build ID is {}, not abcd", hex(&id)));
        assert_eq!(names(&cache, b"\xab\xcd"), Vec::<String>::new());
        let mut cut = cache.create(&id).unwrap();
        cut.write(&program[..program.len() / 2]).unwrap();
        assert_eq!(cut.keep(&id, Arch::X86_64).unwrap_err(), "it is cut off");
        let path = put(&id).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert!(matches!(cache.look(&id, Arch::X86_64), Known::Here(found) if found == path));
        fs::create_dir_all(cache.path.join("abcd")).unwrap();
        fs::copy(&path, cache.place(b"\xab\xcd")).unwrap();
        let Known::Unknown(Some(why)) = cache.look(b"\xab\xcd", Arch::X86_64) else { panic!() };
        assert!(why.contains(&hex(&id)) && why.ends_with("not abcd"), "{why}");
        fs::remove_dir_all(&cache.path).unwrap();
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let cache = scratch("unfinished");
        let mut new = cache.create(b"\x02").unwrap();
        new.write(b"half").unwrap();
        assert_eq!(names(&cache, b"\x02").len(), 1);
        drop(new);
        assert_eq!(names(&cache, b"\x02"), Vec::<String>::new());
        fs::remove_dir_all(&cache.path).unwrap();
    }
}
