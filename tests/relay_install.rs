//! The relay without preloading: programs in Rust and C, linked dynamically and statically, with glibc and musl.
mod relay;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use relay::{Block, Outcome, build_with, library, parse, run, unique};

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The example of the relay, as a program of its own.
fn example(flags: &str) -> PathBuf {
    let target = relay::scratch().join(if flags.is_empty() { "example" } else { "example-static" });
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "-p", "threaddump-relay", "--example", "install"]);
    cargo.current_dir(manifest()).arg("--target-dir").arg(&target).env("RUSTFLAGS", flags);
    // With --target the flags are not for build scripts and macros.
    let host = "x86_64-unknown-linux-gnu";
    let output = cargo.args(["--target", host]).output().expect("cargo runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join(host).join("debug/examples/install")
}

fn reached(blocks: &[Block]) {
    for block in blocks {
        assert!(block.reached && !block.ended_early, "{block:#?}");
    }
}

#[test]
fn rust_programs_install_it_themselves() {
    for (flags, is_static) in [("", false), ("-Ctarget-feature=+crt-static -Crelocation-model=static", true)]
    {
        let program = example(flags);
        let headers = Command::new("readelf").args(["-lW"]).arg(&program).output().expect("readelf is there");
        assert_eq!(!String::from_utf8_lossy(&headers.stdout).contains("INTERP"), is_static);
        for crash in [false, true] {
            let path = unique("example");
            let mut command = Command::new(&program);
            command.arg(format!("helper=none,out={}", path.display())).args(crash.then_some("crash"));
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().expect("it was built");
            let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
            let mut line = String::new();
            output.read_line(&mut line).expect("it runs");
            assert_eq!(line, "ready\n");
            if !crash {
                // Asks for a dump while it waits, as a person would.
                kill(Pid::from_raw(child.id() as i32), Signal::SIGQUIT).expect("it lives");
                while !fs::read_to_string(&path).is_ok_and(|text| text.matches("\nrax ").count() == 2) {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
            child.stdin.take().expect("a pipe").write_all(b"\n").expect("it lives");
            let mut rest = String::new();
            output.read_to_string(&mut rest).expect("it ends");
            let status = child.wait().expect("ours");
            let text = fs::read_to_string(&path).expect("a dump");
            fs::remove_file(&path).expect("ours");
            assert_eq!(rest, if crash { "" } else { "went on\n" });
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), crash.then_some(6), "{text}");
            let blocks = parse(&text);
            assert_eq!(blocks.len(), 2, "{text}");
            reached(&blocks);
            assert!(text.contains(", \"worker\"]:\n"), "{text}");
            let frames = text.matches("\tinstall+").count() + text.matches("/install+0x").count();
            assert!(frames > 4, "{text}");
        }
    }
}

/// Runs a program in C that installs the relay; gives its dump.
fn install(program: &Path) -> String {
    let path = unique("installed");
    let outcome = run(program, &[&format!("helper=none,out={}", path.display())], None);
    assert_eq!(outcome, Outcome { status: 0, stdout: "went on\n".into(), stderr: String::new() });
    let text = fs::read_to_string(&path).expect("a dump");
    fs::remove_file(&path).expect("ours");
    text
}

#[test]
fn c_programs_install_it_themselves_linked_in_any_way() {
    let include = format!("-I{}", manifest().join("relay/include").display());
    let folder = library().parent().expect("it is in one").display().to_string();
    let archive = format!("{folder}/libthreaddump_relay.a");
    let (search, path) = (format!("-L{folder}"), format!("-Wl,-rpath,{folder}"));
    let ways: [(&str, &[&str]); 4] = [
        ("install-dynamic", &[&include, &search, &path, "-lthreaddump_relay"]),
        ("install-archive", &[&include, &archive]),
        ("install-static", &[&include, "-static", "-Wl,--eh-frame-hdr", &archive]),
        ("install-static-pie", &[&include, "-static-pie", "-fPIE", "-Wl,--eh-frame-hdr", &archive]),
    ];
    for (name, arguments) in ways {
        let text = install(&build_with("install", name, arguments));
        let blocks = parse(&text);
        assert_eq!(blocks.len(), 1, "{name}: {text}");
        reached(&blocks);
        assert!(text.contains(&format!("/{name}+0x")), "{name}: {text}");
    }
}

#[test]
fn where_musl_has_no_unwind_information_a_walk_does_not_pretend_to_be_whole() {
    if Command::new("musl-gcc").arg("--version").output().is_err() {
        println!("skipped: musl-gcc: not installed");
        return;
    }
    let source = manifest().join("tests/relay/musl.c");
    let program = unique("musl");
    let mut compiler = Command::new("musl-gcc");
    compiler.args(["-g", "-O1", "-rdynamic", "-o"]).arg(&program).arg(&source);
    assert!(compiler.status().expect("it was there").success());
    let (outcome, text) = relay::run_with_relay(&program, &[], "");
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "went on\n"), "{outcome:?}");
    let blocks = parse(&text);
    assert_eq!(blocks.len(), 2);
    for block in &blocks {
        let has_main = block.functions.iter().any(|name| name == "main");
        assert!(has_main || block.ended_early, "{text}");
    }
    assert!(text.contains("...the walk ends here: no unwind information for 0x"), "{text}");
    fs::remove_file(&program).expect("ours");
}

#[test]
fn the_c_header_is_what_is_generated() {
    let path = manifest().join("relay/include/threaddump_relay.h");
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(
            "/* Dumps all threads of a program on SIGQUIT and when it crashes: threaddump-relay(7).\n * Generated \
             from relay/src/sys/capi.rs. */"
                .to_owned(),
        ),
        include_guard: Some("THREADDUMP_RELAY_H".to_owned()),
        cpp_compat: true,
        no_includes: true,
        documentation_style: cbindgen::DocumentationStyle::C,
        ..cbindgen::Config::default()
    };
    config.function.args = cbindgen::Layout::Horizontal;
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(manifest().join("relay/src/sys/capi.rs"))
        .generate()
        .expect("the source is in order");
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    if std::env::var_os("THREADDUMP_BLESS").is_some() {
        fs::write(&path, &generated).expect("writable");
    }
    let committed = fs::read(&path).expect("it is committed");
    assert_eq!(String::from_utf8_lossy(&committed), String::from_utf8_lossy(&generated));
}
