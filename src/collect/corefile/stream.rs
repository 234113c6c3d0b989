//! Opening a core file, whatever it comes in: a file is mapped; a pipe, or what is compressed, is written
//! to a temporary file first, which takes no room for pages of zeros.
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::statvfs::fstatvfs;

use super::unpack::Packing;
use super::{CoreError, Options, read};
use crate::snapshot::{Problem, Snapshot};
use crate::sys::mapping::FileMapping;

/// Read and written at once, in bytes.
const CHUNK: usize = 1 << 20;
const PAGE: usize = 4096;
/// Bytes of the temporary file with its holes. Decompressing zeros costs time, and nothing else ends it.
const MAX_LENGTH: u64 = 1 << 42;

/// An opened core file.
#[derive(Debug)]
pub struct CoreFile {
    mapping: FileMapping,
    /// Nanoseconds since the epoch.
    changed_ns: i64,
    problems: Vec<Problem>,
}

impl CoreFile {
    /// Opens a core file; `-` is standard input. `limit` is how many bytes a temporary file may take.
    ///
    /// # Errors
    /// If it cannot be opened, or not be decompressed at all.
    pub fn open(path: &Path, limit: u64) -> Result<CoreFile, CoreError> {
        let io = |what: &str, source| CoreError::Io { what: format!("{what} {}", path.display()), source };
        let file = if path.as_os_str() == "-" {
            let input = io::stdin().as_fd().try_clone_to_owned();
            File::from(input.map_err(|error| io("read", error))?)
        } else {
            File::open(path).map_err(|error| io("open", error))?
        };
        let meta = file.metadata().map_err(|error| io("read", error))?;
        let mut magic = [0; Packing::MAGIC];
        if meta.is_dir() {
            return Err(io("read", io::ErrorKind::IsADirectory.into()));
        }
        if meta.is_file() {
            let length = file.read_at(&mut magic, 0).map_err(|error| io("read", error))?;
            if Packing::of(&magic[..length]).is_none() {
                let mapping = FileMapping::of(&file).map_err(|error| io("map", error))?;
                let changed = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
                return Ok(CoreFile { mapping, changed_ns: changed, problems: Vec::new() });
            }
        }
        let changed = match meta.is_file() {
            true => meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()),
            false => now_ns(),
        };
        CoreFile::unpack(BufReader::with_capacity(CHUNK, file), changed, limit)
    }

    fn unpack(mut source: BufReader<File>, changed_ns: i64, limit: u64) -> Result<CoreFile, CoreError> {
        let read_error = |source| CoreError::Io { what: "read it".to_owned(), source };
        // A pipe may give its first bytes one by one.
        let mut first = Vec::new();
        source.by_ref().take(Packing::MAGIC as u64).read_to_end(&mut first).map_err(read_error)?;
        let packing = Packing::of(&first);
        let whole = BufReader::new(io::Cursor::new(first).chain(source));
        let mut spool = Spool::new(limit)?;
        let ended = match packing {
            Some(packing) => spool.fill(&mut packing.reader(whole)),
            None => spool.fill(&mut { whole }),
        };
        let problem = match (ended, packing) {
            (Ok(problem), _) => problem,
            (Err(source), Some(packing)) if spool.length == 0 => {
                return Err(CoreError::Unpack { format: packing.name(), source });
            }
            (Err(error), Some(packing)) => {
                let (length, format) = (spool.length, packing.name());
                Some(format!(
                    "the core is cut after {length} bytes: cannot decompress {format}: {}",
                    words(&error)
                ))
            }
            (Err(error), None) => Some(format!("the core is cut after {} bytes: {error}", spool.length)),
        };
        let problems = problem.map(|what| Problem::new("core", what)).into_iter().collect();
        Ok(CoreFile { mapping: spool.finish()?, changed_ns, problems })
    }

    /// Makes a snapshot.
    ///
    /// # Errors
    /// If nothing of it can be shown.
    pub fn snapshot(&self, options: &Options) -> Result<Snapshot, CoreError> {
        let mut snapshot = read(self.mapping.bytes(), self.changed_ns, options)?;
        snapshot.problems.splice(0..0, self.problems.iter().cloned());
        if self.mapping.damaged() {
            snapshot.problems.push(Problem::new("core", "the core file became shorter while it was read"));
        }
        Ok(snapshot)
    }
}

