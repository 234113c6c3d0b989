//! Real programs with the relay preloaded: what they write and how they end is the same as without, and the
//! dump is whole. Programs that answer SIGQUIT themselves still do.
mod relay;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use relay::{Block, Outcome, parse, preload, record, unique};

const PATIENCE: Duration = Duration::from_secs(60);

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Counts a test that cannot run.
fn skip(what: &str, why: &str) {
    println!("skipped: {what}: {why}");
}

fn output(mut command: Command, settings: Option<&str>) -> Outcome {
    if let Some(settings) = settings {
        preload(&mut command, settings);
    }
    command.stdin(Stdio::null()).output().expect("it can be started").into()
}

/// Numbers (ids, times, addresses) and the order of lines differ from run to run.
fn plain(text: &str) -> Vec<String> {
    let is_number = |word: &str| word.starts_with("0x") || word.chars().all(|c| c.is_ascii_digit());
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let words = line.split(|c: char| !c.is_alphanumeric());
            words.map(|word| if is_number(word) { "N" } else { word }).collect::<Vec<&str>>().join(" ")
        })
        .collect();
    lines.sort();
    lines
}

fn whole(name: &str, blocks: &[Block]) {
    let early = blocks.iter().filter(|block| block.ended_early).count();
    let missing = blocks.iter().filter(|block| !block.reached).count();
    let frames: usize = blocks.iter().map(|block| block.functions.len()).sum();
    record(&format!(
        "{name}: {} threads, {frames} frames, {missing} not reached, {early} not to the end",
        blocks.len()
    ));
    assert_eq!((missing, early), (0, 0), "{name}: {blocks:#?}");
}

fn read(path: &Path) -> Vec<Block> {
    parse(&fs::read_to_string(path).expect("a dump"))
}

#[test]
fn python_segfaults_as_without_us() {
    let Some(python) = find("python3") else { return skip("python3", "not installed") };
    let path = unique("python");
    let command = || {
        let mut command = Command::new(&python);
        command.args(["-c", "import ctypes; print('before', flush=True); ctypes.string_at(0)"]);
        command
    };
    let without = output(command(), None);
    let with = output(command(), Some(&format!("helper=none,out={}", path.display())));
    assert_eq!(with, without);
    assert_eq!((with.status, with.stdout.as_str()), (-11, "before\n"));
    whole("python3", &read(&path));
}

#[test]
fn a_cgo_program_is_left_to_go() {
    let Some(go) = find("go") else { return skip("go", "not installed") };
    let folder = unique("cgo");
    fs::create_dir(&folder).expect("a new name");
    let source = "package main\n// static void boom(void) { *(volatile int *)8 = 1; }\nimport \"C\"\n\
        import (\"fmt\"; \"os\")\n\
        func main() {\n\tif len(os.Args) > 1 { C.boom() }\n\
        \tdefer func() { fmt.Println(recover()); os.Exit(7) }()\n\tvar p *int; *p = 1\n}\n";
    fs::write(folder.join("main.go"), source).expect("writable");
    let mut build = Command::new(go);
    build.args(["build", "-o", "program", "main.go"]).current_dir(&folder).env("CGO_ENABLED", "1");
    build.env("GOCACHE", folder.join("cache")).env("GO111MODULE", "off");
    let built = output(build, None);
    assert_eq!(built.status, 0, "{built:?}");
    for arguments in [&[][..], &["crash"]] {
        let command = || {
            let mut command = Command::new(folder.join("program"));
            command.args(arguments).env("GOTRACEBACK", "none");
            command
        };
        let (without, with) = (output(command(), None), output(command(), Some("helper=none")));
        assert_eq!((with.status, &with.stdout), (without.status, &without.stdout));
        // Its other goroutines are of the runtime, and may or may not have run yet.
        let first = |text: &str| {
            let end = text.match_indices("\n\ngoroutine ").nth(1).map_or(text.len(), |(end, _)| end);
            plain(&text[..end])
        };
        assert_eq!(first(&with.stderr), first(&without.stderr));
        assert_eq!(with.status, if arguments.is_empty() { 7 } else { 2 });
    }
    fs::remove_dir_all(&folder).expect("ours");
}

