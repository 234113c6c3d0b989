//! How each real program is started, and when it is ready.
mod servers;

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::support::process::{Running, wait_until};
use crate::support::targets::all;
use crate::support::{Stop, find_program};

/// Starts a program.
pub(crate) type Start = fn() -> Result<Program, Stop>;

/// All programs, by the name used in summaries and in the list of accepted differences.
pub(crate) const ALL: [(&str, Start); 15] = [
    ("busybox", busybox),
    ("cargo", cargo),
    ("chromium", chromium),
    ("gdb", debugger),
    ("go", || zoo("go_routines", "")),
    ("java", java),
    ("lli", lli),
    ("nginx", servers::nginx),
    ("node", node),
    ("postgres", servers::postgres),
    ("python3", python),
    ("redis", servers::redis),
    ("rust", || zoo("rust_closures", "debug")),
    ("rustc", rustc),
    ("sleep", sleep),
];

/// A started program with what it needs to go on.
pub(crate) struct Program {
    running: Running,
    /// Clients, which end with it.
    clients: Vec<Running>,
    /// Its standard input, so that it does not see the end of it.
    input: Option<ChildStdin>,
    /// Its folder, removed at the end.
    folder: Option<Folder>,
}

impl Program {
    /// The program's processes, without its clients.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let _keep = (&self.clients, &self.input, &self.folder);
        self.running.tree()
    }
}

impl From<Running> for Program {
    fn from(running: Running) -> Program {
        Program { running, clients: Vec::new(), input: None, folder: None }
    }
}

/// A temporary folder with a short path, because paths of Unix sockets must be short.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Result<Folder, Stop> {
        let path = std::env::temp_dir().join(format!("threaddump-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Folder(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, or the reason why the test is left out.
pub(crate) fn need(name: &str, package: &str) -> Result<PathBuf, Stop> {
    let reason = || Stop::Skip(format!("{name} is not installed (Debian package {package})"));
    // Not a version manager's, which would start another one.
    let debian = PathBuf::from("/usr/bin").join(name);
    if debian.is_file() { Ok(debian) } else { find_program(name).ok_or_else(reason) }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(name)
}

fn write(path: &Path, text: &str) -> Result<(), Stop> {
    Ok(std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

fn sleep() -> Result<Program, Stop> {
    Ok(Running::start(Command::new("sleep").arg("1000"), "sleep")?.into())
}

fn busybox() -> Result<Program, Stop> {
    let program = need("busybox", "busybox-static")?;
    Ok(Running::start(Command::new(program).args(["sleep", "1000"]), "busybox")?.into())
}

/// One of `tests/targets`.
pub(crate) fn zoo(name: &str, variant: &str) -> Result<Program, Stop> {
    let target = all().into_iter().find(|target| target.source.name == name && target.variant == variant);
    let program = target.ok_or_else(|| format!("no target {name}[{variant}]"))?.build()?;
    Ok(Running::start_ready(&mut Command::new(program), name, "ready")?.into())
}

fn python() -> Result<Program, Stop> {
    let mut command = Command::new(need("python3", "python3")?);
    Ok(Running::start_ready(command.arg(script("threads.py")), "python3", "ready")?.into())
}

fn node() -> Result<Program, Stop> {
    let mut command = Command::new(need("node", "nodejs")?);
    Ok(Running::start_ready(command.arg(script("workers.js")), "node", "ready")?.into())
}

fn java() -> Result<Program, Stop> {
    let mut command = Command::new(need("java", "default-jdk-headless")?);
    command.args(["-Xmx256m", "-XX:+UseG1GC"]).arg(script("Threads.java"));
    Ok(Running::start_ready(&mut command, "java", "ready")?.into())
}

/// LLVM's compiler at run time.
fn lli() -> Result<Program, Stop> {
    let (clang, program) = (need("clang", "clang")?, need("lli", "llvm-runtime")?);
    let folder = Folder::new("lli")?;
    let code = folder.path().join("deep.ll");
    let mut compile = Command::new(clang);
    compile.args(["-O1", "-g", "-fomit-frame-pointer", "-S", "-emit-llvm"]).arg(script("deep.c"));
    if !compile.arg("-o").arg(&code).status().is_ok_and(|status| status.success()) {
        return Err(Stop::Fail("clang does not compile deep.c".to_owned()));
    }
    let running = Running::start_ready(Command::new(program).arg(code), "lli", "ready")?;
    Ok(Program { folder: Some(folder), ..running.into() })
}

fn debugger() -> Result<Program, Stop> {
    let mut command = Command::new(need("gdb", "gdb")?);
    command.args(["-nx", "-q", "-ex", "echo ready\\n"]).arg("/bin/true");
    let (running, input) = Running::start_ready_with_pipe(&mut command, "gdb", "ready")?;
    Ok(Program { input: Some(input), ..running.into() })
}

fn rustc() -> Result<Program, Stop> {
    let folder = Folder::new("rustc")?;
    let mut command = Command::new(need("rustc", "rustc")?);
    // It waits for the program on its standard input.
    command.arg("-").current_dir(folder.path());
    let (running, input) = Running::start_with_pipe(quiet(&mut command), "rustc")?;
    Ok(Program { input: Some(input), folder: Some(folder), ..running.into() })
}

/// cargo waits for a build script that sleeps.
fn cargo() -> Result<Program, Stop> {
    let folder = Folder::new("cargo")?;
    let path = folder.path();
    write(&path.join("Cargo.toml"), "[package]\nname = \"waits\"\nedition = \"2021\"\n[workspace]\n")?;
    let build = "fn main() { loop { std::thread::sleep(std::time::Duration::from_secs(1000)) } }";
    write(&path.join("build.rs"), build)?;
    std::fs::create_dir_all(path.join("src")).map_err(|error| error.to_string())?;
    write(&path.join("src/main.rs"), "fn main() {}")?;
    let mut command = Command::new(need("cargo", "cargo")?);
    command.args(["build", "--offline"]).current_dir(path).env("CARGO_TARGET_DIR", path.join("target"));
    let running = Running::start(quiet(&mut command), "cargo")?;
    let runs = |pid: i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("build-script")
    };
    if !wait_until(|| running.tree().into_iter().any(runs)) {
        return Err(Stop::Fail("cargo did not start the build script".to_owned()));
    }
    Ok(Program { folder: Some(folder), ..running.into() })
}

fn chromium() -> Result<Program, Stop> {
    let folder = Folder::new("chromium")?;
    let mut command = Command::new(need("chromium", "chromium")?);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    let running = Running::start(quiet(command.arg("about:blank")), "chromium")?;
    let renderer = |pid: i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("--type=renderer")
    };
    if !wait_until(|| running.tree().into_iter().any(renderer)) {
        return Err(Stop::Fail("chromium did not start a renderer".to_owned()));
    }
    // What it still starts and ends after its first page.
    std::thread::sleep(Duration::from_secs(5));
    Ok(Program { folder: Some(folder), ..running.into() })
}
