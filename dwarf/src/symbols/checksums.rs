//! Checksums of source files, which DWARF 5 may have beside their names (section 6.2.4.1,
//! `DW_LNCT_MD5`).
use gimli::{FileEntry, LineProgramHeader, Reader, UnitRef};

use super::guarded::Guarded;

/// The MD5 of the file that has this name in reports, if the unit knows both.
pub(super) fn of_file<'s>(unit: UnitRef<'_, Guarded<'s>>, name: &str) -> gimli::Result<Option<[u8; 16]>> {
    let Some(program) = &unit.line_program else { return Ok(None) };
    let header = program.header();
    if !header.file_has_md5() {
        return Ok(None);
    }
    for file in header.file_names() {
        if *file.md5() != [0; 16] && has_name(unit, header, file, name)? {
            return Ok(Some(*file.md5()));
        }
    }
    Ok(None)
}

/// Whether folder and name of a file make this path: that of the unit, that of the file, and its name,
/// as far as they are relative.
fn has_name<'s>(
    unit: UnitRef<'_, Guarded<'s>>,
    header: &LineProgramHeader<Guarded<'s>>,
    file: &FileEntry<Guarded<'s>>,
    wanted: &str,
) -> gimli::Result<bool> {
    let last = unit.attr_string(file.path_name())?;
    let last = last.to_string_lossy()?;
    if !wanted.ends_with(&*last) {
        return Ok(false);
    }
    let mut path = match &unit.comp_dir {
        Some(folder) => folder.to_string_lossy()?.into_owned(),
        None => String::new(),
    };
    if file.directory_index() != 0
        && let Some(folder) = file.directory(header)
    {
        push(&mut path, &unit.attr_string(folder)?.to_string_lossy()?);
    }
    push(&mut path, &last);
    Ok(path == wanted)
}

fn push(path: &mut String, part: &str) {
    if part.starts_with('/') {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}
