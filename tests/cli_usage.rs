//! The command line without a process: usage, help, completions.
use std::process::{Command, Output};

fn threaddump(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threaddump"));
    command.args(arguments).output().expect("the program was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn wrong_usage_exits_with_64_and_says_why() {
    let wrong: [&[&str]; 26] = [
        &[],
        &[""],
        &["--no-such-option", "1"],
        &["--format", "xml", "1"],
        &["--timeout", "5", "1"],
        &["--timeout", "0s", "1"],
        &["--stack-bytes", "many", "1"],
        &["--max-frames", "-1", "1"],
        &["--thread", "0", "1"],
        &["--color", "sometimes", "1"],
        &["--quiet", "--verbose", "1"],
        &["0"],
        &["--save-snapshot", "/tmp/x", "1", "2"],
        &["--save-snapshot", "/tmp/x", "--output", "/tmp/x", "1"],
        &["replay"],
        &["core"],
        &["core", "--unpack-limit", "much", "x"],
        &["core", "--save-snapshot", "/tmp/x", "--output", "/tmp/x", "core"],
        &["completions", "no-such-shell"],
        &["crashes"],
        &["crashes", "no-such-command"],
        &["crashes", "list", "--since", "yesterday"],
        &["crashes", "list", "--signal", "SIGFOO"],
        &["crashes", "show"],
        &["crashes", "remove"],
        &["crashes", "clean", "--all", "--older-than", "7d"],
    ];
    for arguments in wrong {
        let output = threaddump(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn options_before_a_command_are_refused_because_they_would_do_nothing() {
    let output = threaddump(&["--color", "never", "replay", "x"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("its options come after it"), "{}", text(&output.stderr));
}

#[test]
fn help_and_version_go_to_standard_output() {
    let cases: [&[&str]; 6] = [
        &["--help"],
        &["-h"],
        &["--version"],
        &["core", "--help"],
        &["replay", "--help"],
        &["completions", "--help"],
    ];
    for arguments in cases {
        let output = threaddump(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
    assert!(text(&threaddump(&["--version"]).stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_help_names_every_option() {
    let help = text(&threaddump(&["--help"]).stdout);
    for argument in threaddump::cli::command().get_arguments() {
        if let Some(long) = argument.get_long() {
            assert!(help.contains(&format!("--{long}")), "--{long}");
        }
    }
    assert!(help.contains("64 wrong usage"));
}

#[test]
fn the_definition_is_consistent() {
    threaddump::cli::command().debug_assert();
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = threaddump(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = text(&output.stdout);
        assert!(script.contains("threaddump") && script.contains("save-snapshot"), "{shell}");
    }
}

#[test]
fn a_process_named_like_a_command_is_given_after_two_dashes() {
    let output = threaddump(&["--", "completions"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("threaddump: no process is named completions\n"));
}

#[test]
fn a_process_that_is_not_there_exits_with_2_and_gives_advice() {
    for target in ["2147483647", "no-such-name-anywhere"] {
        let output = threaddump(&[target]);
        assert_eq!(output.status.code(), Some(2), "{target}");
        assert!(output.stdout.is_empty());
        let message = text(&output.stderr);
        assert!(message.starts_with("threaddump: no process") && message.lines().count() == 2, "{message}");
        let quiet = threaddump(&["-q", target]);
        assert_eq!(quiet.status.code(), Some(2));
        assert!(quiet.stderr.is_empty(), "{}", text(&quiet.stderr));
    }
}

#[test]
fn a_file_that_is_no_snapshot_is_refused_by_name() {
    let output = threaddump(&["replay", "/nonexistent/file"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot open /nonexistent/file: no such file or directory"));
    let output = threaddump(&["replay", env!("CARGO_BIN_EXE_threaddump")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("not a snapshot"), "{}", text(&output.stderr));
}

#[test]
fn no_output_replaces_the_file_that_is_read() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("spared");
    std::fs::create_dir_all(&folder).expect("cargo's folder for tests can be written");
    let (file, link) = (folder.join("file"), folder.join("link"));
    std::fs::write(&file, "the only copy").expect("cargo's folder for tests can be written");
    let _ = std::os::unix::fs::symlink("file", &link);
    let (file, link) = (file.to_str().expect("a path of ours"), link.to_str().expect("a path of ours"));
    for arguments in [
        ["replay", file, "-o", file],
        ["replay", link, "-o", file],
        ["core", file, "-o", link],
        ["core", file, "--save-snapshot", file],
    ] {
        let output = threaddump(&arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("it is the file that is to be read"), "{arguments:?}");
        assert_eq!(std::fs::read_to_string(file).expect("it is there"), "the only copy");
    }
}

#[test]
fn a_kernel_thread_is_named_as_what_it_is() {
    let output = threaddump(&["kthreadd"]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    // In a container no kernel threads are to be seen.
    let seen = std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n");
    assert_eq!(message.contains("is a kernel thread"), seen, "{message}");
}
