//! A store as a whole: whose it is, its lock, and what has to go.
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use super::folder::Folder;
use super::limits::{Held, surplus};
use super::lock::Lock;
use super::scan::{Scan, owners};
use super::{Facts, Id, Limits, NewCrash, StoreError, Stored};
use crate::report::{Report, Style, json, text};

/// The folder of files that are being written.
const NEW: &str = ".new";
/// Such a file is locked at once; one that is not locked after this time has no writer any more.
const UNLOCKED: Duration = Duration::from_secs(5);
/// Most of them that are looked at.
const MAX_NEW: usize = 10_000;
/// How long the lock is waited for. A hundred writers at once need a second or two.
const WAIT: Duration = Duration::from_secs(20);

/// A folder of crashes.
#[derive(Debug)]
pub struct Store {
    top: Folder,
    limits: Limits,
    wait: Duration,
    user: u32,
    /// It belongs to who uses it. A user who looks into root's store sees and changes what is his.
    is_own: bool,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Crashes; those that look alike count once.
    pub crashes: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Store {
    /// The store of root, and of the handler that the kernel calls.
    pub fn system_path() -> &'static Path {
        Path::new("/var/lib/threaddump/crashes")
    }

    /// The store of a user who runs programs: in `$XDG_STATE_HOME`, or `~/.local/state`. `None` without either.
    pub fn user_path() -> Option<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        state.map(|state| state.join("threaddump/crashes"))
    }

    /// The one of whoever asks: root's, or the user's.
    pub fn default_path() -> Option<PathBuf> {
        if geteuid().is_root() { Some(Store::system_path().to_owned()) } else { Store::user_path() }
    }

    /// Stores a report, in both its forms. The crash belongs to the user of the process, or to whom the store
    /// belongs to if that is not root.
    ///
    /// # Errors
    ///
    /// If it is no crash, or as [`NewCrash::commit`].
    pub fn add(&self, report: &Report) -> Result<Stored, StoreError> {
        let facts = Facts::of(report).ok_or(StoreError::Facts("it is no crash, or nobody knows whose"))?;
        let mut new = self.begin(if self.is_root() { facts.uid } else { self.user })?;
        let wrong = |error| StoreError::Io { what: "write the report of a crash".to_owned(), source: error };
        let mut out = BufWriter::new(new.json());
        json::write(report, &mut out).and_then(|()| out.flush()).map_err(wrong)?;
        drop(out);
        let mut out = BufWriter::new(new.text());
        text::write(report, &Style::PLAIN, &mut out).and_then(|()| out.flush()).map_err(wrong)?;
        drop(out);
        new.commit(&facts)
    }

    /// Opens a store to write to, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// If it cannot be made or opened, or belongs to somebody else, or others may write to it.
    pub fn create(path: &Path, limits: Limits) -> Result<Store, StoreError> {
        // In root's store each user has to reach his folder.
        let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
        let made = DirBuilder::new().recursive(true).mode(mode).create(path);
        made.map_err(|error| StoreError::io("create", path, error))?;
        let store = Store::open(path, limits)?;
        store.require_own()?;
        Ok(store)
    }

    /// Opens a store that is there.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or others than its owner may write to it.
    pub fn open(path: &Path, limits: Limits) -> Result<Store, StoreError> {
        let top = Folder::open(path)?;
        let facts = top.stat()?;
        let user = geteuid().as_raw();
        let foreign = |why| Err(StoreError::Foreign { path: path.to_owned(), why });
        if facts.st_mode & 0o022 != 0 {
            return foreign("others than its owner may write to it");
        }
        if facts.st_uid != user && facts.st_uid != 0 && user != 0 {
            return foreign("it belongs to somebody else");
        }
        Ok(Store { is_own: facts.st_uid == user, top, limits, wait: WAIT, user })
    }

    /// The same with another longest time to wait for the lock.
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Store {
        Store { wait, ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.top.path()
    }

    /// Begins to store a crash of this user; only root can do so for others. No part of the store is locked
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// If no files can be made, or the file system has too little space.
    pub fn begin(&self, owner: u32) -> Result<NewCrash<'_>, StoreError> {
        self.require_own()?;
        if owner != self.user && !self.is_root() {
            return Err(StoreError::Foreign {
                path: self.path().to_owned(),
                why: "only root stores crashes of others",
            });
        }
        if self.short()? > 0 {
            let _lock = self.lock()?;
            self.drop_stale();
            self.keep_limits(None, 0)?;
        }
        NewCrash::begin(self, owner, self.top.make_inner(NEW, self.user)?)
    }

    /// Removes what the limits say, and what killed writers left.
    ///
    /// # Errors
    ///
    /// If it cannot be locked, read or changed.
    pub fn clean(&self) -> Result<Cleaned, StoreError> {
        let _lock = self.lock()?;
        self.drop_stale();
        for owner in self.owners()? {
            if let Some(folder) = self.folder(owner)? {
                self.unless_foreign(owner, self.tidy(&folder))?;
            }
        }
        let cleaned = match self.keep_limits(None, 0) {
            Err(StoreError::NoSpace { .. }) => Cleaned::default(),
            other => other?,
        };
        if self.is_own && self.is_root() {
            for owner in self.owners()? {
                self.top.remove_empty(&owner.to_string());
            }
        }
        Ok(cleaned)
    }

    /// Removes all that look alike.
    ///
    /// # Errors
    ///
    /// If it cannot be locked, read or changed.
    pub fn remove(&self, owner: u32, id: Id) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        self.drop_id(owner, id)
    }

    pub(super) const fn is_root(&self) -> bool {
        self.user == 0
    }

    /// A user cannot lock root's store, and need not: names in a folder change one by one.
    pub(super) fn lock(&self) -> Result<Option<Lock>, StoreError> {
        if self.is_own { Lock::of(&self.top, self.wait).map(Some) } else { Ok(None) }
    }

    pub(super) fn folder(&self, owner: u32) -> Result<Option<Folder>, StoreError> {
        self.top.inner(&owner.to_string())
    }

    /// Users whose crashes may be looked at.
    pub(super) fn owners(&self) -> Result<Vec<u32>, StoreError> {
        if self.is_root() { owners(&self.top) } else { Ok(vec![self.user]) }
    }

    /// Under the lock, before something is put in: where it goes, its number, and how many had to go.
    pub(super) fn make_room(
        &self,
        owner: u32,
        id: Id,
        bytes: u64,
    ) -> Result<(Folder, u64, usize), StoreError> {
        self.drop_stale();
        let folder = self.top.make_inner(&owner.to_string(), owner)?;
        self.tidy(&folder)?;
        let removed = self.keep_limits(Some((owner, id)), bytes)?.crashes;
        let latest = Scan::of(&folder)?.ends(id).map_or(0, |(_, latest)| latest);
        Ok((folder, super::names::next(latest), removed))
    }

    /// Removes files that belong to no crash that is shown.
    pub(super) fn tidy(&self, folder: &Folder) -> Result<(), StoreError> {
        Scan::of(folder)?.leftovers().iter().try_for_each(|name| folder.remove(&name.to_string()))
    }

    /// Applies the limits, with so many bytes more of the new one.
    fn keep_limits(&self, new: Option<(u32, Id)>, bytes: u64) -> Result<Cleaned, StoreError> {
        let mut held: Vec<Held> = Vec::new();
        for owner in self.owners()? {
            if let Some(folder) = self.folder(owner)? {
                held.extend(Scan::of(&folder)?.held(owner));
            }
        }
        if let Some((owner, id)) = new {
            held.push(Held { owner, id, bytes, latest: SystemTime::now() });
        }
        let short = self.short()?;
        let all = held.iter().fold(0_u64, |sum, one| sum.saturating_add(one.bytes));
        if short > all {
            // Others have filled the disk. To lose everything would not help.
            return Err(self.no_space());
        }
        let mut gone: BTreeMap<u32, Vec<Id>> = BTreeMap::new();
        for (owner, id) in surplus(&held, &self.limits, short, new, SystemTime::now()) {
            gone.entry(owner).or_default().push(id);
        }
        let mut cleaned = Cleaned::default();
        for (owner, ids) in gone {
            self.drop_ids(owner, &ids, &mut cleaned)?;
        }
        if short > 0 && self.short()? > 0 {
            return Err(self.no_space());
        }
        Ok(cleaned)
    }

    /// Bytes that the file system lacks.
    fn short(&self) -> Result<u64, StoreError> {
        let (free, size) = self.top.space()?;
        Ok(self.limits.keep_free(size).saturating_sub(free))
    }

    fn no_space(&self) -> StoreError {
        let (free, size) = self.top.space().unwrap_or_default();
        StoreError::NoSpace { free, keep: self.limits.keep_free(size) }
    }

    fn drop_id(&self, owner: u32, id: Id) -> Result<(), StoreError> {
        let Some(folder) = self.folder(owner)? else { return Ok(()) };
        Scan::of(&folder)?.remove(&folder, id)
    }

    /// The folder is looked at once: a user can fill his own with names.
    fn drop_ids(&self, owner: u32, ids: &[Id], cleaned: &mut Cleaned) -> Result<(), StoreError> {
        let Some(folder) = self.folder(owner)? else { return Ok(()) };
        let scan = Scan::of(&folder)?;
        for &id in ids {
            if self.unless_foreign(owner, scan.remove(&folder, id))?.is_some() {
                cleaned.crashes += 1;
                cleaned.bytes = cleaned.bytes.saturating_add(scan.bytes(id));
            }
        }
        Ok(())
    }

    /// In a folder of another user, who can put something else there at any time, nothing has to succeed: he would
    /// keep the crashes of others out.
    fn unless_foreign<T>(&self, owner: u32, result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match result {
            Err(_) if owner != self.user => Ok(None),
            result => result.map(Some),
        }
    }

    /// Removes what writers left that were killed.
    fn drop_stale(&self) {
        let Ok(Some(place)) = self.top.inner(NEW) else { return };
        for name in place.names(MAX_NEW).unwrap_or_default().names {
            let Ok(facts) = place.stat_of(&name) else { continue };
            let written =
                SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(facts.st_ctime).unwrap_or(0));
            if SystemTime::now().duration_since(written).unwrap_or_default() < UNLOCKED {
                continue;
            }
            let Ok(file) = place.open_regular(&name) else { continue };
            if Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok() {
                let _ = place.remove(&name);
            }
        }
    }

    fn require_own(&self) -> Result<(), StoreError> {
        if self.is_own {
            return Ok(());
        }
        Err(StoreError::Foreign { path: self.path().to_owned(), why: "it belongs to somebody else" })
    }
}
