//! Whether a program may be what the kernel calls as root.
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::PatternError;

/// Looks whether a program and all folders that lead to it are root's alone: whoever can replace it would be
/// root at the next crash.
///
/// # Errors
/// If it is not, or cannot be looked at.
pub fn check(program: &Path) -> Result<(), PatternError> {
    let advice = "install it where only root can write, such as /usr/local/bin";
    for place in program.ancestors() {
        let facts = std::fs::symlink_metadata(place).map_err(PatternError::io("look at", place))?;
        let shown = place.display();
        if facts.file_type().is_symlink() {
            let why = format!("the kernel would run {} as root, but {shown} is a link", program.display());
            return Err(PatternError::refused(why, advice));
        }
        if facts.uid() != 0 || facts.mode() & 0o022 != 0 {
            let why = format!(
                "the kernel would run {} as root, but others than root can change {shown}",
                program.display()
            );
            return Err(PatternError::refused(why, advice));
        }
    }
    let facts = std::fs::metadata(program).map_err(PatternError::io("look at", program))?;
    if facts.is_file() && facts.mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(PatternError::refused(format!("{} is not a program", program.display()), advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_change_is_refused() {
        let folder = std::env::temp_dir().join(format!("threaddump-program-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("program");
        std::fs::write(&file, b"").expect("a file");
        // The folder for temporary files is everybody's.
        assert!(check(&file).is_err());
        std::fs::remove_dir_all(folder).expect("ours");
        assert!(check(Path::new("/usr/bin/env")).is_ok());
        assert!(check(Path::new("/usr/bin")).is_err(), "a folder");
        assert!(check(Path::new("/nonexistent/threaddump")).is_err());
    }
}
