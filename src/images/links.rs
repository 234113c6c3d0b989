//! Sections that name other files: `.gnu_debuglink` (GDB manual, "Separate Debug Files") and
//! `.gnu_debugaltlink` (dwz(1)). The names come from the file and are not trusted: what is found is
//! checked.
use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use libdeflater::Crc;

use super::elf::Elf;

/// Longest file name taken from a section, in bytes.
const MAX_NAME: usize = 4096;

/// The separate debug file of an object by name: a base name and the checksum of the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DebugLink<'s> {
    pub(super) name: &'s OsStr,
    pub(super) checksum: u32,
}

/// The file that several debug files share, by path and build ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AltLink<'s> {
    pub(super) path: &'s Path,
    pub(super) build_id: &'s [u8],
}

fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().take(MAX_NAME).position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..])).filter(|(name, _)| !name.is_empty())
}

impl<'s> DebugLink<'s> {
    pub(super) fn of(elf: &Elf<'s>) -> Option<DebugLink<'s>> {
        DebugLink::parse(elf.contents(elf.section(b".gnu_debuglink")?)?)
    }

    /// The name, padded with zeros to a multiple of four, then the checksum.
    fn parse(bytes: &'s [u8]) -> Option<DebugLink<'s>> {
        let (name, _) = split_name(bytes)?;
        let place = (name.len() + 1).checked_next_multiple_of(4)?;
        let checksum = u32::from_le_bytes(*bytes.get(place..)?.first_chunk()?);
        // A path would let the object choose any file.
        let is_base = !name.contains(&b'/') && name != b"." && name != b"..";
        is_base.then(|| DebugLink { name: OsStr::from_bytes(name), checksum })
    }

    /// Where to look for it, beside the object first, as gdb does.
    pub(super) fn paths(&self, object: &Path, debug_dirs: &[PathBuf]) -> Vec<PathBuf> {
        let Some(folder) = object.parent().filter(|_| object.is_absolute()) else { return Vec::new() };
        let below = folder.strip_prefix("/").unwrap_or(folder);
        let mut paths = vec![folder.join(self.name), folder.join(".debug").join(self.name)];
        paths.extend(debug_dirs.iter().map(|dir| dir.join(below).join(self.name)));
        paths.retain(|path| path != object);
        paths
    }
}

impl<'s> AltLink<'s> {
    pub(super) fn of(elf: &Elf<'s>) -> Option<AltLink<'s>> {
        let (name, build_id) = split_name(elf.contents(elf.section(b".gnu_debugaltlink")?)?)?;
        let path = Path::new(OsStr::from_bytes(name));
        (!build_id.is_empty()).then_some(AltLink { path, build_id })
    }

    /// Where to look for it: at its path, which is relative to the debug file that names it.
    pub(super) fn paths(&self, debug_file: &Path, debug_dirs: &[PathBuf]) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            debug_file.parent().map(|folder| folder.join(self.path)).into_iter().collect();
        // Distributions keep these files in one folder, and debug files are looked at elsewhere.
        let tail: Option<PathBuf> =
            self.path.to_str().and_then(|path| path.split_once(".dwz/")).map(|(_, tail)| tail.into());
        let tail =
            tail.filter(|tail| tail.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        paths.extend(
            tail.iter().flat_map(|tail| debug_dirs.iter().map(move |dir| dir.join(".dwz").join(tail))),
        );
        paths
    }
}

/// The checksum that `.gnu_debuglink` uses (CRC-32 of zlib), of a whole file. Its size is taken from
/// `left`.
pub(super) fn checksum(file: &File, left: &Cell<u64>) -> io::Result<u32> {
    let size = file.metadata()?.len();
    left.set(left.get().checked_sub(size).ok_or(io::ErrorKind::FileTooLarge)?);
    let mut crc = Crc::new();
    let mut bytes = vec![0; 1 << 18];
    let mut place = 0;
    // Read and not mapped: as much memory as the file has would be in use at once.
    loop {
        match file.read_at(&mut bytes, place)? {
            0 => return Ok(crc.sum()),
            // It grows while we read.
            _ if place > size => return Err(io::ErrorKind::FileTooLarge.into()),
            length => {
                crc.update(&bytes[..length]);
                place += length as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_link_is_a_name_and_a_checksum() {
        let link = DebugLink::parse(b"ls.debug\0\0\0\0\x78\x56\x34\x12");
        assert_eq!(link, Some(DebugLink { name: OsStr::new("ls.debug"), checksum: 0x1234_5678 }));
        assert_eq!(DebugLink::parse(b"abc\0\x01\0\0\0").map(|link| link.checksum), Some(1));
        assert_eq!(DebugLink::parse(b"abc\0\x01\0\0"), None, "cut off");
        assert_eq!(DebugLink::parse(b"abc"), None, "no end");
        assert_eq!(DebugLink::parse(b"\0\0\0\0\x01\0\0\0"), None, "no name");
        for path in [&b"/etc/x\0\0\x01\0\0\0"[..], b"../x\0\0\0\0\x01\0\0\0", b"..\0\0\x01\0\0\0"] {
            assert_eq!(DebugLink::parse(path), None, "a path");
        }
    }

    #[test]
    fn debug_links_are_looked_for_beside_the_object_and_under_the_debug_folders() {
        let link = DebugLink { name: OsStr::new("ls"), checksum: 0 };
        let paths = link.paths(Path::new("/usr/bin/ls"), &[PathBuf::from("/usr/lib/debug")]);
        let expected = ["/usr/bin/.debug/ls", "/usr/lib/debug/usr/bin/ls"];
        assert_eq!(paths, expected.map(PathBuf::from), "and never the object itself");
    }

    #[test]
    fn shared_files_are_looked_for_at_their_path_and_in_their_folder() {
        let link = AltLink { path: Path::new("../../.dwz/x86_64-linux-gnu/a.debug"), build_id: b"1" };
        let paths = link.paths(Path::new("/d/.build-id/ab/c.debug"), &[PathBuf::from("/e")]);
        let expected =
            ["/d/.build-id/ab/../../.dwz/x86_64-linux-gnu/a.debug", "/e/.dwz/x86_64-linux-gnu/a.debug"];
        assert_eq!(paths, expected.map(PathBuf::from));
        let outside = AltLink { path: Path::new("/x/.dwz/../../etc/a"), build_id: b"1" };
        assert_eq!(outside.paths(Path::new("/d/c.debug"), &[PathBuf::from("/e")]).len(), 1);
    }

    #[test]
    fn the_checksum_is_that_of_zlib() {
        let path = std::env::temp_dir().join(format!("threaddump-checksum-{}", std::process::id()));
        std::fs::write(&path, b"123456789").unwrap();
        let (file, left) = (File::open(&path).unwrap(), Cell::new(10));
        assert_eq!(checksum(&file, &left).unwrap(), 0xcbf4_3926);
        assert_eq!(left.get(), 1);
        assert!(checksum(&file, &left).is_err(), "larger than what is left");
        std::fs::remove_file(path).unwrap();
    }
}
