//! Targets whose files are not where they seem to be: in other namespaces, deleted, replaced, or in memory
//! only. What is shown must come from the file that is mapped, and nothing but files may be opened.
#[path = "hostile/stage.rs"]
#[allow(dead_code, reason = "each test program uses a part of this")]
mod stage;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use stage::Folder;
use support::process::{Running, settle};
use support::record;

/// What a test does with the root directory made for it.
type Check = fn(&Tree) -> Result<(), String>;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--measure") {
        stage::measure();
    }
    let tests: [(&str, Check); 15] = [
        ("another root shows its own file", changed_root),
        ("another root and other process ids show both ids", namespaces),
        ("a root made by pivot_root shows its own file", pivoted_root),
        ("another user namespace shows its own file", user_namespace),
        ("an overlay file system shows its own file", overlay),
        ("a deleted library keeps its names", |tree| after(tree, |path, _| remove(path))),
        ("a library replaced by another keeps its names", |tree| after(tree, replace_by_other)),
        ("a library in whose place is a link out of the root keeps its names", |tree| {
            after(tree, replace_by_link)
        }),
        ("a library in whose place is a link to itself keeps its names", |tree| after(tree, replace_by_loop)),
        ("a library in whose place is a folder keeps its names", |tree| after(tree, replace_by_folder)),
        ("a library whose folder is a link out of the root keeps its names", |tree| {
            after(tree, replace_folder)
        }),
        ("a library in whose place is a device keeps its names", |tree| after(tree, replace_by_device)),
        ("a pipe in place of a library is not opened", pipe),
        ("a library in memory alone has names", memory_file),
        ("a library that shrinks during dumps kills nothing", shrinking),
    ];
    let arguments = Arguments::from_args();
    let trials = tests.map(|(name, test)| Trial::test(name, move || run(name, test)));
    libtest_mimic::run(&arguments, trials.into()).exit();
}

fn run(name: &str, test: fn(&Tree) -> Result<(), String>) -> Result<(), Failed> {
    let tree = Tree::new(name)?;
    match test(&tree) {
        Err(text) if text.starts_with("skip: ") => {
            record::skip(name, &text[6..]);
            Ok(())
        }
        result => Ok(result?),
    }
}

/// A folder that is a root with a C library, and a twin of the library in it outside.
struct Tree {
    /// Where a root can be.
    root: PathBuf,
    /// Path of the library, in the root and outside.
    library: PathBuf,
    _folder: Folder,
}

impl Tree {
    fn new(name: &str) -> Result<Tree, String> {
        let folder = Folder::new(name);
        let root = folder.0.join("root");
        let library = folder.0.join("twin/libtwin.so");
        let program = stage::program("twin", &["-ldl"]);
        let inside = stage::program("twin", &["-shared", "-fPIC", "-DNAME=inside_the_root"]);
        let outside = stage::program("twin", &["-shared", "-fPIC", "-DNAME=outside_of_the_root"]);
        let place = |path: &Path| {
            let place = root.join(path.strip_prefix("/").unwrap_or(path));
            fs::create_dir_all(place.parent().unwrap_or(&root)).map(|()| place)
        };
        let text = |error: std::io::Error| error.to_string();
        fs::create_dir_all(library.parent().unwrap_or(&root)).map_err(text)?;
        fs::copy(&outside, &library).map_err(text)?;
        fs::copy(&inside, place(&library).map_err(text)?).map_err(text)?;
        fs::copy(&program, place(Path::new("/twin")).map_err(text)?).map_err(text)?;
        for path in libraries(&program)? {
            fs::copy(&path, place(&path).map_err(text)?).map_err(text)?;
        }
        fs::create_dir_all(root.join("proc")).map_err(text)?;
        Ok(Tree { root, library, _folder: folder })
    }

    /// The library's place as seen from outside.
    fn inner_library(&self) -> PathBuf {
        self.root.join(self.library.strip_prefix("/").unwrap_or(&self.library))
    }

    /// Runs the program by `before`, a shell command that ends where the program and its argument follow.
    fn start(&self, before: &str) -> Result<(Running, i32), String> {
        let script = format!("cd '{}' && {before} \"$@\"", self.root.display());
        let mut command = Command::new("sh");
        command.args(["-ec", &script, "sh", "/twin"]).arg(&self.library).stderr(std::process::Stdio::piped());
        let running = Running::start_ready(&mut command, "twin", "ready")
            .map_err(|error| format!("skip: the kernel or a tool refuses {before}: {error}"))?;
        let pid = running.tree().into_iter().rfind(|pid| is_twin(*pid));
        let pid = pid.ok_or("the program is not among the processes")?;
        settle(pid);
        Ok((running, pid))
    }

