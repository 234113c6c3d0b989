//! `--debug-dir`, given several times, inside and outside of the root of the process.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::Folder;
use crate::program::{dump, is_bare, is_whole, start};
use crate::support::process::{Running, settle};
use crate::support::record;

/// Starts the program in a root of its own below the folder.
fn start_in_root(folder: &Folder) -> Option<(Running, PathBuf)> {
    let (root, program) = (folder.path("root"), folder.path("prog"));
    let output = Command::new("ldd").arg(&program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    let files = libraries.map(|path| (path.clone(), path)).chain([(program, PathBuf::from("/prog"))]);
    for (from, to) in files {
        let place = root.join(to.strip_prefix("/").unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(from, place).unwrap();
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "chroot"]).arg(&root).arg("/prog").stderr(std::process::Stdio::null());
    match Running::start_ready(&mut command, "prog", "ready") {
        Ok(running) => {
            settle(running.pid());
            Some((running, root))
        }
        Err(error) => {
            record::skip("debug folders in another root", &error);
            None
        }
    }
}

#[test]
fn every_debug_folder_that_is_given_is_searched() {
    let folder = Folder::new("several");
    let id = folder.separate();
    let names = ["first", "second", "third"].map(|name| folder.path(name));
    let [first, second, third] = names.each_ref().map(|path| path.to_str().unwrap());
    folder.put(&names[1], &id);
    let running = start(&folder.path("prog"));
    assert!(is_bare(&dump(running.pid(), &["--debug-dir", first, "--debug-dir", third], &[]).0));
    let all = ["--debug-dir", first, "--debug-dir", second, "--debug-dir", third];
    assert!(is_whole(&dump(running.pid(), &all, &[]).0));
    // One of another program in the first folder does not keep the right one from being found.
    let wrong = folder.put(&names[0], &id);
    fs::copy("/bin/sleep", wrong).unwrap();
    let (frames, problems) = dump(running.pid(), &all, &[]);
    assert!(is_whole(&frames), "{frames:?}");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("/first/.build-id/") && problems[0].ends_with(&format!("not {id}")),
        "{problems:?}"
    );
}

#[test]
fn debug_folders_are_looked_for_in_the_root_of_the_process_first() {
    let folder = Folder::new("root");
    let id = folder.separate();
    let Some((running, root)) = start_in_root(&folder) else { return };
    let dir = folder.path("debug");
    let arguments = ["--debug-dir", dir.to_str().unwrap()];
    assert!(is_bare(&dump(running.pid(), &arguments, &[]).0));
    // Inside: the same path below the root.
    let inside = folder.put(&root.join(dir.strip_prefix("/").unwrap()), &id);
    assert!(is_whole(&dump(running.pid(), &arguments, &[]).0), "inside");
    // Outside: only if the build ID agrees.
    fs::remove_file(&inside).unwrap();
    let outside = folder.put(&dir, &id);
    assert!(is_whole(&dump(running.pid(), &arguments, &[]).0), "outside");
    fs::copy("/bin/sleep", &outside).unwrap();
    let (frames, problems) = dump(running.pid(), &arguments, &[]);
    assert!(is_bare(&frames), "{frames:?}");
    let is_note = |text: &String| text.contains("its build ID is ") && text.ends_with(&format!("not {id}"));
    assert!(problems.iter().any(is_note), "{problems:?}");
    // A link out of the root leads to what it means inside.
    fs::remove_file(&outside).unwrap();
    let elsewhere = folder.put(&folder.path("elsewhere"), &id);
    std::os::unix::fs::symlink(&elsewhere, &inside).unwrap();
    assert!(is_bare(&dump(running.pid(), &arguments, &[]).0), "a link out of the root");
}

#[test]
fn files_of_split_dwarf_are_looked_for_in_the_root_of_the_process_first() {
    let folder = Folder::new("split-root");
    folder.run(
        "split_dwarf.c",
        "mkdir made && cd made && gcc -O2 -gdwarf-5 -gsplit-dwarf -c $SRC -o a.o && gcc a.o -o ../prog && mv a.dwo ..",
    );
    let Some((running, root)) = start_in_root(&folder) else { return };
    assert!(!is_whole(&dump(running.pid(), &[], &[]).0));
    let beside = root.join("a.dwo");
    fs::copy(folder.path("a.dwo"), &beside).unwrap();
    assert!(is_whole(&dump(running.pid(), &[], &[]).0), "beside the program in its root");
    fs::remove_file(&beside).unwrap();
    let made = folder.path("made");
    fs::copy(folder.path("a.dwo"), made.join("a.dwo")).unwrap();
    assert!(is_whole(&dump(running.pid(), &[], &[]).0), "where the compiler ran, on this machine");
    // What is no file is not opened, wherever it is.
    fs::remove_file(made.join("a.dwo")).unwrap();
    for place in [made.join("a.dwo"), root.join("a.dwo"), root.join("prog.dwp")] {
        nix::unistd::mkfifo(Path::new(&place), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    assert!(!is_whole(&dump(running.pid(), &[], &[]).0));
}
