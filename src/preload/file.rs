//! The library as a file that the dynamic linker can load.
use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Kind;

/// Others may write to what has one of these.
const OTHERS: u32 = 0o022;

/// The library beside this program, or in `../lib/threaddump`, or else a copy in the user's cache folder.
///
/// # Errors
/// `Unsupported` on processors that the relay does not know, and if there is no library for i386 programs; those
/// of making the copy.
pub fn file(kind: Kind) -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let name = kind.name();
    let folder = own.parent();
    let beside = folder.map(|folder| folder.join(name));
    let above = folder.and_then(Path::parent).map(|prefix| prefix.join("lib/threaddump").join(name));
    let found = [beside, above].into_iter().flatten().find(|path| path.is_file());
    let path = match (found, kind.library(), kind) {
        (Some(found), _, _) => found,
        (None, Some(library), _) => copy(&cache()?, name, library)?,
        (None, None, Kind::Own) => return Err(missing("there is no relay for this processor")),
        (None, None, Kind::I386) => {
            return Err(missing("threaddump was built without it"));
        }
    };
    // They separate the entries of LD_PRELOAD (ld.so(8)).
    if path.as_os_str().as_bytes().iter().any(|byte| b" :".contains(byte)) {
        let what = format!("the dynamic linker takes no path with a colon or a space: {}", path.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    Ok(path)
}

fn missing(what: &str) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, what)
}

fn cache() -> io::Result<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let base = base.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "there is no home directory"))?;
    Ok(base.join("threaddump"))
}

/// The name of a copy in a folder, which it makes unless it is there.
fn copy(folder: &Path, name: &str, library: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if !is_own(folder, fs::Metadata::is_dir) {
        let what = format!("others may write to {}", folder.display());
        return Err(io::Error::new(ErrorKind::PermissionDenied, what));
    }
    let version = env!("CARGO_PKG_VERSION");
    let path = folder.join(name.replace(".so", &format!("-{version}-{}.so", library.len())));
    if is_own(&path, fs::Metadata::is_file) && fs::read(&path).is_ok_and(|bytes| bytes == library) {
        return Ok(path);
    }
    // Programs may have the old one mapped, so it is replaced and not written to.
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let wrote = file.write_all(library).and_then(|()| fs::rename(&temporary, &path));
    wrote.inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    Ok(path)
}

fn is_own(path: &Path, is_kind: impl Fn(&fs::Metadata) -> bool) -> bool {
    let user = nix::unistd::geteuid().as_raw();
    fs::symlink_metadata(path)
        .is_ok_and(|facts| is_kind(&facts) && facts.uid() == user && facts.mode() & OTHERS == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::{LIBRARY, NAME};
    use super::*;

    #[test]
    fn a_copy_is_made_once_and_mended() {
        let folder = env::temp_dir().join(format!("threaddump-preload-{}", std::process::id()));
        let copy = |folder: &Path| super::copy(folder, NAME, LIBRARY);
        let path = copy(&folder).expect("it can be written");
        assert!(fs::read(&path).is_ok_and(|bytes| bytes == LIBRARY));
        let first = fs::metadata(&path).expect("it is there").ino();
        assert_eq!(copy(&folder).expect("it is there"), path);
        assert_eq!(fs::metadata(&path).expect("it is there").ino(), first);
        fs::write(&path, b"something else").expect("it is ours");
        assert!(fs::read(copy(&folder).expect("it can be replaced")).is_ok_and(|bytes| bytes == LIBRARY));
        // A link is replaced, not followed.
        let other = folder.join("other");
        fs::write(&other, LIBRARY).expect("it is ours");
        fs::remove_file(&path).expect("it is ours");
        symlink(&other, &path).expect("it is ours");
        copy(&folder).expect("it can be replaced");
        assert!(!fs::symlink_metadata(&path).expect("it is there").is_symlink());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("it is ours");
        assert_eq!(copy(&folder).expect_err("it is refused").kind(), ErrorKind::PermissionDenied);
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