    fn start_changed(&self) -> Result<(Running, i32), String> {
        self.start("exec chroot .")
    }
}

fn is_twin(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"twin\n")
}

/// The C library of a program and what goes with it.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, String> {
    let output = Command::new("ldd").arg(program).output().map_err(|error| format!("ldd: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

fn dump(pid: i32) -> Result<Value, String> {
    let outcome = stage::dump(pid, &[])?;
    Ok(outcome.report)
}

/// Checks that the frames in the library have the names of the one inside.
fn check(report: &Value) -> Result<(), String> {
    let frames = stage::frames(&report["threads"][0]);
    let has = |name: &str| frames.iter().any(|frame| frame.contains(name));
    if has("inside_the_root") && has("enter") && has("main") && !has("outside_of_the_root") {
        return Ok(());
    }
    Err(format!("wrong names: {frames:#?}\n{}", stage::problems(report)))
}

fn changed_root(tree: &Tree) -> Result<(), String> {
    let (_running, pid) = tree.start_changed()?;
    let report = dump(pid)?;
    check(&report)?;
    let path = tree.library.display().to_string();
    let paths: Vec<&Value> =
        report["modules"].as_array().into_iter().flatten().map(|module| &module["path"]).collect();
    if paths.iter().any(|shown| **shown == path) { Ok(()) } else { Err(format!("{path} not in {paths:?}")) }
}

fn namespaces(tree: &Tree) -> Result<(), String> {
    let (_running, pid) = tree.start("exec unshare --pid --mount --fork --kill-child chroot .")?;
    let report = dump(pid)?;
    check(&report)?;
    let thread = &report["threads"][0];
    let process = &report["process"];
    if process["ns_pid"] != 1 || process["pid"] != pid || thread["ns_tid"] != 1 || thread["tid"] != pid {
        return Err(format!("ids: {process} {thread}"));
    }
    let (text, ..) = stage::measured(&[pid.to_string()])?;
    let title = format!("(tid {pid}, 1 in its namespace)");
    if text.contains(&title) { Ok(()) } else { Err(format!("not in the text: {title}\n{text}")) }
}

fn pivoted_root(tree: &Tree) -> Result<(), String> {
    let inner = "mount --bind . . && cd . && cd \"$PWD\" && pivot_root . proc && exec \"$@\"";
    let before = format!("exec unshare --pid --mount --fork --kill-child sh -ec '{inner}' sh");
    let (_running, pid) = tree.start(&before)?;
    check(&dump(pid)?)
}

fn user_namespace(tree: &Tree) -> Result<(), String> {
    let before = "exec unshare --user --map-root-user --pid --mount --fork --kill-child chroot .";
    let (_running, pid) = tree.start(before)?;
    check(&dump(pid)?)
}

fn overlay(tree: &Tree) -> Result<(), String> {
    let folder = tree.root.with_file_name("overlay");
    for name in ["upper", "work", "merged"] {
        fs::create_dir_all(folder.join(name)).map_err(|error| error.to_string())?;
    }
    let (folder, root) = (folder.display(), tree.root.display());
    // The layers are on a file system of memory: not every file system can be one.
    let inner = format!(
        "mount -t tmpfs none {folder}; mkdir {folder}/upper {folder}/work {folder}/merged; \
         mount -t overlay -o lowerdir={root},upperdir={folder}/upper,workdir={folder}/work none {folder}/merged; \
         exec chroot {folder}/merged \"$@\""
    );
    let before = format!("exec unshare --mount sh -ec '{inner}' sh");
    let (_running, pid) = tree.start(&before)?;
    check(&dump(pid)?)
}

/// The library is changed once the program waits in it.
fn after(tree: &Tree, change: fn(&Path, &Tree) -> Result<(), String>) -> Result<(), String> {
    let (_running, pid) = tree.start_changed()?;
    change(&tree.inner_library(), tree)?;
    let report = dump(pid)?;
    check(&report)
}

fn remove(path: &Path) -> Result<(), String> {
    fs::remove_file(path).map_err(|error| error.to_string())
}

fn replace_by_other(path: &Path, tree: &Tree) -> Result<(), String> {
    let new = path.with_extension("new");
    fs::copy(&tree.library, &new).and_then(|_| fs::rename(&new, path)).map_err(|error| error.to_string())
}

fn replace_by_link(path: &Path, tree: &Tree) -> Result<(), String> {
    remove(path)?;
    let up = "../".repeat(40);
    let target = format!("{up}{}", tree.library.display());
    std::os::unix::fs::symlink(target, path).map_err(|error| error.to_string())
}

fn replace_by_loop(path: &Path, _: &Tree) -> Result<(), String> {
    remove(path)?;
    std::os::unix::fs::symlink(path.file_name().unwrap_or_default(), path).map_err(|error| error.to_string())
}

fn replace_by_folder(path: &Path, _: &Tree) -> Result<(), String> {
    remove(path)?;
    fs::create_dir(path).map_err(|error| error.to_string())
}

fn replace_folder(path: &Path, tree: &Tree) -> Result<(), String> {
    let folder = path.parent().ok_or("no folder")?;
    fs::rename(folder, folder.with_extension("away")).map_err(|error| error.to_string())?;
    let target = tree.library.parent().ok_or("no folder")?;
    let up = "../".repeat(40);
    std::os::unix::fs::symlink(format!("{up}{}", target.display()), folder).map_err(|error| error.to_string())
}

fn replace_by_device(path: &Path, _: &Tree) -> Result<(), String> {
    remove(path)?;
    let status = Command::new("mknod").arg(path).args(["c", "1", "7"]).status();
    if status.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err("skip: mknod is not allowed".to_owned())
}

/// Who waits to write into a pipe goes on as soon as it is opened for reading, however briefly.
fn pipe(tree: &Tree) -> Result<(), String> {
    let (_running, pid) = tree.start_changed()?;
    let path = tree.inner_library();
    remove(&path)?;
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).map_err(|error| error.to_string())?;
    let script = format!("echo > '{}'; echo opened", path.display());
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdout(std::process::Stdio::null());
    let writer = Running::start(&mut command, "writer")?;
    settle(writer.pid());
    check(&dump(pid)?)?;
    let debug_dir = tree.root.with_file_name("debug");
    pipe_as_debug_file(&debug_dir, pid)?;
    settle(writer.pid());
    if support::process::states(writer.pid()).iter().all(|(_, state)| *state == 'S') {
        return Ok(());
    }
    Err("the pipe was opened".to_owned())
}

/// A debug file that is a pipe nobody writes to must not be waited for.
fn pipe_as_debug_file(folder: &Path, pid: i32) -> Result<(), String> {
    let report = dump(pid)?;
    let ids =
        report["modules"].as_array().into_iter().flatten().filter_map(|module| module["build_id"].as_str());
    for id in ids {
        let place = folder.join(".build-id").join(&id[..2]);
        fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        let path = place.join(format!("{}.debug", &id[2..]));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).map_err(|error| error.to_string())?;
    }
    let options = ["--debug-dir".to_owned(), folder.display().to_string()];
    check(&stage::dump(pid, &options)?.report)
}

