//! `run --relay`: the program dumps itself, and everything else is as without threaddump.
mod relay;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use relay::Outcome;
use support::has_program;
use support::record::skip;

const THREADDUMP: &str = env!("CARGO_BIN_EXE_threaddump");
/// Sends itself SIGQUIT, and ends in a way that can be told.
const QUITS: &str = "kill -QUIT $$; echo went on; exit 7";

fn run(program: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(program);
    command.env_remove("THREADDUMP").env_remove("LD_PRELOAD").stdin(Stdio::null());
    command.args(arguments).output().expect("it can be run").into()
}

#[test]
fn the_program_dumps_itself_and_has_its_own_status() {
    let pattern = relay::unique("run-relay");
    let out = pattern.to_str().expect("UTF-8");
    let ran = run(Path::new(THREADDUMP), &["run", "--relay", "-o", out, "--", "sh", "-c", QUITS]);
    let expected = Outcome { status: 7, stdout: "went on\n".to_owned(), stderr: String::new() };
    assert_eq!(ran, expected);
    let dump = fs::read_to_string(&pattern).expect("the relay wrote it");
    assert!(dump.contains("SIGQUIT") && dump.contains("rip"), "{dump}");
    let without = ["run", "--relay", "--no-registers", "--forward", "--", "sh", "-c", QUITS];
    let ran = run(Path::new(THREADDUMP), &without);
    assert_eq!((ran.status, ran.stdout.as_str()), (-3, ""), "--forward lets the signal end it");
    assert!(ran.stderr.contains("SIGQUIT") && !ran.stderr.contains("rip "), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_started_has_the_statuses_of_run() {
    let status = |name: &str| run(Path::new(THREADDUMP), &["run", "--relay", "--", name]).status;
    assert_eq!((status("/nowhere/program"), status("/dev")), (127, 126));
    let wrong = |arguments: &[&str]| run(Path::new(THREADDUMP), arguments);
    assert_eq!(wrong(&["run", "--relay", "--once", "--", "true"]).status, 64);
    let number = wrong(&["run", "--relay", "-o", "/tmp/%n", "--", "true"]);
    assert_eq!(number.status, 64, "{}", number.stderr);
    assert!(number.stderr.contains("it knows %p and %t only"), "{}", number.stderr);
}

#[test]
fn a_static_program_is_traced_and_that_is_said() {
    if !has_program("busybox") {
        return skip("run relay", "no busybox");
    }
    let ran = run(Path::new(THREADDUMP), &["run", "--relay", "--", "busybox", "sh", "-c", QUITS]);
    assert_eq!((ran.status, ran.stdout.as_str()), (7, "went on\n"));
    assert!(ran.stderr.contains("is statically linked, so it cannot take the relay; it is traced"));
    assert!(ran.stderr.contains("by ptrace"), "{}", ran.stderr);
}

#[test]
fn the_library_is_unpacked_where_it_is_not_beside_the_program() {
    let folder = relay::unique("run-relay-alone");
    fs::create_dir(&folder).expect("it is new");
    let alone = folder.join("threaddump");
    fs::copy(THREADDUMP, &alone).expect("it was built");
    let mut command = Command::new(&alone);
    command.args(["run", "--relay", "--", "sh", "-c", QUITS]).env("XDG_CACHE_HOME", folder.join("cache"));
    let ran: Outcome = command.env_remove("THREADDUMP").output().expect("it can be run").into();
    assert_eq!(ran.status, 7, "{}", ran.stderr);
    assert!(ran.stderr.contains("SIGQUIT"), "{}", ran.stderr);
    let cache = fs::metadata(folder.join("cache/threaddump")).expect("it was made");
    assert_eq!(cache.permissions().mode() & 0o777, 0o700);
    fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn the_relay_is_used_where_tracing_is_denied() {
    if !has_program("cc") {
        return skip("run relay", "no C compiler");
    }
    let filter = relay::unique("run-relay-filter");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/via/filter.c");
    let built = Command::new("cc").args(["-O2", "-o"]).arg(&filter).arg(source).status();
    assert!(built.is_ok_and(|status| status.success()));
    let ran = run(&filter, &[THREADDUMP, "run", "--", "sh", "-c", QUITS]);
    assert_eq!((ran.status, ran.stdout.as_str()), (7, "went on\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the relay is used instead"), "{}", ran.stderr);
    assert!(ran.stderr.contains("SIGQUIT: quit\nPC="), "{}", ran.stderr);
}