#[test]
fn a_library_that_go_has_linked_keeps_its_handlers() {
    let Some(go) = find("go") else { return skip("go library", "not installed") };
    let folder = unique("goshared");
    fs::create_dir(&folder).expect("a new name");
    let source = "package main\nimport \"C\"\nimport \"fmt\"\n\
        //export Try\nfunc Try() {\n\tdefer func() { fmt.Println(recover()) }()\n\tvar p *int; *p = 1\n}\n\
        func main() {}\n";
    fs::write(folder.join("main.go"), source).expect("writable");
    let mut build = Command::new(go);
    build.args(["build", "-buildmode=c-shared", "-o", "library.so", "main.go"]).current_dir(&folder);
    build.env("CGO_ENABLED", "1").env("GOCACHE", folder.join("cache")).env("GO111MODULE", "off");
    let built = output(build, None);
    assert_eq!(built.status, 0, "{built:?}");
    // Its handler is not Go's, and wants the alternate stack that Go gives its threads.
    let source = "#include <dlfcn.h>\n#include <signal.h>\n#include <stdio.h>\n\
        static void note(int s) { char deep[20000]; for (int i = 0; i < 20000; i += 500) deep[i] = s; puts(\"noted\"); }\n\
        int main(int n, char **a) { void *l = dlopen(a[1], RTLD_NOW); setvbuf(stdout, 0, _IONBF, 0);\n\
        struct sigaction s = {.sa_handler = note, .sa_flags = SA_ONSTACK}; sigaction(SIGUSR1, &s, 0);\n\
        ((void (*)(void))dlsym(l, \"Try\"))(); raise(SIGUSR1); ((void (*)(void))dlsym(l, \"Try\"))(); return 3; }\n";
    fs::write(folder.join("main.c"), source).expect("writable");
    let mut build = Command::new("cc");
    build.args(["-w", "-o", "program", "main.c", "-ldl"]).current_dir(&folder);
    assert_eq!(output(build, None).status, 0);
    let command = || {
        let mut command = Command::new(folder.join("program"));
        command.arg(folder.join("library.so"));
        command
    };
    let (without, with) = (output(command(), None), output(command(), Some("helper=none")));
    assert_eq!(with, without);
    assert_eq!((with.status, with.stdout.matches("nil pointer dereference").count()), (3, 2), "{with:?}");
    fs::remove_dir_all(&folder).expect("ours");
}

/// A server that is started, gets SIGQUIT when it is ready, and ends or is ended.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, settings: Option<&str>) -> Running {
        if let Some(settings) = settings {
            preload(&mut command, settings);
        }
        let log = unique("log");
        let file = fs::File::create(&log).expect("writable");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a descriptor")).stderr(file);
        Running { child: command.spawn().expect("it can be started"), log }
    }

    fn log(&self) -> String {
        let mut bytes = Vec::new();
        fs::File::open(&self.log).and_then(|mut file| file.read_to_end(&mut bytes)).expect("readable");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < PATIENCE, "no {text:?} in {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn quit(&self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGQUIT).expect("it lives");
    }

    /// Waits for its end.
    fn end(mut self) -> (i32, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                return (status.code().unwrap_or(-1), self.log());
            }
            assert!(start.elapsed() < PATIENCE, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a failed assertion it may still run.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

#[test]
fn a_jvm_prints_its_own_threads_on_sigquit() {
    let Some(java) = find("java") else { return skip("java", "not installed") };
    let folder = unique("java");
    fs::create_dir(&folder).expect("a new name");
    let source = "public class Hang { public static void main(String[] a) throws Exception {\n\
        Integer none = null; try { none.intValue(); } catch (NullPointerException e) { System.out.println(\"caught\"); }\n\
        System.out.println(\"ready\"); System.in.read(); Thread.sleep(4000); System.exit(5); } }\n";
    fs::write(folder.join("Hang.java"), source).expect("writable");
    let dump = folder.join("dump");
    let settings = format!("helper=none,out={}", dump.display());
    let run = |settings: Option<&str>| {
        let mut command = Command::new(&java);
        command.arg(folder.join("Hang.java"));
        let running = Running::start(command, settings);
        running.wait_for("ready\n");
        running.quit();
        running.wait_for("JNI global refs");
        let (status, log) = running.end();
        // Compilers come and go.
        let dump: Vec<&str> = log.lines().filter(|line| line.starts_with('"')).collect();
        let names = dump.iter().filter_map(|line| line.split('"').nth(1));
        let names: BTreeSet<String> =
            names.filter(|name| !name.contains("CompilerThread")).map(str::to_owned).collect();
        let (_, rest) = log.split_once("Full thread dump ").expect("its dump");
        let headed = rest.lines().next().expect("a line").to_owned();
        (status, dump.len(), log.contains("caught\nready\n"), names, headed)
    };
    let without = run(None);
    let with = run(Some(&settings));
    assert_eq!((with.0, with.2), (5, true));
    assert_eq!((with.0, with.2), (without.0, without.2));
    assert_eq!((&with.3, &with.4), (&without.3, &without.4));
    assert!(with.3.contains("main"), "{:?}", with.3);
    assert!(with.1.abs_diff(without.1) <= 2 && with.1 > 5, "{} and {} threads", with.1, without.1);
    let blocks = read(&dump);
    assert!(blocks.len() >= with.1, "its native threads, too");
    whole("java", &blocks);
    fs::remove_dir_all(&folder).expect("ours");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound").port()
}

#[test]
fn nginx_ends_gracefully_on_sigquit() {
    let Some(nginx) = find("nginx") else { return skip("nginx", "not installed") };
    let run = |settings: Option<&str>| {
        let folder = unique("nginx");
        fs::create_dir(&folder).expect("a new name");
        let name = folder.display();
        let port = free_port();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {name}/{kind};"))
            .concat();
        let text = format!(
            "daemon off; master_process on; worker_processes 2; pid {name}/pid; error_log stderr notice;\n\
             events {{}} http {{ access_log off; {paths} server {{ listen 127.0.0.1:{port}; }} }}\n"
        );
        fs::write(folder.join("conf"), text).expect("writable");
        let mut command = Command::new(&nginx);
        command.arg("-c").arg(folder.join("conf"));
        let running = Running::start(command, settings);
        // It answers when its workers are up.
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "{}", running.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        running.quit();
        let (status, log) = running.end();
        fs::remove_dir_all(&folder).expect("ours");
        let lines: Vec<String> = plain(&log)
            .into_iter()
            .filter(|line| !line.contains("signal") && !line.contains("reaper"))
            .collect();
        (status, lines)
    };
    let dump = unique("nginx.dump");
    let without = run(None);
    let with = run(Some(&format!("helper=none,out={}", dump.display())));
    assert_eq!(with, without);
    assert_eq!(with.0, 0);
    whole("nginx", &read(&dump));
    let _ = fs::remove_file(&dump);
}

#[test]
fn what_is_not_dumpable_is_dumped_from_inside_unless_it_is_to_be_raised() {
    const NOBODY: u32 = 65534;
    if !nix::unistd::getuid().is_root() {
        return skip("undumpable", "it needs root, to become another user");
    }
    // Others must be able to go there.
    let folder = std::env::temp_dir().join(format!("threaddump-undumpable-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("a new name");
    let names = ["undumpable", "threaddump", threaddump::preload::NAME];
    let [program, _, library] = names.map(|name| folder.join(name));
    let files = [relay::build("undumpable"), env!("CARGO_BIN_EXE_threaddump").into(), relay::library()];
    for (file, name) in files.iter().zip(names) {
        fs::copy(file, folder.join(name)).expect("writable");
    }
    for (dumpable, by) in [("keep", "SIGQUIT: quit\nPC=0x"), ("raise", " by ptrace, held for ")] {
        let mut command = Command::new(&program);
        command.env("LD_PRELOAD", &library).env("THREADDUMP", format!("dumpable={dumpable}"));
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        let outcome = output(command, None);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "dumpable 0\n"), "{dumpable}");
        assert!(outcome.stderr.contains(by), "{dumpable}: {}", outcome.stderr);
    }
    fs::remove_dir_all(&folder).expect("ours");
}

fn postgres_folder() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.flatten().map(|entry| entry.path().join("bin")).find(|bin| bin.join("initdb").is_file())
}