fn memory_file(tree: &Tree) -> Result<(), String> {
    let program = stage::program("twin", &["-ldl"]);
    let library = tree.inner_library();
    let mut command = Command::new(program);
    let running = Running::start_ready(command.arg("memfd").arg(library), "twin", "ready")?;
    settle(running.pid());
    let report = dump(running.pid())?;
    check(&report)?;
    let mut modules = report["modules"].as_array().into_iter().flatten();
    let found = modules.any(|module| module["path"].as_str().is_some_and(|path| path.contains("memfd:twin")));
    if found { Ok(()) } else { Err("no module of the memory file".to_owned()) }
}

/// The file becomes shorter and longer again while it is being read. The program itself never touches the pages
/// that go away, and frames below are shown whatever the file holds.
fn shrinking(tree: &Tree) -> Result<(), String> {
    let library = tree.inner_library();
    let whole = fs::read(&library).map_err(|error| error.to_string())?;
    let padded = [whole.clone(), vec![0; 64 << 20]].concat();
    fs::write(&library, &padded).map_err(|error| error.to_string())?;
    let (_running, pid) = tree.start_changed()?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let done = |result| {
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        result
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::OpenOptions::new().write(true).open(&library).expect("it is ours");
            for round in 0_u64.. {
                let length = if round % 2 == 0 { whole.len() as u64 } else { padded.len() as u64 };
                // Not shorter than what the program itself uses: it would die of that.
                let _ = file.set_len(length);
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..30 {
            let report = match dump(pid) {
                Ok(report) => report,
                Err(error) => return done(Err(error)),
            };
            if let Err(error) = check(&report) {
                return done(Err(error));
            }
        }
        done(Ok(()))
    })
}
