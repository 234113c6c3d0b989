//! Building the programs whose debug files are elsewhere.
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::scratch;

/// A folder of one test with what was built in it; removed afterwards.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = scratch("debug_files").join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs shell commands in the folder, with `$SRC` being a source of `tests/targets`.
    pub(crate) fn run(&self, source: &str, commands: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets").join(source);
        let mut shell = Command::new("sh");
        shell.args(["-ec", commands]).current_dir(&self.0).env("SRC", source);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// `prog`, stripped, and its debug file as `prog.debug`; with the build ID.
    pub(crate) fn separate(&self) -> String {
        self.run(
            "separate_debug.c",
            "cc -O2 -g -Wl,--build-id=sha1 $SRC -o full && objcopy --only-keep-debug full prog.debug && \
             strip -o prog full && readelf -n full | sed -n 's/.*Build ID: //p' > id",
        );
        std::fs::read_to_string(self.path("id")).unwrap().trim().to_owned()
    }

    /// Moves `prog.debug` to where a folder of debug files has it by build ID.
    pub(crate) fn put(&self, dir: &Path, id: &str) -> PathBuf {
        let place = dir.join(".build-id").join(&id[..2]);
        std::fs::create_dir_all(&place).unwrap();
        let place = place.join(format!("{}.debug", &id[2..]));
        std::fs::copy(self.path("prog.debug"), &place).unwrap();
        place
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