#[test]
fn postgres_stops_at_once_on_sigquit() {
    let Some(bin) = postgres_folder() else { return skip("postgres", "not installed") };
    let user = User::from_name("postgres").ok().flatten();
    let Some(user) = user.filter(|_| nix::unistd::getuid().is_root()) else {
        return skip("postgres", "it needs root, to become its user");
    };
    // Its user must be able to go there.
    let folder = std::env::temp_dir().join(format!("threaddump-relay-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("a new name");
    let owned = |path: &Path| {
        std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("root may");
    };
    owned(&folder);
    // The library, too.
    let library = folder.join(threaddump::preload::NAME);
    fs::copy(relay::library(), &library).expect("writable");
    let data = folder.join("data");
    let mut init = Command::new(bin.join("initdb"));
    init.arg("-D").arg(&data).args(["-A", "trust"]).uid(user.uid.as_raw()).gid(user.gid.as_raw());
    let made = output(init, None);
    assert_eq!(made.status, 0, "{made:?}");
    let run = |settings: Option<&str>| {
        let mut command = Command::new(bin.join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(&folder).args(["-h", ""]).current_dir(&folder);
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        if let Some(settings) = settings {
            command.env("LD_PRELOAD", &library).env("THREADDUMP", settings);
        }
        let running = Running::start(command, None);
        running.wait_for("ready to accept connections");
        std::thread::sleep(Duration::from_millis(500));
        running.quit();
        let (status, log) = running.end();
        // How long a checkpoint or a recovery takes is in some lines, and differs.
        let lines =
            plain(&log).into_iter().filter(|line| !line.contains("checkpoint") && !line.contains("redo"));
        (status, lines.collect::<Vec<String>>())
    };
    // What follows ends as badly as this one, whose log tells of a good start.
    run(None);
    let without = run(None);
    let with = run(Some(&format!("helper=none,out={}/%p.dump", folder.display())));
    assert_eq!(with, without);
    let requests = with.1.iter().filter(|line| line.contains("immediate shutdown request"));
    assert_eq!((with.0, requests.count()), (0, 1));
    let dumps = fs::read_dir(&folder).expect("ours").flatten().map(|entry| entry.path());
    let dumps: Vec<PathBuf> =
        dumps.filter(|path| path.extension().is_some_and(|ext| ext == "dump")).collect();
    // The server ends its children by SIGQUIT, too.
    assert!(dumps.len() > 1, "{dumps:?}");
    let blocks: Vec<Block> = dumps.iter().flat_map(|path| read(path)).collect();
    whole("postgres", &blocks);
    fs::remove_dir_all(&folder).expect("ours");
}