impl CoreFile {
    /// Adds the objects that JIT compilers registered at these process addresses to a snapshot of this file.
    pub fn add_generated(&self, places: &[u64], snapshot: &mut Snapshot) {
        super::add_generated(self.mapping.bytes(), places, snapshot);
    }
}

/// Decoders say in different ways that there is no more.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the file is cut".to_owned(),
        _ => error.to_string(),
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// A temporary file without a name.
struct Spool {
    file: File,
    folder: PathBuf,
    /// Bytes with holes.
    length: u64,
    /// Bytes that were written.
    used: u64,
    limit: u64,
}

impl Spool {
    fn new(limit: u64) -> Result<Spool, CoreError> {
        let asked = std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        // Of the two, /tmp is often in memory.
        let folder = asked.unwrap_or_else(|| {
            let large = PathBuf::from("/var/tmp");
            if large.is_dir() { large } else { PathBuf::from("/tmp") }
        });
        let file = nameless(&folder).map_err(|source| CoreError::Io {
            what: format!("create a temporary file in {}", folder.display()),
            source,
        })?;
        Ok(Spool { file, folder, length: 0, used: 0, limit })
    }

    /// Copies everything, or as much as there is room for; then gives a problem.
    fn fill(&mut self, source: &mut dyn Read) -> io::Result<Option<String>> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let mut filled = 0;
            let mut failed = None;
            while filled < CHUNK {
                match source.read(&mut chunk[filled..]) {
                    Ok(0) => break,
                    Ok(length) => filled += length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let is_first = self.length == 0;
            if let Some(why) = self.add(&chunk[..filled]) {
                let (length, folder) = (self.length, self.folder.display());
                return Ok(Some(format!(
                    "the core is cut after {length} bytes: the temporary file in {folder} {why}"
                )));
            }
            if let Some(error) = failed {
                return Err(error);
            }
            // What cannot be a core file is not read to its end, if it has one.
            if filled < CHUNK || (is_first && !chunk.starts_with(b"\x7fELF")) {
                return Ok(None);
            }
        }
    }

    /// Writes the pages that have anything in them; gives the reason if there is no room.
    fn add(&mut self, chunk: &[u8]) -> Option<String> {
        if self.length.saturating_add(chunk.len() as u64) > MAX_LENGTH {
            return Some(format!("may not be longer than {MAX_LENGTH} bytes"));
        }
        if let Err(why) = self.check_room() {
            return Some(why);
        }
        for page in chunk.chunks(PAGE) {
            if page.iter().any(|&byte| byte != 0) {
                if let Err(error) = self.file.write_all_at(page, self.length) {
                    return Some(format!("cannot be written: {error}"));
                }
                self.used += page.len() as u64;
            }
            self.length += page.len() as u64;
        }
        None
    }

    fn check_room(&self) -> Result<(), String> {
        if self.used >= self.limit {
            return Err(format!("has reached {} bytes (--unpack-limit allows more)", self.limit));
        }
        let Ok(facts) = fstatvfs(&self.file) else { return Ok(()) };
        // A twentieth is left free. The type of these differs between architectures.
        if facts.blocks() > 0 && facts.blocks_available() < facts.blocks() / 20 {
            return Err("would leave too little space free (TMPDIR names another place)".to_owned());
        }
        Ok(())
    }

    fn finish(self) -> Result<FileMapping, CoreError> {
        let wrong = |source| CoreError::Io { what: "map the temporary file".to_owned(), source };
        self.file.set_len(self.length).map_err(wrong)?;
        FileMapping::of(&self.file).map_err(wrong)
    }
}

/// A file that nobody else can open, and that is gone when it is closed.
fn nameless(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(folder) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => {}
        opened => return opened,
    }
    // File systems without nameless files, such as NFS.
    let path = folder.join(format!(".threaddump-core-{}", std::process::id()));
    let file = options.create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
