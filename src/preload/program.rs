//! Whether a program takes the library: it must have a dynamic linker, which must heed LD_PRELOAD (ld.so(8)).
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::elf::{FileHeader32, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind};
use threaddump_arch::{Arch, NATIVE};

use super::Kind;
use crate::sys::mapping::FileMapping;
use crate::sys::privileges::has_capabilities;

/// Interpreters of interpreters (`BINPRM_BUF_SIZE`, binfmt_script(5)): the kernel follows so many.
const MOST_SCRIPTS: usize = 4;
const SET_USER: u32 = 0o4000;
/// Set-group-ID; without the right to execute it means mandatory locking.
const SET_GROUP: u32 = 0o2010;

/// The library for the program of this name, which is looked for as execvp(3) does; if there is no such program, that
/// for programs of this architecture.
///
/// # Errors
/// Why the program takes none.
pub fn fitting(name: &OsStr) -> Result<Kind, String> {
    find(name).and_then(|path| of_file(&path, MOST_SCRIPTS)).unwrap_or(Ok(Kind::Own))
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

/// `None` if nothing can be told of it.
fn of_file(path: &Path, scripts: usize) -> Option<Result<Kind, String>> {
    let file = FileMapping::open(path).ok()?;
    let bytes = file.bytes();
    // The kernel gives no privileges to scripts.
    if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii();
        let interpreter = line.split(u8::is_ascii_whitespace).next()?.to_vec();
        return of_file(Path::new(&OsString::from_vec(interpreter)), scripts.checked_sub(1)?);
    }
    let kind = privileges(path).map_or_else(|| kind(bytes), |what| Some(Err(what)))?;
    Some(kind.map_err(|what| format!("{} {what}", path.display())))
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

fn kind(bytes: &[u8]) -> Option<Result<Kind, &'static str>> {
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => of_class::<FileHeader64<Endianness>>(bytes),
        Ok(FileKind::Elf32) => of_class::<FileHeader32<Endianness>>(bytes),
        _ => None,
    }
}

fn of_class<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Option<Result<Kind, &'static str>> {
    let header = H::parse(bytes).ok()?;
    let order = header.endian().ok()?;
    let is_big = order == Endianness::Big;
    let arch = Arch::from_elf(header.e_machine(order).0, header.is_class_64());
    let Some(kind) = arch.filter(|arch| arch.is_big_endian() == is_big).and_then(Kind::of) else {
        let is_wide = NATIVE.is_none_or(|own| own.pointer_size() == 8);
        return Some(Err(match (header.is_class_64(), is_wide) {
            (false, true) => "is a 32-bit program",
            (true, false) => "is a 64-bit program",
            _ => "is a program for another processor",
        }));
    };
    let segments = header.program_headers(order, bytes).ok()?;
    let has_linker = segments.iter().any(|segment| segment.p_type(order) == PT_INTERP);
    Some(if has_linker { Ok(kind) } else { Err("is statically linked") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_programs_and_scripts_take_it() {
        assert_eq!(fitting(OsStr::new("sh")), Ok(Kind::Own));
        assert_eq!(fitting(OsStr::new("/proc/self/exe")), Ok(Kind::Own));
        assert_eq!(fitting(OsStr::new("no such program")), Ok(Kind::Own));
        assert_eq!(fitting(OsStr::new("/dev/null")), Ok(Kind::Own));
    }

    #[test]
    fn a_script_is_as_its_interpreter() {
        let path = env::temp_dir().join(format!("threaddump-script-{}", std::process::id()));
        std::fs::write(&path, "#! /bin/sh -e\n").expect("it can be written");
        assert_eq!(fitting(path.as_os_str()), Ok(Kind::Own));
        // It is its own interpreter.
        std::fs::write(&path, format!("#!{}\n", path.display())).expect("it can be written");
        assert_eq!(fitting(path.as_os_str()), Ok(Kind::Own));
        std::fs::remove_file(path).expect("it is ours");
    }
}
