//! Whether a program takes the library: it must have a dynamic linker, which must heed LD_PRELOAD (ld.so(8)).
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

use crate::sys::mapping::FileMapping;
use crate::sys::privileges::has_capabilities;

/// Interpreters of interpreters (`BINPRM_BUF_SIZE`, binfmt_script(5)): the kernel follows so many.
const MOST_SCRIPTS: usize = 4;
const SET_USER: u32 = 0o4000;
/// Set-group-ID; without the right to execute it means mandatory locking.
const SET_GROUP: u32 = 0o2010;

/// Why the library cannot be put into the program of this name, which is looked for as execvp(3) does. `None` if it
/// can, and if there is no such program.
pub fn obstacle(name: &OsStr) -> Option<String> {
    of_file(&find(name)?, MOST_SCRIPTS)
}

fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name));
    }
    let folders = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let runs =
        |path: &PathBuf| path.metadata().is_ok_and(|facts| facts.is_file() && facts.mode() & 0o111 != 0);
    env::split_paths(&folders).map(|folder| folder.join(name)).find(runs)
}

fn of_file(path: &Path, scripts: usize) -> Option<String> {
    let file = FileMapping::open(path).ok()?;
    let bytes = file.bytes();
    // The kernel gives no privileges to scripts.
    if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii();
        let interpreter = line.split(u8::is_ascii_whitespace).next()?.to_vec();
        return of_file(Path::new(&OsString::from_vec(interpreter)), scripts.checked_sub(1)?);
    }
    let what = privileges(path).or_else(|| kind(bytes))?;
    Some(format!("{} {what}", path.display()))
}

/// Privileges, which make the dynamic linker ignore LD_PRELOAD (`AT_SECURE`, getauxval(3)).
fn privileges(path: &Path) -> Option<&'static str> {
    let facts = path.metadata().ok()?;
    let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let set = |bits: u32| facts.mode() & bits == bits;
    match () {
        () if set(SET_USER) && facts.uid() != user => Some("is a set-user-ID program"),
        () if set(SET_GROUP) && facts.gid() != group => Some("is a set-group-ID program"),
        () if user != 0 && has_capabilities(path) => Some("has capabilities"),
        () => None,
    }
}

fn kind(bytes: &[u8]) -> Option<&'static str> {
    let own = FileMapping::open(Path::new("/proc/self/exe")).ok()?;
    let machine = |bytes| {
        let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
        Some((header, header.endian().ok()?))
    };
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => return Some("is a 32-bit program"),
        _ => return None,
    }
    let ((header, order), (ours, our_order)) = (machine(bytes)?, machine(own.bytes())?);
    if header.e_machine(order) != ours.e_machine(our_order) {
        return Some("is a program for another processor");
    }
    let segments = header.program_headers(order, bytes).ok()?;
    let has_linker = segments.iter().any(|segment| segment.p_type(order) == PT_INTERP);
    (!has_linker).then_some("is statically linked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_programs_and_scripts_take_it() {
        assert_eq!(obstacle(OsStr::new("sh")), None);
        assert_eq!(obstacle(OsStr::new("/proc/self/exe")), None);
        assert_eq!(obstacle(OsStr::new("no such program")), None);
        assert_eq!(obstacle(OsStr::new("/dev/null")), None);
    }

    #[test]
    fn a_script_is_as_its_interpreter() {
        let path = env::temp_dir().join(format!("threaddump-script-{}", std::process::id()));
        std::fs::write(&path, "#! /bin/sh -e\n").expect("it can be written");
        assert_eq!(obstacle(path.as_os_str()), None);
        // It is its own interpreter.
        std::fs::write(&path, format!("#!{}\n", path.display())).expect("it can be written");
        assert_eq!(obstacle(path.as_os_str()), None);
        std::fs::remove_file(path).expect("it is ours");
    }
}
